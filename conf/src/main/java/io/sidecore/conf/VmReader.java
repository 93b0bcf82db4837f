package io.sidecore.conf;

import io.sidecore.conf.GuestSettings.Accelerator;
import io.sidecore.conf.GuestSettings.Firmware;
import io.sidecore.conf.VmSettings.Disk;
import io.sidecore.conf.VmSettings.Restart;
import io.sidecore.conf.VmSettings.RestartPolicy;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.function.Function;

/** Reads the sections {@code sidecore.vms.NAME}, as {@link SettingsReader} reads the rest. */
final class VmReader {
    private static final long MIB = 1 << 20;

    /** A page of WebAssembly. */
    private static final long WASM_PAGE = 64 << 10;

    private static final Map<String, RestartPolicy> POLICIES = Map.of(
            "never", RestartPolicy.NEVER, "on-failure", RestartPolicy.ON_FAILURE, "always", RestartPolicy.ALWAYS);
    private static final Map<String, Firmware> FIRMWARE = Map.of("bios", Firmware.BIOS, "uefi", Firmware.UEFI);
    private static final Map<String, Accelerator> ACCELERATORS =
            Map.of("auto", Accelerator.AUTO, "kvm", Accelerator.KVM, "tcg", Accelerator.TCG);
    private static final Map<String, Placement> PLACEMENTS =
            Map.of("shared", Placement.SHARED, "sidecore", Placement.SIDECORE, "inline", Placement.INLINE);

    /** Stands for a guest of which not even the type is right. */
    private static final GuestSettings UNKNOWN = new GuestSettings.Java("", MIB, Duration.ofSeconds(1));

    private final Set<String> volumes;
    private final Set<String> exportedForWriting;
    private final boolean sidecores;
    private final Path dataDirectory;
    private final Surroundings surroundings;

    /** {@code exportedForWriting}: volumes that an export holds so that nobody else may write them. */
    VmReader(
            Set<String> volumes,
            Set<String> exportedForWriting,
            boolean sidecores,
            Path dataDirectory,
            Surroundings surroundings) {
        this.volumes = volumes;
        this.exportedForWriting = exportedForWriting;
        this.sidecores = sidecores;
        this.dataDirectory = dataDirectory;
        this.surroundings = surroundings;
    }

    VmSettings vm(Section section) {
        Map<String, Function<Section, GuestSettings>> guests =
                Map.of("qemu", this::qemu, "wasm", this::wasm, "java", VmReader::java);
        GuestSettings guest = section.at("guest").section(it -> it.variant(guests, UNKNOWN));
        boolean qemu = guest instanceof GuestSettings.Qemu;
        Set<String> held = new HashSet<>();
        List<Disk> disks = section.at("disks").or(List.of()).elements().stream()
                .map(element -> disk(element, qemu, held))
                .toList();
        Setting cap = section.at("cap");
        if (cap.isPresent() && qemu) {
            cap.mistake("a QEMU guest cannot be capped; give it fewer vcpus or less weight");
        }
        return new VmSettings(
                guest,
                disks,
                section.at("autostart").or(true).yes(),
                section.at("weight").or(100).whole(1, 10_000),
                cap.isPresent() ? OptionalDouble.of(cap.number(0.01, 1)) : OptionalDouble.empty(),
                section.at("restart").or(Map.of()).section(VmReader::restart),
                section.at("start-timeout").or("60 s").duration("1 ms", "24 h"),
                section.at("stop-timeout").or("30 s").duration("0 s", "24 h"));
    }

    private static Restart restart(Section section) {
        Setting delay = section.at("delay").or("1 s");
        Setting maxDelay = section.at("max-delay").or("1 m");
        Restart restart = new Restart(
                section.at("policy").or("never").choice(POLICIES, RestartPolicy.NEVER),
                delay.duration("0 s", "24 h"),
                maxDelay.duration("0 s", "24 h"),
                section.at("limit").or(5).whole(1, 1_000_000));
        if (maxDelay.isPresent() && restart.maxDelay().compareTo(restart.delay()) < 0) {
            maxDelay.mistake("expected at least the delay of " + restart.delay().toMillis() + " ms");
        }
        return restart;
    }

    private Disk disk(Setting element, boolean qemu, Set<String> held) {
        if (element.isSection()) {
            return element.section(section -> {
                Setting placement = section.at("placement").or("shared");
                Setting interposers = section.at("interposers");
                Disk disk = new Disk(
                        volume(section.at("volume"), held),
                        section.at("mode").or("exclusive").choice(SettingsReader.MODES, AttachMode.EXCLUSIVE),
                        placement.choice(PLACEMENTS, Placement.SHARED),
                        SettingsReader.interposers(interposers));
                judge(disk, placement, interposers, qemu);
                refuseSecondWriter(disk, element);
                return disk;
            });
        }
        Disk disk = new Disk(volume(element, held), AttachMode.EXCLUSIVE, Placement.SHARED, List.of());
        refuseSecondWriter(disk, element);
        return disk;
    }

    private String volume(Setting volume, Set<String> held) {
        return volume.text(
                        "the name of a volume",
                        text -> SettingsReader.once(SettingsReader.existing(text, volumes), held))
                .orElse("");
    }

    private void judge(Disk disk, Setting placement, Setting interposers, boolean qemu) {
        if (disk.placement() == Placement.SIDECORE && !sidecores) {
            placement.mistake(
                    "a sidecore is needed, but sidecore.cores.service names none; set it to 1, or use shared");
        }
        if (disk.placement() == Placement.INLINE && qemu) {
            placement.mistake(
                    "inline is for wasm and java guests, whose own thread serves them; QEMU is another process: use shared or sidecore");
        }
        if (disk.placement() == Placement.INLINE && !disk.interposers().isEmpty()) {
            interposers.mistake("inline has no stream in which an interposer could stand; use shared or sidecore");
        }
    }

    private void refuseSecondWriter(Disk disk, Setting element) {
        if (disk.mode() != AttachMode.READ_ONLY && exportedForWriting.contains(disk.volume())) {
            element.mistake(
                    "volume " + disk.volume()
                            + " is written through an export already; expected mode = read-only there or here, or mode = shared in both");
        }
    }

    private GuestSettings.Qemu qemu(Section section) {
        Setting memory = section.at("memory").or("512 MiB");
        Setting kernel = section.at("kernel");
        Setting initrd = section.at("initrd");
        Setting commandLine = section.at("cmdline");
        Setting firmware = section.at("firmware");
        Setting vnc = section.at("vnc");
        if (!kernel.isPresent()) {
            for (Setting without : List.of(initrd, commandLine)) {
                if (without.isPresent()) {
                    without.mistake("it is for a kernel, and there is none; set kernel, or leave it out");
                }
            }
        } else if (firmware.isPresent()) {
            firmware.mistake("a kernel is started without it; leave one of the two out");
        }
        return new GuestSettings.Qemu(
                wholeMultiple(memory, "16 MiB", "16 TiB", MIB, "1 MiB"),
                section.at("vcpus").or(1).whole(1, 255),
                kernel.isPresent() ? readable(kernel) : Optional.empty(),
                initrd.isPresent() ? readable(initrd) : Optional.empty(),
                commandLine
                        .or("console=ttyS0")
                        .text("a text", Function.identity())
                        .orElse(""),
                firmware.or("bios").choice(FIRMWARE, Firmware.BIOS),
                section.at("accelerator").or("auto").choice(ACCELERATORS, Accelerator.AUTO),
                section.at("screen").or(false).yes() || vnc.isPresent(),
                vnc.isPresent() ? vnc.text("HOST:PORT or unix:PATH", text -> vnc(text)) : Optional.empty(),
                program(section.at("program").or("qemu-system-x86_64")).orElse(""),
                section.at("arguments").or(List.of()).elements().stream()
                        .flatMap(argument -> argument.text("a text", Function.identity()).stream())
                        .toList(),
                section.at("hang-timeout").or("30 s").duration("1 s", "24 h"));
    }

    private Optional<String> program(Setting program) {
        return program.text("a name or a path", Function.identity())
                .flatMap(named -> named.contains("/")
                        ? program.path(dataDirectory)
                                .map(path -> path.toAbsolutePath().toString())
                        : Optional.of(named));
    }

    private ListenAddress vnc(String text) {
        ListenAddress address = ListenAddress.parse(text, dataDirectory);
        if (address instanceof ListenAddress.Tcp tcp && tcp.port() < 5900) {
            throw new IllegalArgumentException("QEMU serves VNC on ports from 5900 on");
        }
        return address;
    }

    private GuestSettings.Wasm wasm(Section section) {
        Setting module = section.at("module");
        boolean demo = module.text("a path", text -> text.equals("demo")).orElse(true);
        return new GuestSettings.Wasm(
                demo ? GuestSettings.Wasm.DEMO : readable(module).orElse(GuestSettings.Wasm.DEMO),
                wholeMultiple(section.at("memory").or("16 MiB"), "64 KiB", "1 GiB", WASM_PAGE, "64 KiB"),
                section.at("arguments").or(List.of()).elements().stream()
                        .flatMap(argument -> argument.text("a text", Function.identity()).stream())
                        .toList(),
                section.at("deadline").or("1 s").duration("1 ms", "1 h"));
    }

    private static GuestSettings.Java java(Section section) {
        return new GuestSettings.Java(
                section.at("class")
                        .text("the name of a class", Function.identity())
                        .orElse(""),
                section.at("memory").or("1 MiB").bytes("4 KiB", "1 GiB"),
                section.at("deadline").or("1 s").duration("1 ms", "1 h"));
    }

    private static long wholeMultiple(Setting size, String min, String max, long unit, String unitText) {
        long bytes = size.bytes(min, max);
        if (bytes % unit != 0) {
            size.mistake("expected a multiple of " + unitText + ", found " + bytes + " bytes");
        }
        return bytes;
    }

    private Optional<Path> readable(Setting file) {
        Optional<Path> path = file.path(dataDirectory);
        path.ifPresent(named -> surroundings.unreadable(named).ifPresent(why -> file.mistake(named + ": " + why)));
        return path;
    }
}
