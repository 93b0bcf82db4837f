package io.sidecore.actors.catalog;

/** What is asked of the catalog's state machine: a change that is made only if the entry is as its author saw it. */
public sealed interface CatalogCommand {
    /** Which entry. */
    CatalogKey key();

    /** The revision at which its author saw it; 0: it must not exist. */
    long expected();

    /**
     * Creates or replaces an entry.
     *
     * @param key which
     * @param expected its revision; 0: it must not exist
     * @param value its new text
     */
    record Put(CatalogKey key, long expected, String value) implements CatalogCommand {
        /**
         * Checks it.
         *
         * @throws IllegalArgumentException with a sentence, if the revision is negative or the value too long
         */
        public Put {
            if (expected < 0) {
                throw new IllegalArgumentException("a revision of " + key + " cannot be " + expected
                        + ": expected 0 (it must not exist) or the revision it was read at");
            }
            CatalogState.checkValue(key, value);
        }
    }

    /**
     * Deletes an entry.
     *
     * @param key which
     * @param expected its revision, positive
     */
    record Delete(CatalogKey key, long expected) implements CatalogCommand {
        /**
         * Checks it.
         *
         * @throws IllegalArgumentException with a sentence, if the revision is not positive
         */
        public Delete {
            if (expected < 1) {
                throw new IllegalArgumentException(
                        key + " cannot be deleted at revision " + expected + ": expected the revision it was read at");
            }
        }
    }
}
