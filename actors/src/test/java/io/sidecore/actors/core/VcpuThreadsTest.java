package io.sidecore.actors.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.sidecore.actors.core.VcpuThreads.Faults;
import io.sidecore.actors.core.VcpuThreads.Terms;
import io.sidecore.actors.core.VcpuThreads.Vcpu;
import io.sidecore.actors.core.VcpuThreads.Work;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** On threads. What waits here waits for an event, with a bound that only a failure reaches. */
@Timeout(60)
class VcpuThreadsTest {
    private static final Duration LONG = Duration.ofMinutes(10);
    private static final long BOUND_NANOS = 50_000_000_000L;
    private static final Duration SHORT = Duration.ofMillis(5);
    private static final Terms ORDINARY = new Terms(100, CreditScheduler.UNCAPPED, LONG);
    private static final Terms HASTY = new Terms(100, CreditScheduler.UNCAPPED, SHORT);

    private final AtomicBoolean released = new AtomicBoolean();
    private final Told told = new Told();
    private VcpuThreads threads = new VcpuThreads("none", SHORT, List.of());

    /** All that is told of faults. */
    private static final class Told implements Faults {
        final AtomicInteger overran = new AtomicInteger();
        final AtomicInteger stuck = new AtomicInteger();
        final LinkedBlockingQueue<Throwable> thrown = new LinkedBlockingQueue<>();

        @Override
        public void overran(Duration lasted) {
            overran.incrementAndGet();
        }

        @Override
        public void stuck(Duration lasted) {
            stuck.incrementAndGet();
        }

        @Override
        public void threw(Throwable t) {
            thrown.add(t);
        }
    }

    /** A core that says who entered and left it. */
    private record Core(String name, List<String> log) implements Supplier<CoreLoop.Placement> {
        @Override
        public CoreLoop.Placement get() {
            return new CoreLoop.Placement() {
                @Override
                public void enter() {
                    log.add(Thread.currentThread().getName() + " enters " + name);
                }

                @Override
                public long waitedNanos() {
                    return 0;
                }

                @Override
                public void leave() {
                    log.add(Thread.currentThread().getName() + " leaves " + name);
                }
            };
        }
    }

    private static List<Supplier<CoreLoop.Placement>> cores(int n) {
        return Collections.nCopies(n, CoreLoop.Placement::floating);
    }

    private void begin(int n, Duration grace) {
        threads.close();
        threads = new VcpuThreads("test", grace, cores(n));
    }

    @AfterEach
    void end() {
        released.set(true);
        threads.close();
    }

    private Vcpu add(Terms terms, Work work) {
        return threads.add("guest", terms, work, told);
    }

    private Vcpu woken(Terms terms, Work work) {
        var vcpu = add(terms, work);
        threads.wake(vcpu);
        return vcpu;
    }

    private static void until(BooleanSupplier holds) {
        for (var from = System.nanoTime(); !holds.getAsBoolean(); ) {
            if (System.nanoTime() - from > BOUND_NANOS) {
                throw new AssertionError("waited in vain");
            }
            LockSupport.parkNanos(20_000);
        }
    }

    private static <T> T get(CompletionStage<T> stage) throws Exception {
        return stage.toCompletableFuture().get(50, TimeUnit.SECONDS);
    }

    /** Runs an event of another vCPU, from its waking to its end. */
    private Thread ranBySomebody() throws Exception {
        var done = new CompletableFuture<Thread>();
        var vcpu = woken(ORDINARY, () -> {
            done.complete(Thread.currentThread());
            return false;
        });
        var thread = get(done);
        get(threads.remove(vcpu));
        return thread;
    }

    private void spin(long nanos) {
        for (var from = System.nanoTime(); System.nanoTime() - from < nanos; ) {
            Thread.onSpinWait();
        }
    }

    // --- waking

    @ParameterizedTest
    @ValueSource(ints = {1, 3})
    void noWakeUpIsLostAndNoEventRunsTwiceAtATimeUnderAHammerOfWakes(int n) throws Exception {
        begin(n, LONG);
        var vcpus = 6;
        var wakers = 3;
        var each = 20_000;
        var all = new CountDownLatch(vcpus * wakers * each);
        var twice = new AtomicInteger();
        var guests = new ArrayList<Vcpu>();
        var todo = new AtomicInteger[vcpus];
        for (var i = 0; i < vcpus; i++) {
            var left = new AtomicInteger();
            var inside = new AtomicBoolean();
            todo[i] = left;
            guests.add(add(new Terms(1 + 100 * i, CreditScheduler.UNCAPPED, LONG), () -> {
                if (inside.getAndSet(true)) {
                    twice.incrementAndGet();
                }
                if (left.get() > 0) {
                    left.decrementAndGet();
                    all.countDown();
                }
                inside.set(false);
                return left.get() > 0;
            }));
        }
        for (var w = 0; w < wakers; w++) {
            Thread.ofPlatform().daemon().start(() -> {
                for (var i = 0; i < each * vcpus; i++) {
                    todo[i % vcpus].incrementAndGet();
                    threads.wake(guests.get(i % vcpus));
                }
            });
        }

        assertThat(all.await(50, TimeUnit.SECONDS)).isTrue();
        assertThat(twice.get()).isZero();
    }

    /** Written without a fence of its own. If two wake the same one, a wake may find it woken already and just about to run; if one does, its thread just about to park. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void whatWasWrittenBeforeAWakeIsSeenByTheEventAfterIt(int n) throws Exception {
        begin(n, LONG);
        var written = new AtomicLong[] {new AtomicLong(), new AtomicLong()};
        var seen = new AtomicLong[] {new AtomicLong(), new AtomicLong()};
        var vcpu = add(ORDINARY, () -> {
            seen[0].set(written[0].getPlain());
            seen[1].set(written[1].getPlain());
            return false;
        });
        var rounds = 20_000;
        var wakers = new ArrayList<Thread>();
        for (var w = 0; w < n; w++) {
            var mine = w;
            wakers.add(Thread.ofPlatform().daemon().start(() -> {
                for (long i = 1; i <= rounds; i++) {
                    spin(n == 1 ? i % 3_000 : 0);
                    written[mine].setPlain(i);
                    threads.wake(vcpu);
                    // In step, so that no later wake of the other makes up for one that was lost.
                    for (var looks = 0; (seen[0].get() < i || seen[n - 1].get() < i) && !released.get(); looks++) {
                        if (looks < 1_000) {
                            Thread.onSpinWait();
                        } else {
                            LockSupport.parkNanos(1_000);
                        }
                    }
                }
            }));
        }
        for (var waker : wakers) {
            assertThat(waker.join(Duration.ofSeconds(25)))
                    .as("in rounds %s and %s of %d", seen[0], seen[1], rounds)
                    .isTrue();
        }
    }

    @Test
    void anEventThatWakesItsOwnVcpuIsFollowedByAnother() throws Exception {
        begin(1, LONG);
        var events = new CountDownLatch(1_000);
        var self = new CompletableFuture<Vcpu>();
        self.complete(woken(ORDINARY, () -> {
            events.countDown();
            if (events.getCount() > 0) {
                threads.wake(self.join());
            }
            return false;
        }));

        assertThat(events.await(50, TimeUnit.SECONDS)).isTrue();
        assertThat(self.join().grantedNanos()).isPositive();
    }

    @Test
    void twoRunAtATimeOnTwoThreads() throws Exception {
        begin(2, LONG);
        var met = new CountDownLatch(200);
        var barrier = new CyclicBarrier(2);
        for (var i = 0; i < 2; i++) {
            woken(ORDINARY, () -> meet(barrier, met));
        }

        assertThat(met.await(50, TimeUnit.SECONDS)).isTrue();
    }

    private static boolean meet(CyclicBarrier barrier, CountDownLatch met) {
        try {
            barrier.await(50, TimeUnit.SECONDS);
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
        met.countDown();
        return met.getCount() > 1;
    }

    // --- shares

    /** By start-time fair queueing's bound, which holds however the machine stretches an event: two differ by one event of each. */
    @Test
    void threadsFollowTheWeights() throws Exception {
        begin(1, LONG);
        var weights = new int[] {100, 200, 400};
        var guests = new CompletableFuture<List<Vcpu>>();
        var done = new CompletableFuture<long[]>();
        var events = new AtomicInteger();
        var paid = new long[weights.length];
        var longest = new long[weights.length];
        var all = new ArrayList<Vcpu>();
        for (var weight : weights) {
            all.add(woken(new Terms(weight, CreditScheduler.UNCAPPED, LONG), () -> {
                // The first event holds the thread until all are there.
                var present = guests.join();
                for (var i = 0; i < paid.length; i++) {
                    var granted = present.get(i).grantedNanos();
                    longest[i] = Math.max(longest[i], granted - paid[i]);
                    paid[i] = granted;
                }
                spin(50_000);
                if (events.incrementAndGet() == 6_000) {
                    done.complete(paid.clone());
                }
                return !done.isDone();
            }));
        }
        guests.complete(all);

        var granted = get(done);
        for (var i = 0; i < weights.length; i++) {
            for (var j = 0; j < i; j++) {
                assertThat(granted[i] / (double) weights[i])
                        .isCloseTo(
                                granted[j] / (double) weights[j],
                                within(longest[i] / (double) weights[i] + longest[j] / (double) weights[j] + 10));
            }
        }
        assertThat(granted[0]).isGreaterThan(6_000 / 8 * 50_000);
    }

    @Test
    void aCapHoldsAndWhoIsCappedRunsAgainByItself() throws Exception {
        begin(2, LONG);
        var events = new CountDownLatch(300);
        var began = System.nanoTime();
        var vcpu = woken(new Terms(100, 0.25, LONG), () -> {
            spin(500_000);
            events.countDown();
            return events.getCount() > 0;
        });

        assertThat(events.await(50, TimeUnit.SECONDS)).isTrue();

        // Without a cap it would be 150 ms of 150 ms; one event may last much longer on a busy machine.
        var lasted = System.nanoTime() - began;
        assertThat((double) vcpu.grantedNanos()).isLessThan(0.25 * (lasted + CreditScheduler.BURST_NANOS) + 50_000_000);
    }

    @Test
    void whoWaitsForItsCapIsNotForgottenWhenTheThreadThatKeptTheTimeHasWorkToDo() throws Exception {
        begin(2, LONG);
        var others = new AtomicInteger();
        var events = new CountDownLatch(200);
        woken(new Terms(100, 0.2, LONG), () -> {
            spin(200_000);
            others.incrementAndGet();
            return !released.get();
        });
        // Its event ends only after one of the other has begun, which has to wait for its cap.
        woken(new Terms(100, 0.5, LONG), () -> {
            var before = others.get();
            until(() -> others.get() > before + 1 || released.get());
            events.countDown();
            return true;
        });

        assertThat(events.await(50, TimeUnit.SECONDS)).isTrue();
    }

    @Test
    void whoIsUrgedDoesNotWaitForItsCap() throws Exception {
        begin(1, LONG);
        var events = new AtomicInteger();
        var vcpu = woken(new Terms(100, CreditScheduler.MIN_CAP, LONG), () -> {
            // A thousand times as long it has to wait: beyond the bound of this test.
            spin(100_000_000);
            events.incrementAndGet();
            return true;
        });
        until(() -> events.get() == 1);

        threads.urge(vcpu);

        until(() -> events.get() == 2);
    }

    @Test
    void weightAndCapCanBeChangedLive() throws Exception {
        begin(1, LONG);
        var events = new AtomicInteger();
        var vcpu = woken(new Terms(1, CreditScheduler.MIN_CAP, LONG), () -> {
            spin(100_000);
            return events.incrementAndGet() < 1_000;
        });

        threads.weight(vcpu, 50);
        threads.cap(vcpu, CreditScheduler.UNCAPPED);

        // At a thousandth of a core it would take 100 s.
        until(() -> events.get() == 1_000);
        assertThat(vcpu.weight()).isEqualTo(50);
        assertThatThrownBy(() -> threads.weight(vcpu, 0)).isInstanceOf(IllegalArgumentException.class);
        get(threads.remove(vcpu));
        threads.weight(vcpu, 51);
        assertThat(vcpu.weight()).isEqualTo(50);
    }

    // --- faults

    @Test
    void anEventThatOverrunsIsInterruptedOnceAndOthersGoOn() throws Exception {
        begin(1, LONG);
        var interrupts = new AtomicInteger();
        var over = new CountDownLatch(1);
        woken(HASTY, () -> {
            try {
                new CountDownLatch(1).await();
            } catch (InterruptedException e) {
                interrupts.incrementAndGet();
            }
            // Not interrupted again, however long it goes on.
            spin(10 * SHORT.toNanos());
            if (Thread.currentThread().isInterrupted()) {
                interrupts.incrementAndGet();
            }
            over.countDown();
            return false;
        });

        assertThat(ranBySomebody().getName()).isEqualTo("test-vcpu-0");
        assertThat(over.getCount()).isZero();
        assertThat(interrupts.get()).isEqualTo(1);
        assertThat(told.overran.get()).isEqualTo(1);
        assertThat(told.stuck.get()).isZero();
        assertThat(threads.counters().overruns.get()).isEqualTo(1);
    }

    @Test
    void anEventWithinItsDeadlineIsLeftAlone() throws Exception {
        begin(1, SHORT);
        woken(new Terms(100, CreditScheduler.UNCAPPED, Duration.ofSeconds(30)), () -> {
            spin(10 * SHORT.toNanos());
            return false;
        });

        ranBySomebody();

        assertThat(told.overran.get()).isZero();
    }

    @Test
    void whateverAnEventThrowsIsToldAndItsThreadGoesOn() throws Exception {
        begin(1, LONG);
        var thread = ranBySomebody();

        woken(ORDINARY, () -> recursion(1) > 0);
        assertThat(told.thrown.poll(50, TimeUnit.SECONDS)).isInstanceOf(StackOverflowError.class);
        woken(ORDINARY, () -> {
            throw new OutOfMemoryError("thrown by a test");
        });
        assertThat(told.thrown.poll(50, TimeUnit.SECONDS)).isInstanceOf(OutOfMemoryError.class);
        var again = woken(ORDINARY, () -> {
            throw new IllegalStateException("thrown by a test");
        });
        assertThat(told.thrown.poll(50, TimeUnit.SECONDS)).isInstanceOf(IllegalStateException.class);
        threads.wake(again);
        assertThat(told.thrown.poll(50, TimeUnit.SECONDS)).isInstanceOf(IllegalStateException.class);

        assertThat(ranBySomebody()).isSameAs(thread);
        assertThat(threads.counters().failures.get()).isEqualTo(4);
    }

    private static int recursion(int n) {
        return n == 0 ? 0 : recursion(n + 1) + 1;
    }

    @Test
    void aListenerThatThrowsHarmsNobody() throws Exception {
        begin(1, LONG);
        var thread = ranBySomebody();
        var vcpu = threads.add(
                "guest",
                HASTY,
                () -> {
                    until(() -> Thread.currentThread().isInterrupted());
                    throw new IllegalStateException("thrown by a test");
                },
                new Faults() {
                    @Override
                    public void overran(Duration lasted) {
                        throw new IllegalStateException("thrown by a test");
                    }

                    @Override
                    public void stuck(Duration lasted) {}

                    @Override
                    public void threw(Throwable thrown) {
                        throw new StackOverflowError("thrown by a test");
                    }
                });
        threads.wake(vcpu);

        assertThat(ranBySomebody()).isSameAs(thread);
        threads.wake(vcpu);
        until(() -> threads.counters().overruns.get() == 2);
    }

    @Test
    void theThreadOfAStuckEventIsReplacedAndEndsWhenTheEventReturns() throws Exception {
        begin(1, SHORT);
        var thread = ranBySomebody();
        var ran = new LinkedBlockingQueue<Thread>();
        var stuck = woken(HASTY, () -> {
            ran.add(Thread.currentThread());
            until(released::get);
            return false;
        });

        var other = ranBySomebody();
        assertThat(other).isNotSameAs(thread);
        assertThat(other.getName()).isEqualTo(thread.getName());
        until(() -> told.stuck.get() == 1);
        assertThat(told.overran.get()).isEqualTo(1);
        assertThat(thread.isAlive()).isTrue();
        assertThat(threads.threads()).isEqualTo(1);

        released.set(true);
        assertThat(thread.join(Duration.ofSeconds(50))).isTrue();
        threads.wake(stuck);
        assertThat(ran.take()).isSameAs(thread);
        assertThat(ran.take()).isSameAs(other);
        assertThat(ranBySomebody()).isSameAs(other);
    }

    @Test
    void whatWasWokenWhileItWasStuckRunsOnceItIsNoMore() throws Exception {
        begin(1, SHORT);
        var events = new AtomicInteger();
        var stuck = woken(HASTY, () -> {
            events.incrementAndGet();
            until(released::get);
            return false;
        });
        until(() -> told.stuck.get() == 1);
        threads.wake(stuck);
        ranBySomebody();
        assertThat(events.get()).isEqualTo(1);

        released.set(true);

        until(() -> events.get() == 2);
    }

    /** Events that end just about when their deadline passes, beside others that must never see an interrupt. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void anInterruptNeverReachesAnotherEvent(int n) throws Exception {
        begin(n, LONG);
        var leaked = new AtomicInteger();
        var stop = new AtomicBoolean();
        var deadline = Duration.ofMillis(1);
        for (var i = 0; i < 2; i++) {
            woken(new Terms(10_000, CreditScheduler.UNCAPPED, deadline), () -> {
                spin(deadline.toNanos() - 100_000 + ThreadLocalRandom.current().nextInt(300_000));
                return !stop.get();
            });
            woken(ORDINARY, () -> {
                for (var from = System.nanoTime(); System.nanoTime() - from < 30_000; ) {
                    if (Thread.currentThread().isInterrupted()) {
                        leaked.incrementAndGet();
                        break;
                    }
                }
                return !stop.get();
            });
        }

        until(() -> threads.counters().overruns.get() >= 500);
        stop.set(true);

        assertThat(leaked.get()).isZero();
    }

    @Test
    void whoIsToldOfAFaultIsNotInterruptedByIt() throws Exception {
        begin(1, LONG);
        var interrupted = new CompletableFuture<Boolean>();
        var vcpu = threads.add(
                "guest",
                HASTY,
                () -> {
                    until(() -> Thread.currentThread().isInterrupted());
                    throw new IllegalStateException("thrown by a test");
                },
                new Faults() {
                    @Override
                    public void overran(Duration lasted) {}

                    @Override
                    public void stuck(Duration lasted) {}

                    @Override
                    public void threw(Throwable thrown) {
                        interrupted.complete(Thread.currentThread().isInterrupted());
                    }
                });
        threads.wake(vcpu);

        assertThat(get(interrupted)).isFalse();
    }

    @Test
    void anInterruptThatAGuestLeavesBehindIsNobodysElse() throws Exception {
        begin(1, LONG);
        for (var i = 0; i < 100; i++) {
            woken(ORDINARY, () -> {
                Thread.currentThread().interrupt();
                return false;
            });
            var interrupted = new CompletableFuture<Boolean>();
            woken(ORDINARY, () -> {
                interrupted.complete(Thread.currentThread().isInterrupted());
                return false;
            });
            assertThat(get(interrupted)).isFalse();
        }
    }

    // --- removal

    @Test
    void whatIsRemovedWhileItRunsIsGoneWhenItsEventHasReturned() throws Exception {
        begin(1, LONG);
        var began = new CountDownLatch(1);
        var events = new AtomicInteger();
        var vcpu = woken(ORDINARY, () -> {
            events.incrementAndGet();
            began.countDown();
            until(released::get);
            return true;
        });
        assertThat(began.await(50, TimeUnit.SECONDS)).isTrue();

        var gone = threads.remove(vcpu).toCompletableFuture();
        assertThat(gone.isDone()).isFalse();
        released.set(true);
        get(gone);
        threads.wake(vcpu);
        ranBySomebody();

        assertThat(events.get()).isEqualTo(1);
    }

    @Test
    void afterARemovalNothingRunsHoweverItFallsTogetherWithWakes() throws Exception {
        begin(2, LONG);
        var ranAfterwards = new AtomicInteger();
        var events = new AtomicInteger();
        for (var i = 0; i < 3_000; i++) {
            var gone = new AtomicBoolean();
            var vcpu = woken(ORDINARY, () -> {
                events.incrementAndGet();
                if (gone.get()) {
                    ranAfterwards.incrementAndGet();
                }
                return true;
            });
            if (i % 3 == 0) {
                spin(i % 20 * 1_000L);
            }
            threads.wake(vcpu);
            get(threads.remove(vcpu));
            gone.set(true);
            threads.wake(vcpu);
        }
        ranBySomebody();

        assertThat(ranAfterwards.get()).isZero();
        assertThat(events.get()).isPositive();
    }

    @Test
    void aVcpuMayBeRemovedInItsOwnEvent() throws Exception {
        begin(1, LONG);
        var self = new CompletableFuture<Vcpu>();
        var gone = new CompletableFuture<Boolean>();
        self.complete(woken(ORDINARY, () -> {
            var stage = threads.remove(self.join()).toCompletableFuture();
            gone.complete(stage.isDone());
            return true;
        }));

        assertThat(get(gone)).isFalse();
        get(threads.remove(self.join()));
    }

    // --- threads

    @Test
    void threadsComeAndGoWithTheCores() throws Exception {
        List<String> log = Collections.synchronizedList(new ArrayList<>());
        threads.close();
        threads = new VcpuThreads("test", LONG, List.of(new Core("1", log), new Core("2", log)));
        until(() -> log.size() == 2);
        assertThat(log).containsExactlyInAnyOrder("test-vcpu-0 enters 1", "test-vcpu-1 enters 2");
        log.clear();

        get(threads.setThreads(List.of(new Core("2", log))));
        assertThat(log).containsExactly("test-vcpu-0 leaves 1");
        assertThat(threads.threads()).isEqualTo(1);
        assertThat(ranBySomebody().getName()).isEqualTo("test-vcpu-1");
        log.clear();

        get(threads.setThreads(List.of(new Core("3", log), new Core("2", log))));
        until(() -> log.size() == 1);
        assertThat(log).containsExactly("test-vcpu-0 enters 3");
        log.clear();

        threads.close();
        assertThat(log).containsExactlyInAnyOrder("test-vcpu-0 leaves 3", "test-vcpu-1 leaves 2");
    }

    @Test
    void aThreadThatRetiresFirstEndsItsEventAndTheRestOfTheWorkGoesOnElsewhere() throws Exception {
        begin(1, LONG);
        var began = new CountDownLatch(1);
        var ran = Collections.synchronizedList(new ArrayList<String>());
        woken(ORDINARY, () -> {
            ran.add(Thread.currentThread().getName());
            began.countDown();
            until(released::get);
            return ran.size() < 2;
        });
        assertThat(began.await(50, TimeUnit.SECONDS)).isTrue();
        var waits = new CompletableFuture<Boolean>();
        woken(ORDINARY, () -> {
            waits.complete(true);
            return false;
        });

        var retired = threads.setThreads(List.of()).toCompletableFuture();
        assertThat(retired.isDone()).isFalse();
        released.set(true);
        get(retired);
        assertThat(waits.isDone()).isFalse();

        threads.setThreads(cores(1));
        assertThat(get(waits)).isTrue();
        until(() -> ran.size() == 2);
    }

    @Test
    void noWorkIsLostWhileThreadsComeAndGo() throws Exception {
        begin(2, LONG);
        var events = new CountDownLatch(40_000);
        var guests = new ArrayList<Vcpu>();
        for (var i = 0; i < 4; i++) {
            var left = new AtomicInteger(10_000);
            var self = new CompletableFuture<Vcpu>();
            var vcpu = add(ORDINARY, () -> {
                events.countDown();
                if (left.decrementAndGet() > 0) {
                    // Half of them go on, half of them are woken.
                    if (left.get() % 2 == 0) {
                        return true;
                    }
                    threads.wake(self.join());
                }
                return false;
            });
            self.complete(vcpu);
            guests.add(vcpu);
        }
        guests.forEach(threads::wake);
        for (var i = 0; events.getCount() > 0; i++) {
            get(threads.setThreads(cores(i % 3)));
        }

        assertThat(events.await(50, TimeUnit.SECONDS)).isTrue();
    }

    @Test
    void aCoreThatCannotBeEnteredIsUsedAllTheSame() throws Exception {
        threads.close();
        threads = new VcpuThreads("test", LONG, List.of(() -> {
            throw new IllegalStateException("thrown by a test");
        }));

        assertThat(ranBySomebody().getName()).isEqualTo("test-vcpu-0");
    }

    @Test
    void closeEndsAllThreads() throws Exception {
        begin(3, LONG);
        var ran = Collections.synchronizedList(new ArrayList<Thread>());
        var all = new CountDownLatch(3);
        for (var i = 0; i < 3; i++) {
            woken(ORDINARY, () -> {
                if (all.getCount() > 0) {
                    ran.add(Thread.currentThread());
                    all.countDown();
                    until(() -> all.getCount() == 0);
                }
                return true;
            });
        }
        assertThat(all.await(50, TimeUnit.SECONDS)).isTrue();

        threads.close();

        assertThat(ran).allSatisfy(thread -> assertThat(thread.isAlive()).isFalse());
        assertThat(Thread.getAllStackTraces().keySet())
                .noneMatch(thread -> thread.getName().startsWith("test-vcpu-"));
        assertThatThrownBy(() -> add(ORDINARY, () -> false)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void closeDoesNotWaitForWhatIsStuck() throws Exception {
        begin(1, SHORT);
        var began = new CompletableFuture<Thread>();
        var vcpu = woken(HASTY, () -> {
            began.complete(Thread.currentThread());
            until(released::get);
            return true;
        });
        var thread = get(began);

        threads.close();

        assertThat(told.stuck.get()).isEqualTo(1);
        assertThat(thread.isAlive()).isTrue();
        var gone = threads.remove(vcpu).toCompletableFuture();
        assertThat(gone.isDone()).isFalse();
        released.set(true);
        get(gone);
        assertThat(thread.join(Duration.ofSeconds(50))).isTrue();
    }

    @Test
    void deadlinesOutOfTheirLimitsAreRefused() {
        for (var deadline : List.of(Duration.ZERO, Duration.ofMillis(-1), Duration.ofDays(2))) {
            assertThatThrownBy(() -> new Terms(100, CreditScheduler.UNCAPPED, deadline))
                    .isInstanceOf(IllegalArgumentException.class);
        }
        assertThat(HASTY.cap()).isCloseTo(1, within(0.0));
    }
}
