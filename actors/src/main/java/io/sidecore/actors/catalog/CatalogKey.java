package io.sidecore.actors.catalog;

/**
 * What a definition is found by.
 *
 * @param kind what it defines: {@code volume}, {@code export}; lower-case letters, digits and hyphens, a letter first, at most {@value #MAX_KIND_CHARS} characters
 * @param name which one; 1 to {@value #MAX_NAME_BYTES} bytes of UTF-8 without control characters. Two names are the same if their characters are
 */
public record CatalogKey(String kind, String name) implements Comparable<CatalogKey> {
    /** The longest kind. */
    public static final int MAX_KIND_CHARS = 64;

    /** The longest name, in bytes of UTF-8. */
    public static final int MAX_NAME_BYTES = 255;

    /**
     * Checks both.
     *
     * @throws IllegalArgumentException with a sentence, if one is not as described
     */
    public CatalogKey {
        if (kind.length() > MAX_KIND_CHARS || !isWord(kind)) {
            throw new IllegalArgumentException("'" + kind
                    + "' is no kind of definition: expected lower-case letters, digits and hyphens, a letter first, at most "
                    + MAX_KIND_CHARS + " characters");
        }
        if (name.isEmpty()) {
            throw new IllegalArgumentException("the name of a " + kind + " is empty");
        }
        if (hasControl(name)) {
            throw new IllegalArgumentException("the name of a " + kind + " contains a control character");
        }
        var bytes = Utf8.length("the name of a " + kind, name);
        if (bytes > MAX_NAME_BYTES) {
            throw new IllegalArgumentException("the name of a " + kind + " has " + bytes + " bytes, more than "
                    + MAX_NAME_BYTES + ": '" + name.substring(0, name.offsetByCodePoints(0, 20)) + "...'");
        }
    }

    // Loops and not patterns: a journal of ten thousand definitions has this many keys, and is opened while a host
    // starts.
    private static boolean isWord(String kind) {
        for (int at = 0; at < kind.length(); at++) {
            var letter = kind.charAt(at);
            var first = letter >= 'a' && letter <= 'z';
            if (!first && (at == 0 || letter != '-' && (letter < '0' || letter > '9'))) {
                return false;
            }
        }
        return !kind.isEmpty();
    }

    private static boolean hasControl(String name) {
        for (int at = 0; at < name.length(); at++) {
            if (Character.isISOControl(name.charAt(at))) {
                return true;
            }
        }
        return false;
    }

    @Override
    public int compareTo(CatalogKey other) {
        var byKind = kind.compareTo(other.kind);
        return byKind != 0 ? byKind : name.compareTo(other.name);
    }

    /** As a sentence names it: {@code volume 'root'}. */
    @Override
    public String toString() {
        return kind + " '" + name + "'";
    }
}
