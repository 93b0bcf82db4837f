package io.sidecore.it.simulation;

import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.SlabPool;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.Deadline;
import io.sidecore.actors.core.LoopDispatcher;
import io.sidecore.actors.core.Simulation;
import io.sidecore.actors.vif.Interposer;
import io.sidecore.actors.vif.Queue;
import io.sidecore.actors.vif.Route;
import io.sidecore.actors.vif.Volume;
import io.sidecore.conf.AttachMode;
import io.sidecore.conf.LoopSettings;
import io.sidecore.conf.VifSettings;
import io.sidecore.devices.block.FaultStore;
import io.sidecore.devices.block.MemoryMedium;
import io.sidecore.devices.interpose.FaultInjector;
import io.sidecore.devices.interpose.FaultPlan;
import io.sidecore.devices.interpose.RateLimit;
import io.sidecore.devices.linux.OffHeap;
import io.sidecore.devices.nbd.NbdConnection;
import io.sidecore.devices.nbd.NbdExport;
import io.sidecore.devices.nbd.NbdSession;
import io.sidecore.devices.transport.Transport;
import io.sidecore.it.StoresOn;
import io.sidecore.it.model.DiskModel;
import io.sidecore.it.model.ModelClient;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.stream.SystemMaterializer;

/**
 * A disk in simulation under clients that ask every command at random and hold the answers against a model, while their connections are killed, stores delay, fail and hang, chains and loops change and the disk is resized. Everything follows from
 * the seed.
 */
final class SimulatedDisk {
    /** How a run ended. */
    record Outcome(
            long trace, long steps, long answers, long kills, long resizes, long changes, List<String> violations) {}

    private static final int PART = 256 << 10;
    private static final int CLIENTS = 3;
    private static final int LARGEST = (CLIENTS + 1) * PART;
    private static final AtomicLong RUN = new AtomicLong();
    private static final LoopSettings LOOPS =
            new LoopSettings(Duration.ofNanos(50_000), 16, 8, Duration.ofNanos(200_000), Duration.ofMillis(100));
    private static final VifSettings VIF = new VifSettings(
            32,
            33 << 20,
            Duration.ofMillis(50),
            Duration.ofSeconds(5),
            Duration.ofSeconds(60),
            3,
            Duration.ofSeconds(1));

    private final Simulation simulation;
    private final SplittableRandom random;
    private final ActorSystem<?> system;
    private final long stepsEach;
    private final List<CoreLoop> loops = new ArrayList<>();
    private final CoreLoop storeLoop;
    private final CoreLoop control;
    private final CoreLoop guests;
    private final List<Guest> clients = new ArrayList<>();
    private final Deadline tick = new Deadline(this::tick);
    private Volume volume;
    private SlabPool slabs;
    private long kills;
    private long resizes;
    private long changes;
    private long answersBefore;
    private int idleTicks;
    private int names;

    private SimulatedDisk(long seed, long steps, ActorSystem<?> system) {
        this.simulation = new Simulation(seed);
        this.random = simulation.random().split();
        this.system = system;
        this.stepsEach = steps / CLIENTS;
        var run = "d" + RUN.incrementAndGet() + "-";
        for (var i = 0; i < 2; i++) {
            loops.add(loop(run + i));
        }
        storeLoop = loop(run + "store");
        control = loop(run + "control");
        guests = loop(run + "guests");
    }

    private CoreLoop loop(String name) {
        var loop = simulation.loop(name, LOOPS);
        LoopDispatcher.install(system.classicSystem(), loop);
        return loop;
    }

    static Outcome run(long seed, long steps, ActorSystem<?> system) {
        return new SimulatedDisk(seed, steps, system).run();
    }

    private Outcome run() {
        try (var medium = new MemoryMedium(CLIENTS * PART, CLIENTS * PART);
                var pool = new SlabPool(OffHeap::map, 1 << 30)) {
            slabs = pool;
            volume = new Volume("disk", new StoresOn(medium, () -> store(medium)));
            SupervisorExecutor.runOn(control);
            for (var i = 0; i < CLIENTS; i++) {
                clients.add(new Guest(i));
            }
            guests.execute(() -> clients.forEach(Guest::connect));
            control.execute(() -> control.arm(tick, control.clock().nanos() + 10_000));
            var ended = false;
            for (var i = 0L; i < 5_000 * (stepsEach + 1_000) && !ended && simulation.step(); i++) {
                ended = clients.stream().allMatch(c -> c.ended)
                        || clients.stream().anyMatch(Guest::failed);
            }
            var violations = new ArrayList<String>();
            clients.forEach(c -> violations.addAll(c.client.violations()));
            if (!ended) {
                violations.add("it came to a halt: " + clients);
            }
            var outcome = new Outcome(
                    simulation.trace(),
                    clients.stream().mapToLong(c -> c.client.steps()).sum(),
                    answers(),
                    kills,
                    resizes,
                    changes,
                    violations);
            for (var i = 0; i < 10_000 && simulation.step(); i++) {}
            SupervisorExecutor.runOn(Runnable::run);
            return outcome;
        }
    }

    private FaultStore store(MemoryMedium medium) {
        var plan = FaultPlan.none(random.nextLong())
                .withDelay(0.01, Duration.ofMillis(2))
                .withHang(0.000_3);
        return new FaultStore(medium.open(), plan, storeLoop);
    }

    private long answers() {
        return clients.stream().mapToLong(c -> c.client.answers()).sum();
    }

    private void tick() {
        idleTicks = answers() == answersBefore ? idleTicks + 1 : 0;
        answersBefore = answers();
        if (idleTicks > 1_000) {
            idleTicks = 0;
            volume.replace();
        }
        if (random.nextInt(3) == 0) {
            clients.get(random.nextInt(CLIENTS)).change();
        }
        if (!clients.stream().allMatch(c -> c.ended)) {
            control.arm(tick, control.clock().nanos() + 2_000 + random.nextInt(40_000));
        }
    }

    private Interposer interposer() {
        var name = "i" + names++;
        return random.nextBoolean()
                ? new RateLimit(name, 100_000, 0, Duration.ofMillis(1))
                : new FaultInjector(
                        name, new FaultPlan(random.nextLong(), 0.05, Duration.ofMillis(1), 0.02, Errno.EIO, 0));
    }

    /** A client and its present connection; on the guests' loop. */
    private final class Guest implements Transport.Listener {
        private final int number;
        private final boolean last;
        private final DiskModel model = new DiskModel(CLIENTS * PART, LARGEST);
        private final ModelClient client;
        private final ByteBuffer in = ByteBuffer.allocate(64 << 10);
        private SimulatedTransport transport;
        private volatile Queue queue;
        private long killAt;
        private boolean resizeDue;
        private boolean killed;
        private boolean ended;

        Guest(int number) {
            this.number = number;
            this.last = number == CLIENTS - 1;
            this.client = new ModelClient(
                    "client " + number,
                    random.split(),
                    model,
                    number * PART,
                    last ? LARGEST : (number + 1) * PART,
                    12,
                    true);
        }

        boolean failed() {
            return !client.violations().isEmpty();
        }

        void connect() {
            var attachment = volume.attach("guest" + number, AttachMode.SHARED);
            var export = NbdExport.of("disk", attachment);
            var structured = random.nextInt(3) > 0;
            var session = new NbdSession(export, export.toldSize(), structured, structured);
            var ends = SimulatedTransport.pair(simulation.random());
            var connection = new NbdConnection(ends[0], session, slabs, ByteBuffer.allocate(0), c -> {});
            killed = false;
            killAt = client.steps() + 50 + random.nextInt(1_000);
            resizeDue = last && random.nextBoolean();
            transport = ends[1];
            client.connected(new ModelClient.Connection((int) session.size(), structured));
            queue = new Queue(
                    "q" + number,
                    VIF,
                    loops.get(random.nextInt(loops.size())),
                    new Route(List.of(), attachment),
                    connection,
                    SystemMaterializer.get(system).materializer(),
                    () -> guests.execute(() -> {
                        attachment.detach();
                        closed();
                    }));
            queue.start();
            transport.attach(guests, this);
            progress();
        }

        @Override
        public void readable() {
            if (killed) {
                return;
            }
            var n = transport.read(in.clear());
            if (n < 0) {
                kill();
                return;
            }
            client.received(in.flip());
            progress();
        }

        @Override
        public void writable() {
            if (!killed) {
                progress();
            }
        }

        private void progress() {
            if (resizeDue && client.steps() * 2 > killAt) {
                client.pause(true);
                if (client.idle()) {
                    resizeDue = false;
                    var size = (CLIENTS - 1) * PART + 4096 + 512 * random.nextInt((2 * PART - 4096) / 512);
                    volume.resize(size);
                    model.resize(size);
                    resizes++;
                    client.pause(false);
                }
            }
            var out = client.output().flip();
            transport.write(out);
            var unsent = out.hasRemaining();
            out.compact();
            if (client.steps() >= killAt && !resizeDue || client.steps() >= stepsEach) {
                kill();
            } else {
                // With nothing in flight and nothing asked, it asks again when it is told that it may write.
                transport.interest(true, unsent || client.idle());
            }
        }

        private void kill() {
            if (!killed) {
                killed = true;
                kills++;
                transport.close();
            }
        }

        /** The queue has ended: nothing of the connection reaches the disk any more. */
        private void closed() {
            kill();
            client.disconnected();
            if (client.steps() >= stepsEach || failed()) {
                ended = true;
            } else {
                connect();
            }
        }

        void change() {
            var serving = queue;
            if (serving == null) {
                return;
            }
            var interposers = new ArrayList<>(serving.route().interposers());
            if (!interposers.isEmpty() && random.nextBoolean()) {
                interposers.remove(random.nextInt(interposers.size()));
            } else if (interposers.size() < 2) {
                interposers.add(random.nextInt(interposers.size() + 1), interposer());
            }
            changes++;
            serving.change(
                    new Route(interposers, serving.route().attachment()),
                    random.nextBoolean() ? loops.get(random.nextInt(loops.size())) : null);
        }

        @Override
        public String toString() {
            return client + " on " + queue + (killed ? " killed" : "") + (ended ? " ended" : "");
        }
    }
}
