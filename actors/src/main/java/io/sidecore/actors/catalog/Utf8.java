package io.sidecore.actors.catalog;

import java.nio.charset.StandardCharsets;

/** The size of text that is going to be stored. */
final class Utf8 {
    private Utf8() {}

    /**
     * The number of bytes of a text in UTF-8.
     *
     * @throws IllegalArgumentException if it has none: half a surrogate pair would silently come back as another character
     */
    static int length(String what, String text) {
        var bytes = text.getBytes(StandardCharsets.UTF_8);
        if (!new String(bytes, StandardCharsets.UTF_8).equals(text)) {
            throw new IllegalArgumentException(
                    what + " is no text: half a surrogate pair at character " + (firstHalf(text) + 1));
        }
        return bytes.length;
    }

    private static int firstHalf(String text) {
        var at = 0;
        while (Character.getType(text.codePointAt(at)) != Character.SURROGATE) {
            at += Character.charCount(text.codePointAt(at));
        }
        return at;
    }
}
