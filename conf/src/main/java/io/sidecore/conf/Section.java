package io.sidecore.conf;

import com.typesafe.config.ConfigObject;
import com.typesafe.config.ConfigUtil;
import com.typesafe.config.ConfigValue;
import com.typesafe.config.ConfigValueType;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;

/**
 * One {@code { }} of the configuration. It remembers which keys its reader asked for: those are the known ones, and any other key that is
 * present is a mistake. So what is valid is said once, by the code that reads.
 */
final class Section {
    private final String path;
    private final ConfigObject object;
    private final Mistakes mistakes;
    private final Set<String> asked = new TreeSet<>();
    private boolean judged = true;

    /** {@code path}: empty for the root of a configuration. */
    Section(String path, ConfigObject object, Mistakes mistakes) {
        this.path = path;
        this.object = object;
        this.mistakes = mistakes;
    }

    /** The value of a key of this section, or its absence. */
    Setting at(String key) {
        // Names that a user has chosen are asked for already.
        if (asked.add(key)) {
            mistakes.asked(path(key));
        }
        ConfigValue value = object.get(key);
        return new Setting(
                path(key), Optional.ofNullable(value), value == null ? object.origin() : value.origin(), mistakes);
    }

    /** For a section whose keys are names chosen by the user: the names, sorted. */
    List<String> names() {
        asked.addAll(object.keySet());
        return object.entrySet().stream()
                .filter(entry -> entry.getValue().valueType() != ConfigValueType.NULL)
                .map(Map.Entry::getKey)
                .sorted()
                .toList();
    }

    /** Reads one of several shapes, chosen by the key {@code type}. */
    <T> T variant(Map<String, Function<Section, T>> readers, T placeholder) {
        Function<Section, T> unknown = section -> {
            // Which keys are valid is not known either.
            judged = false;
            return placeholder;
        };
        return at("type").choice(readers, unknown).apply(this);
    }

    /** Reports a mistake of the section as a whole. */
    void mistake(String message) {
        mistakes.add(object.origin(), path, message);
    }

    void reportUnknownKeys() {
        for (String key : object.keySet()) {
            if (judged && !asked.contains(key)) {
                mistakes.add(object.get(key).origin(), path(key), "unknown key" + hint(key));
            }
        }
    }

    /** The nearest key here; or the same one further down, where it belongs. */
    private String hint(String key) {
        Optional<String> below =
                Spelling.nearest(key, asked).isEmpty() ? mistakes.askedBelow(path, key) : Optional.empty();
        return below.map(there -> "; did you mean \"" + there + "\"?").orElseGet(() -> Spelling.hint(key, asked));
    }

    private String path(String key) {
        return path.isEmpty() ? ConfigUtil.joinPath(key) : path + "." + ConfigUtil.joinPath(key);
    }
}
