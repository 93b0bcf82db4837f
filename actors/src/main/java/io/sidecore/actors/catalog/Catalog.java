package io.sidecore.actors.catalog;

import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletionStage;
import java.util.function.Consumer;

/**
 * The definitions that were created at run time, kept: what a stage has answered survives the crash of whoever keeps it. Safe for all threads; no call waits.
 *
 * <p>A change states the revision at which its author saw the entry, and is refused with {@link CatalogException.Conflict} if that has passed: two authors never overwrite each other unknowingly. Stages
 * fail with a {@link CatalogException}; an argument that cannot be right is an {@link IllegalArgumentException}, thrown at once.
 *
 * <p>Stages may complete, and watchers are called, on the keeper's own thread: what depends on them must not block.
 */
public interface Catalog extends AutoCloseable {
    /** An entry; empty if there is none. Sees every change that was answered before. */
    CompletionStage<Optional<CatalogEntry>> get(CatalogKey key);

    /** The entries of a kind as of one moment, in the order of their names. Sees every change that was answered before. */
    CompletionStage<List<CatalogEntry>> list(String kind);

    /**
     * Creates or replaces an entry.
     *
     * @param key which
     * @param value its text; at most {@link CatalogState#MAX_VALUE_BYTES} bytes of UTF-8
     * @param expected its revision; 0: it must not exist
     * @return what is there now, once that is durable
     */
    CompletionStage<CatalogEntry> put(CatalogKey key, String value, long expected);

    /**
     * Deletes an entry.
     *
     * @param key which
     * @param expected its revision
     * @return what was there, once it is durably gone
     */
    CompletionStage<CatalogEntry> delete(CatalogKey key, long expected);

    /**
     * Tells of the durable changes of a kind, each once, in the order of their revisions, beginning after the entries that the watch starts with. A watcher that throws is not called again; that is logged.
     *
     * @param kind of which kind
     * @param watcher called for each change, never by two threads at once
     */
    CompletionStage<Watch> watch(String kind, Consumer<CatalogChange> watcher);

    /** Makes what was accepted durable, answers it, and lets everything go. What is asked later fails with {@link CatalogException.Unavailable}. */
    @Override
    void close();

    /** A watch on a kind of entries. */
    interface Watch extends AutoCloseable {
        /** The entries as of the moment the watch began, in the order of their names: together with the changes told, nothing is missed and nothing comes twice. */
        List<CatalogEntry> entries();

        /** Ends it; a change that is being told meanwhile may still arrive. */
        @Override
        void close();
    }
}
