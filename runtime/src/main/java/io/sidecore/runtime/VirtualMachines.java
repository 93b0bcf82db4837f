package io.sidecore.runtime;

import io.sidecore.actors.core.VcpuThreads;
import io.sidecore.actors.vm.Guest;
import io.sidecore.actors.vm.GuestException;
import io.sidecore.actors.vm.GuestProgram;
import io.sidecore.actors.vm.History;
import io.sidecore.actors.vm.VirtualMachine;
import io.sidecore.conf.Amounts;
import io.sidecore.conf.GuestSettings;
import io.sidecore.conf.Names;
import io.sidecore.conf.Spelling;
import io.sidecore.conf.VmSettings;
import io.sidecore.runtime.guest.EventGuest;
import io.sidecore.runtime.guest.GuestPlace;
import io.sidecore.runtime.guest.LateGuest;
import io.sidecore.runtime.guest.ProgramGuest;
import io.sidecore.runtime.guest.Spawner;
import io.sidecore.runtime.guest.VcpuPlace;
import io.sidecore.runtime.guest.qemu.QemuGuest;
import io.sidecore.runtime.guest.wasm.GuestModule;
import io.sidecore.runtime.guest.wasm.WasmProgram;
import io.sidecore.runtime.vm.Console;
import io.sidecore.runtime.vm.Messages;
import io.sidecore.runtime.vm.VmHistory;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.ActorSystem;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.event.Level;

/** The virtual machines of a host, which come and go while it runs. Methods may wait and are not for a loop or an actor; safe for all threads. */
public final class VirtualMachines {
    private static final Logger LOG = LoggerFactory.getLogger(VirtualMachines.class);

    /** How long the histories may take to be written when the host stops. */
    private static final Duration PATIENCE = Duration.ofSeconds(10);

    /** For which an event that was interrupted may still go on, before its thread is given up. */
    private static final Duration GRACE = Duration.ofSeconds(1);

    /** How the folder of a snapshot ends that is not complete. */
    private static final String PART = ".part";

    /** In which a VM is something that ends with its host. */
    private static final Set<VirtualMachine.State> ALIVE = EnumSet.of(
            VirtualMachine.State.STARTING,
            VirtualMachine.State.RUNNING,
            VirtualMachine.State.PAUSED,
            VirtualMachine.State.STOPPING);

    private static final FileAttribute<?> PRIVATE =
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));

    /** Makes the actor of a VM. */
    @FunctionalInterface
    interface Spawning {
        ActorRef<VirtualMachine.Command> spawn(VirtualMachine.Definition definition);
    }

    private final Sidecore host;
    private final Spawning spawning;
    private final Supplier<ActorSystem<?>> system;
    private final HostEvents events;
    private final Path folder;
    private final String run = "%08x".formatted(System.nanoTime() & 0xffffffffL);
    private final ExecutorService historian = Executors.newSingleThreadExecutor(
            Thread.ofVirtual().name("sidecore-history").factory());
    private final Map<String, VmHandle> all = new ConcurrentSkipListMap<>();
    /** What QEMU ran last, by VM: who wants to see a screen asks it. */
    private final Map<String, QemuGuest> machines = new ConcurrentHashMap<>();

    /** Guards what is made when a guest first needs it. Actors take it, so who holds it waits for no actor; the monitor of this object is for callers from outside. */
    private final Object shared = new Object();

    private @Nullable Spawner spawner;
    private EventGuest.@Nullable Floor floor;
    private boolean stopping;

    VirtualMachines(
            Sidecore host, Spawning spawning, Supplier<ActorSystem<?>> system, HostEvents events, Path dataDirectory) {
        this.host = host;
        this.spawning = spawning;
        this.system = system;
        this.events = events;
        this.folder = dataDirectory.resolve("vms");
    }

    /**
     * Defines one; it does not run yet.
     *
     * @throws HostException if there is one of this name, none can have it, or it needs a volume that there is not
     */
    public VmHandle create(String name, VmSettings settings) {
        return create(name, settings, Optional.empty());
    }

    /**
     * Defines one whose guest is a program of the caller's own making; each run has another one.
     *
     * @param settings with a guest of type java, whose class is not looked for
     * @throws HostException as above
     */
    public VmHandle create(String name, VmSettings settings, Supplier<GuestProgram> program) {
        return create(name, settings, Optional.of(program));
    }

    private synchronized VmHandle create(String name, VmSettings settings, Optional<Supplier<GuestProgram>> program) {
        if (stopping) {
            throw new HostException("the host is stopping, or has stopped");
        }
        if (!Names.isName(name)) {
            throw new HostException("VM '" + name + "': expected " + Names.EXPECTED);
        }
        if (all.containsKey(name)) {
            throw new HostException(
                    "there is a VM " + name + " already; to make another one of this name, delete it first");
        }
        for (var disk : settings.disks()) {
            if (host.volume(disk.volume()).isEmpty()) {
                throw new HostException("VM " + name + ": there is no volume " + disk.volume());
            }
        }
        var history = new VmHistory(folder.resolve(name), name, run, InstantSource.system(), historian);
        tellOfTheHostsEnd(history);
        clearParts(name);
        var console = new Console();
        var messages = new Messages();
        var definition = new VirtualMachine.Definition(
                name, settings, () -> guest(name, settings, console, messages, program), told(name, history));
        var handle = new VmHandle(name, settings, spawning.spawn(definition), system.get(), console, messages, history);
        all.put(name, handle);
        history.add(
                "defined",
                "",
                VirtualMachine.State.DEFINED.word(),
                settings.guest().type());
        events.add("vm", name, "created", settings.guest().type());
        return handle;
    }

    /** Whether its disks were being overwritten by a snapshot's, and it has not run since. */
    private static boolean isHalfRestored(VmHistory history) {
        for (var entry : history.account().entries().reversed()) {
            if (entry.event().equals(VirtualMachine.State.RUNNING.word())) {
                return false;
            }
            if (entry.event().equals(VirtualMachine.RESTORING)) {
                return true;
            }
        }
        return false;
    }

    /** A host that was killed has not said what became of those that ran. */
    private static void tellOfTheHostsEnd(VmHistory history) {
        var entries = history.account().entries();
        var state = entries.isEmpty() ? "" : entries.getLast().to();
        if (ALIVE.stream().anyMatch(alive -> alive.word().equals(state))) {
            history.add(
                    VirtualMachine.State.FAILED.word(),
                    state,
                    VirtualMachine.State.FAILED.word(),
                    "the host ended while it was " + state);
        }
    }

    private History told(String name, VmHistory history) {
        return (what, from, to, cause) -> {
            history.add(what, from.word(), to.word(), cause);
            if (from != to) {
                vm(name).ifPresent(vm -> vm.changed(to, cause));
            }
            events.add("vm", name, what, cause);
            var line = LOG.atLevel(to == VirtualMachine.State.FAILED && from != to ? Level.WARN : Level.INFO)
                    .addKeyValue("vm", name);
            line.log("VM {}: {}{}", name, what, cause.isEmpty() ? "" : ": " + cause);
        };
    }

    private Guest guest(
            String name,
            VmSettings settings,
            Console console,
            Messages messages,
            Optional<Supplier<GuestProgram>> program) {
        var place = new GuestPlace(name, folder.resolve(name).resolve("run"), host, console, messages);
        return switch (settings.guest()) {
            case GuestSettings.Qemu qemu -> {
                var machine = new QemuGuest(place, qemu, settings, spawner(), host.guestCores());
                machines.put(name, machine);
                yield machine;
            }
            case GuestSettings.Wasm wasm -> new LateGuest(() -> wasm(place, settings, wasm));
            case GuestSettings.Java java ->
                new EventGuest(
                        place,
                        settings,
                        java.deadline(),
                        floor(),
                        host.guestCores(),
                        program.orElse(() -> program(java.className())));
        };
    }

    /** Its thread is there for those hosts only that need one. */
    private Spawner spawner() {
        synchronized (shared) {
            if (spawner == null) {
                spawner = new Spawner();
            }
            return spawner;
        }
    }

    /** A module is read anew for each run: what it is then decides what runs it. */
    private Guest wasm(GuestPlace place, VmSettings settings, GuestSettings.Wasm wasm) {
        var module = module(wasm);
        if (module.kind() == GuestModule.Kind.PROGRAM) {
            return new ProgramGuest(place, settings, wasm, host.guestCores(), module);
        }
        return new EventGuest(place, settings, wasm.deadline(), floor(), host.guestCores(), () -> {
            module.checkMemory(wasm.memoryBytes());
            module.compile();
            return new WasmProgram(module);
        });
    }

    private static GuestModule module(GuestSettings.Wasm wasm) {
        return wasm.module().equals(GuestSettings.Wasm.DEMO) ? GuestModule.demo() : GuestModule.read(wasm.module());
    }

    /** Looks for what a guest needs to start; nothing is started. Says what is lacking; classes are not looked for. */
    public static Optional<String> lacking(GuestSettings guest) {
        try {
            switch (guest) {
                case GuestSettings.Qemu qemu -> QemuGuest.check(qemu);
                case GuestSettings.Wasm wasm -> module(wasm).checkMemory(wasm.memoryBytes());
                case GuestSettings.Java java -> {}
            }
            return Optional.empty();
        } catch (GuestException e) {
            return Optional.of(String.valueOf(e.getMessage()));
        }
    }

    private static GuestProgram program(String className) {
        try {
            var made = Class.forName(className, true, loader())
                    .getDeclaredConstructor()
                    .newInstance();
            if (made instanceof GuestProgram program) {
                return program;
            }
            throw new GuestException("class " + className + " is no " + GuestProgram.class.getName());
        } catch (ClassNotFoundException e) {
            throw new GuestException("there is no class " + className + " on the host's class path", e);
        } catch (InvocationTargetException e) {
            throw new GuestException("class " + className + " cannot be made: " + e.getCause(), e);
        } catch (ReflectiveOperationException | LinkageError e) {
            throw new GuestException("class " + className + " cannot be made: " + e, e);
        }
    }

    private static ClassLoader loader() {
        var context = Thread.currentThread().getContextClassLoader();
        return context == null ? VirtualMachines.class.getClassLoader() : context;
    }

    /** Its threads are there for those hosts only that need them. */
    private EventGuest.Floor floor() {
        synchronized (shared) {
            if (floor == null) {
                var timers = new ScheduledThreadPoolExecutor(
                        1,
                        Thread.ofPlatform()
                                .daemon()
                                .name("sidecore-guest-timers")
                                .factory());
                timers.setRemoveOnCancelPolicy(true);
                floor = new EventGuest.Floor(new VcpuThreads("sidecore", GRACE, vcpuPlaces(host.guestCores())), timers);
            }
            return floor;
        }
    }

    /** One on each core; where none is for guests alone, each may go where there is room. */
    private List<VcpuPlace> vcpuPlaces(List<Integer> cores) {
        var places = new ArrayList<VcpuPlace>();
        var own = host.hasGuestCores();
        for (var core : cores) {
            places.add(new VcpuPlace(places.size(), own ? List.of(core) : cores));
        }
        return places;
    }

    /** One of them. */
    public Optional<VmHandle> vm(String name) {
        return Optional.ofNullable(all.get(name));
    }

    /** All of them, by name. */
    public Map<String, VmHandle> vms() {
        return new LinkedHashMap<>(all);
    }

    /**
     * Takes a picture of a VM's screen, as a PNG file.
     *
     * @throws HostException if there is no such VM, or it has no screen
     */
    public CompletionStage<Void> screenshot(String name, Path file) {
        var machine = machines.get(name);
        return machine == null
                ? CompletableFuture.failedFuture(
                        new HostException("VM " + name + " has no screen: only a QEMU guest that runs may have one"))
                : machine.screenshot(file);
    }

    /**
     * Forgets one, its history and its snapshots too. Its volumes stay.
     *
     * @throws HostException if there is no such VM, it runs, or its files cannot be removed
     */
    public synchronized void delete(String name) {
        var vm = all.get(name);
        if (vm == null) {
            throw new HostException("there is no VM " + name);
        }
        joined(vm.forget());
        all.remove(name);
        machines.remove(name);
        vm.console().close();
        vm.history().flush();
        try {
            remove(folder.resolve(name));
        } catch (IOException e) {
            throw new HostException("VM " + name + " is deleted, but its files are not: " + e.getMessage(), e);
        }
        events.add("vm", name, "deleted", "");
    }

    // --- snapshots

    /** The names of the snapshots of a VM. */
    public List<String> snapshots(String name) {
        var kept = snapshotsOf(name);
        if (!Files.isDirectory(kept)) {
            return List.of();
        }
        try (var all = Files.list(kept)) {
            return all.map(path -> path.getFileName().toString())
                    .filter(Names::isName)
                    .filter(snapshot -> !snapshot.endsWith(PART))
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw new HostException("the snapshots of VM " + name + " cannot be listed: " + e.getMessage(), e);
        }
    }

    private Path snapshotsOf(String name) {
        return folder.resolve(name).resolve("snapshots");
    }

    private VmHandle existing(String name) {
        return vm(name).orElseThrow(() -> new HostException("there is no VM " + name));
    }

    /**
     * Keeps a VM as it is now, the contents of disks that it can write included. It stands still meanwhile. Waits until that is done.
     *
     * @throws HostException if there is a snapshot of this name, none can have it, or the VM cannot be kept so; there is nothing of it then
     */
    public void snapshot(String name, String snapshot, String cause) {
        var vm = existing(name);
        if (!Names.isName(snapshot) || snapshot.endsWith(PART)) {
            throw new HostException("snapshot '" + snapshot + "': expected " + Names.EXPECTED);
        }
        var whole = snapshotsOf(name).resolve(snapshot);
        var part = whole.resolveSibling(snapshot + PART);
        try {
            Files.createDirectories(part.getParent(), PRIVATE);
            // Whoever makes it is the one who takes the snapshot.
            Files.createDirectory(part, PRIVATE);
        } catch (FileAlreadyExistsException e) {
            throw new HostException("VM " + name + ": snapshot " + snapshot + " is being taken already", e);
        } catch (IOException e) {
            throw new HostException("snapshot " + snapshot + " of VM " + name + ": " + e.getMessage(), e);
        }
        try {
            if (Files.exists(whole)) {
                throw new HostException("VM " + name + " has a snapshot " + snapshot + " already");
            }
            joined(vm.snapshot(part, cause));
            Files.move(part, whole, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw new HostException("snapshot " + snapshot + " of VM " + name + ": " + e.getMessage(), e);
        } finally {
            clear(part);
        }
    }

    /** What a killed host has left of snapshots that it was taking. */
    private void clearParts(String name) {
        var kept = snapshotsOf(name);
        if (Files.isDirectory(kept)) {
            try (var all = Files.newDirectoryStream(kept, "*" + PART)) {
                all.forEach(VirtualMachines::clear);
            } catch (IOException e) {
                LOG.warn("{} cannot be looked at: {}", kept, e.toString());
            }
        }
    }

    private static void clear(Path part) {
        try {
            remove(part);
        } catch (IOException e) {
            LOG.warn("what is left of a snapshot in {} cannot be removed: {}", part, e.toString());
        }
    }

    /**
     * Starts a VM as it was when the snapshot was taken; its disks have the contents of then. Waits until it runs.
     *
     * @throws HostException if there is no such snapshot, or the VM runs or cannot be started so
     */
    public void restore(String name, String snapshot, String cause) {
        var vm = existing(name);
        joined(vm.restore(existing(name, snapshot), cause + ", snapshot " + snapshot));
    }

    private Path existing(String name, String snapshot) {
        var all = snapshots(name);
        if (!all.contains(snapshot)) {
            throw new HostException("VM " + name + " has no snapshot " + snapshot + Spelling.hint(snapshot, all));
        }
        return snapshotsOf(name).resolve(snapshot);
    }

    /**
     * Forgets a snapshot.
     *
     * @throws HostException if there is none of this name, or it cannot be removed
     */
    public void deleteSnapshot(String name, String snapshot) {
        try {
            remove(existing(name, snapshot));
        } catch (IOException e) {
            throw new HostException("snapshot " + snapshot + " of VM " + name + ": " + e.getMessage(), e);
        }
    }

    private static void joined(CompletionStage<?> stage) {
        try {
            stage.toCompletableFuture().join();
        } catch (CompletionException e) {
            throw new HostException(String.valueOf(e.getCause().getMessage()), e.getCause());
        }
    }

    private static void remove(Path folder) throws IOException {
        if (Files.exists(folder)) {
            try (var files = Files.walk(folder)) {
                for (var file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            }
        }
    }

    /** The cores for guests are others now. */
    void place(List<Integer> cores) {
        synchronized (shared) {
            if (floor != null) {
                floor.threads().setThreads(vcpuPlaces(cores));
            }
        }
        all.values().forEach(vm -> vm.place(cores));
    }

    /** Starts those that are to be there when the host is; does not wait until they run. What fails is in their history. */
    void autostart() {
        for (var vm : all.values()) {
            if (!vm.settings().autostart()) {
                continue;
            }
            if (isHalfRestored(vm.history())) {
                vm.history()
                        .add(
                                "given-up",
                                "",
                                VirtualMachine.State.DEFINED.word(),
                                "it is not started by itself: a restore has overwritten some of its disks and did not come to its end; restore it again, or start it by command");
            } else {
                vm.start("the host has started").exceptionally(e -> {
                    LOG.debug("VM {} did not start", vm.name(), e);
                    return null;
                });
            }
        }
    }

    /** Asks all guests to end, each as long as its stop-timeout, and then ends them. */
    void close() throws InterruptedException {
        List<VmHandle> left;
        synchronized (this) {
            stopping = true;
            left = new ArrayList<>(all.values());
        }
        for (var vm : left) {
            if (ALIVE.contains(vm.state())) {
                LOG.info(
                        "VM {}: it has {} to end",
                        vm.name(),
                        Amounts.duration(vm.settings().stopTimeout()));
            }
        }
        var ended = left.stream()
                .map(vm -> vm.stop("the host is stopping").toCompletableFuture())
                .toArray(CompletableFuture[]::new);
        CompletableFuture.allOf(ended).exceptionally(e -> null).join();
        left.forEach(vm -> vm.console().close());
        synchronized (shared) {
            if (spawner != null) {
                spawner.close();
            }
            if (floor != null) {
                floor.threads().close();
                floor.timers().shutdownNow();
            }
        }
        historian.shutdown();
        if (!historian.awaitTermination(PATIENCE.toSeconds(), TimeUnit.SECONDS)) {
            LOG.warn("not all histories of VMs are written");
        }
    }
}
