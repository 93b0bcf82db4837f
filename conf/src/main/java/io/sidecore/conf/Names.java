package io.sidecore.conf;

import java.util.regex.Pattern;

/** What volumes, exports and virtual machines may be called. */
public final class Names {
    private static final Pattern NAME = Pattern.compile("[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}");

    /** What is expected, in the words of a mistake. */
    public static final String EXPECTED =
            "a name of 1 to 64 letters, digits, '.', '_' and '-', the first one a letter or a digit";

    private Names() {}

    /** Whether it may be a name. */
    public static boolean isName(String text) {
        return NAME.matcher(text).matches();
    }
}
