package io.sidecore.it.faults;

import com.typesafe.config.ConfigFactory;
import io.sidecore.actors.block.SlabPool;
import io.sidecore.actors.core.Clock;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.LoopDispatcher;
import io.sidecore.actors.core.Loops;
import io.sidecore.actors.vif.Interposer;
import io.sidecore.actors.vif.Route;
import io.sidecore.actors.vif.VirtualInterface;
import io.sidecore.actors.vif.VirtualInterface.Command;
import io.sidecore.actors.vif.Volume;
import io.sidecore.conf.AttachMode;
import io.sidecore.conf.LoopSettings;
import io.sidecore.conf.Placement;
import io.sidecore.conf.VifSettings;
import io.sidecore.devices.block.FaultStore;
import io.sidecore.devices.block.MemoryMedium;
import io.sidecore.devices.interpose.FaultPlan;
import io.sidecore.devices.linux.OffHeap;
import io.sidecore.devices.nbd.NbdExport;
import io.sidecore.devices.nbd.NbdListener;
import io.sidecore.it.Peers.ShortDirectory;
import io.sidecore.it.StoresOn;
import io.sidecore.runtime.Sidecore;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.Props;
import org.apache.pekko.actor.typed.SpawnProtocol;
import org.apache.pekko.actor.typed.javadsl.AskPattern;
import org.apache.pekko.pattern.StatusReply;
import org.apache.pekko.stream.SystemMaterializer;

/** A host of one VIF whose volume is reached through stores that misbehave by a plan, every new one with another seed; served on a Unix socket. */
final class FaultyHost implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofSeconds(60);
    private static final long SIZE = 64L << 30;
    private static final AtomicInteger NUMBER = new AtomicInteger();
    private static final LoopSettings LOOP =
            new LoopSettings(Duration.ofNanos(100_000), 64, 8, Duration.ofNanos(200_000), Duration.ofMillis(100));
    private static final VifSettings VIF = new VifSettings(
            256,
            64 << 20,
            Duration.ofMillis(100),
            Duration.ofSeconds(30),
            Duration.ofSeconds(60),
            3,
            Duration.ofSeconds(1));

    private final ShortDirectory directory = new ShortDirectory();
    private final MemoryMedium medium = new MemoryMedium(SIZE, SIZE);
    private final SlabPool slabs = new SlabPool(OffHeap::map, 1 << 30);
    private final List<FaultStore> stores = new CopyOnWriteArrayList<>();
    private final CoreLoop shared;
    private final CoreLoop storeLoop;
    private final ActorSystem<SpawnProtocol.Command> system;
    private final Volume volume;
    private final ActorRef<Command> vif;
    private final ServerSocketChannel channel;
    private final NbdListener listener;
    private FaultPlan plan;

    FaultyHost(FaultPlan plan) throws IOException {
        this.plan = plan;
        var name = "f" + NUMBER.incrementAndGet();
        shared = loop(name + "-shared");
        storeLoop = loop(name + "-store");
        system = ActorSystem.create(
                SpawnProtocol.create(),
                name,
                ConfigFactory.parseResources(Sidecore.class.getClassLoader(), "sidecore-system.conf")
                        .withFallback(ConfigFactory.load()));
        LoopDispatcher.install(system.classicSystem(), shared);
        shared.start();
        storeLoop.start();
        volume = new Volume("disk", new StoresOn(medium, this::store));
        var attachment = volume.attach("nbd/disk", AttachMode.EXCLUSIVE);
        vif = spawn(new VirtualInterface.Definition(
                "nbd/disk",
                "nbd",
                new Route(List.of(), attachment),
                Placement.SHARED,
                VIF,
                new Loops(shared, List.of()),
                SystemMaterializer.get(system).materializer()));
        var service = new NbdListener.Service(List.of(NbdExport.of("disk", attachment)), 16, Duration.ofSeconds(10));
        listener = new NbdListener(
                shared,
                service,
                slabs,
                (export, connection) -> vif.tell(new Command.Connect(connection, system.ignoreRef())));
        channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        channel.bind(UnixDomainSocketAddress.of(directory.path().resolve("s")));
        listener.listen(channel);
    }

    private static CoreLoop loop(String name) {
        return new CoreLoop(name, Clock.SYSTEM, LOOP, CoreLoop.Placement.floating());
    }

    private synchronized FaultStore store() {
        var store = new FaultStore(medium.open(), plan, storeLoop);
        plan = new FaultPlan(
                plan.seed() + 1, plan.delayRatio(), plan.delay(), plan.errorRatio(), plan.error(), plan.hangRatio());
        stores.add(store);
        return store;
    }

    private ActorRef<Command> spawn(VirtualInterface.Definition definition) {
        CompletionStage<ActorRef<Command>> spawned = AskPattern.ask(
                system,
                replyTo ->
                        new SpawnProtocol.Spawn<>(VirtualInterface.create(definition), "vif", Props.empty(), replyTo),
                PATIENCE,
                system.scheduler());
        return await(spawned);
    }

    String uri() {
        return "nbd+unix:///disk?socket=" + directory.path().resolve("s");
    }

    Volume volume() {
        return volume;
    }

    /** Stores opened so far. */
    int stores() {
        return stores.size();
    }

    /** All stores but the present one serve what they still hold, late. */
    void wakeOldStores() {
        stores.subList(0, stores.size() - 1).forEach(FaultStore::wake);
    }

    VirtualInterface.Status inspect() {
        return await(AskPattern.ask(vif, Command.Inspect::new, PATIENCE, system.scheduler()));
    }

    VirtualInterface.Done insert(Interposer interposer) {
        return change(replyTo -> new Command.Insert(interposer, 0, replyTo));
    }

    VirtualInterface.Done remove(String interposer) {
        return change(replyTo -> new Command.Remove(interposer, replyTo));
    }

    private VirtualInterface.Done change(Function<ActorRef<StatusReply<VirtualInterface.Done>>, Command> command) {
        return await(AskPattern.askWithStatus(vif, command::apply, PATIENCE, system.scheduler()));
    }

    static <T> T await(CompletionStage<T> stage) {
        try {
            return stage.toCompletableFuture().get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        } catch (ExecutionException | TimeoutException e) {
            throw new IllegalStateException("a change failed: " + e, e);
        }
    }

    @Override
    public void close() throws IOException, InterruptedException {
        listener.close();
        change(replyTo -> new Command.Destroy("the test is over", replyTo));
        stores.forEach(FaultStore::wake);
        system.terminate();
        await(system.getWhenTerminated());
        for (var loop : List.of(storeLoop, shared)) {
            loop.stop();
            loop.join(PATIENCE);
        }
        volume.close();
        medium.close();
        slabs.close();
        channel.close();
        directory.close();
    }
}
