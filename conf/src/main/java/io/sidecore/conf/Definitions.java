package io.sidecore.conf;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import com.typesafe.config.ConfigUtil;
import com.typesafe.config.ConfigValueFactory;
import io.sidecore.conf.NbdSettings.ExportedVolume;
import java.nio.file.Path;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/**
 * Reads the section of one thing that is defined while a host runs, as it would stand in a file: the same reader with the same words for the
 * same mistakes, whose keys are relative to the section here.
 */
public final class Definitions {
    private static final String SCRATCH = "scratch";
    private static final Map<String, Object> ANY_VOLUME = Map.of("size", "512 B", "store", Map.of("type", "memory"));

    private Definitions() {}

    /**
     * What stands in {@code sidecore.volumes.NAME { }}.
     *
     * @param dataDirectory what its relative paths are relative to
     * @throws SettingsException naming all mistakes, in the name too
     */
    public static VolumeSettings volume(String name, Config section, Path dataDirectory) {
        Config whole = ConfigFactory.empty()
                .withValue("data-directory", ConfigValueFactory.fromAnyRef(dataDirectory.toString()))
                .withValue("volumes", ConfigFactory.empty().root().withValue(name, section.root()));
        String key = ConfigUtil.joinPath(name);
        return within("sidecore.volumes." + key, () -> read(whole).volumes().get(name));
    }

    /** A size as a volume has it, in bytes. */
    public static long volumeSize(String text) {
        Config section = ConfigFactory.parseMap(ANY_VOLUME).withValue("size", ConfigValueFactory.fromAnyRef(text));
        return volume(SCRATCH, section, Path.of("")).sizeBytes();
    }

    /**
     * What stands in {@code sidecore.exports.nbd.volumes[] { }}.
     *
     * @param volumes the names that there are
     * @throws SettingsException naming all mistakes
     */
    public static ExportedVolume export(Config section, Collection<String> volumes) {
        Config nbd = ConfigFactory.parseMap(Map.of("listen", List.of("127.0.0.1:0")))
                .withValue("volumes", ConfigValueFactory.fromIterable(List.of(section.root())));
        Config whole = ConfigFactory.empty()
                .withValue("volumes", ConfigValueFactory.fromMap(named(volumes)))
                .withValue("exports.nbd", nbd.root());
        return within(
                "sidecore.exports.nbd.volumes[0]",
                () -> read(whole).nbd().orElseThrow().volumes().getFirst());
    }

    /**
     * What stands in {@code sidecore.vms.NAME { }}.
     *
     * @param volumes the names that there are
     * @param dataDirectory what its relative paths are relative to
     * @param sidecores whether there are any
     * @param surroundings what is looked at
     * @throws SettingsException naming all mistakes, in the name too
     */
    public static VmSettings vm(
            String name,
            Config section,
            Collection<String> volumes,
            Path dataDirectory,
            boolean sidecores,
            Surroundings surroundings) {
        Config whole = ConfigFactory.empty()
                .withValue("data-directory", ConfigValueFactory.fromAnyRef(dataDirectory.toString()))
                .withValue("cores.service", ConfigValueFactory.fromAnyRef(sidecores ? 1 : 0))
                .withValue("volumes", ConfigValueFactory.fromMap(named(volumes)))
                .withValue("vms", ConfigFactory.empty().root().withValue(name, section.root()));
        return within(
                "sidecore.vms." + ConfigUtil.joinPath(name),
                () -> Settings.read(whole.atKey(Settings.ROOT), _ -> surroundings)
                        .vms()
                        .get(name));
    }

    private static Map<String, Object> named(Collection<String> volumes) {
        Map<String, Object> known = new HashMap<>();
        volumes.forEach(name -> known.put(name, ANY_VOLUME));
        return known;
    }

    /**
     * What stands in {@code interposers[] { }}.
     *
     * @throws SettingsException naming all mistakes
     */
    public static InterposerSettings interposer(Config section) {
        Config export = ConfigFactory.parseMap(Map.of("volume", SCRATCH))
                .withValue("interposers", ConfigValueFactory.fromIterable(List.of(section.root())));
        return within(
                "interposers[0]",
                () -> export(export, List.of(SCRATCH)).interposers().getFirst());
    }

    private static Settings read(Config section) {
        return Settings.read(section.atKey(Settings.ROOT));
    }

    /** Says the keys of mistakes as the one who wrote the section knows them. */
    private static <T> T within(String path, Supplier<T> read) {
        try {
            return read.get();
        } catch (SettingsException e) {
            throw new SettingsException(e.mistakes().stream()
                    .map(mistake -> new Mistake(mistake.origin(), relative(mistake.key(), path), mistake.message()))
                    .toList());
        }
    }

    private static String relative(String key, String path) {
        if (key.equals(path)) {
            return "";
        }
        return key.startsWith(path + ".") ? key.substring(path.length() + 1) : key;
    }
}
