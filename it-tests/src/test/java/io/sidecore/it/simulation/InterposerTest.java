package io.sidecore.it.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.Deadline;
import io.sidecore.actors.core.LoopDispatcher;
import io.sidecore.actors.core.Simulation;
import io.sidecore.actors.vif.Attachment;
import io.sidecore.actors.vif.GuestEnd;
import io.sidecore.actors.vif.Interposer;
import io.sidecore.actors.vif.Queue;
import io.sidecore.actors.vif.Route;
import io.sidecore.actors.vif.Volume;
import io.sidecore.conf.AttachMode;
import io.sidecore.conf.LoopSettings;
import io.sidecore.conf.VifSettings;
import io.sidecore.devices.block.MemoryMedium;
import io.sidecore.devices.interpose.FaultInjector;
import io.sidecore.devices.interpose.FaultPlan;
import io.sidecore.devices.interpose.FaultPlan.Fate;
import io.sidecore.devices.interpose.RateLimit;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.stream.SystemMaterializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Interposers in their streams, on virtual time: what a limit lets pass in a second, and whom a fault hits. */
class InterposerTest {
    private static final Duration SECOND = Duration.ofSeconds(1);
    private static final LoopSettings LOOPS =
            new LoopSettings(Duration.ZERO, 16, 8, Duration.ofNanos(200_000), Duration.ofMillis(100));
    private static final VifSettings VIF = new VifSettings(
            256,
            64 << 20,
            Duration.ofMillis(50),
            Duration.ofSeconds(5),
            Duration.ofSeconds(60),
            1_000,
            Duration.ofSeconds(1));
    private static final int MANY = 1_000_000;
    /** How long a request may take through loops that do nothing else: virtual time passes with every turn. */
    private static final long AT_ONCE_NANOS = 200_000;

    private static ActorSystem<Void> system;
    private static int runs;

    private final Simulation simulation = new Simulation(7);
    private final MemoryMedium medium = new MemoryMedium(1 << 20, 1 << 20);
    private final Volume volume = new Volume("disk", medium);
    private final Attachment attachment = volume.attach("disk", AttachMode.SHARED);
    private final CoreLoop control = loop("control");
    private final List<Queue> queues = new ArrayList<>();

    @BeforeAll
    static void startSystem() {
        system = SupervisorExecutor.system();
    }

    @AfterAll
    static void stopSystem() {
        system.terminate();
    }

    @BeforeEach
    void begin() {
        SupervisorExecutor.runOn(control);
    }

    @AfterEach
    void end() {
        queues.forEach(queue -> queue.close("the test is over"));
        while (queues.stream().anyMatch(queue -> queue.state() != Queue.State.CLOSED)) {
            assertThat(simulation.step()).as("the queues end").isTrue();
        }
        for (var i = 0; i < 1_000 && simulation.step(); i++) {}
        SupervisorExecutor.runOn(Runnable::run);
        volume.close();
        medium.close();
    }

    private CoreLoop loop(String name) {
        var loop = simulation.loop("i" + ++runs + "-" + name, LOOPS);
        LoopDispatcher.install(system.classicSystem(), loop);
        return loop;
    }

    /** Another queue of the VIF, on a loop of its own. */
    private Queue queue(GuestEnd guest, Interposer... interposers) {
        var loop = loop("loop");
        var queue = new Queue(
                "q" + queues.size(),
                VIF,
                loop,
                new Route(List.of(interposers), attachment),
                guest,
                SystemMaterializer.get(system).materializer(),
                () -> {});
        queues.add(queue);
        queue.start();
        return queue;
    }

    private void pass(Duration time) {
        var end = simulation.clock().nanos() + time.toNanos();
        // Where nothing happens time leaps to what happens next, which is not to be later than this.
        control.execute(() -> control.arm(new Deadline(() -> {}), end));
        while (simulation.clock().nanos() - end < 0 && simulation.step()) {}
    }

    // --- rate limits

    @Test
    void aLimitHoldsForAllQueuesOfAVifTogether() {
        var limit = new RateLimit("limit", 10_000, 0, Duration.ofMillis(10));
        var one = new SimulatedGuest(32, 512, MANY);
        var other = new SimulatedGuest(32, 512, MANY);
        queue(one, limit);
        queue(other, limit);

        pass(SECOND.multipliedBy(2));

        // The burst of 10 ms is 100 requests; what is in flight when the time is over is not answered.
        assertThat(one.answers() + other.answers()).isBetween(20_000 - 64, 20_000 + 100 + 64);
    }

    /** The time of a batch was known only where it was answered in the task in which it arrived: behind a limit none is. */
    @Test
    void theTimeThatRequestsTookHasTheirWaitForALimitInIt() {
        var limit = new RateLimit("limit", 100, 0, Duration.ofMillis(10));
        var guest = new SimulatedGuest(10, 512, MANY);
        var queue = queue(guest, limit);

        pass(SECOND.multipliedBy(4));

        var tally = queue.tally();
        assertThat(tally.requests()).isEqualTo(guest.answers());
        // The next one is asked when another is answered, and arrives a moment later.
        assertThat(tally.inFlight()).isBetween(9L, 10L);
        // Ten wait at a time, and one is let through every 10 ms; but it is taken from its guest only once all before
        // it are through.
        assertThat(tally.latencies().nanos() / tally.latencies().count() / 1_000_000)
                .isBetween(45L, 101L);
        assertThat(tally.latencies().quantileNanos(0.5)).isBetween(45_000_000L, 101_000_000L);
    }

    @Test
    void whatTakesLongerThanSlowAfterIsCountedAsSlow() {
        var plan = FaultPlan.none(1).withDelay(1.0, VIF.slowAfter());
        var guest = new SimulatedGuest(4, 512, 40);
        var queue = queue(guest, new FaultInjector("slow", plan));

        pass(SECOND.multipliedBy(15));

        assertThat(guest.answers()).isEqualTo(40);
        assertThat(queue.tally().slowRequests()).isEqualTo(40);
    }

    @Test
    void changesAreCountedWithWhatTheyCost() {
        var guest = new SimulatedGuest(8, 512, 100);
        var queue = queue(guest, new FaultInjector("hole", FaultPlan.none(1).withHang(1.0)));
        pass(Duration.ofMillis(10));
        assertThat(queue.tally().inFlight()).isEqualTo(8);

        queue.change(new Route(List.of(), attachment), null);
        pass(SECOND);
        queue.change(null, loop("other"));
        pass(SECOND);

        var tally = queue.tally();
        assertThat(guest.answers()).isEqualTo(100);
        assertThat(tally.stalls()).isEqualTo(2);
        assertThat(tally.replayed()).as("what hung").isEqualTo(8);
        assertThat(tally.chainsLost()).as("each drained").isZero();
        assertThat(tally.latencies().longestNanos()).isGreaterThanOrEqualTo(10_000_000);
    }

    @Test
    void twoQueuesThatBothWantMoreThanALimitGetAShareEach() {
        var limit = new RateLimit("limit", 10_000, 0, Duration.ofMillis(10));
        var one = new SimulatedGuest(32, 512, MANY);
        var other = new SimulatedGuest(32, 512, MANY);
        queue(one, limit);
        queue(other, limit);

        pass(SECOND.multipliedBy(2));

        System.out.printf(
                "a limit of 10,000/s shared by two queues: %,d and %,d in 2 s%n", one.answers(), other.answers());
        assertThat(one.answers()).isBetween(8_000, 12_100);
        assertThat(other.answers()).isBetween(8_000, 12_100);
    }

    @Test
    void whatOneQueueDoesNotUseTheOtherMay() {
        var limit = new RateLimit("limit", 10_000, 0, Duration.ofMillis(10));
        var modest = new SimulatedGuest(1, 512, 500);
        var greedy = new SimulatedGuest(32, 512, MANY);
        queue(modest, limit);
        queue(greedy, limit);

        pass(SECOND.multipliedBy(2));

        assertThat(modest.answers()).isEqualTo(500);
        assertThat(modest.answers() + greedy.answers()).isBetween(20_000 - 64, 20_000 + 100 + 64);
    }

    @Test
    void aLimitOfBytesCountsPayloads() {
        var limit = new RateLimit("limit", 0, 10 << 20, Duration.ofMillis(100));
        var guest = new SimulatedGuest(16, 64 << 10, MANY);
        queue(guest, limit);

        pass(SECOND.multipliedBy(2));

        // 20 MiB, and a burst of 1 MiB, in pieces of 64 KiB.
        assertThat(guest.answers()).isBetween(320 - 16, 320 + 16 + 16);
    }

    @Test
    void aRequestLargerThanTheBurstIsServedLateAndNotNever() {
        var limit = new RateLimit("limit", 0, 1 << 20, Duration.ofMillis(1));
        var guest = new SimulatedGuest(1, 512 << 10, 4);
        queue(guest, limit);

        pass(SECOND.multipliedBy(3));

        assertThat(guest.answers()).isEqualTo(4);
        assertThat(guest.asked().getLast().answeredAt()
                        - guest.asked().getFirst().answeredAt())
                .as("nanoseconds that 1.5 MiB took")
                .isBetween(1_490_000_000L, 1_510_000_000L);
    }

    @Test
    void aLimitThatIsRaisedIsFeltAtOnceByThoseWhoWait() {
        var limit = new RateLimit("limit", 2, 0, Duration.ofMillis(1));
        var guest = new SimulatedGuest(32, 512, MANY);
        queue(guest, limit);
        pass(SECOND.multipliedBy(3));
        assertThat(guest.answers()).isBetween(6, 8);

        limit.limit(10_000, 0, Duration.ofMillis(10));
        pass(SECOND);

        // All but the 50 ms after which those who wait look again.
        assertThat(guest.answers()).isBetween(9_400, 10_200);
    }

    @Test
    void aLimitThatIsLoweredHolds() {
        var limit = new RateLimit("limit", 10_000, 0, Duration.ofMillis(10));
        var guest = new SimulatedGuest(32, 512, MANY);
        queue(guest, limit);
        pass(SECOND);
        var before = guest.answers();

        limit.limit(100, 0, Duration.ofMillis(10));
        pass(SECOND.multipliedBy(2));

        assertThat(guest.answers() - before).isBetween(199, 203);
    }

    @Test
    void aLimitThatIsLiftedIsNone() {
        var limit = new RateLimit("limit", 2, 0, Duration.ofMillis(1));
        var guest = new SimulatedGuest(32, 512, 20_000);
        queue(guest, limit);
        pass(Duration.ofMillis(100));

        limit.limit(0, 0, Duration.ofMillis(1));
        pass(SECOND.multipliedBy(10));

        assertThat(guest.answers()).isEqualTo(20_000);
    }

    @Test
    void requestsThatWaitForALimitAreIssuedAgainWhenItGoes() {
        var limit = new RateLimit("limit", 1, 0, Duration.ofMillis(1));
        var guest = new SimulatedGuest(32, 512, 100);
        var queue = queue(guest, limit);
        pass(Duration.ofMillis(10));
        assertThat(guest.answers()).isOne();

        queue.change(new Route(List.of(), attachment), null);
        pass(Duration.ofMillis(100));

        assertThat(guest.answers()).isEqualTo(100);
        assertThat(guest.asked()).allMatch(request -> request.error() == Errno.OK);
    }

    // --- faults

    @Test
    void faultsHitTheRequestsThatTheSeedSaysAndNoOthers() {
        var plan = FaultPlan.none(42).withDelay(0.1, Duration.ofMillis(5)).withError(0.05, Errno.ENOSPC);
        var guest = new SimulatedGuest(1, 512, 3_000);
        queue(guest, new FaultInjector("faults", plan));

        pass(SECOND.multipliedBy(10));

        assertThat(guest.answers()).isEqualTo(3_000);
        var decisions = plan.decisions();
        var hits = 0;
        for (var request : guest.asked()) {
            var fate = decisions.next();
            hits += fate == Fate.PASS ? 0 : 1;
            assertThat(request.error())
                    .as("request %d, %s", request.number(), fate)
                    .isEqualTo(fate == Fate.ERROR ? Errno.ENOSPC : Errno.OK);
            var least = fate == Fate.DELAY ? 5_000_000 : 0;
            assertThat(request.nanos())
                    .as("nanoseconds of request %d, %s", request.number(), fate)
                    .isBetween((long) least, least + AT_ONCE_NANOS);
        }
        assertThat(hits).as("faults among 3,000").isBetween(350, 520);
    }

    @Test
    void aRequestThatIsAnsweredWithAnErrorDoesNotReachTheVolume() {
        var guest = new SimulatedGuest(BlockOp.WRITE, 4, 512, 100);
        queue(guest, new FaultInjector("faults", FaultPlan.none(1).withError(1, Errno.EIO)));

        pass(SECOND);

        assertThat(guest.answers()).isEqualTo(100);
        assertThat(guest.asked()).allMatch(request -> request.error() == Errno.EIO);
        assertThat(medium.allocatedBytes()).isZero();
    }

    @Test
    void everyQueueOfAVifBeginsThePlanItself() {
        var plan = FaultPlan.none(42).withError(0.5, Errno.EPERM);
        var faults = new FaultInjector("faults", plan);
        var one = new SimulatedGuest(1, 512, 500);
        var other = new SimulatedGuest(1, 512, 500);
        queue(one, faults);
        queue(other, faults);

        pass(SECOND);

        assertThat(one.asked()).extracting(SimulatedGuest.Asked::error).contains(Errno.OK, Errno.EPERM);
        assertThat(other.asked())
                .extracting(SimulatedGuest.Asked::error)
                .isEqualTo(one.asked().stream().map(SimulatedGuest.Asked::error).toList());
    }

    @Test
    void aRequestThatHangsIsUnansweredUntilTheChainIsReplaced() {
        var plan = FaultPlan.none(3).withHang(0.1);
        var guest = new SimulatedGuest(64, 512, 64);
        var queue = queue(guest, new FaultInjector("faults", plan));

        pass(SECOND.multipliedBy(60));

        var decisions = plan.decisions();
        for (var request : guest.asked()) {
            assertThat(request.error() == null)
                    .as("request %d hangs", request.number())
                    .isEqualTo(decisions.next() == Fate.HANG);
        }
        assertThat(guest.answers()).isBetween(50, 63);

        queue.change(new Route(List.of(), attachment), null);
        pass(SECOND);

        assertThat(guest.answers()).isEqualTo(64);
        assertThat(guest.asked()).allMatch(request -> request.error() == Errno.OK);
    }

    @Test
    void aPlanThatIsExchangedIsFollowedFromItsBeginning() {
        var faults = new FaultInjector("faults", FaultPlan.none(1));
        var guest = new SimulatedGuest(1, 512, 500);
        queue(guest, faults);
        pass(SECOND);
        assertThat(guest.asked()).hasSize(500).allMatch(request -> request.error() == Errno.OK);

        var plan = FaultPlan.none(9).withError(0.3, Errno.EIO);
        faults.plan(plan);
        guest.ask(500);
        pass(SECOND);

        assertThat(guest.answers()).isEqualTo(1_000);
        var decisions = plan.decisions();
        assertThat(guest.asked().subList(500, 1_000))
                .allMatch(request -> (request.error() == Errno.EIO) == (decisions.next() == Fate.ERROR));
    }

    @Test
    void aShorterDelayIsNotHeldUpByALongerOneBeforeIt() {
        var faults = new FaultInjector("faults", FaultPlan.none(1).withDelay(1, SECOND.multipliedBy(10)));
        var guest = new SimulatedGuest(10, 512, 1);
        queue(guest, faults);
        pass(Duration.ofMillis(1));
        assertThat(guest.asked()).hasSize(1);

        faults.plan(FaultPlan.none(1).withDelay(1, Duration.ofMillis(1)));
        guest.ask(1);
        pass(Duration.ofMillis(100));

        assertThat(guest.answers()).isOne();
        assertThat(guest.asked().getLast().error()).isEqualTo(Errno.OK);
        pass(SECOND.multipliedBy(10));
        assertThat(guest.answers()).isEqualTo(2);
    }
}
