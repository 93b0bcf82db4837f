package io.sidecore.conf;

import io.sidecore.conf.InterposerSettings.Errno;
import io.sidecore.conf.InterposerSettings.FaultPlan;
import io.sidecore.conf.InterposerSettings.RateLimit;
import io.sidecore.conf.NbdSettings.ExportedVolume;
import io.sidecore.conf.StoreSettings.FileStore;
import io.sidecore.conf.StoreSettings.MemoryStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Reads the section {@code sidecore}. Every key stands here once, with its type and bounds. Its default stands in {@code reference.conf},
 * or here ({@code or}) when the key belongs to something that a user names or lists.
 */
final class SettingsReader {
    private static final int SECTOR_BYTES = 512;

    /** 4 EiB: also what stands for a size that is wrong. */
    private static final long LARGEST = 1L << 62;

    /** The highest number a core can have: Linux is built for 8192 CPUs at most. */
    private static final int CORE_MAX = 8191;

    private static final Map<String, Placement> PLACEMENTS =
            Map.of("shared", Placement.SHARED, "sidecore", Placement.SIDECORE);
    static final Map<String, AttachMode> MODES =
            Map.of("exclusive", AttachMode.EXCLUSIVE, "shared", AttachMode.SHARED, "read-only", AttachMode.READ_ONLY);
    private static final Map<String, TlsSettings.Mode> TLS_MODES =
            Map.of("off", TlsSettings.Mode.OFF, "allow", TlsSettings.Mode.ALLOW, "require", TlsSettings.Mode.REQUIRE);
    private static final Map<String, LogSettings.Format> LOG_FORMATS =
            Map.of("text", LogSettings.Format.TEXT, "json", LogSettings.Format.JSON);
    private static final Map<String, LogSettings.Level> LOG_LEVELS = Map.of(
            "error",
            LogSettings.Level.ERROR,
            "warn",
            LogSettings.Level.WARN,
            "info",
            LogSettings.Level.INFO,
            "debug",
            LogSettings.Level.DEBUG);
    private static final Map<String, Errno> ERRNOS =
            Arrays.stream(Errno.values()).collect(Collectors.toMap(Errno::name, Function.identity()));

    private static final InterposerSettings UNKNOWN_INTERPOSER =
            new RateLimit(OptionalLong.empty(), OptionalLong.empty(), Duration.ZERO);

    private final int processors;
    private final Function<Path, Surroundings> look;
    private Surroundings surroundings = Surroundings.UNSEEN;

    /** {@code processors}: cores of this machine; one at least stays for all that is no sidecore. {@code look}: what is looked at, when the data directory is known. */
    SettingsReader(int processors, Function<Path, Surroundings> look) {
        this.processors = processors;
        this.look = look;
    }

    Settings settings(Section section) {
        Path dataDirectory =
                section.at("data-directory").text("a path", Path::of).orElse(Path.of(""));
        surroundings = look.apply(dataDirectory);
        HostSettings host = section.at("host")
                .section(it -> new HostSettings(it.at("payload-memory").bytes("16 MiB", "16 TiB")));
        CoreSettings cores =
                section.at("cores").section(it -> new CoreSettings(cores(it, "service"), cores(it, "guest")));
        LoopSettings loop = section.at("loop").section(SettingsReader::loop);
        VifSettings vif = section.at("vif").section(SettingsReader::vif);
        Map<String, VolumeSettings> volumes =
                section.at("volumes").section(it -> named(it, one -> volume(one, dataDirectory)));
        Optional<NbdSettings> nbd = section.at("exports")
                .section(exports -> exports.at("nbd")
                        .section(it -> nbd(
                                it,
                                dataDirectory,
                                volumes.keySet(),
                                cores.service().count() > 0)));
        MetricsSettings metrics = section.at("metrics").section(it -> metrics(it, nbd));
        LogSettings log = section.at("log").section(SettingsReader::log);
        VmReader vm = new VmReader(
                volumes.keySet(),
                nbd.map(SettingsReader::writtenByOneOnly).orElse(Set.of()),
                cores.service().count() > 0,
                dataDirectory,
                surroundings);
        Map<String, VmSettings> vms = section.at("vms").section(it -> named(it, vm::vm));
        return new Settings(dataDirectory, host, cores, loop, vif, volumes, nbd, vms, metrics, log);
    }

    private static Set<String> writtenByOneOnly(NbdSettings nbd) {
        return nbd.volumes().stream()
                .filter(exported -> exported.mode() == AttachMode.EXCLUSIVE)
                .map(ExportedVolume::volume)
                .collect(Collectors.toSet());
    }

    private CoreChoice cores(Section section, String key) {
        Setting service = section.at(key);
        int most = processors - 1;
        String why = " (this machine has " + processors + " cores and one stays for the rest)";
        if (!service.isList()) {
            String expected = "a number of cores from 0 to " + most + why + " or a list of core numbers";
            return new CoreChoice.Count((int) service.whole(expected, 0, most));
        }
        Set<Integer> seen = new HashSet<>();
        List<Integer> listed = service.elements().stream()
                .flatMap(core ->
                        core.text("a core number from 0 to " + CORE_MAX, number -> once(core(number), seen)).stream())
                .toList();
        if (listed.size() > most) {
            service.mistake("expected at most " + most + " core numbers" + why + ", found " + listed.size());
        }
        return new CoreChoice.Listed(listed);
    }

    private static int core(String text) {
        int number = Integer.parseInt(text);
        if (number < 0 || number > CORE_MAX) {
            throw new IllegalArgumentException("no core has this number");
        }
        return number;
    }

    private static LoopSettings loop(Section section) {
        return new LoopSettings(
                section.at("spin-max").duration("0 s", "1 s"),
                section.at("turn-tasks").whole(1, 65536),
                section.at("turn-batches").whole(1, 65536),
                section.at("turn-time").duration("1 us", "1 s"),
                section.at("blocked-after").duration("1 ms", "1 h"));
    }

    private static VifSettings vif(Section section) {
        return new VifSettings(
                section.at("slots").whole(1, 4096),
                // The largest NBD request carries 32 MiB: with less than a bit more it could never be admitted.
                section.at("in-flight-bytes").bytes("33 MiB", "1 TiB"),
                section.at("drain-max").duration("1 ms", "1 h"),
                section.at("stall-max").duration("1 ms", "24 h"),
                section.at("send-timeout").duration("1 ms", "24 h"),
                section.at("replay-max").whole(1, 1000),
                section.at("slow-after").duration("1 us", "1 h"));
    }

    private MetricsSettings metrics(Section section, Optional<NbdSettings> nbd) {
        Setting listen = section.at("listen");
        Optional<ListenAddress.Tcp> address =
                listen.text("off or HOST:PORT", SettingsReader::tcp).flatMap(found -> found);
        boolean taken = nbd.isPresent()
                && address.filter(tcp -> tcp.port() != 0 && nbd.get().listen().contains(tcp))
                        .isPresent();
        address.flatMap(tcp -> taken
                        ? Optional.of("exports.nbd.listen has it already; choose another port")
                        : surroundings.unavailable(tcp))
                .ifPresent(why -> listen.mistake("cannot listen on " + address.get() + ": " + why));
        return new MetricsSettings(address);
    }

    private static Optional<ListenAddress.Tcp> tcp(String text) {
        if (text.equals("off")) {
            return Optional.empty();
        }
        return switch (ListenAddress.parse(text, Path.of(""))) {
            case ListenAddress.Tcp tcp -> Optional.of(tcp);
            case ListenAddress.Unix _ -> throw new IllegalArgumentException("metrics are served over TCP only");
        };
    }

    private static LogSettings log(Section section) {
        return new LogSettings(
                section.at("format").choice(LOG_FORMATS, LogSettings.Format.TEXT),
                section.at("level").choice(LOG_LEVELS, LogSettings.Level.INFO));
    }

    /** What users have given names to. */
    private static <T> Map<String, T> named(Section section, Function<Section, T> read) {
        Map<String, T> all = new LinkedHashMap<>();
        for (String name : section.names()) {
            Setting one = section.at(name);
            if (!Names.isName(name)) {
                one.mistake("expected " + Names.EXPECTED);
            }
            all.put(name, one.section(read));
        }
        return all;
    }

    private VolumeSettings volume(Section section, Path dataDirectory) {
        Setting size = section.at("size");
        long sizeBytes = size.isPresent() ? size(size) : 0;
        Map<String, Function<Section, StoreSettings>> stores = Map.of(
                "memory", store -> memory(store, size.isPresent() ? sizeBytes : size(size)),
                "file", store -> file(store, size, sizeBytes, dataDirectory));
        StoreSettings kept = section.at("store").section(it -> it.variant(stores, new MemoryStore(Long.MAX_VALUE)));
        return new VolumeSettings(sizeBytes, kept);
    }

    private static long size(Setting size) {
        long sizeBytes = size.bytes("512 B", "4 EiB");
        if (sizeBytes % SECTOR_BYTES != 0) {
            size.mistake("expected a multiple of " + SECTOR_BYTES + " bytes, found " + sizeBytes);
        }
        return sizeBytes;
    }

    private FileStore file(Section section, Setting size, long sizeBytes, Path dataDirectory) {
        Setting readOnly = section.at("read-only").or(false);
        Setting create = section.at("create");
        Setting path = section.at("path");
        FileStore file = new FileStore(
                path.path(dataDirectory).orElse(Path.of("")),
                create.or(!readOnly.yes()).yes(),
                readOnly.yes(),
                section.at("direct").or(false).yes(),
                section.at("threads").or(16).whole(1, 1024));
        if (file.create() && file.readOnly()) {
            create.mistake("an image that is only read cannot be created");
        }
        look(file, path, size, sizeBytes, dataDirectory);
        return file;
    }

    private void look(FileStore file, Setting path, Setting size, long sizeBytes, Path dataDirectory) {
        boolean made = file.create() && sizeBytes > 0 && !Files.exists(file.path());
        if (!file.path().toString().isEmpty()) {
            (made ? surroundings.folderless(file.path(), dataDirectory) : surroundings.unreadable(file.path()))
                    .ifPresent(why -> path.mistake("image " + file.path() + ": " + why));
        }
        OptionalLong present = surroundings.bytes(file.path());
        if (sizeBytes > 0 && sizeBytes < LARGEST && present.isPresent() && present.getAsLong() != sizeBytes) {
            size.mistake("expected the " + present.getAsLong() + " bytes of the image " + file.path() + ", found "
                    + sizeBytes + "; leave the size out to take the image as it is");
        }
    }

    private static MemoryStore memory(Section section, long sizeBytes) {
        Setting limit = section.at("limit");
        long limitBytes = limit.or(sizeBytes).bytes("1 B", "4 EiB");
        if (limitBytes > sizeBytes) {
            limit.mistake("expected at most the volume's size of " + sizeBytes + " bytes, found " + limitBytes);
        }
        return new MemoryStore(limitBytes);
    }

    /** Without an address there is no server, and nothing may be exported. Without a volume there is one: exports may be created while it runs. */
    private Optional<NbdSettings> nbd(Section section, Path dataDirectory, Set<String> volumes, boolean sidecores) {
        Setting listen = section.at("listen");
        Setting exported = section.at("volumes");
        Setting placement = section.at("placement");
        NbdSettings nbd = new NbdSettings(
                addresses(listen, dataDirectory),
                exported(exported, volumes),
                section.at("max-connections").whole(1, 65536),
                section.at("handshake-timeout").duration("1 ms", "1 h"),
                placement.choice(PLACEMENTS, Placement.SHARED),
                section.at("tls").section(this::tls));
        boolean listens = !listen.isEmptyList();
        boolean exports = !exported.isEmptyList();
        // Said of the one that the user wrote: the empty list stands in reference.conf.
        if (exports && !listens) {
            exported.mistake("there is no address to reach them; expected listen = [\"127.0.0.1:10809\"] or similar");
        }
        if (nbd.placement() == Placement.SIDECORE && !sidecores) {
            placement.mistake(
                    "a sidecore is needed, but sidecore.cores.service names none; set it to 1, or use shared");
        }
        return listens ? Optional.of(nbd) : Optional.empty();
    }

    /** What is in the files is looked at when the host starts: they may change as long as it runs. */
    private TlsSettings tls(Section section) {
        TlsSettings.Mode mode = section.at("mode").choice(TLS_MODES, TlsSettings.Mode.OFF);
        Setting certificate = section.at("certificate");
        Setting key = section.at("key");
        Setting clientCa = section.at("client-ca");
        boolean wanted = mode != TlsSettings.Mode.OFF;
        Optional<Path> certificatePath = wanted || certificate.isPresent() ? readable(certificate) : Optional.empty();
        Optional<Path> keyPath = wanted || key.isPresent() ? readable(key) : Optional.empty();
        Optional<Path> clientCaPath = clientCa.isPresent() ? readable(clientCa) : Optional.empty();
        return wanted && certificatePath.isPresent() && keyPath.isPresent()
                ? new TlsSettings(
                        mode, Optional.of(new TlsSettings.Files(certificatePath.get(), keyPath.get(), clientCaPath)))
                : TlsSettings.NONE;
    }

    private Optional<Path> readable(Setting file) {
        Optional<Path> path = file.path(Path.of(""));
        path.ifPresent(named -> surroundings.unreadable(named).ifPresent(why -> file.mistake(named + ": " + why)));
        return path;
    }

    private List<ListenAddress> addresses(Setting list, Path dataDirectory) {
        Set<ListenAddress> seen = new HashSet<>();
        return list.elements().stream()
                .flatMap(element -> element
                        .text("HOST:PORT, [IPV6]:PORT or unix:PATH", text -> {
                            ListenAddress address = ListenAddress.parse(text, dataDirectory);
                            boolean anyPort = address instanceof ListenAddress.Tcp tcp && tcp.port() == 0;
                            return anyPort ? address : once(address, seen);
                        })
                        .map(address -> {
                            surroundings
                                    .unavailable(address)
                                    .ifPresent(why -> element.mistake("cannot listen on " + address + ": " + why));
                            return address;
                        })
                        .stream())
                .toList();
    }

    private static List<ExportedVolume> exported(Setting list, Set<String> volumes) {
        Set<String> names = new HashSet<>();
        Map<String, ExportedVolume> writers = new HashMap<>();
        return list.elements().stream()
                .map(element -> {
                    ExportedVolume one = element.isSection()
                            ? element.section(it -> exported(it, volumes, names))
                            : new ExportedVolume(
                                    exportName(element, volumes, names),
                                    element.text("the name of a volume", Function.identity())
                                            .orElse(""),
                                    AttachMode.EXCLUSIVE,
                                    List.of());
                    refuseSecondWriter(element, one, writers);
                    return one;
                })
                .toList();
    }

    private static ExportedVolume exported(Section section, Set<String> volumes, Set<String> names) {
        Setting name = section.at("name");
        Setting volume = section.at("volume");
        String exportedVolume = name.isPresent()
                ? volume.text("the name of a volume", text -> existing(text, volumes))
                        .orElse("")
                : exportName(volume, volumes, names);
        return new ExportedVolume(
                name.isPresent()
                        ? name.text(
                                        "a name of 1 to 64 letters, digits, '.', '_' and '-'",
                                        text -> once(named(text), names))
                                .orElse("")
                        : exportedVolume,
                exportedVolume,
                section.at("mode").or("exclusive").choice(MODES, AttachMode.EXCLUSIVE),
                interposers(section.at("interposers")));
    }

    /** The name of a volume that is exported under its own. */
    private static String exportName(Setting volume, Set<String> volumes, Set<String> names) {
        return volume.text("the name of a volume", text -> once(existing(text, volumes), names))
                .orElse("");
    }

    static String existing(String text, Set<String> volumes) {
        if (!volumes.contains(text)) {
            throw new IllegalArgumentException("there is none of this name" + Spelling.hint(text, volumes));
        }
        return text;
    }

    private static String named(String text) {
        if (!Names.isName(text)) {
            throw new IllegalArgumentException("not a name");
        }
        return text;
    }

    private static void refuseSecondWriter(Setting element, ExportedVolume one, Map<String, ExportedVolume> writers) {
        if (one.mode() == AttachMode.READ_ONLY
                || one.name().isEmpty()
                || one.volume().isEmpty()) {
            return;
        }
        ExportedVolume first = writers.putIfAbsent(one.volume(), one);
        if (first != null && !(first.mode() == AttachMode.SHARED && one.mode() == AttachMode.SHARED)) {
            element.mistake("volume " + one.volume() + " is written through the export " + first.name()
                    + " already; expected mode = read-only here, or mode = shared in both");
        }
    }

    static List<InterposerSettings> interposers(Setting list) {
        Map<String, Function<Section, InterposerSettings>> interposers =
                Map.of("rate-limit", SettingsReader::rateLimit, "fault-plan", SettingsReader::faultPlan);
        return list.or(List.of()).elements().stream()
                .map(element -> element.section(it -> it.variant(interposers, UNKNOWN_INTERPOSER)))
                .toList();
    }

    private static RateLimit rateLimit(Section section) {
        Setting iops = section.at("iops");
        Setting bandwidth = section.at("bandwidth");
        if (!iops.isPresent() && !bandwidth.isPresent()) {
            section.mistake("required: expected iops, bandwidth or both");
        }
        return new RateLimit(
                iops.isPresent() ? OptionalLong.of(iops.whole(1, 1_000_000_000)) : OptionalLong.empty(),
                bandwidth.isPresent() ? OptionalLong.of(bandwidth.bytes("1 B", "1 TiB")) : OptionalLong.empty(),
                section.at("burst").or("10 ms").duration("1 us", "1 h"));
    }

    private static FaultPlan faultPlan(Section section) {
        record Fault<T>(double ratio, T what) {}
        long seed = section.at("seed").or(1).whole("a whole number of 64 bits", Long.MIN_VALUE, Long.MAX_VALUE);
        Fault<Duration> delay = section.at("delay")
                .or(Map.of("ratio", 0, "by", "0 s"))
                .section(it -> new Fault<>(it.at("ratio").ratio(), it.at("by").duration("0 s", "1 h")));
        Fault<Errno> error = section.at("error")
                .or(Map.of("ratio", 0))
                .section(it -> new Fault<>(
                        it.at("ratio").ratio(), it.at("errno").or("EIO").choice(ERRNOS, Errno.EIO)));
        double hangRatio = section.at("hang")
                .or(Map.of("ratio", 0))
                .section(it -> it.at("ratio").ratio());
        return new FaultPlan(seed, delay.ratio(), delay.what(), error.ratio(), error.what(), hangRatio);
    }

    /** Refuses what a list has already. */
    static <T> T once(T value, Set<T> seen) {
        if (!seen.add(value)) {
            throw new IllegalArgumentException("it is listed twice");
        }
        return value;
    }
}
