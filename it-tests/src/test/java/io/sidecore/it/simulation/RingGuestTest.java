package io.sidecore.it.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.block.Errno;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.Deadline;
import io.sidecore.actors.core.LoopDispatcher;
import io.sidecore.actors.core.Simulation;
import io.sidecore.actors.vif.Attachment;
import io.sidecore.actors.vif.GuestMemory;
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
import io.sidecore.devices.ring.RingQueue;
import io.sidecore.it.StoresOn;
import io.sidecore.it.ring.LaneGuest;
import java.lang.foreign.Arena;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.stream.SystemMaterializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Guests by rings on virtual time, from seeds: chains, loops and stores change beneath them, stores hang and come back late, and no byte of their disks or of their memory is wrong. */
class RingGuestTest {
    private static final int SEEDS = Integer.getInteger("it.seeds", Boolean.getBoolean("it.long") ? 2_000 : 200);
    private static final int LANES = 8;
    private static final int REQUESTS = 300;
    private static final AtomicLong RUN = new AtomicLong();
    private static final LoopSettings LOOPS =
            new LoopSettings(Duration.ofNanos(50_000), 16, 8, Duration.ofNanos(200_000), Duration.ofMillis(100));

    private static ActorSystem<Void> system;

    @BeforeAll
    static void startSystem() {
        system = SupervisorExecutor.system();
    }

    @AfterAll
    static void stopSystem() {
        system.terminate();
    }

    /** One run. */
    private static final class Run {
        private final Simulation simulation;
        private final double hang;
        private final String name = "r" + RUN.incrementAndGet() + "-";
        private final List<CoreLoop> loops = new ArrayList<>();
        private final CoreLoop storeLoop;
        private final CoreLoop control;
        private final CoreLoop guests;
        private final List<FaultStore> stores = new ArrayList<>();
        private final Deadline tick = new Deadline(this::tick);
        private Volume volume;
        private Attachment attachment;
        private LaneGuest guest;
        private Queue queue;
        private boolean ended;
        private int answersBefore;
        private int idleTicks;
        private int names;
        private long changes;
        private long replayed;

        Run(long seed, double hang) {
            this.simulation = new Simulation(seed);
            this.hang = hang;
            for (var i = 0; i < 2; i++) {
                loops.add(loop("" + i));
            }
            storeLoop = loop("store");
            control = loop("control");
            guests = loop("guests");
        }

        private CoreLoop loop(String which) {
            var loop = simulation.loop(name + which, LOOPS);
            LoopDispatcher.install(system.classicSystem(), loop);
            return loop;
        }

        List<String> run() {
            try (var medium = new MemoryMedium(LANES * LaneGuest.DISK, LANES * LaneGuest.DISK);
                    var arena = Arena.ofShared()) {
                volume = new Volume("disk", new StoresOn(medium, () -> store(medium)));
                attachment = volume.attach("guest", AttachMode.EXCLUSIVE);
                SupervisorExecutor.runOn(control);
                var memory = arena.allocate(LANES * LaneGuest.MEMORY);
                var slots = simulation.random().nextBoolean() ? 4 : 32;
                var limits = new VifSettings(
                        slots,
                        1 << 20,
                        Duration.ofMillis(50),
                        Duration.ofSeconds(5),
                        Duration.ofSeconds(60),
                        1_000,
                        Duration.ofSeconds(1));
                // As soon as it is woken: it drains, and asks more.
                var ring = new RingQueue(
                        GuestMemory.of(memory),
                        attachment,
                        limits,
                        () -> guests.execute(() -> guest.progress()),
                        (why, op, flags, offset, length, address) -> {});
                guest = new LaneGuest(ring.port(), memory, simulation.random().split(), LANES, REQUESTS, false);
                queue = new Queue(
                        name,
                        limits,
                        loops.getFirst(),
                        new Route(List.of(), attachment),
                        ring.end(),
                        SystemMaterializer.get(system).materializer(),
                        () -> {});
                queue.start();
                guests.execute(() -> guest.progress());
                control.execute(() -> control.arm(tick, control.clock().nanos() + 10_000));
                while (!guest.done() && simulation.steps() < 3_000_000 && simulation.step()) {}
                var violations = new ArrayList<>(guest.violations());
                if (!guest.done()) {
                    violations.add("it came to a halt: " + guest + " " + queue);
                }
                queue.close("the run is over");
                ring.ended().thenRun(() -> ended = true);
                for (var i = 0; i < 100_000 && simulation.step(); i++) {}
                if (!ended) {
                    violations.add("the guest's memory was not given back");
                }
                SupervisorExecutor.runOn(Runnable::run);
                return violations;
            }
        }

        private FaultStore store(MemoryMedium medium) {
            var plan = FaultPlan.none(simulation.random().nextLong())
                    .withDelay(0.05, Duration.ofMillis(2))
                    .withHang(hang);
            var store = new FaultStore(medium.open(), plan, storeLoop);
            stores.add(store);
            return store;
        }

        private void tick() {
            idleTicks = guest.answered() == answersBefore ? idleTicks + 1 : 0;
            answersBefore = guest.answered();
            if (hang > 0 && idleTicks > 200) {
                idleTicks = 0;
                volume.replace();
            }
            if (stores.size() > 1 && simulation.random().nextInt(4_000) == 0) {
                // Later than chains are given up, mostly.
                stores.get(simulation.random().nextInt(stores.size() - 1)).wake();
            }
            if (simulation.random().nextInt(3) == 0) {
                change();
            }
            if (!guest.done()) {
                control.arm(
                        tick,
                        control.clock().nanos() + 2_000 + simulation.random().nextInt(40_000));
            }
        }

        private void change() {
            var interposers = new ArrayList<>(queue.route().interposers());
            if (!interposers.isEmpty() && simulation.random().nextBoolean()) {
                interposers.remove(simulation.random().nextInt(interposers.size()));
            } else if (interposers.size() < 3) {
                interposers.add(interposer());
            }
            var loop = simulation.random().nextBoolean()
                    ? loops.get(simulation.random().nextInt(loops.size()))
                    : null;
            changes++;
            queue.change(new Route(interposers, attachment), loop).whenComplete((changed, e) -> {
                if (changed != null) {
                    replayed += changed.replayed();
                }
            });
        }

        private Interposer interposer() {
            var called = "i" + names++;
            return simulation.random().nextBoolean()
                    ? new RateLimit(called, 50_000, 0, Duration.ofMillis(1))
                    : new FaultInjector(
                            called,
                            new FaultPlan(simulation.random().nextLong(), 0.1, Duration.ofMillis(1), 0, Errno.EIO, 0));
        }
    }

    private static void runSeeds(String what, double hang) {
        var changes = 0L;
        var replayed = 0L;
        var replaced = 0L;
        var lost = 0L;
        for (var seed = 0L; seed < SEEDS; seed++) {
            var run = new Run(seed, hang);
            assertThat(run.run()).as("seed %d", seed).isEmpty();
            changes += run.changes;
            replayed += run.replayed;
            lost += run.queue.tally().chainsLost();
            replaced += run.stores.size() - 1;
        }
        System.out.printf(
                "%s: %d seeds, %,d changes, %,d chains lost, %,d requests issued again, %,d stores replaced%n",
                what, SEEDS, changes, lost, replayed, replaced);
        assertThat(changes).isPositive();
        assertThat(replayed).isPositive();
        assertThat(lost > 0).isEqualTo(hang > 0);
        assertThat(replaced > 0).isEqualTo(hang > 0);
    }

    @Test
    void chainsAndLoopsChangeBeneathAGuest() {
        runSeeds("rings", 0);
    }

    @Test
    void storesHangAndComeBackLate() {
        runSeeds("rings before stores that hang", 0.01);
    }
}
