package io.sidecore.actors.catalog;

/**
 * A definition as it stands.
 *
 * @param key what it is found by
 * @param revision the number of the change that wrote it, counted over the whole catalog from 1: never used twice, not even for an entry that was deleted and created again
 * @param value its text, opaque to the catalog; at most {@link CatalogState#MAX_VALUE_BYTES} bytes of UTF-8
 */
public record CatalogEntry(CatalogKey key, long revision, String value) {
    /**
     * Checks it.
     *
     * @throws IllegalArgumentException with a sentence, if the revision is not positive or the value too long
     */
    public CatalogEntry {
        if (revision < 1) {
            throw new IllegalArgumentException(key + " has revision " + revision + ": revisions count from 1");
        }
        CatalogState.checkValue(key, value);
    }

    /** Its share of {@link CatalogState#MAX_BYTES}. */
    long bytes() {
        return (long) key.kind().length() + Utf8.length("a name", key.name()) + Utf8.length("a value", value);
    }
}
