package io.sidecore.conf;

import com.typesafe.config.ConfigException;
import com.typesafe.config.ConfigOrigin;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;

/** Collects the mistakes of one reading, so that a user sees all of them at once, in the order of the file. */
final class Mistakes {
    /** Typesafe Config ends a description with the line, or with the lines when a section was written in several parts. */
    private static final Pattern LINES = Pattern.compile(": (\\d+)(-\\d+)?$");

    /** A file in the working directory, and what it includes. */
    private static final Pattern HERE = Pattern.compile("^\\./");

    /** The parser says this also, and mostly, where a brace is missing. */
    private static final String UNCLOSED = "expecting a close parentheses ')' here, not: end of file";

    private static final String UNCLOSED_IN_WORDS = "the file ends where a closing '}' or ')' was expected";

    private record Found(String source, int line, Mistake mistake) {}

    private final List<Found> found = new ArrayList<>();

    /** Paths of all keys that were asked for. */
    private final Set<String> asked = new TreeSet<>();

    void asked(String path) {
        asked.add(path);
    }

    /** Where a key of this name is valid further down, as a path from there. */
    Optional<String> askedBelow(String path, String key) {
        String above = path.isEmpty() ? "" : path + ".";
        return asked.stream()
                .filter(known -> known.startsWith(above) && known.endsWith("." + key))
                .map(known -> known.substring(above.length()))
                .findFirst();
    }

    void add(ConfigOrigin origin, String key, String message) {
        String source = LINES.matcher(origin.description()).replaceFirst("");
        found.add(new Found(source, origin.lineNumber(), new Mistake(where(origin), key, message)));
    }

    void throwIfAny() {
        if (!found.isEmpty()) {
            throw new SettingsException(found.stream()
                    .sorted(Comparator.comparing(Found::source).thenComparingInt(Found::line))
                    .map(Found::mistake)
                    .toList());
        }
    }

    /** What Typesafe Config refused by itself: its message begins with the origin. */
    static Mistake of(ConfigException refused) {
        Optional<ConfigOrigin> origin = Optional.ofNullable(refused.origin());
        String message = origin.map(from -> from.description() + ": ")
                .filter(refused.getMessage()::startsWith)
                .map(prefix -> refused.getMessage().substring(prefix.length()))
                .orElse(refused.getMessage());
        return new Mistake(
                origin.map(Mistakes::where).orElse("configuration"), "", message.replace(UNCLOSED, UNCLOSED_IN_WORDS));
    }

    /** {@code file:line}, of a file inside a jar only its own name; or the description of what is no file. */
    static String where(ConfigOrigin origin) {
        if (origin.resource() != null && origin.lineNumber() > 0) {
            return origin.resource() + ":" + origin.lineNumber();
        }
        return HERE.matcher(LINES.matcher(origin.description()).replaceFirst(":$1"))
                .replaceFirst("");
    }
}
