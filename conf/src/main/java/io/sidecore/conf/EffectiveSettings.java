package io.sidecore.conf;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigList;
import com.typesafe.config.ConfigObject;
import com.typesafe.config.ConfigOrigin;
import com.typesafe.config.ConfigRenderOptions;
import com.typesafe.config.ConfigUtil;
import com.typesafe.config.ConfigValue;
import com.typesafe.config.ConfigValueType;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;

/** What a host would go by: every value that is in force, and where it was said. Right or wrong is not asked here. */
public final class EffectiveSettings {
    /**
     * A value in force.
     *
     * @param key full path; elements of lists as {@code [0]}
     * @param value as HOCON on one line
     * @param origin {@code file:line}; {@code reference.conf:line} for a default; a description for what no file holds
     */
    public record Value(String key, String value, String origin) {}

    private static final String REFERENCE = "reference.conf";

    private EffectiveSettings() {}

    /**
     * Of a file, with system properties before it and {@code reference.conf} after it; sorted by key.
     *
     * @throws SettingsException if it cannot be read as HOCON
     */
    public static List<Value> of(Path file) {
        return of(Settings.parse(file));
    }

    /** Of what a host serves when it is given no file. */
    public static List<Value> embedded() {
        return of(Settings.parseEmbedded());
    }

    static List<Value> of(Config config) {
        List<Value> values = new ArrayList<>();
        Config complete = Settings.complete(config);
        walk(Settings.ROOT, complete.getValue(Settings.ROOT), values);
        return values;
    }

    private static void walk(String path, ConfigValue value, List<Value> values) {
        switch (value) {
            case ConfigObject section
            when !section.isEmpty() ->
                new TreeMap<>(section)
                        .forEach((key, inner) -> walk(path + "." + ConfigUtil.joinPath(key), inner, values));
            case ConfigList list
            when list.stream().anyMatch(one -> one.valueType() == ConfigValueType.OBJECT) -> {
                for (int i = 0; i < list.size(); i++) {
                    walk(path + "[" + i + "]", list.get(i), values);
                }
            }
            default -> values.add(new Value(path, value.render(ConfigRenderOptions.concise()), origin(value.origin())));
        }
    }

    private static String origin(ConfigOrigin origin) {
        // "reference.conf @ jar:file:/...": where the jar lies is of no use to anybody.
        return origin.description().startsWith(REFERENCE)
                ? REFERENCE + ":" + origin.lineNumber()
                : Mistakes.where(origin);
    }
}
