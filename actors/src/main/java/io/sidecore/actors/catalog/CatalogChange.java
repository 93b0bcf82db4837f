package io.sidecore.actors.catalog;

import java.util.Optional;

/**
 * That an entry was created, replaced or deleted.
 *
 * @param revision the number of this change; the next change has the next number
 * @param key whose
 * @param before what was there; empty if it was created
 * @param after what is there now; empty if it was deleted
 */
public record CatalogChange(
        long revision, CatalogKey key, Optional<CatalogEntry> before, Optional<CatalogEntry> after) {}
