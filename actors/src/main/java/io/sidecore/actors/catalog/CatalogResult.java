package io.sidecore.actors.catalog;

import java.util.Optional;

/** What the state machine answers to a command. A value, because it is the same on every replica. */
public sealed interface CatalogResult {
    /** It was done. */
    record Changed(CatalogChange change) implements CatalogResult {}

    /**
     * Not done: the entry is not as its author saw it.
     *
     * @param command what was asked
     * @param present what is there; empty if nothing is
     */
    record Conflict(CatalogCommand command, Optional<CatalogEntry> present) implements CatalogResult {}

    /**
     * Not done: the catalog would grow beyond {@link CatalogState#MAX_BYTES}.
     *
     * @param command what was asked
     * @param bytes how large the catalog is
     */
    record Full(CatalogCommand command, long bytes) implements CatalogResult {}
}
