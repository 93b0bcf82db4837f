package io.sidecore.conf;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigException;
import com.typesafe.config.ConfigFactory;
import com.typesafe.config.ConfigParseOptions;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * All settings of a host, read once and checked; {@code reference.conf} explains each.
 *
 * @param dataDirectory where state and relative Unix sockets live; a relative path is relative to the working directory
 * @param host the bounds of the host as a whole
 * @param cores which cores are sidecores
 * @param loop how a core loop shares its thread
 * @param vif the bounds of each queue of a VIF
 * @param volumes the volumes by name, in the order of their names
 * @param nbd the NBD server; empty: there is none
 * @param vms the virtual machines by name, in the order of their names
 * @param metrics where metrics and health are served
 * @param log how a host that the launcher starts logs
 */
public record Settings(
        Path dataDirectory,
        HostSettings host,
        CoreSettings cores,
        LoopSettings loop,
        VifSettings vif,
        Map<String, VolumeSettings> volumes,
        Optional<NbdSettings> nbd,
        Map<String, VmSettings> vms,
        MetricsSettings metrics,
        LogSettings log) {
    static final String ROOT = "sidecore";
    private static final String EMBEDDED = "sidecore-default.conf";
    private static final ConfigParseOptions STRICT =
            ConfigParseOptions.defaults().setAllowMissing(false);

    public Settings {
        volumes = Collections.unmodifiableMap(new LinkedHashMap<>(volumes));
        vms = Collections.unmodifiableMap(new LinkedHashMap<>(vms));
    }

    /**
     * Reads a file. System properties come before it, {@code reference.conf} after it.
     *
     * @throws SettingsException naming all mistakes
     */
    public static Settings load(Path file) {
        return load(file, dataDirectory -> Surroundings.UNSEEN);
    }

    /**
     * The same, and looks whether it fits this machine.
     *
     * @param file in HOCON
     * @param surroundings what is looked at, when the data directory is known
     * @throws SettingsException naming all mistakes, those in the file and what does not fit
     */
    public static Settings load(Path file, Function<Path, Surroundings> surroundings) {
        return read(parse(file), new SettingsReader(processors(), surroundings));
    }

    /**
     * What a host serves when no file is given: {@code sidecore-default.conf}. System properties come before it.
     *
     * @throws SettingsException naming the mistakes in system properties
     */
    public static Settings embedded() {
        return embedded(dataDirectory -> Surroundings.UNSEEN);
    }

    /**
     * The same, and looks whether it fits this machine.
     *
     * @param surroundings what is looked at, when the data directory is known
     * @throws SettingsException naming the mistakes in system properties, and what does not fit
     */
    public static Settings embedded(Function<Path, Surroundings> surroundings) {
        return read(parseEmbedded(), new SettingsReader(processors(), surroundings));
    }

    /** Begins settings that are said in Java. */
    public static SettingsBuilder builder() {
        return new SettingsBuilder();
    }

    /**
     * Reads what a program has built or parsed, resolved or not; {@code reference.conf} comes after it.
     *
     * @throws SettingsException naming all mistakes
     */
    public static Settings read(Config config) {
        return read(config, dataDirectory -> Surroundings.UNSEEN);
    }

    /**
     * The same, and looks whether it fits this machine.
     *
     * @param config built or parsed
     * @param surroundings what is looked at, when the data directory is known
     * @throws SettingsException naming all mistakes, and what does not fit
     */
    public static Settings read(Config config, Function<Path, Surroundings> surroundings) {
        return read(config, new SettingsReader(processors(), surroundings));
    }

    private static int processors() {
        return Runtime.getRuntime().availableProcessors();
    }

    static Settings load(Path file, int processors) {
        return read(parse(file), processors);
    }

    /** A file, with the system properties before it. */
    static Config parse(Path file) {
        if (!Files.isReadable(file) || Files.isDirectory(file)) {
            String message = Files.isDirectory(file)
                    ? "this is a directory; expected a file"
                    : Files.exists(file) ? "the file cannot be read: permission denied" : "there is no such file";
            throw new SettingsException(List.of(new Mistake(file.toString(), "", message)));
        }
        // Without a parent a file's includes would not be looked for beside it.
        File beside = file.getParent() == null ? new File(".", file.toString()) : file.toFile();
        Config parsed = refusing(() -> ConfigFactory.parseFile(beside, STRICT));
        Set<String> sections = parsed.root().keySet();
        if (!sections.contains(ROOT)) {
            String message = "expected a section sidecore { }, found "
                    + (sections.isEmpty() ? "nothing" : "only " + Spelling.list(sections));
            throw new SettingsException(List.of(new Mistake(file.toString(), "", message)));
        }
        return ConfigFactory.defaultOverrides().withFallback(parsed);
    }

    static Settings embedded(int processors) {
        return read(parseEmbedded(), processors);
    }

    static Config parseEmbedded() {
        Config parsed = ConfigFactory.parseResources(Settings.class.getClassLoader(), EMBEDDED, STRICT);
        return ConfigFactory.defaultOverrides().withFallback(parsed);
    }

    /** With {@code reference.conf} behind it, and everything resolved. */
    static Config complete(Config config) {
        return refusing(
                () -> config.withFallback(ConfigFactory.defaultReferenceUnresolved(Settings.class.getClassLoader()))
                        .resolve());
    }

    static Settings read(Config config, int processors) {
        return read(config, new SettingsReader(processors, dataDirectory -> Surroundings.UNSEEN));
    }

    private static Settings read(Config config, SettingsReader reader) {
        Config complete = complete(config);
        Mistakes mistakes = new Mistakes();
        Section root = new Section("", complete.root(), mistakes);
        Settings settings = root.at(ROOT).section(reader::settings);
        mistakes.throwIfAny();
        return settings;
    }

    /** What Typesafe Config itself refuses (syntax, includes, substitutions) is one mistake like any other. */
    private static <T> T refusing(Supplier<T> step) {
        try {
            return step.get();
        } catch (ConfigException refused) {
            throw new SettingsException(List.of(Mistakes.of(refused)));
        }
    }
}
