package io.sidecore.runtime;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import io.sidecore.actors.block.SlabPool;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.LoopDispatcher;
import io.sidecore.actors.core.LoopWatch;
import io.sidecore.actors.core.Loops;
import io.sidecore.actors.core.MessageCount;
import io.sidecore.actors.core.PhysicalCore;
import io.sidecore.actors.core.Topology;
import io.sidecore.actors.vif.Route;
import io.sidecore.actors.vif.VirtualInterface;
import io.sidecore.actors.vif.Volume;
import io.sidecore.conf.NbdSettings;
import io.sidecore.conf.Settings;
import io.sidecore.conf.StoreSettings;
import io.sidecore.conf.VolumeSettings;
import io.sidecore.devices.block.MemoryMedium;
import io.sidecore.devices.linux.OffHeap;
import io.sidecore.devices.nbd.NbdExport;
import io.sidecore.devices.nbd.NbdListener;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.Props;
import org.apache.pekko.actor.typed.SpawnProtocol;
import org.apache.pekko.actor.typed.javadsl.AskPattern;
import org.apache.pekko.stream.SystemMaterializer;
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
public final class Sidecore implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Sidecore.class);
    private static final Duration PATIENCE = Duration.ofSeconds(10);
    private static final AtomicInteger NUMBER = new AtomicInteger();

    private final Settings settings;
    private final Deque<AutoCloseable> resources = new ArrayDeque<>();
    private final MessageCount messages = new MessageCount();
    private final Map<String, Volume> volumes = new LinkedHashMap<>();
    private final Map<String, VifHandle> vifs = new LinkedHashMap<>();
    private final List<ActorRef<PhysicalCore.Command>> cores = new ArrayList<>();
    private final List<String> uris = new ArrayList<>();
    private final List<String> notes = new ArrayList<>();
    private final SlabPool slabs;
    private ActorSystem<SpawnProtocol.Command> system;
    private Topology topology;
    private Loops loops;

    private Sidecore(Settings settings) {
        this.settings = settings;
        this.slabs = new SlabPool(OffHeap::map, settings.host().payloadMemoryBytes());
    }

    /**
     * Starts what the settings declare; when this returns, it is served.
     *
     * @throws HostException if something of it cannot be served: what was started is stopped again
     */
    public static Sidecore start(Settings settings) {
        var host = new Sidecore(settings);
        try {
            host.start();
            return host;
        } catch (RuntimeException | Error e) {
            host.close();
            throw e;
        }
    }

    private void start() {
        topology = Topology.ofThisMachine();
        resources.push(slabs);
        volumesFirst();
        startCores();
        settings.nbd().ifPresent(this::serveNbd);
    }

    private void volumesFirst() {
        settings.volumes().forEach((name, volume) -> volumes.put(name, open(name, volume)));
    }

    private Volume open(String name, VolumeSettings settings) {
        var store = switch (settings.store()) {
            case StoreSettings.MemoryStore memory -> memory;
        };
        try {
            var medium = new MemoryMedium(settings.sizeBytes(), store.limitBytes());
            resources.push(medium);
            var volume = new Volume(name, medium);
            resources.push(volume::close);
            return volume;
        } catch (RuntimeException e) {
            throw new HostException("volume " + name + ": " + e.getMessage(), e);
        }
    }

    private void startCores() {
        var plan = new CorePlan(settings.cores(), topology);
        var floor = new LoopFloor(settings.loop(), "h" + NUMBER.incrementAndGet());
        var shared = floor.shared();
        var service = plan.service().stream().map(floor::pinned).toList();
        loops = new Loops(shared, service);
        system = ActorSystem.create(
                messages.counted(SpawnProtocol.Command.class, SpawnProtocol.create()), "sidecore", systemConfig());
        resources.push(this::stopLoops);
        resources.push(this::stopSystem);
        loops.all().forEach(loop -> LoopDispatcher.install(system.classicSystem(), loop));
        shared.start();
        for (var core : topology.cores()) {
            var sidecore = plan.indexOf(core);
            var role = sidecore >= 0 ? PhysicalCore.Role.SERVICE : PhysicalCore.Role.SHARED;
            var loop = sidecore >= 0 ? Optional.of(service.get(sidecore)) : Optional.<CoreLoop>empty();
            cores.add(spawn(PhysicalCore.Command.class, PhysicalCore.create(core, role, loop), "core-" + core.id()));
        }
        var watch = new LoopWatch(loops.all().toList(), settings.loop().blockedAfter());
        resources.push(watch);
        notes.addAll(plan.notes());
    }

    private static Config systemConfig() {
        return ConfigFactory.parseResources(Sidecore.class.getClassLoader(), "sidecore-system.conf")
                .withFallback(ConfigFactory.load());
    }

    private void serveNbd(NbdSettings nbd) {
        var exports = new ArrayList<NbdExport>();
        for (var exported : nbd.volumes()) {
            var volume = volumes.get(exported.volume());
            exports.add(new NbdExport(
                    volume.name(), volume.size(), volume.capabilities().sharedFlush()));
            var interposers = Interposers.of(exported.interposers());
            var id = "nbd/" + volume.name();
            var actor = spawn(
                    VirtualInterface.Command.class,
                    VirtualInterface.create(new VirtualInterface.Definition(
                            id,
                            "nbd",
                            new Route(interposers, volume),
                            nbd.placement(),
                            settings.vif(),
                            loops,
                            SystemMaterializer.get(system).materializer())),
                    "vif-nbd-" + volume.name());
            vifs.put(volume.name(), new VifHandle(id, actor, system));
        }
        var listener = new NbdListener(
                loops.shared(),
                new NbdListener.Service(exports, nbd.maxConnections(), nbd.handshakeTimeout()),
                slabs,
                (export, connection) -> vifs.get(export.name()).connect(connection));
        resources.push(this::destroyVifs);
        resources.push(listener);
        for (var address : nbd.listen()) {
            var bound = NbdAddress.bind(address);
            resources.push(bound);
            bound.listen(listener);
            exports.forEach(export -> uris.add(bound.uri(export.name())));
        }
    }

    private <T> ActorRef<T> spawn(Class<T> protocol, Behavior<T> behavior, String name) {
        CompletionStage<ActorRef<T>> spawned = AskPattern.ask(
                system,
                replyTo ->
                        new SpawnProtocol.Spawn<>(messages.counted(protocol, behavior), name, Props.empty(), replyTo),
                PATIENCE,
                system.scheduler());
        return await(spawned, name);
    }

    private static <T> T await(CompletionStage<T> stage, String what) {
        try {
            return stage.toCompletableFuture().get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new HostException("interrupted while waiting for " + what, e);
        } catch (ExecutionException e) {
            throw new HostException(what + ": " + e.getCause().getMessage(), e.getCause());
        } catch (TimeoutException e) {
            throw new HostException(what + " did not answer within " + PATIENCE, e);
        }
    }

    /** All at once; each may take as long as its requests in flight may. */
    private void destroyVifs() {
        var bound = settings.vif()
                .drainMax()
                .multipliedBy(2)
                .plus(settings.vif().stallMax())
                .plus(PATIENCE);
        var destroyed = vifs.values().stream()
                .map(vif -> vif.destroy("the host is stopping").toCompletableFuture())
                .toList();
        try {
            CompletableFuture.allOf(destroyed.toArray(CompletableFuture[]::new))
                    .get(bound.toMillis(), TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (ExecutionException | TimeoutException e) {
            LOG.warn("not every VIF ended within {}", bound, e);
        }
    }

    private void stopSystem() {
        system.terminate();
        await(system.getWhenTerminated(), "the actor system");
    }

    private void stopLoops() throws InterruptedException {
        loops.all().forEach(CoreLoop::stop);
        for (var loop : loops.all().toList()) {
            loop.join(PATIENCE);
        }
    }

    /** Where clients find what is served: one URI for each export and address. */
    public List<String> uris() {
        return List.copyOf(uris);
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
        return Optional.ofNullable(vifs.get(export));
    }

    /** A volume. */
    public Optional<Volume> volume(String name) {
        return Optional.ofNullable(volumes.get(name));
    }

    /** What the cores are doing, in order of their numbers. */
    public List<PhysicalCore.Status> cores() {
        return cores.stream()
                .map(core -> await(
                        AskPattern.<PhysicalCore.Command, PhysicalCore.Status>ask(
                                core, PhysicalCore.Command.Inspect::new, PATIENCE, system.scheduler()),
                        "core"))
                .toList();
    }

    /** Messages that actors of this host have received so far. */
    public long messages() {
        return messages.messages();
    }

    /** Stops serving: no new connections, requests in flight are answered, then everything is let go. What fails is logged, and the rest goes on. May be called again. */
    @Override
    public void close() {
        for (AutoCloseable resource; (resource = resources.poll()) != null; ) {
            try {
                resource.close();
            } catch (Exception e) {
                LOG.error("stopping a part of the host failed", e);
            }
        }
    }
}
