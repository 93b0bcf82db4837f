package io.sidecore.actors.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.sidecore.actors.core.CreditScheduler.Entity;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.PriorityQueue;
import java.util.SplittableRandom;
import java.util.function.LongSupplier;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Under virtual time: cores that run events as the scheduler says, and a seed that says how long each takes. */
class CreditSchedulerTest {
    private static final long MICRO = 1_000;
    private static final long MILLI = 1_000_000;
    private static final long SECOND = 1_000_000_000;
    private static final double UNCAPPED = CreditScheduler.UNCAPPED;

    /** Guest cores that run whatever is picked; entities are always runnable unless told otherwise. */
    private static final class Machine {
        final CreditScheduler scheduler = new CreditScheduler();
        final SplittableRandom random;
        final LongSupplier cost;
        final Entity[] on;
        final long[] ends;
        final long[] began;
        final PriorityQueue<Planned> plan = new PriorityQueue<>();
        final List<Slice> history = new ArrayList<>();
        boolean recording;
        long now;
        private long planned;

        record Planned(long at, long order, Runnable action) implements Comparable<Planned> {
            @Override
            public int compareTo(Planned other) {
                return at != other.at ? Long.compare(at, other.at) : Long.compare(order, other.order);
            }
        }

        record Slice(Entity entity, long began, long ended) {}

        /** Events of 5 µs to 1 ms. The clock's origin is anywhere, also where it overflows. */
        Machine(int cores, long seed) {
            this(cores, seed, 5 * MICRO, MILLI);
        }

        Machine(int cores, long seed, long shortest, long longest) {
            on = new Entity[cores];
            ends = new long[cores];
            began = new long[cores];
            random = new SplittableRandom(seed);
            cost = () -> random.nextLong(shortest, longest + 1);
        }

        /** What the scheduler is told. */
        long clock() {
            return now + Long.MAX_VALUE - 3 * SECOND;
        }

        Entity add(int weight, double cap) {
            var entity = new Entity(weight, cap);
            scheduler.add(entity, clock());
            return entity;
        }

        Entity busy(int weight, double cap) {
            var entity = add(weight, cap);
            scheduler.wake(entity, clock());
            return entity;
        }

        void at(long time, Runnable action) {
            plan.add(new Planned(time, planned++, action));
        }

        void run(long nanos) {
            var until = now + nanos;
            fill();
            while (true) {
                var next = plan.isEmpty() ? Long.MAX_VALUE : plan.peek().at;
                var core = -1;
                for (var i = 0; i < on.length; i++) {
                    if (on[i] != null && ends[i] < next) {
                        next = ends[i];
                        core = i;
                    }
                }
                var idle = Arrays.stream(on).anyMatch(e -> e == null);
                if (idle && scheduler.throttled() > 0 && scheduler.lookAgainAt() - clock() + now < next) {
                    next = scheduler.lookAgainAt() - clock() + now;
                    core = -1;
                    assertThat(next).isGreaterThan(now);
                } else if (core < 0 && next <= until) {
                    now = next;
                    plan.remove().action.run();
                    fill();
                    continue;
                }
                if (next > until) {
                    now = until;
                    return;
                }
                now = next;
                if (core >= 0) {
                    end(core);
                }
                fill();
            }
        }

        private void end(int core) {
            var entity = on[core];
            on[core] = null;
            if (recording) {
                history.add(new Slice(entity, began[core], now));
            }
            scheduler.ran(entity, now - began[core], clock());
        }

        private void fill() {
            for (var i = 0; i < on.length; i++) {
                if (on[i] == null) {
                    on[i] = scheduler.pick(i, clock());
                    if (on[i] == null) {
                        return;
                    }
                    for (var j = 0; j < on.length; j++) {
                        assertThat(j != i && on[j] == on[i]).isFalse();
                    }
                    began[i] = now;
                    ends[i] = now + cost.getAsLong();
                }
            }
        }
    }

    private static double share(Entity entity, long nanos) {
        return entity.grantedNanos() / (double) nanos;
    }

    // --- weights

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3})
    void timeFollowsWeights(long seed) {
        var machine = new Machine(1, seed);
        var one = machine.busy(100, UNCAPPED);
        var two = machine.busy(200, UNCAPPED);
        var four = machine.busy(400, UNCAPPED);

        machine.run(2 * SECOND);

        assertThat(share(one, 2 * SECOND)).isCloseTo(1 / 7.0, Percentage.withPercentage(2));
        assertThat(share(two, 2 * SECOND)).isCloseTo(2 / 7.0, Percentage.withPercentage(2));
        assertThat(share(four, 2 * SECOND)).isCloseTo(4 / 7.0, Percentage.withPercentage(2));
    }

    @Test
    void weightsHoldHoweverDifferentlyLongTheEventsAre() {
        var machine = new Machine(1, 1);
        var shortEvents = machine.add(100, UNCAPPED);
        var longEvents = machine.add(100, UNCAPPED);
        var scheduler = machine.scheduler;
        scheduler.wake(shortEvents, 0);
        scheduler.wake(longEvents, 0);

        for (long now = 0; now < SECOND; ) {
            var next = scheduler.pick(0, now);
            var nanos = next == shortEvents ? 3 * MICRO : 5 * MILLI;
            now += nanos;
            scheduler.ran(next, nanos, now);
        }

        assertThat(shortEvents.grantedNanos()).isCloseTo(longEvents.grantedNanos(), within(5 * MILLI));
    }

    @Test
    void theSmallestAndTheLargestWeightShareAsTheySay() {
        var machine = new Machine(1, 4, MICRO, 20 * MICRO);
        var small = machine.busy(CreditScheduler.MIN_WEIGHT, UNCAPPED);
        var large = machine.busy(CreditScheduler.MAX_WEIGHT, UNCAPPED);

        machine.run(40 * SECOND);

        assertThat(large.grantedNanos() / (double) small.grantedNanos())
                .isCloseTo(10_000, Percentage.withPercentage(3));
    }

    @Test
    void whatOneCannotUseOnItsCoreGoesToTheOthersByTheirWeights() {
        var machine = new Machine(2, 5);
        var large = machine.busy(1000, UNCAPPED);
        var one = machine.busy(10, UNCAPPED);
        var two = machine.busy(20, UNCAPPED);

        machine.run(2 * SECOND);

        assertThat(share(large, 2 * SECOND)).isCloseTo(1, within(0.01));
        assertThat(share(one, 2 * SECOND)).isCloseTo(1 / 3.0, within(0.02));
        assertThat(share(two, 2 * SECOND)).isCloseTo(2 / 3.0, within(0.02));
    }

    /** Shares by water-filling, which knows nothing of queues: what is left is shared by weight until each has what it can take. */
    private static double[] fairShares(int cores, int[] weights, double[] caps) {
        var shares = new double[weights.length];
        var full = new boolean[weights.length];
        while (true) {
            var left = (double) cores;
            var sum = 0.0;
            for (var i = 0; i < weights.length; i++) {
                if (full[i]) {
                    left -= caps[i];
                } else {
                    sum += weights[i];
                }
            }
            var again = false;
            for (var i = 0; i < weights.length; i++) {
                if (!full[i] && left * weights[i] / sum >= caps[i]) {
                    full[i] = true;
                    again = true;
                }
                shares[i] = full[i] ? caps[i] : left * weights[i] / sum;
            }
            if (!again) {
                return shares;
            }
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26})
    void sharesAreThoseOfWaterFillingForAnyWeightsCapsAndCores(long seed) {
        var machine = new Machine(1 + (int) (seed % 8), seed, 5 * MICRO, 200 * MICRO);
        var n = machine.random.nextInt(2, 40);
        var weights = new int[n];
        var caps = new double[n];
        var entities = new Entity[n];
        for (var i = 0; i < n; i++) {
            weights[i] = machine.random.nextInt(50, 800);
            caps[i] = machine.random.nextInt(3) == 0 ? machine.random.nextDouble(0.02, 1) : UNCAPPED;
            entities[i] = machine.busy(weights[i], caps[i]);
        }

        machine.run(4 * SECOND);

        var fair = fairShares(machine.on.length, weights, caps);
        for (var i = 0; i < n; i++) {
            assertThat(share(entities[i], 4 * SECOND))
                    .as("entity %d of %d: weight %d, cap %f", i, n, weights[i], caps[i])
                    .isCloseTo(fair[i], within(0.03 * fair[i] + 0.002));
        }
    }

    @Test
    void tensOfThousandsShareAsAFewDo() {
        var machine = new Machine(4, 6);
        var entities = new ArrayList<Entity>();
        for (var i = 0; i < 21_000; i++) {
            entities.add(machine.busy(100 << i % 3, UNCAPPED));
        }

        machine.run(10 * SECOND);
        var before = entities.stream().mapToLong(Entity::grantedNanos).toArray();
        machine.run(60 * SECOND);

        var total = 4.0 * 60 * SECOND;
        for (var c = 0; c < 3; c++) {
            var fair = total * (1 << c) / 7 / 7_000;
            var sum = 0.0;
            for (var i = c; i < entities.size(); i += 3) {
                var ran = entities.get(i).grantedNanos() - before[i];
                assertThat((double) ran).isCloseTo(fair, within(1.5 * MILLI));
                sum += ran;
            }
            assertThat(sum / 7_000).isCloseTo(fair, Percentage.withPercentage(2));
        }
    }

    @Test
    void aWeightChangedLiveIsFollowedFromThenOn() {
        var machine = new Machine(1, 7);
        var a = machine.busy(100, UNCAPPED);
        var b = machine.busy(100, UNCAPPED);
        machine.run(SECOND);
        var before = a.grantedNanos();

        machine.scheduler.weight(a, 300);
        machine.run(SECOND);

        assertThat(before / (double) SECOND).isCloseTo(0.5, within(0.01));
        assertThat((a.grantedNanos() - before) / (double) SECOND).isCloseTo(0.75, within(0.01));
        assertThat(a.weight()).isEqualTo(300);
        assertThat(b.weight()).isEqualTo(100);
    }

    @Test
    void changingAWeightToAndFroGainsNothing() {
        var machine = new Machine(1, 8);
        var a = machine.busy(100, UNCAPPED);
        machine.busy(100, UNCAPPED);
        for (var i = 0; i < 1_000; i++) {
            machine.at(i * MILLI, () -> machine.scheduler.weight(a, 10_000));
            machine.at(i * MILLI, () -> machine.scheduler.weight(a, 100));
        }

        machine.run(SECOND);

        assertThat(share(a, SECOND)).isCloseTo(0.5, within(0.015));
    }

    // --- sleepers

    @Test
    void timeSleptIsNotSavedUp() {
        var machine = new Machine(1, 9);
        var awake = machine.busy(100, UNCAPPED);
        var sleeper = machine.add(100, UNCAPPED);
        machine.run(10 * SECOND);
        var before = awake.grantedNanos();

        machine.scheduler.wake(sleeper, machine.clock());
        machine.run(20 * MILLI);

        assertThat((double) sleeper.grantedNanos()).isCloseTo(10.0 * MILLI, within(2.0 * MILLI));
        assertThat((double) (awake.grantedNanos() - before)).isCloseTo(10.0 * MILLI, within(2.0 * MILLI));
    }

    @Test
    void whoWakesIsNextUnlessItHasOverspent() {
        var machine = new Machine(2, 10);
        for (var i = 0; i < 100; i++) {
            machine.busy(i == 0 ? 10_000 : 100, UNCAPPED);
        }
        var sleeper = machine.add(100, UNCAPPED);
        machine.run(SECOND);

        machine.scheduler.wake(sleeper, machine.clock());
        machine.run(5 * MILLI);

        assertThat(sleeper.grantedNanos()).isPositive();
    }

    @Test
    void noNapPaysOffADebt() {
        var machine = new Machine(1, 11);
        var scheduler = machine.scheduler;
        var honest = machine.busy(100, UNCAPPED);
        // Sleeps after each of its events, and wakes at once.
        var napper = machine.busy(100, UNCAPPED);
        for (long t = 0; t < SECOND; t += 50 * MICRO) {
            machine.at(t, () -> scheduler.idle(napper));
            machine.at(t + MICRO, () -> scheduler.wake(napper, machine.clock()));
        }

        machine.run(SECOND);

        assertThat(share(napper, SECOND)).isCloseTo(0.5, within(0.01));
        assertThat(share(honest, SECOND)).isCloseTo(0.5, within(0.01));
    }

    @Test
    void thousandsThatWakeAtOncePutNobodyOffForLongerThanOneRoundOfThem() {
        var machine = new Machine(1, 12, 50 * MICRO, 50 * MICRO);
        var awake = machine.busy(100, UNCAPPED);
        var sleepers = new ArrayList<Entity>();
        for (var i = 0; i < 5_000; i++) {
            sleepers.add(machine.add(100, UNCAPPED));
        }
        machine.run(20 * SECOND);
        var before = awake.grantedNanos();

        sleepers.forEach(s -> machine.scheduler.wake(s, machine.clock()));
        machine.run(5_003 * 50 * MICRO);

        assertThat(awake.grantedNanos()).isGreaterThan(before);
        assertThat(sleepers).allSatisfy(s -> assertThat(s.grantedNanos()).isBetween(50 * MICRO, 100 * MICRO));
    }

    @Test
    void whoComesLaterIsNotKeptBackByWhatAHugeWeightCouldNotUse() {
        var machine = new Machine(2, 13);
        var huge = machine.busy(10_000, UNCAPPED);
        machine.busy(1, UNCAPPED);
        machine.run(100 * SECOND);

        var late = machine.busy(1, UNCAPPED);
        machine.run(SECOND);
        assertThat(share(late, SECOND)).isCloseTo(0.5, within(0.02));

        // Nor does it make up for it when there is a core less for it.
        var rivals = List.of(machine.busy(10_000, UNCAPPED), machine.busy(10_000, UNCAPPED));
        var before = huge.grantedNanos();
        machine.run(SECOND);
        assertThat(huge.grantedNanos() - before).isLessThan((long) (0.72 * SECOND));
        assertThat(rivals).allSatisfy(r -> assertThat(share(r, SECOND)).isCloseTo(0.65, within(0.03)));
    }

    // --- caps

    /** The most that an entity ran in any window of so many nanoseconds: one that begins with an event, or ends with one. */
    private static long mostInAnyWindow(List<Machine.Slice> history, Entity entity, long window) {
        var slices = history.stream().filter(s -> s.entity == entity).toList();
        var most = 0L;
        for (var edge : slices) {
            for (var from : new long[] {edge.began, edge.ended - window}) {
                most = Math.max(
                        most,
                        slices.stream()
                                .mapToLong(s -> Math.max(0, Math.min(s.ended, from + window) - Math.max(s.began, from)))
                                .sum());
            }
        }
        return most;
    }

    @ParameterizedTest
    @ValueSource(doubles = {0.05, 0.25, 0.5, 0.9})
    void aCapHoldsInAnyWindowAndIsReached(double cap) {
        var machine = new Machine(2, 14, 5 * MICRO, 2 * MILLI);
        machine.recording = true;
        var capped = machine.busy(10_000, cap);
        var napping = machine.busy(10_000, cap);
        for (var i = 0; i < 20; i++) {
            // Rests, to have as much as it can at once afterwards.
            machine.at(i * 100L * MILLI + 40 * MILLI, () -> machine.scheduler.idle(napping));
            machine.at(i * 100L * MILLI + 80 * MILLI, () -> machine.scheduler.wake(napping, machine.clock()));
        }
        machine.busy(1, UNCAPPED);

        machine.run(2 * SECOND);

        for (var entity : List.of(capped, napping)) {
            assertThat((double) mostInAnyWindow(machine.history, entity, 100 * MILLI))
                    .isLessThanOrEqualTo(cap * (100 * MILLI + CreditScheduler.BURST_NANOS) + 2 * MILLI);
        }
        assertThat(share(capped, 2 * SECOND)).isCloseTo(cap, within(0.03 * cap + 0.001));
    }

    @Test
    void aCapHoldsOnAnIdleMachineWhichIsToldWhenToLookAgain() {
        var scheduler = new CreditScheduler();
        var entity = new Entity(100, 0.25);
        scheduler.add(entity, 0);
        scheduler.wake(entity, 0);
        assertThat(scheduler.pick(0, 0)).isSameAs(entity);
        scheduler.ran(entity, MILLI, MILLI);

        assertThat(scheduler.pick(0, MILLI)).isNull();
        assertThat(scheduler.throttled()).isEqualTo(1);
        assertThat(scheduler.lookAgainAt()).isEqualTo(4 * MILLI);
        assertThat(scheduler.pick(0, 4 * MILLI - 1)).isNull();
        assertThat(scheduler.pick(0, 4 * MILLI)).isSameAs(entity);
    }

    /** One that has used a hundred times of what its cap allows. */
    private static Entity indebted(CreditScheduler scheduler) {
        var entity = new Entity(100, 0.01);
        scheduler.add(entity, 0);
        scheduler.wake(entity, 0);
        assertThat(scheduler.pick(0, 0)).isSameAs(entity);
        scheduler.ran(entity, 900 * MILLI, 900 * MILLI);
        assertThat(scheduler.pick(0, 900 * MILLI)).isNull();
        return entity;
    }

    @Test
    void whoIsUrgedRunsOnceWhateverItHasUsedAndPaysForIt() {
        var scheduler = new CreditScheduler();
        var entity = indebted(scheduler);

        scheduler.urge(entity, 901 * MILLI);
        assertThat(scheduler.pick(0, 901 * MILLI)).isSameAs(entity);
        scheduler.ran(entity, MILLI, 902 * MILLI);

        assertThat(scheduler.pick(0, 902 * MILLI)).isNull();
        assertThat(scheduler.lookAgainAt())
                .as("90 s, and 100 ms for what it was urged to")
                .isEqualTo(90_100 * MILLI);
        assertThat(entity.grantedNanos()).isEqualTo(901 * MILLI);
    }

    @Test
    void whoIsUrgedWhileItSleepsOrRunsHasItsNextSliceWithoutAWait() {
        var scheduler = new CreditScheduler();
        var entity = indebted(scheduler);
        scheduler.idle(entity);

        scheduler.urge(entity, SECOND);
        assertThat(scheduler.pick(0, SECOND)).as("it has nothing to run").isNull();
        scheduler.wake(entity, SECOND);
        assertThat(scheduler.pick(0, SECOND)).isSameAs(entity);
        scheduler.urge(entity, SECOND);
        scheduler.ran(entity, MILLI, SECOND + MILLI);

        assertThat(scheduler.pick(0, SECOND + MILLI)).isSameAs(entity);
        scheduler.ran(entity, MILLI, SECOND + 2 * MILLI);
        assertThat(scheduler.pick(0, SECOND + 2 * MILLI)).isNull();
    }

    @Test
    void theClockMayOverflow() {
        var scheduler = new CreditScheduler();
        var early = new Entity(100, 0.5);
        var late = new Entity(100, 0.1);
        var now = Long.MAX_VALUE - 5 * MILLI;
        for (var entity : List.of(early, late)) {
            scheduler.add(entity, now);
            scheduler.wake(entity, now);
            scheduler.pick(0, now);
        }
        scheduler.ran(late, MILLI, now);
        scheduler.ran(early, MILLI, now);

        assertThat(scheduler.pick(0, now)).isNull();
        assertThat(scheduler.pick(0, now + 2 * MILLI)).isSameAs(early);
        assertThat(scheduler.lookAgainAt()).isEqualTo(now + 10 * MILLI).isNegative();
        assertThat(scheduler.pick(0, now + 10 * MILLI)).isSameAs(late);
    }

    @Test
    void aCapChangedLiveHoldsFromThenOn() {
        var machine = new Machine(1, 15, 5 * MICRO, 100 * MICRO);
        var entity = machine.busy(100, UNCAPPED);
        machine.run(100 * MILLI);
        assertThat(share(entity, 100 * MILLI)).isCloseTo(1, within(0.01));

        var before = entity.grantedNanos();
        machine.scheduler.cap(entity, 0.1, machine.clock());
        machine.run(SECOND);
        assertThat((entity.grantedNanos() - before) / (double) SECOND).isCloseTo(0.1, within(0.005));

        before = entity.grantedNanos();
        machine.scheduler.cap(entity, UNCAPPED, machine.clock());
        machine.run(SECOND);
        assertThat((entity.grantedNanos() - before) / (double) SECOND).isCloseTo(1, within(0.005));
    }

    @Test
    void sleepingDoesNotPayOffWhatWasOverspent() {
        var scheduler = new CreditScheduler();
        var entity = new Entity(100, 0.01);
        scheduler.add(entity, 0);
        scheduler.wake(entity, 0);
        scheduler.pick(0, 0);
        scheduler.ran(entity, MILLI, MILLI);
        scheduler.idle(entity);
        assertThat(scheduler.throttled()).isZero();

        scheduler.wake(entity, 2 * MILLI);

        assertThat(scheduler.pick(0, 2 * MILLI)).isNull();
        assertThat(scheduler.lookAgainAt()).isEqualTo(100 * MILLI);
    }

    // --- cores

    @Test
    void workMovesToWhicheverCoreIsFree() {
        var scheduler = new CreditScheduler();
        var a = new Entity(100, UNCAPPED);
        var b = new Entity(100, UNCAPPED);
        for (var entity : List.of(a, b)) {
            scheduler.add(entity, 0);
            scheduler.wake(entity, 0);
        }
        assertThat(scheduler.pick(0, 0)).isSameAs(a);
        scheduler.ran(a, MILLI, MILLI);
        assertThat(scheduler.pick(0, MILLI)).isSameAs(b);

        assertThat(scheduler.pick(7, MILLI)).isSameAs(a);
        assertThat(a.core()).isEqualTo(7);
        assertThat(a.migrations()).isEqualTo(1);
        assertThat(b.migrations()).isZero();
    }

    @Test
    void whatRunsIsNotPickedAgainHoweverOftenItIsWoken() {
        var scheduler = new CreditScheduler();
        var entity = new Entity(100, UNCAPPED);
        scheduler.add(entity, 0);
        scheduler.wake(entity, 0);
        assertThat(scheduler.pick(0, 0)).isSameAs(entity);

        scheduler.wake(entity, 1);
        assertThat(scheduler.pick(1, 1)).isNull();

        scheduler.idle(entity);
        scheduler.wake(entity, 2);
        scheduler.ran(entity, 3, 3);
        assertThat(scheduler.pick(1, 3)).isSameAs(entity);
    }

    // --- membership

    @Test
    void whatWasRemovedWhileItRanIsPaidForAndNotPickedAgain() {
        var scheduler = new CreditScheduler();
        var entity = new Entity(100, UNCAPPED);
        scheduler.add(entity, 0);
        scheduler.wake(entity, 0);
        scheduler.pick(0, 0);

        scheduler.remove(entity);
        assertThatThrownBy(() -> scheduler.add(entity, 5)).isInstanceOf(IllegalStateException.class);
        scheduler.ran(entity, 10, 10);

        assertThat(scheduler.pick(0, 10)).isNull();
        assertThat(scheduler.size()).isZero();
        assertThat(entity.grantedNanos()).isEqualTo(10);
        assertThatThrownBy(() -> scheduler.wake(entity, 10)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> scheduler.ran(entity, 10, 10)).isInstanceOf(IllegalStateException.class);
        scheduler.add(entity, 20);
        assertThat(scheduler.size()).isEqualTo(1);
    }

    @Test
    void weightsAndCapsOutOfTheirLimitsAreRefused() {
        for (var weight : new int[] {0, -1, 10_001}) {
            assertThatThrownBy(() -> new Entity(weight, UNCAPPED))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessage("weight " + weight + " is not between 1 and 10000");
        }
        for (var cap : new double[] {0, -0.5, 1.01, Double.NaN}) {
            assertThatThrownBy(() -> new Entity(100, cap)).isInstanceOf(IllegalArgumentException.class);
        }
    }

    /** What a guest is to the churn: known from what was done, not from the scheduler. */
    private static final class Known {
        final Entity entity;
        double cap;
        boolean runnable;
        boolean runs;
        boolean member = true;
        /** Token bucket, in nanoseconds of core time, as of a time. */
        double tokens;

        long asOf;

        Known(Entity entity, double cap, long now) {
            this.entity = entity;
            this.cap = cap;
            this.asOf = now;
        }

        double tokens(long now) {
            return tokens + (now - asOf) * cap;
        }

        void settle(long now) {
            tokens = tokens(now);
            asOf = now;
        }
    }

    /**
     * Joins, leaves, wakes, sleeps and changes at random, on some cores; checked against what is known from outside: only what may run is picked, one core each, no core is idle while something may run, the time to look again is right, and the sums agree.
     */
    @ParameterizedTest
    @ValueSource(longs = {31, 32, 33, 34, 35, 36})
    void inAnyChurnOnlyWhatMayRunRunsAndNothingThatMayIsLeftLying(long seed) {
        var random = new SplittableRandom(seed);
        var scheduler = new CreditScheduler();
        var cores = new Known[random.nextInt(1, 6)];
        var began = new long[cores.length];
        var all = new ArrayList<Known>();
        var now = -random.nextLong(1000);
        var told = 0L;
        var granted = 0L;
        var picks = 0;
        var most = random.nextInt(2, 60);
        for (var step = 0; step < 60_000; step++) {
            now += random.nextLong(60 * MICRO);
            var time = now;
            var known = all.isEmpty() ? null : all.get(random.nextInt(all.size()));
            switch (random.nextInt(10)) {
                case 0 -> {
                    if (all.size() < most) {
                        var cap = random.nextInt(most) == 0 ? UNCAPPED : random.nextDouble(0.001, 0.3);
                        var entity = new Entity(random.nextInt(1, 10_001), cap);
                        scheduler.add(entity, now);
                        all.add(new Known(entity, cap, now));
                    }
                }
                case 1 -> {
                    if (known != null && random.nextInt(4) == 0) {
                        scheduler.remove(known.entity);
                        known.member = false;
                        known.runnable = false;
                        all.remove(known);
                    }
                }
                case 2, 3 -> {
                    if (known != null) {
                        scheduler.wake(known.entity, now);
                        known.runnable = true;
                    }
                }
                case 4 -> {
                    if (known != null) {
                        scheduler.idle(known.entity);
                        known.runnable = false;
                    }
                }
                case 5 -> {
                    if (known != null) {
                        scheduler.weight(known.entity, random.nextInt(1, 10_001));
                    }
                }
                case 6 -> {
                    if (known != null && !known.runs && random.nextInt(4) == 0) {
                        var cap = random.nextInt(most) == 0 ? UNCAPPED : random.nextDouble(0.001, 0.3);
                        scheduler.cap(known.entity, cap, now);
                        known.settle(now);
                        // What is left over is the scheduler's affair; what was overspent is not forgiven.
                        known.tokens = Math.min(known.tokens, 0);
                        known.cap = cap;
                    }
                }
                default -> {
                    var core = random.nextInt(cores.length);
                    var runs = cores[core];
                    if (runs != null) {
                        var nanos = now - began[core];
                        scheduler.ran(runs.entity, nanos, now);
                        runs.runs = false;
                        runs.tokens -= nanos;
                        cores[core] = null;
                        granted += nanos;
                    }
                    var picked = scheduler.pick(core, now);
                    if (picked != null) {
                        picks++;
                        var found = all.stream()
                                .filter(k -> k.entity == picked)
                                .findFirst()
                                .orElseThrow();
                        assertThat(found.runnable && !found.runs && found.member)
                                .isTrue();
                        if (found.cap < UNCAPPED) {
                            assertThat(found.tokens(now)).isGreaterThan(-100);
                        }
                        found.settle(now);
                        found.tokens = Math.min(found.tokens, found.cap * CreditScheduler.BURST_NANOS);
                        found.runs = true;
                        cores[core] = found;
                        began[core] = now;
                    } else {
                        var waiting =
                                all.stream().filter(k -> k.runnable && !k.runs).toList();
                        assertThat(waiting).allSatisfy(k -> {
                            assertThat(k.cap).isLessThan(UNCAPPED);
                            assertThat(k.tokens(time)).isLessThan(100);
                        });
                        assertThat(scheduler.throttled()).isEqualTo(waiting.size());
                        if (!waiting.isEmpty()) {
                            told++;
                            var first = waiting.stream()
                                    .mapToDouble(k -> -k.tokens(time) / k.cap)
                                    .min()
                                    .orElseThrow();
                            assertThat((double) (scheduler.lookAgainAt() - now)).isCloseTo(first, within(10_000.0));
                        }
                    }
                }
            }
            assertThat(scheduler.size()).isEqualTo(all.size());
        }
        assertThat(picks).isGreaterThan(1_000);
        assertThat(told).isPositive();
        assertThat(granted).isPositive();
    }

    // --- cost

    @Test
    void decisionsAllocateNothing() {
        var threads = (com.sun.management.ThreadMXBean) java.lang.management.ManagementFactory.getThreadMXBean();
        var scheduler = new CreditScheduler();
        var entities = new Entity[10_000];
        for (var i = 0; i < entities.length; i++) {
            entities[i] = new Entity(1 + i, i % 3 == 0 ? 0.5 : UNCAPPED);
            scheduler.add(entities[i], 0);
        }
        decide(scheduler, entities, 0);
        var self = Thread.currentThread().threadId();

        var before = threads.getThreadAllocatedBytes(self);
        decide(scheduler, entities, SECOND);
        var allocated = threads.getThreadAllocatedBytes(self) - before;

        assertThat(allocated).isLessThan(10_000);
    }

    private static void decide(CreditScheduler scheduler, Entity[] entities, long from) {
        var now = from;
        for (var entity : entities) {
            scheduler.wake(entity, now);
        }
        for (var i = 0; i < 50_000; i++) {
            var next = scheduler.pick(i & 3, now);
            now += 10 * MICRO;
            if (next != null) {
                scheduler.ran(next, 10 * MICRO, now);
            }
        }
        for (var entity : entities) {
            scheduler.idle(entity);
        }
    }
}
