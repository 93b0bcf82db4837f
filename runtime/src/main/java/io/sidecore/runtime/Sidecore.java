package io.sidecore.runtime;

import io.sidecore.actors.block.Medium;
import io.sidecore.actors.block.SlabPool;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.LoopWatch;
import io.sidecore.actors.core.Loops;
import io.sidecore.actors.core.MessageCount;
import io.sidecore.actors.core.PhysicalCore;
import io.sidecore.actors.core.Topology;
import io.sidecore.actors.vif.VirtualInterface;
import io.sidecore.actors.vif.Volume;
import io.sidecore.actors.vm.VirtualMachine;
import io.sidecore.conf.Amounts;
import io.sidecore.conf.ListenAddress;
import io.sidecore.conf.NbdSettings;
import io.sidecore.conf.Placement;
import io.sidecore.conf.Settings;
import io.sidecore.conf.StoreSettings;
import io.sidecore.conf.TlsSettings;
import io.sidecore.conf.VolumeSettings;
import io.sidecore.devices.block.FileMedium;
import io.sidecore.devices.block.LinuxImage;
import io.sidecore.devices.block.MemoryMedium;
import io.sidecore.devices.linux.OffHeap;
import io.sidecore.devices.nbd.NbdConnection;
import io.sidecore.devices.nbd.NbdExport;
import io.sidecore.devices.nbd.NbdListener;
import io.sidecore.devices.tls.TlsAcceptor;
import io.sidecore.devices.tls.TlsCredentialsException;
import io.sidecore.devices.tls.TlsFiles;
import io.sidecore.runtime.metrics.MetricsServer;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.javadsl.AskPattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A running host: what a configuration declares, served until {@link #close()}.
 *
 * <pre>{@code
 * try (var host = Sidecore.start(Settings.embedded())) {
 *     host.uris().forEach(System.out::println);
 * }
 * }</pre>
 */
@SuppressWarnings("NullAway.Init") // Its parts are made by start(): what was made is closed again if that fails.
public final class Sidecore implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Sidecore.class);
    private static final Duration PATIENCE = Duration.ofSeconds(10);

    private static final AtomicInteger NUMBER = new AtomicInteger();

    private final Settings settings;
    private final Deque<AutoCloseable> resources = new ArrayDeque<>();
    private final MessageCount messages = new MessageCount();
    private final HostEvents events = new HostEvents();
    private final StorageService storage = new StorageService(Sidecore::open, this::definition, this::spawn, events);
    private final VirtualMachines vms;
    private final List<ActorRef<PhysicalCore.Command>> cores = new ArrayList<>();
    private final List<NbdAddress> addresses = new CopyOnWriteArrayList<>();
    private final AtomicInteger vifNumber = new AtomicInteger();
    private final List<String> notes = new ArrayList<>();
    private final SlabPool slabs;
    private final Optional<ActorSystem<?>> given;
    private HostActors actors;
    private TlsSettings.Mode tlsMode = TlsSettings.Mode.OFF;
    private Topology topology;
    private LoopFloor floor;
    private Loops loops;
    private LoopWatch watch;
    private Optional<MetricsServer> metrics = Optional.empty();
    private Optional<NbdListener> listener = Optional.empty();
    private volatile List<Integer> guestCores = List.of();
    private volatile boolean hasGuestCores;
    private volatile Health.Phase phase = Health.Phase.STARTING;
    private volatile boolean closedWell = true;

    private Sidecore(Settings settings, Optional<ActorSystem<?>> given) {
        this.settings = settings;
        this.given = given;
        this.slabs = new SlabPool(OffHeap::map, settings.host().payloadMemoryBytes());
        this.vms = new VirtualMachines(this, this::spawn, () -> actors.system(), events, settings.dataDirectory());
    }

    /**
     * Starts what the settings declare; when this returns, it is served.
     *
     * @throws HostException if something of it cannot be served: what was started is stopped again
     */
    public static Sidecore start(Settings settings) {
        return start(settings, host -> List.of());
    }

    /**
     * The same, with its actors in the application's own actor system. The system stays when the host ends, and nothing of the host stays in it but the names of its dispatchers; end the host first. Several hosts may be in one system.
     *
     * <p>The system needs nothing but Pekko's defaults: I/O runs on the host's own loops, whatever the system's dispatchers are; what passes through these is management, a few small messages. Where cores are set aside as sidecores, give
     * {@code pekko.actor.default-dispatcher} and {@code pekko.actor.internal-dispatcher} a fixed number of threads that stay, as {@code sidecore-system.conf} does, and have them started before the host: a pool that starts a thread when a
     * sidecore's loop hands it something has that thread on the sidecore's core from then on.
     *
     * @throws HostException if something of it cannot be served: what was started is stopped again
     */
    public static Sidecore start(Settings settings, ActorSystem<?> system) {
        return start(settings, system, host -> List.of());
    }

    /**
     * Starts what the settings declare, and something besides.
     *
     * @param settings what is declared
     * @param besides makes it when all that is declared is there, and before clients can connect; what it returns is added to the {@link #notes}
     * @throws HostException if something of it cannot be served: what was started is stopped again
     */
    public static Sidecore start(Settings settings, Function<Sidecore, List<String>> besides) {
        return new Sidecore(settings, Optional.empty()).started(besides);
    }

    /** Both: {@linkplain #start(Settings, ActorSystem) within a system} and {@linkplain #start(Settings, Function) something besides}. */
    public static Sidecore start(Settings settings, ActorSystem<?> system, Function<Sidecore, List<String>> besides) {
        return new Sidecore(settings, Optional.of(system)).started(besides);
    }

    private Sidecore started(Function<Sidecore, List<String>> besides) {
        try {
            start(besides);
            return this;
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    private void start(Function<Sidecore, List<String>> besides) {
        topology = Topology.ofThisMachine();
        settings.metrics().listen().ifPresent(this::serveMetrics);
        resources.push(slabs);
        resources.push(storage::close);
        settings.volumes().forEach(storage::create);
        startCores();
        resources.push(this::endExports);
        settings.nbd().ifPresent(nbd -> nbd.volumes().forEach(exported -> storage.export(exported, nbd.placement())));
        resources.push(vms::close);
        settings.vms().forEach(vms::create);
        notes.addAll(besides.apply(this));
        settings.nbd().ifPresent(this::serveNbd);
        vms.autostart();
        phase = Health.Phase.SERVING;
    }

    /** First of all, and until the last: it tells of a host that starts, and of one that stops. */
    private void serveMetrics(ListenAddress.Tcp address) {
        var server = MetricsServer.start(address, this);
        resources.push(server);
        metrics = Optional.of(server);
    }

    private static Medium open(VolumeSettings settings) {
        return switch (settings.store()) {
            case StoreSettings.MemoryStore memory -> new MemoryMedium(settings.sizeBytes(), memory.limitBytes());
            case StoreSettings.FileStore file ->
                FileMedium.of(
                        new LinuxImage.Options(
                                file.path(), settings.sizeBytes(), file.create(), file.readOnly(), file.direct()),
                        file.threads());
        };
    }

    private void startCores() {
        var plan = new CorePlan(settings.cores(), topology);
        var name = "h" + NUMBER.incrementAndGet();
        floor = new LoopFloor(settings.loop(), name);
        loops = new Loops(floor.shared(), List.of());
        resources.push(this::stopLoops);
        plan.service().forEach(core -> loops.add(floor.pinned(core)));
        var service = loops.service();
        actors = given.map(system -> HostActors.within(system, name, messages))
                .orElseGet(() -> HostActors.alone(messages));
        resources.push(actors);
        loops.all().forEach(actors::install);
        loops.shared().start();
        var roles = new LinkedHashMap<Topology.Core, PhysicalCore.Role>();
        for (var core : topology.cores()) {
            var sidecore = plan.indexOf(core);
            var role = sidecore >= 0
                    ? PhysicalCore.Role.SERVICE
                    : plan.isForGuests(core) ? PhysicalCore.Role.GUEST : PhysicalCore.Role.SHARED;
            var loop = sidecore >= 0 ? Optional.of(service.get(sidecore)) : Optional.<CoreLoop>empty();
            cores.add(actors.spawn(
                    PhysicalCore.Command.class, PhysicalCore.create(core, role, loop), "core-" + core.id()));
            roles.put(core, role);
        }
        findGuestCores(roles);
        watch = new LoopWatch(() -> loops.all().toList(), settings.loop().blockedAfter());
        resources.push(watch);
        notes.addAll(plan.notes());
    }

    private void serveNbd(NbdSettings nbd) {
        tlsMode = nbd.tls().mode();
        var tls = nbd.tls().files().map(this::tls);
        var server = new NbdListener(
                loops.shared(),
                new NbdListener.Service(
                        storage.served(),
                        nbd.maxConnections(),
                        nbd.handshakeTimeout(),
                        tls,
                        tlsMode == TlsSettings.Mode.REQUIRE),
                slabs,
                this::connect);
        resources.push(server);
        listener = Optional.of(server);
        for (var address : nbd.listen()) {
            var bound = NbdAddress.bind(address);
            resources.push(bound);
            bound.listen(server);
            addresses.add(bound);
        }
    }

    private TlsAcceptor tls(TlsSettings.Files files) {
        try {
            var acceptor = new TlsAcceptor(
                    new TlsFiles(files.certificate(), files.key(), files.clientCa()),
                    loops.shared().clock());
            resources.push(acceptor);
            return acceptor;
        } catch (TlsCredentialsException e) {
            throw new HostException("sidecore.exports.nbd.tls: " + e.getMessage(), e);
        }
    }

    private void connect(NbdExport export, NbdConnection connection) {
        storage.vif(export.name())
                .ifPresentOrElse(
                        vif -> vif.connect(connection), () -> connection.close("the export was deleted meanwhile"));
    }

    private VirtualInterface.Definition definition(StorageService.Definition of) {
        return new VirtualInterface.Definition(
                of.id(),
                of.id().substring(0, Math.max(0, of.id().lastIndexOf('/'))),
                of.route(),
                of.placement(),
                settings.vif(),
                loops,
                actors.materializer());
    }

    private VifHandle spawn(VirtualInterface.Definition definition) {
        var actor = actors.spawn(
                VirtualInterface.Command.class,
                VirtualInterface.create(definition),
                // Names of exports may hold what names of actors may not.
                "vif-" + URLEncoder.encode(definition.id().replace('/', '-'), StandardCharsets.UTF_8) + "-"
                        + vifNumber.incrementAndGet());
        return new VifHandle(definition.id(), actor, actors.system(), events);
    }

    private ActorRef<VirtualMachine.Command> spawn(VirtualMachine.Definition definition) {
        return actors.spawn(
                VirtualMachine.Command.class,
                VirtualMachine.create(definition),
                "vm-" + definition.name() + "-" + vifNumber.incrementAndGet());
    }

    /** All at once; each may take as long as its requests in flight may. */
    private void endExports() {
        var bound = endBound();
        try {
            storage.endExports().get(bound.toMillis(), TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (ExecutionException | TimeoutException e) {
            closedWell = false;
            LOG.warn("not every VIF ended within {}", Amounts.duration(bound), e);
        }
    }

    /** The longest that the end of a VIF may take. */
    private Duration endBound() {
        return settings.vif()
                .drainMax()
                .multipliedBy(2)
                .plus(settings.vif().stallMax().multipliedBy(2))
                .plus(PATIENCE);
    }

    private void stopLoops() throws InterruptedException {
        loops.all().forEach(CoreLoop::stop);
        for (var loop : loops.all().toList()) {
            loop.join(PATIENCE);
        }
    }

    /** Whether it listens on every address of the machine somewhere; its {@link #uris} then name localhost. */
    boolean everywhere() {
        return addresses.stream().anyMatch(NbdAddress::everywhere);
    }

    /** Where clients on this machine find what is served: one URI for each export and address. */
    public List<String> uris() {
        return uris(storage.exports().keySet());
    }

    /** Where clients find one export. */
    public List<String> uris(String export) {
        return uris(List.of(export));
    }

    private List<String> uris(Collection<String> exports) {
        var all = new ArrayList<String>();
        for (var address : addresses) {
            if (tlsMode != TlsSettings.Mode.REQUIRE) {
                exports.forEach(export -> all.add(address.uri(export)));
            }
            if (tlsMode != TlsSettings.Mode.OFF) {
                exports.forEach(export -> all.add(address.tlsUri(export)));
            }
        }
        return all;
    }

    /** Where it is observed: {@code http://HOST:PORT}; empty if nowhere. */
    public Optional<String> metricsUri() {
        return metrics.map(MetricsServer::uri);
    }

    /** How it is, at present. */
    public Health health() {
        var troubles = new ArrayList<Health.Trouble>();
        for (var volume : storage.volumes()) {
            volume.failure()
                    .ifPresentOrElse(
                            why -> troubles.add(new Health.Trouble("volume", volume.name(), Health.State.FAILED, why)),
                            () -> volume.conditions()
                                    .forEach(condition -> troubles.add(new Health.Trouble(
                                            "volume", volume.name(), Health.State.DEGRADED, condition))));
        }
        for (var vm : vms.vms().values()) {
            vm.trouble()
                    .ifPresent(why -> troubles.add(new Health.Trouble("vm", vm.name(), Health.State.DEGRADED, why)));
        }
        if (phase != Health.Phase.STARTING) {
            watch.held()
                    .forEach(held -> troubles.add(
                            new Health.Trouble("loop", held.loop(), Health.State.FAILED, held.sentence())));
        }
        return new Health(phase, troubles);
    }

    /** Connections of NBD clients at present, those that still negotiate included. */
    public int connections() {
        return listener.map(NbdListener::connections).orElse(0);
    }

    /** What it was started with. */
    public Settings settings() {
        return settings;
    }

    /** The memory from which its queues take payloads. */
    public SlabPool slabs() {
        return slabs;
    }

    /** Its storage service: volumes and exports, which come and go while it runs. */
    public StorageService storage() {
        return storage;
    }

    /** Its virtual machines, which come and go while it runs. */
    public VirtualMachines vms() {
        return vms;
    }

    /** On which cores guests run at present, by the numbers that the operating system gives to them: those that are for guests, or all that are no sidecores. Does not wait. */
    public List<Integer> guestCores() {
        return guestCores;
    }

    /** Whether there are cores for guests alone. */
    boolean hasGuestCores() {
        return hasGuestCores;
    }

    private void findGuestCores(Map<Topology.Core, PhysicalCore.Role> roles) {
        hasGuestCores = roles.containsValue(PhysicalCore.Role.GUEST);
        var role = hasGuestCores ? PhysicalCore.Role.GUEST : PhysicalCore.Role.SHARED;
        guestCores = topology.allowed().stream()
                .filter(core -> roles.get(core) == role)
                .map(Topology.Core::id)
                .toList();
        vms.place(guestCores);
    }

    /** What happened to it. */
    public HostEvents events() {
        return events;
    }

    /** What a person should know about this start, in sentences: a core that could not be pinned, say. */
    public List<String> notes() {
        return List.copyOf(notes);
    }

    /** The machine. */
    public Topology topology() {
        return topology;
    }

    /** Its loops. */
    public Loops loops() {
        return loops;
    }

    /** The VIF through which an export is served, for its management. */
    public Optional<VifHandle> vif(String export) {
        return storage.vif(export);
    }

    /** A volume. */
    public Optional<Volume> volume(String name) {
        return storage.volume(name);
    }

    /** What the cores are doing, in order of their numbers. */
    public List<PhysicalCore.Status> cores() {
        return cores.stream()
                .map(core -> HostActors.await(
                        AskPattern.<PhysicalCore.Command, PhysicalCore.Status>ask(
                                core,
                                PhysicalCore.Command.Inspect::new,
                                PATIENCE,
                                actors.system().scheduler()),
                        "core"))
                .toList();
    }

    /**
     * Gives a core another role while everything is served on. A core that becomes a sidecore serves what is placed on sidecores from now on; the queues of one that no longer is are moved first.
     *
     * @param id the number that the operating system gives to it
     * @param role what it is for from now on; guests move to where they may run then
     * @return what it is now; the same as before if it has that role already
     * @throws HostException if there is no such core, it cannot have that role, or its queues cannot be moved: it then has the former role
     */
    public PhysicalCore.Status assign(int id, PhysicalCore.Role role) {
        synchronized (cores) {
            var core = cores().stream()
                    .filter(status -> status.core().id() == id)
                    .findFirst()
                    .orElseThrow(() -> new HostException("there is no core " + id + " on line here; there are "
                            + topology.cores().stream()
                                    .map(one -> Integer.toString(one.id()))
                                    .collect(Collectors.joining(", "))));
            if (core.role() == role) {
                return core;
            }
            if (role != PhysicalCore.Role.SHARED && !core.core().allowed()) {
                throw new HostException("this process may not use core " + id);
            }
            var status = switch (role) {
                case SERVICE -> serve(core.core());
                case SHARED, GUEST ->
                    core.role() == PhysicalCore.Role.SERVICE
                            ? release(core, role)
                            : assign(core.core(), role, Optional.empty());
            };
            findGuestCores(
                    cores().stream().collect(Collectors.toMap(PhysicalCore.Status::core, PhysicalCore.Status::role)));
            events.add(
                    "core",
                    Integer.toString(id),
                    "changed",
                    "role " + role.name().toLowerCase(Locale.ROOT));
            return status;
        }
    }

    private PhysicalCore.Status serve(Topology.Core core) {
        if (loops.service().size() + 1 >= topology.usableCores()) {
            throw new HostException(
                    "this process may use %d cores, and one is left for everything else: no further sidecore"
                            .formatted(topology.usableCores()));
        }
        var loop = floor.pinned(core);
        actors.install(loop);
        var status = assign(core, PhysicalCore.Role.SERVICE, Optional.of(loop));
        loops.add(loop);
        return status;
    }

    private PhysicalCore.Status release(PhysicalCore.Status core, PhysicalCore.Role role) {
        var loop = loops.named(core.loop().orElseThrow()).orElseThrow();
        var vifs = storage.vifs().values();
        if (loops.service().size() == 1) {
            refuseIfPlaced(vifs, core.core());
        }
        loops.remove(loop);
        try {
            // All are told before any is waited for. Who connects meanwhile does not come to this loop any more.
            var moves = vifs.stream()
                    .map(vif -> vif.vacate(loop).toCompletableFuture())
                    .toList();
            CompletableFuture.allOf(moves.toArray(CompletableFuture[]::new)).join();
            // What is ending has its last deadlines on the loop.
            storage.left()
                    .copy()
                    .orTimeout(endBound().toMillis(), TimeUnit.MILLISECONDS)
                    .join();
        } catch (CompletionException e) {
            loops.add(loop);
            var why = e.getCause() instanceof TimeoutException
                    ? "what ends on it has not ended within " + Amounts.duration(endBound())
                    : e.getCause().getMessage();
            throw new HostException("core " + core.core().id() + ": " + why, e.getCause());
        }
        var status = assign(core.core(), role, Optional.empty());
        try {
            loop.join(PATIENCE);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return status;
    }

    /** The last sidecore: what is placed on sidecores would be served elsewhere, against its word. */
    private static void refuseIfPlaced(Collection<VifHandle> vifs, Topology.Core core) {
        for (var vif : vifs) {
            if (HostActors.await(vif.inspect(), "VIF " + vif.id()).placement() == Placement.SIDECORE) {
                throw new HostException("core " + core.id() + " is the last sidecore, and VIF " + vif.id()
                        + " is placed on sidecores; place it shared first");
            }
        }
    }

    private PhysicalCore.Status assign(Topology.Core core, PhysicalCore.Role role, Optional<CoreLoop> loop) {
        var actor = cores.get(topology.cores().indexOf(core));
        return HostActors.await(
                AskPattern.<PhysicalCore.Command, PhysicalCore.Status>ask(
                        actor,
                        replyTo -> new PhysicalCore.Command.Assign(role, loop, replyTo),
                        PATIENCE,
                        actors.system().scheduler()),
                "core " + core.id());
    }

    /** Messages that actors of this host have received so far. */
    public long messages() {
        return messages.messages();
    }

    /** Stops serving: no new connections, requests in flight are answered, then everything is let go. What fails is logged, and the rest goes on. An interrupt does not shorten it. May be called again. */
    @Override
    public void close() {
        // One that did not get so far has nothing to tell.
        if (phase == Health.Phase.SERVING) {
            phase = Health.Phase.CLOSING;
        }
        var interrupted = Thread.interrupted();
        for (AutoCloseable resource; (resource = resources.poll()) != null; ) {
            try {
                resource.close();
            } catch (Exception e) {
                closedWell = false;
                LOG.error("stopping a part of the host failed", e);
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Whether everything that was let go so far was let go without an error. */
    public boolean closedWell() {
        return closedWell;
    }
}
