package io.sidecore.runtime.guest.qemu;

import com.fasterxml.jackson.databind.JsonNode;
import io.sidecore.actors.vm.Guest;
import io.sidecore.actors.vm.GuestException;
import io.sidecore.conf.Amounts;
import io.sidecore.conf.GuestSettings;
import io.sidecore.conf.ListenAddress;
import io.sidecore.conf.VmSettings;
import io.sidecore.devices.linux.Affinity;
import io.sidecore.devices.nbd.NbdExport;
import io.sidecore.devices.nbd.NbdListener;
import io.sidecore.runtime.StorageService.Held;
import io.sidecore.runtime.guest.Aside;
import io.sidecore.runtime.guest.GuestDisks;
import io.sidecore.runtime.guest.GuestPlace;
import io.sidecore.runtime.guest.Nice;
import io.sidecore.runtime.guest.Spawner;
import io.sidecore.runtime.guest.UnixListener;
import io.sidecore.runtime.transfer.VolumeFiles;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One run of a machine that QEMU makes. Whatever becomes of QEMU (it refuses its arguments, dies, hangs, is killed), its end is noticed, explained and cleared away; it does not outlive the host.
 */
public final class QemuGuest implements Guest {
    private static final Logger LOG = LoggerFactory.getLogger(QemuGuest.class);

    private static final Duration HEARTBEAT = Duration.ofSeconds(2);
    private static final Duration PATIENCE = Duration.ofSeconds(10);

    /** Between the end of QEMU's sockets and that of its process. */
    private static final Duration DYING = Duration.ofMillis(500);

    /** Two connections would do: one, and one that takes its place after it broke. */
    private static final int MAX_CONNECTIONS = 8;

    private final GuestPlace place;
    private final GuestSettings.Qemu settings;
    private final VmSettings vm;
    private final Spawner spawner;
    private final Affinity affinity = Affinity.ofThisMachine();
    private final Deque<AutoCloseable> resources = new ArrayDeque<>();
    private final StderrTail errors = new StderrTail();
    private final ReentrantLock pinning = new ReentrantLock();

    private volatile List<Integer> cores;
    private volatile @Nullable Watcher watcher;
    private volatile @Nullable Process process;
    private volatile @Nullable Qmp qmp;
    private volatile @Nullable GuestDisks disks;
    private volatile @Nullable String killed;
    /** What QEMU has said of the machine's end: the reason of a SHUTDOWN, or that the guest has panicked. */
    private volatile @Nullable Exit said;
    /** Whether it stands still because somebody here wants it to. */
    private volatile boolean pausing;

    private volatile boolean running;
    private volatile boolean kvm;

    /** Why QEMU has stopped it, or is about to. */
    private volatile String ioError = "";

    private volatile @Nullable MachineState state;

    /** Told of by one thread only. */
    private long resets;

    /** @param cores on which its virtual CPUs run */
    public QemuGuest(
            GuestPlace place, GuestSettings.Qemu settings, VmSettings vm, Spawner spawner, List<Integer> cores) {
        this.place = place;
        this.settings = settings;
        this.vm = vm;
        this.spawner = spawner;
        this.cores = cores;
    }

    // --- start

    @Override
    public CompletionStage<Void> start(Watcher told, Optional<Path> snapshot) {
        watcher = told;
        return Aside.run("sidecore-qemu-start", () -> {
            try {
                started(told, snapshot);
                return null;
            } catch (Exception | Error e) {
                throw failedToStart(e);
            }
        });
    }

    /**
     * Looks for the files that such a machine needs.
     *
     * @return the program
     * @throws GuestException if one is not there
     */
    public static Path check(GuestSettings.Qemu settings) {
        var program = Spawner.found(settings.program())
                .orElseThrow(() -> new GuestException(settings.program()
                        + (settings.program().contains("/") ? " is no program" : " is not installed")
                        + ": install QEMU (Debian: apt install qemu-system-x86), or set guest.program to where it is"));
        refuseMissing("kernel", settings.kernel());
        refuseMissing("initrd", settings.initrd());
        var _ = firmware(settings);
        return program;
    }

    private static void refuseMissing(String what, Optional<Path> file) {
        file.filter(path -> !Files.isReadable(path)).ifPresent(path -> {
            throw new GuestException(
                    what + " " + path + (Files.exists(path) ? ": the file cannot be read" : ": there is no such file"));
        });
    }

    private static Optional<Path> firmware(GuestSettings.Qemu settings) {
        return settings.kernel().isPresent() || settings.firmware() == GuestSettings.Firmware.BIOS
                ? Optional.empty()
                : Optional.of(Firmware.uefi());
    }

    private void started(Watcher told, Optional<Path> snapshot) throws Exception {
        var program = check(settings);
        prepareFolder();
        var accelerator = Accelerator.choose(settings.accelerator(), program, spawner, place.folder());
        told.noted("accelerator", accelerator.sentence());
        if (snapshot.isPresent()) {
            refuseOther(snapshot.get(), SavedMachine.version(program), accelerator.kvm());
            GuestDisks.restore(place, vm.disks(), snapshot.get(), told, this::refuseKilled);
            refuseKilled();
        }
        kvm = accelerator.kvm();
        var held = GuestDisks.attach(place.host().storage(), place.vm(), vm.disks(), told);
        disks = held;
        serveDisks(held.held());
        var qmpSocket = keep(UnixListener.bind(place.folder().resolve(QemuCommand.QMP_SOCKET)));
        var consoleSocket = keep(UnixListener.bind(place.folder().resolve(QemuCommand.CONSOLE_SOCKET)));
        var command = new QemuCommand(
                place.vm(),
                settings,
                program.toString(),
                accelerator.kvm(),
                held.held().stream().map(QemuGuest::volume).toList(),
                held.held().stream()
                        .filter(one -> one.attachment().readOnly())
                        .map(QemuGuest::volume)
                        .toList(),
                firmware(settings),
                snapshot.isPresent());
        refuseKilled();
        var started = spawner.start(command.arguments(), place.folder());
        process = started;
        errors.read(started);
        var _ = started.onExit().thenRun(() -> ended(started, qmpSocket, consoleSocket));
        LeftOver.note(started, place.folder());
        if (killed != null) {
            Spawner.kill(started);
        }
        serveConsole(consoleSocket.acceptOne());
        var monitor = new Qmp(qmpSocket.acceptOne(), this::heard);
        qmp = monitor;
        keep(monitor);
        Qmp.await(monitor.negotiate());
        var machineState = keep(new MachineState(monitor, place.folder(), settings.hangTimeout(), told::progressed));
        state = machineState;
        if (snapshot.isPresent()) {
            machineState.load(snapshot.get());
        }
        weigh(monitor, started, told);
        var pinned = pin(monitor);
        running = true;
        if (!pinned.equals(cores)) {
            // Changed meanwhile, when nobody was told.
            pin(monitor);
        }
        Qmp.await(monitor.ask("cont"));
        if (!spawner.endsWithTheHost()) {
            told.noted("warning", "there is no setpriv here: QEMU will outlive a host that is killed");
        }
        Thread.ofVirtual().name("sidecore-qemu-heartbeat").start(() -> beat(monitor, started));
    }

    private SavedMachine machine(String version, boolean byKvm) {
        return SavedMachine.of(version, byKvm, settings, vm, place.host().storage());
    }

    private void refuseOther(Path snapshot, String version, boolean byKvm) throws IOException {
        SavedMachine.read(snapshot).refuse(machine(version, byKvm));
        MachineState.refuseMissing(snapshot);
    }

    private void refuseKilled() {
        var why = killed;
        if (why != null) {
            throw new GuestException(why);
        }
    }

    private static String volume(Held held) {
        return held.attachment().volume().name();
    }

    /** What a killed host has left there is removed, its QEMU included if the kernel has not killed it yet. */
    private void prepareFolder() throws IOException, InterruptedException {
        LeftOver.end(place.folder());
        LeftOver.remove(place.folder());
        Files.createDirectories(
                place.folder(), PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    }

    private void serveDisks(List<Held> held) throws IOException {
        if (held.isEmpty()) {
            return;
        }
        var vifs = new HashMap<String, Held>();
        var exports = new ArrayList<NbdExport>();
        for (var one : held) {
            vifs.put(volume(one), one);
            exports.add(NbdExport.of(volume(one), one.attachment()));
        }
        var socket = keep(UnixListener.bind(place.folder().resolve(QemuCommand.DISKS_SOCKET)));
        var listener = keep(new NbdListener(
                place.host().loops().shared(),
                new NbdListener.Service(exports, held.size() * MAX_CONNECTIONS, PATIENCE),
                place.host().slabs(),
                (export, connection) -> {
                    var vif = vifs.get(export.name());
                    assert vif != null : export;
                    vif.vif().connect(connection);
                }));
        listener.listen(socket.channel());
    }

    private void serveConsole(SocketChannel channel) {
        keep(channel);
        var attachment = place.console().attach(bytes -> {
            for (var typed = ByteBuffer.wrap(bytes); typed.hasRemaining(); ) {
                channel.write(typed);
            }
        });
        keep(attachment);
        Thread.ofVirtual().name("sidecore-qemu-console").start(() -> {
            var bytes = new byte[4096];
            try (var in = Channels.newInputStream(channel)) {
                for (int n; (n = in.read(bytes)) > 0; ) {
                    place.console().written(bytes, 0, n);
                }
            } catch (IOException gone) {
                LOG.debug("VM {}: its console ended: {}", place.vm(), gone.getMessage());
            }
        });
    }

    private <T extends AutoCloseable> T keep(T resource) {
        synchronized (resources) {
            resources.push(resource);
        }
        return resource;
    }

    /** Why it could not be started; nothing of it is left afterwards. */
    private RuntimeException failedToStart(Throwable why) {
        var begun = process;
        var ended = begun != null && ends(begun);
        release("the VM did not start");
        var reason = killed;
        if (reason != null) {
            return new GuestException(reason, why);
        }
        if (begun != null && ended) {
            return new GuestException("QEMU did not start: " + errors.lastOr("exit code " + begun.exitValue()), why);
        }
        return why instanceof GuestException known
                ? known
                : new GuestException(
                        "QEMU could not be started: " + (why.getMessage() == null ? why : why.getMessage()), why);
    }

    /** Ends it; whether it has done so by itself. */
    private boolean ends(Process begun) {
        try {
            if (killed == null && begun.waitFor(DYING.toMillis(), TimeUnit.MILLISECONDS)) {
                return true;
            }
            Spawner.kill(begun);
            begun.waitFor(PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Spawner.kill(begun);
            Thread.currentThread().interrupt();
        }
        return false;
    }

    // --- the end

    /** The process is gone. */
    private void ended(Process of, UnixListener qmpSocket, UnixListener consoleSocket) {
        // The QEMU that a script of its own has started is not.
        Spawner.kill(of);
        // Who waits there for its call waits no longer.
        close(qmpSocket);
        close(consoleSocket);
        if (running) {
            Thread.ofVirtual().name("sidecore-qemu-end").start(() -> {
                errors.finish();
                var how = exit(of);
                release(how.cause());
                watcher().exited(how);
            });
        }
    }

    private Watcher watcher() {
        var told = watcher;
        assert told != null : place;
        return told;
    }

    private Exit exit(Process of) {
        var why = killed;
        if (why != null) {
            return new Exit(false, why);
        }
        var reason = said;
        if (reason != null) {
            return reason;
        }
        var code = of.exitValue();
        var signal = code > 128 ? code - 128 : 0;
        return new Exit(
                false,
                switch (signal) {
                    case 0 -> "QEMU ended with code " + code + errors.last(": ");
                    case 9 ->
                        "QEMU was killed (signal 9), by somebody or by the kernel for want of memory"
                                + errors.last("; it had said: ");
                    default -> "QEMU died of signal " + signal + errors.last("; it had said: ");
                });
    }

    /** Everything but the process. */
    private void release(String reason) {
        qmp = null;
        while (true) {
            AutoCloseable next;
            synchronized (resources) {
                next = resources.poll();
            }
            if (next == null) {
                break;
            }
            close(next);
        }
        var held = disks;
        if (held != null) {
            held.leave(reason)
                    .exceptionally(e -> {
                        LOG.warn("VM {}: its disks could not be let go", place.vm(), e);
                        return null;
                    })
                    .join();
        }
        try {
            LeftOver.remove(place.folder());
            removeVncSocket();
        } catch (IOException e) {
            LOG.warn("VM {}: its folder {} could not be removed: {}", place.vm(), place.folder(), e.getMessage());
        }
    }

    /** Which QEMU does not remove when it is killed. */
    private void removeVncSocket() throws IOException {
        if (settings.vnc().orElse(null) instanceof ListenAddress.Unix(var path)
                && Files.exists(path, LinkOption.NOFOLLOW_LINKS)
                && Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS)
                        .isOther()) {
            Files.deleteIfExists(path);
        }
    }

    private void close(AutoCloseable resource) {
        try {
            resource.close();
        } catch (Exception e) {
            LOG.warn("VM {}: letting go of {} failed: {}", place.vm(), resource, e.getMessage());
        }
    }

    // --- what QEMU says

    /** Source: QEMU QMP Reference Manual, "Run state control" and "Block I/O events". */
    private void heard(JsonNode message) {
        var data = message.path("data");
        switch (message.path("event").asText()) {
            case "SHUTDOWN" -> {
                if (said == null) {
                    said = shutdown(data.path("reason").asText());
                }
            }
            case "GUEST_PANICKED" -> {
                said = new Exit(false, "the guest's kernel panicked; its console says why");
                watcher().noted("panicked", "the guest's kernel panicked");
            }
            case "RESET" -> {
                if (data.path("guest").asBoolean()) {
                    reset();
                }
            }
            case "STOP" -> {
                if (running && !pausing) {
                    watcher().paused(ioError.isEmpty() ? "QEMU has paused it" : ioError);
                }
            }
            case "RESUME" -> {
                moved();
                if (running && !pausing) {
                    watcher().resumed("QEMU has resumed it");
                }
            }
            case "BLOCK_IO_ERROR" -> blockError(data);
            default -> LOG.debug("VM {}: QEMU says {}", place.vm(), message);
        }
    }

    private void moved() {
        var before = state;
        if (before != null) {
            try {
                before.moved();
            } catch (IOException e) {
                LOG.warn("VM {}: {}", place.vm(), e.toString());
            }
        }
    }

    /** A guest that does nothing else must not fill the history. */
    private void reset() {
        if (Long.bitCount(++resets) == 1) {
            watcher()
                    .noted(
                            "reset",
                            "the guest has started anew" + (resets == 1 ? "" : ", " + resets + " times by now"));
        }
    }

    private void blockError(JsonNode data) {
        if (!data.path("action").asText().equals("stop")) {
            LOG.debug("VM {}: QEMU says {}", place.vm(), data);
            return;
        }
        var error = "disk %s: %s failed: %s"
                .formatted(
                        diskName(data.path("node-name").asText()),
                        data.path("operation").asText(),
                        data.path("nospace").asBoolean()
                                ? "no space; give it some and resume the VM"
                                : data.path("reason").asText());
        // Each request that was under way says so.
        if (!error.equals(ioError)) {
            ioError = error;
            watcher().noted("disk-error", error);
        }
    }

    private String diskName(String node) {
        try {
            return vm.disks().get(Integer.parseInt(node.replace("disk", ""))).volume();
        } catch (NumberFormatException | IndexOutOfBoundsException unknown) {
            return node;
        }
    }

    private static Exit shutdown(String reason) {
        return switch (reason) {
            case "guest-shutdown" -> new Exit(true, "the guest powered itself off");
            case "guest-reset" -> new Exit(true, "the guest asked for a reset, and its QEMU ends then");
            case "guest-panic" -> new Exit(false, "the guest's kernel panicked; its console says why");
            case "host-qmp-quit" -> new Exit(true, "QEMU was told to quit");
            case "host-signal" -> new Exit(false, "QEMU was ended by a signal from outside");
            default -> new Exit(false, "QEMU shut down: " + reason);
        };
    }

    /** Notices a QEMU that is there and does not answer. */
    private void beat(Qmp monitor, Process of) {
        try {
            while (!of.waitFor(HEARTBEAT.toMillis(), TimeUnit.MILLISECONDS)) {
                try {
                    monitor.ask("query-status").get(settings.hangTimeout().toMillis(), TimeUnit.MILLISECONDS);
                } catch (TimeoutException e) {
                    kill("QEMU did not answer for " + Amounts.duration(settings.hangTimeout())
                            + " (stopped from outside, or hung) and was killed");
                    return;
                } catch (ExecutionException e) {
                    // As a rule it is ending.
                    if (!of.waitFor(settings.hangTimeout().toMillis(), TimeUnit.MILLISECONDS)) {
                        kill("QEMU cannot be told anything any more and was killed: "
                                + e.getCause().getMessage());
                    }
                    return;
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    // --- what is done to it

    private Qmp monitor() {
        var monitor = qmp;
        if (monitor == null) {
            throw new GuestException("it is not running");
        }
        return monitor;
    }

    /** Tells QEMU to do something; the stage fails with a {@link GuestException}. */
    private CompletionStage<Void> tell(String command, Map<String, ?> arguments) {
        var monitor = qmp;
        return monitor == null
                ? CompletableFuture.failedFuture(new GuestException("it is not running"))
                : explained(monitor.ask(command, arguments));
    }

    private static CompletionStage<Void> explained(CompletableFuture<JsonNode> answer) {
        return answer.handle((done, failure) -> {
            if (failure != null) {
                var cause = failure instanceof CompletionException && failure.getCause() != null
                        ? failure.getCause()
                        : failure;
                throw new GuestException(String.valueOf(cause.getMessage()), cause);
            }
            return null;
        });
    }

    @Override
    public CompletionStage<Void> stop() {
        said = new Exit(true, "the guest ended when it was asked to");
        return tell("system_powerdown", Map.of());
    }

    @Override
    public void kill(String cause) {
        killed = cause;
        var running = process;
        if (running != null && running.isAlive()) {
            Spawner.kill(running);
        }
    }

    @Override
    public CompletionStage<Void> pause() {
        pausing = true;
        return tell("stop", Map.of());
    }

    @Override
    public CompletionStage<Void> resume() {
        ioError = "";
        return tell("cont", Map.of()).thenRun(() -> pausing = false);
    }

    @Override
    public void place(List<Integer> on) {
        cores = on;
        var monitor = qmp;
        if (running && monitor != null) {
            var _ = Aside.run("sidecore-qemu-pin", () -> {
                        pin(monitor);
                        return null;
                    })
                    .exceptionally(e -> {
                        watcher().noted("warning", "its virtual CPUs are not pinned: " + e.getMessage());
                        return null;
                    });
        }
    }

    /** The threads that are its virtual CPUs go to the cores for guests; QEMU's other threads run where the host's may. The cores they are on now. */
    private List<Integer> pin(Qmp monitor) throws InterruptedException {
        pinning.lockInterruptibly();
        try {
            var on = cores;
            if (!on.isEmpty()) {
                for (var cpu : threads(monitor)) {
                    affinity.pinThread(cpu, on)
                            .ifPresent(why -> watcher().noted("warning", "its virtual CPU is not pinned: " + why));
                }
            }
            return on;
        } finally {
            pinning.unlock();
        }
    }

    /** The kernel's numbers of the threads that are its virtual CPUs. */
    private static List<Integer> threads(Qmp monitor) throws InterruptedException {
        var threads = new ArrayList<Integer>();
        for (var cpu : Qmp.await(monitor.ask("query-cpus-fast"))) {
            threads.add(cpu.path("thread-id").asInt());
        }
        return threads;
    }

    /** By the kernel: its virtual CPUs within its session, and its session among others where the kernel weighs those (sched(7), autogroup). */
    private void weigh(Qmp monitor, Process of, Watcher told) throws InterruptedException {
        var niceness = Nice.of(vm.weight());
        if (niceness == 0) {
            return;
        }
        for (var cpu : threads(monitor)) {
            var refused = affinity.nice(cpu, niceness);
            if (refused.isPresent()) {
                told.noted("warning", "its weight of " + vm.weight() + " has no effect: " + refused.get());
                return;
            }
        }
        try {
            Nice.session(of.pid(), niceness);
        } catch (IOException e) {
            told.noted(
                    "warning",
                    "its weight of " + vm.weight() + " counts within its own session only: " + e.getMessage());
        }
    }

    @Override
    public CompletionStage<Statistics> statistics() {
        var of = process;
        if (of == null) {
            return CompletableFuture.failedFuture(new GuestException("QEMU does not run yet"));
        }
        return Aside.run("sidecore-qemu-statistics", () -> ProcessAccount.of(of.pid(), cores));
    }

    /** Takes a picture of its screen, as a PNG file. */
    public CompletionStage<Void> screenshot(Path file) {
        if (!settings.screen()) {
            return CompletableFuture.failedFuture(
                    new GuestException("it has no screen; set guest.screen = true and start it again"));
        }
        return tell("screendump", Map.of("filename", file.toAbsolutePath().toString(), "format", "png"));
    }

    // --- snapshots: the machine's state as QEMU would send it to another host, and the disks beside it

    @Override
    public CompletionStage<Void> snapshot(Path folder) {
        return Aside.run("sidecore-qemu-snapshot", () -> {
            try {
                save(monitor(), folder);
                return null;
            } catch (GuestException e) {
                throw ended().map(how -> new GuestException(how, e)).orElse(e);
            } catch (IOException e) {
                throw new GuestException(ended().orElse("the snapshot cannot be written: " + e.getMessage()), e);
            }
        });
    }

    private void save(Qmp monitor, Path folder) throws IOException, InterruptedException {
        var held = disks;
        var machineState = state;
        assert held != null && machineState != null : place;
        var wasPaused = pausing
                || !Qmp.await(monitor.ask("query-status")).path("running").asBoolean();
        pausing = true;
        try {
            Qmp.await(monitor.ask("stop"));
            machineState.save(folder);
            machine(SavedMachine.version(Qmp.await(monitor.ask("query-version"))), kvm)
                    .write(folder);
            held.save(new VolumeFiles(place.host()), folder);
        } finally {
            if (!wasPaused) {
                Qmp.await(monitor.ask("cont"));
                pausing = false;
            }
        }
    }

    /** How it has ended, if that is why it cannot be asked: its sockets go a moment before it does. */
    private Optional<String> ended() throws InterruptedException {
        var of = process;
        if (of == null || !of.waitFor(DYING.toMillis(), TimeUnit.MILLISECONDS)) {
            return Optional.empty();
        }
        errors.finish();
        return Optional.of(exit(of).cause());
    }
}
