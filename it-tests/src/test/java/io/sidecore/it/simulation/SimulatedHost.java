package io.sidecore.it.simulation;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.SlabPool;
import io.sidecore.actors.block.Store;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.Deadline;
import io.sidecore.actors.core.LoopDispatcher;
import io.sidecore.actors.core.Simulation;
import io.sidecore.actors.vif.Attachment;
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
import io.sidecore.it.StoresOn;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.UnaryOperator;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.stream.SystemMaterializer;

/** A whole host from a seed: service loops, a store loop, a control loop, a memory volume behind a faulty store, clients with a connection each, and a control plane that changes chains, loops and stores at random moments. */
final class SimulatedHost {
    /** What a run may do besides serving. */
    record Program(
            boolean interposers,
            boolean moves,
            double storeDelay,
            double storeHang,
            UnaryOperator<Store> fenceOf,
            int replayMax) {
        static Program quiet() {
            return of(false, false, 0, 0);
        }

        static Program of(boolean interposers, boolean moves, double storeDelay, double storeHang) {
            return new Program(interposers, moves, storeDelay, storeHang, UnaryOperator.identity(), PATIENT);
        }
    }

    /** How a run ended. */
    record Outcome(
            long trace,
            long steps,
            long answers,
            long changes,
            long lost,
            long replayed,
            long replaced,
            long lent,
            List<String> violations) {}

    private static final int PART = 512 << 10;
    private static final AtomicLong RUN = new AtomicLong();
    private static final LoopSettings LOOPS =
            new LoopSettings(Duration.ofNanos(50_000), 16, 8, Duration.ofNanos(200_000), Duration.ofMillis(100));
    /** More lost chains than any run has. */
    private static final int PATIENT = 1_000;

    private final Simulation simulation;
    private final Program program;
    private final ActorSystem<?> system;
    private final List<CoreLoop> loops = new ArrayList<>();
    private final CoreLoop storeLoop;
    private final CoreLoop control;
    private final CoreLoop guests;
    private final List<FaultStore> stores = new ArrayList<>();
    private final List<Queue> queues = new ArrayList<>();
    private final List<SimulatedClient> clients = new ArrayList<>();
    private final Deadline tick = new Deadline(this::tick);
    private Volume volume;
    private Attachment attachment;
    private long changes;
    private long lost;
    private long replayed;
    private long replaced;
    private long lent;
    private long answersBefore;
    private int idleTicks;
    private int names;

    private SimulatedHost(long seed, Program program, ActorSystem<?> system) {
        this.simulation = new Simulation(seed);
        this.program = program;
        this.system = system;
        var run = "s" + RUN.incrementAndGet() + "-";
        for (var i = 0; i < 3; i++) {
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

    static Outcome run(long seed, int requests, Program program, ActorSystem<?> system) {
        return new SimulatedHost(seed, program, system).run(requests);
    }

    private Outcome run(int requests) {
        var connections = 1 + simulation.random().nextInt(3);
        try (var medium = new MemoryMedium((long) PART * connections, (long) PART * connections);
                var slabs = new SlabPool(OffHeap::map, payloadMemory())) {
            volume = new Volume("disk", new StoresOn(medium, () -> store(medium)));
            attachment = volume.attach("nbd/disk", AttachMode.EXCLUSIVE);
            SupervisorExecutor.runOn(control);
            for (var i = 0; i < connections; i++) {
                connect(i, slabs, requests);
            }
            control.execute(() -> control.arm(tick, control.clock().nanos() + 10_000));
            var halted = !runToTheEnd();
            var outcome = outcome(halted);
            // What the end of the streams still has to say belongs to this run.
            for (var i = 0; i < 10_000 && simulation.step(); i++) {}
            SupervisorExecutor.runOn(Runnable::run);
            if (outcome.violations().isEmpty() && program.storeHang() == 0 && slabs.borrowedBytes() > 0) {
                outcome.violations().add(slabs.borrowedBytes() + " bytes of payload memory did not come back");
            }
            return outcome;
        }
    }

    /** As much as is asked for, or in one run of four less than that: then queues serve one request at a time. */
    private long payloadMemory() {
        return simulation.random().nextInt(4) == 0 ? 1 : 1 << 30;
    }

    private boolean runToTheEnd() {
        while (simulation.steps() < 5_000_000) {
            var done = clients.stream().allMatch(SimulatedClient::done)
                    && queues.stream().allMatch(q -> q.state() == Queue.State.CLOSED);
            if (done || clients.stream().anyMatch(c -> !c.violations().isEmpty())) {
                return true;
            }
            if (!simulation.step()) {
                return false;
            }
        }
        return false;
    }

    private Outcome outcome(boolean halted) {
        var violations = new ArrayList<String>();
        clients.forEach(c -> violations.addAll(c.violations()));
        if (halted) {
            violations.add("it came to a halt after " + simulation.steps() + " steps: " + queues + clients);
        }
        return new Outcome(
                simulation.trace(),
                simulation.steps(),
                clients.stream().mapToLong(SimulatedClient::answers).sum(),
                changes,
                lost,
                replayed,
                replaced,
                lent,
                violations);
    }

    private Store store(MemoryMedium medium) {
        var plan = FaultPlan.none(simulation.random().nextLong())
                .withDelay(program.storeDelay(), Duration.ofMillis(5))
                .withHang(program.storeHang());
        var store = new FaultStore(new Counted(program.fenceOf().apply(medium.open())), plan, storeLoop);
        stores.add(store);
        return store;
    }

    /** A store as it is, and how often it lent memory. */
    private final class Counted extends ForwardingStore {
        Counted(Store store) {
            super(store);
        }

        @Override
        public MemorySegment lend(BlockOp op, long offset, int length) {
            var memory = super.lend(op, offset, length);
            lent += memory == null ? 0 : 1;
            return memory;
        }
    }

    private void connect(int number, SlabPool slabs, int requests) {
        var ends = SimulatedTransport.pair(simulation.random());
        var export = NbdExport.of("disk", attachment);
        var structured = simulation.random().nextBoolean();
        var session = new NbdSession(export, export.toldSize(), structured, false);
        var connection = new NbdConnection(ends[0], session, slabs, ByteBuffer.allocate(0), c -> {});
        var queue = new Queue(
                "q" + number,
                new VifSettings(
                        32,
                        33 << 20,
                        Duration.ofMillis(50),
                        Duration.ofSeconds(5),
                        Duration.ofSeconds(60),
                        program.replayMax()),
                loops.get(number % loops.size()),
                new Route(List.of(), attachment),
                connection,
                SystemMaterializer.get(system).materializer(),
                () -> {});
        queues.add(queue);
        var depth = simulation.random().nextBoolean() ? 1 : 16;
        var client = new SimulatedClient(
                "client " + number,
                simulation,
                ends[1],
                number * PART,
                PART,
                requests,
                depth,
                structured,
                program.replayMax() < PATIENT);
        clients.add(client);
        queue.start();
        guests.execute(() -> client.start(guests));
    }

    /** The control plane: from time to time it changes something, and replaces a store through which nothing moves any more. */
    private void tick() {
        var answers = clients.stream().mapToLong(SimulatedClient::answers).sum();
        idleTicks = answers == answersBefore ? idleTicks + 1 : 0;
        answersBefore = answers;
        if (program.storeHang() > 0 && idleTicks > 1_000) {
            idleTicks = 0;
            replaced++;
            volume.replace();
        }
        if (stores.size() > 1 && simulation.random().nextInt(20) == 0) {
            // A store that was given up comes back to life: whatever it held, it serves now.
            stores.get(simulation.random().nextInt(stores.size() - 1)).wake();
        }
        if (simulation.random().nextInt(3) == 0) {
            change(queues.get(simulation.random().nextInt(queues.size())));
        }
        if (!clients.stream().allMatch(SimulatedClient::done)) {
            control.arm(
                    tick, control.clock().nanos() + 2_000 + simulation.random().nextInt(40_000));
        }
    }

    private void change(Queue queue) {
        Route route = null;
        CoreLoop loop = null;
        if (program.interposers()) {
            var interposers = new ArrayList<>(queue.route().interposers());
            if (!interposers.isEmpty() && simulation.random().nextBoolean()) {
                interposers.remove(simulation.random().nextInt(interposers.size()));
            } else if (interposers.size() < 3) {
                interposers.add(simulation.random().nextInt(interposers.size() + 1), interposer());
            }
            route = new Route(interposers, attachment);
        }
        if (program.moves() && simulation.random().nextBoolean()) {
            loop = loops.get(simulation.random().nextInt(loops.size()));
        }
        if (route == null && loop == null) {
            return;
        }
        changes++;
        queue.change(route, loop).whenComplete((changed, ended) -> {
            if (changed != null) {
                simulation.note(changed.stallNanos());
                replayed += changed.replayed();
                lost += changed.lost() ? 1 : 0;
            }
        });
    }

    private Interposer interposer() {
        var name = "i" + names++;
        return simulation.random().nextBoolean()
                ? new RateLimit(name, 50_000, 0, Duration.ofMillis(1))
                : new FaultInjector(
                        name,
                        new FaultPlan(simulation.random().nextLong(), 0.1, Duration.ofMillis(1), 0, Errno.EIO, 0));
    }
}
