package io.sidecore.conf;

import com.typesafe.config.Config;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * Says in Java what a file says in HOCON: a method for each key, named after it. {@code reference.conf} explains the keys, and their defaults hold here, too. Sizes are bytes. What is built is read and judged as a file is: all mistakes are told
 * at once, and each names the line of the program that said so.
 *
 * <pre>{@code
 * var settings = Settings.builder()
 *         .volume("disk", volume -> volume.size(1 << 30).memory())
 *         .nbd(nbd -> nbd.listen("127.0.0.1:0").export("disk", export -> export.rateLimit(limit -> limit.iops(500))))
 *         .build();
 * }</pre>
 *
 * What is said twice holds as it was said last. Not safe for several threads.
 */
public final class SettingsBuilder extends SectionBuilder<SettingsBuilder> {
    SettingsBuilder() {
        super(new Node(origin()));
    }

    /**
     * All settings, checked by themselves: whether files are there and addresses free is found when the host starts.
     *
     * @throws SettingsException naming all mistakes, each by {@code File.java:line}
     */
    public Settings build() {
        return build(Surroundings.UNSEEN);
    }

    /**
     * The same, and looks whether they fit this machine.
     *
     * @throws SettingsException naming all mistakes, and what does not fit, each by {@code File.java:line}
     */
    public Settings build(Surroundings surroundings) {
        return Settings.read(config(), dataDirectory -> surroundings);
    }

    /** What was said, as a configuration with the section {@code sidecore}, unchecked. */
    public Config config() {
        var root = new Node(node.origin);
        root.children.put(Settings.ROOT, node);
        return root.value().toConfig();
    }

    /** {@code data-directory}. A relative path is relative to the working directory. */
    public SettingsBuilder dataDirectory(Path path) {
        return set("data-directory", path);
    }

    /** {@code host.payload-memory}: bytes. */
    public SettingsBuilder payloadMemory(long bytes) {
        return set("host.payload-memory", bytes);
    }

    /** {@code cores.guest}: on how many cores guests run. */
    public SettingsBuilder guestCores(int count) {
        return set("cores.guest", count);
    }

    /** {@code cores.guest}: on which cores guests run, by the numbers that the operating system gives to them. */
    public SettingsBuilder guestCores(List<Integer> cores) {
        return set("cores.guest", cores);
    }

    /** {@code cores.service}: how many sidecores. */
    public SettingsBuilder serviceCores(int count) {
        return set("cores.service", count);
    }

    /** {@code cores.service}: which cores are sidecores. */
    public SettingsBuilder serviceCores(List<Integer> cores) {
        return set("cores.service", cores);
    }

    /** The section {@code loop}. */
    public SettingsBuilder loop(Consumer<Loop> keys) {
        return section(keys, Loop::new, "loop");
    }

    /** The section {@code vif}. */
    public SettingsBuilder vif(Consumer<Vif> keys) {
        return section(keys, Vif::new, "vif");
    }

    /** {@code metrics.listen}: {@code HOST:PORT}, or {@code off}. */
    public SettingsBuilder metrics(String address) {
        return set("metrics.listen", address);
    }

    /** {@code log.format}. */
    public SettingsBuilder logFormat(LogSettings.Format format) {
        return set("log.format", format);
    }

    /** {@code log.level}. */
    public SettingsBuilder logLevel(LogSettings.Level level) {
        return set("log.level", level);
    }

    /** One of the {@code volumes}. */
    public SettingsBuilder volume(String name, Consumer<Volume> keys) {
        return section(keys, Volume::new, "volumes", name);
    }

    /** The section {@code exports.nbd}. */
    public SettingsBuilder nbd(Consumer<Nbd> keys) {
        return section(keys, Nbd::new, "exports", "nbd");
    }

    /** One of the {@code vms}. */
    public SettingsBuilder vm(String name, Consumer<Vm> keys) {
        return section(keys, Vm::new, "vms", name);
    }

    /** {@code loop}. */
    public static final class Loop extends SectionBuilder<Loop> {
        private Loop(Node node) {
            super(node);
        }

        /** {@code spin-max}. */
        public Loop spinMax(Duration time) {
            return set("spin-max", time);
        }

        /** {@code turn-tasks}. */
        public Loop turnTasks(int count) {
            return set("turn-tasks", count);
        }

        /** {@code turn-batches}. */
        public Loop turnBatches(int count) {
            return set("turn-batches", count);
        }

        /** {@code turn-time}. */
        public Loop turnTime(Duration time) {
            return set("turn-time", time);
        }

        /** {@code blocked-after}. */
        public Loop blockedAfter(Duration time) {
            return set("blocked-after", time);
        }
    }

    /** {@code vif}. */
    public static final class Vif extends SectionBuilder<Vif> {
        private Vif(Node node) {
            super(node);
        }

        /** {@code slots}. */
        public Vif slots(int count) {
            return set("slots", count);
        }

        /** {@code in-flight-bytes}. */
        public Vif inFlightBytes(long bytes) {
            return set("in-flight-bytes", bytes);
        }

        /** {@code drain-max}. */
        public Vif drainMax(Duration time) {
            return set("drain-max", time);
        }

        /** {@code stall-max}. */
        public Vif stallMax(Duration time) {
            return set("stall-max", time);
        }

        /** {@code send-timeout}. */
        public Vif sendTimeout(Duration time) {
            return set("send-timeout", time);
        }

        /** {@code replay-max}. */
        public Vif replayMax(int count) {
            return set("replay-max", count);
        }

        /** {@code slow-after}. */
        public Vif slowAfter(Duration time) {
            return set("slow-after", time);
        }
    }

    /** One of the {@code volumes}. */
    public static final class Volume extends SectionBuilder<Volume> {
        private Volume(Node node) {
            super(node);
        }

        /** {@code size}: bytes. */
        public Volume size(long bytes) {
            return set("size", bytes);
        }

        /** {@code store.type = memory}. */
        public Volume memory() {
            return store("memory");
        }

        /** The same, with a {@code store.limit} in bytes. */
        public Volume memory(long limit) {
            return memory().set("store.limit", limit);
        }

        /** {@code store.type = file} with its {@code store.path}. A relative path is relative to the working directory. */
        public Volume file(Path path) {
            return store("file").set("store.path", path.toAbsolutePath());
        }

        /** The same, and more about it. */
        public Volume file(Path path, Consumer<ImageFile> keys) {
            return file(path).section(keys, ImageFile::new, "store");
        }

        /** What was said of another store is forgotten. */
        private Volume store(String type) {
            node.children.remove("store");
            return set("store.type", type);
        }
    }

    /** {@code store} of type {@code file}. */
    public static final class ImageFile extends SectionBuilder<ImageFile> {
        private ImageFile(Node node) {
            super(node);
        }

        /** {@code create}. */
        public ImageFile create(boolean yes) {
            return set("create", yes);
        }

        /** {@code read-only}. */
        public ImageFile readOnly(boolean yes) {
            return set("read-only", yes);
        }

        /** {@code direct}. */
        public ImageFile direct(boolean yes) {
            return set("direct", yes);
        }

        /** {@code threads}. */
        public ImageFile threads(int count) {
            return set("threads", count);
        }
    }

    /** {@code exports.nbd}. */
    public static final class Nbd extends SectionBuilder<Nbd> {
        private Nbd(Node node) {
            super(node);
        }

        /** {@code listen}: further addresses, such as {@code 127.0.0.1:0} or {@code unix:nbd.sock}. */
        public Nbd listen(String... addresses) {
            for (var address : addresses) {
                add("listen", value(address));
            }
            return this;
        }

        /** One more of the volumes that it exports. */
        public Nbd export(String volume) {
            return add("volumes", value(volume));
        }

        /** The same, and how. */
        public Nbd export(String volume, Consumer<Export> keys) {
            return element("volumes", keys, node -> new Export(node).set("volume", volume));
        }

        /** {@code max-connections}. */
        public Nbd maxConnections(int count) {
            return set("max-connections", count);
        }

        /** {@code handshake-timeout}. */
        public Nbd handshakeTimeout(Duration time) {
            return set("handshake-timeout", time);
        }

        /** {@code placement}. */
        public Nbd placement(Placement placement) {
            return set("placement", placement);
        }

        /** The section {@code tls}. */
        public Nbd tls(Consumer<Tls> keys) {
            return section(keys, Tls::new, "tls");
        }
    }

    /**
     * How a volume is held, by an export or a virtual machine.
     *
     * @param <B> the builder of the section
     */
    public abstract static sealed class Hold<B extends Hold<B>> extends SectionBuilder<B> permits Export, Disk {
        private Hold(Node node) {
            super(node);
        }

        /** {@code mode}. */
        public B mode(AttachMode mode) {
            return set("mode", mode);
        }

        /** One more of the {@code interposers}: a {@code rate-limit}. */
        public B rateLimit(Consumer<RateLimit> keys) {
            return element("interposers", keys, node -> new RateLimit(node).set("type", "rate-limit"));
        }

        /** One more of the {@code interposers}: a {@code fault-plan}. */
        public B faultPlan(Consumer<FaultPlan> keys) {
            return element("interposers", keys, node -> new FaultPlan(node).set("type", "fault-plan"));
        }
    }

    /** An element of {@code exports.nbd.volumes}. */
    public static final class Export extends Hold<Export> {
        private Export(Node node) {
            super(node);
        }

        /** {@code name}. */
        public Export name(String name) {
            return set("name", name);
        }
    }

    /** One of the {@code vms}. */
    public static final class Vm extends SectionBuilder<Vm> {
        private Vm(Node node) {
            super(node);
        }

        /** {@code guest.type = qemu}, and more about it. */
        public Vm qemu(Consumer<Qemu> keys) {
            return guest("qemu", keys, Qemu::new);
        }

        /** {@code guest.type = wasm} with its {@code guest.module}. A relative path is relative to the working directory. */
        public Vm wasm(Path module) {
            return wasm(module, it -> {});
        }

        /** The same, and more about it. */
        public Vm wasm(Path module, Consumer<Wasm> keys) {
            return guest("wasm", keys, Wasm::new).set("guest.module", module.toAbsolutePath());
        }

        /** {@code guest.type = wasm}: the module that comes with Sidecore. */
        public Vm wasmDemo() {
            return guest("wasm", it -> {}, Wasm::new).set("guest.module", "demo");
        }

        /** {@code guest.type = java} with its {@code guest.class}. */
        public Vm java(String className) {
            return java(className, it -> {});
        }

        /** The same, and more about it. */
        public Vm java(String className, Consumer<Java> keys) {
            return guest("java", keys, Java::new).set("guest.class", className);
        }

        /** What was said of another guest is forgotten. */
        private <G extends SectionBuilder<G>> Vm guest(String type, Consumer<G> keys, Function<Node, G> builder) {
            node.children.remove("guest");
            return set("guest.type", type).section(keys, builder, "guest");
        }

        /** One more of the {@code disks}. */
        public Vm disk(String volume) {
            return add("disks", value(volume));
        }

        /** The same, and how. */
        public Vm disk(String volume, Consumer<Disk> keys) {
            return element("disks", keys, node -> new Disk(node).set("volume", volume));
        }

        /** {@code autostart}. */
        public Vm autostart(boolean yes) {
            return set("autostart", yes);
        }

        /** {@code weight}. */
        public Vm weight(int weight) {
            return set("weight", weight);
        }

        /** {@code cap}: a share of one core. */
        public Vm cap(double cores) {
            return set("cap", cores);
        }

        /** The section {@code restart}. */
        public Vm restart(Consumer<Restart> keys) {
            return section(keys, Restart::new, "restart");
        }

        /** {@code start-timeout}. */
        public Vm startTimeout(Duration time) {
            return set("start-timeout", time);
        }

        /** {@code stop-timeout}. */
        public Vm stopTimeout(Duration time) {
            return set("stop-timeout", time);
        }
    }

    /** {@code guest} of type {@code qemu}. Relative paths are relative to the working directory. */
    public static final class Qemu extends SectionBuilder<Qemu> {
        private Qemu(Node node) {
            super(node);
        }

        /** {@code memory}: bytes. */
        public Qemu memory(long bytes) {
            return set("memory", bytes);
        }

        /** {@code vcpus}. */
        public Qemu vcpus(int count) {
            return set("vcpus", count);
        }

        /** {@code kernel}. */
        public Qemu kernel(Path file) {
            return set("kernel", file.toAbsolutePath());
        }

        /** {@code initrd}. */
        public Qemu initrd(Path file) {
            return set("initrd", file.toAbsolutePath());
        }

        /** {@code cmdline}. */
        public Qemu commandLine(String text) {
            return set("cmdline", text);
        }

        /** {@code firmware}. */
        public Qemu firmware(GuestSettings.Firmware firmware) {
            return set("firmware", firmware);
        }

        /** {@code accelerator}. */
        public Qemu accelerator(GuestSettings.Accelerator accelerator) {
            return set("accelerator", accelerator);
        }

        /** {@code screen}. */
        public Qemu screen(boolean yes) {
            return set("screen", yes);
        }

        /** {@code vnc}: such as {@code 127.0.0.1:5900}. */
        public Qemu vnc(String address) {
            return set("vnc", address);
        }

        /** {@code program}. */
        public Qemu program(String nameOrPath) {
            return set("program", nameOrPath);
        }

        /** {@code arguments}: all of them. */
        public Qemu arguments(List<String> arguments) {
            return set("arguments", arguments);
        }

        /** {@code hang-timeout}. */
        public Qemu hangTimeout(Duration time) {
            return set("hang-timeout", time);
        }
    }

    /** {@code guest} of type {@code wasm}. */
    public static final class Wasm extends SectionBuilder<Wasm> {
        private Wasm(Node node) {
            super(node);
        }

        /** {@code memory}: bytes. */
        public Wasm memory(long bytes) {
            return set("memory", bytes);
        }

        /** {@code arguments}: all of them. */
        public Wasm arguments(List<String> arguments) {
            return set("arguments", arguments);
        }

        /** {@code deadline}. */
        public Wasm deadline(Duration time) {
            return set("deadline", time);
        }
    }

    /** {@code guest} of type {@code java}. */
    public static final class Java extends SectionBuilder<Java> {
        private Java(Node node) {
            super(node);
        }

        /** {@code memory}: bytes. */
        public Java memory(long bytes) {
            return set("memory", bytes);
        }

        /** {@code deadline}. */
        public Java deadline(Duration time) {
            return set("deadline", time);
        }
    }

    /** An element of {@code vms.NAME.disks}. */
    public static final class Disk extends Hold<Disk> {
        private Disk(Node node) {
            super(node);
        }

        /** {@code placement}. */
        public Disk placement(Placement placement) {
            return set("placement", placement);
        }
    }

    /** {@code vms.NAME.restart}. */
    public static final class Restart extends SectionBuilder<Restart> {
        private Restart(Node node) {
            super(node);
        }

        /** {@code policy}. */
        public Restart policy(VmSettings.RestartPolicy policy) {
            return set("policy", policy);
        }

        /** {@code delay}. */
        public Restart delay(Duration time) {
            return set("delay", time);
        }

        /** {@code max-delay}. */
        public Restart maxDelay(Duration time) {
            return set("max-delay", time);
        }

        /** {@code limit}. */
        public Restart limit(int starts) {
            return set("limit", starts);
        }
    }

    /** An interposer of type {@code rate-limit}. */
    public static final class RateLimit extends SectionBuilder<RateLimit> {
        private RateLimit(Node node) {
            super(node);
        }

        /** {@code iops}: requests per second. */
        public RateLimit iops(long perSecond) {
            return set("iops", perSecond);
        }

        /** {@code bandwidth}: bytes per second. */
        public RateLimit bandwidth(long bytesPerSecond) {
            return set("bandwidth", bytesPerSecond);
        }

        /** {@code burst}. */
        public RateLimit burst(Duration time) {
            return set("burst", time);
        }
    }

    /** An interposer of type {@code fault-plan}. */
    public static final class FaultPlan extends SectionBuilder<FaultPlan> {
        private FaultPlan(Node node) {
            super(node);
        }

        /** {@code seed}. */
        public FaultPlan seed(long seed) {
            return set("seed", seed);
        }

        /** {@code delay}: which share of the requests, 0 to 1, by how much. */
        public FaultPlan delay(double ratio, Duration by) {
            return set("delay.ratio", ratio).set("delay.by", by);
        }

        /** {@code error}: which share of the requests, 0 to 1, with which error. */
        public FaultPlan error(double ratio, InterposerSettings.Errno errno) {
            return set("error.ratio", ratio).set("error.errno", errno.name());
        }

        /** {@code hang}: which share of the requests, 0 to 1. */
        public FaultPlan hang(double ratio) {
            return set("hang.ratio", ratio);
        }
    }

    /** {@code exports.nbd.tls}. */
    public static final class Tls extends SectionBuilder<Tls> {
        private Tls(Node node) {
            super(node);
        }

        /** {@code mode}. */
        public Tls mode(TlsSettings.Mode mode) {
            return set("mode", mode);
        }

        /** {@code certificate}. A relative path is relative to the working directory. */
        public Tls certificate(Path file) {
            return set("certificate", file.toAbsolutePath());
        }

        /** {@code key}. A relative path is relative to the working directory. */
        public Tls key(Path file) {
            return set("key", file.toAbsolutePath());
        }

        /** {@code client-ca}. A relative path is relative to the working directory. */
        public Tls clientCa(Path file) {
            return set("client-ca", file.toAbsolutePath());
        }
    }
}
