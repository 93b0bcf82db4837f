package io.sidecore.actors.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.conf.LoopSettings;
import java.nio.ByteBuffer;
import java.nio.channels.Pipe;
import java.nio.channels.SelectionKey;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.apache.pekko.actor.ActorSystem;
import org.apache.pekko.dispatch.Dispatcher;
import org.apache.pekko.stream.javadsl.Keep;
import org.apache.pekko.stream.javadsl.Sink;
import org.apache.pekko.stream.javadsl.Source;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The loop on a thread of its own. What waits here waits for an event, with a bound that only a failure reaches. */
@Timeout(60)
class CoreLoopTest {
    private final CoreLoop loop = loop(50);

    private static CoreLoop loop(long spinMicros) {
        return new CoreLoop(
                "test-" + spinMicros,
                Clock.SYSTEM,
                new LoopSettings(
                        Duration.ofNanos(spinMicros * 1000), 64, 8, Duration.ofNanos(200_000), Duration.ofMillis(100)),
                CoreLoop.Placement.floating());
    }

    @BeforeEach
    void start() {
        loop.start();
    }

    @AfterEach
    void stop() throws InterruptedException {
        loop.stop();
        loop.join(Duration.ofSeconds(30));
        assertThat(loop.thread().isAlive()).isFalse();
    }

    // --- tasks

    @Test
    void tasksRunOnItsThread() throws Exception {
        assertThat(on(loop, Thread::currentThread)).isSameAs(loop.thread());
        assertThat(on(loop, loop::onLoop)).isTrue();
        assertThat(loop.onLoop()).isFalse();
    }

    @Test
    void aTaskThatThrowsDoesNotStopIt() throws Exception {
        loop.execute(() -> {
            throw new IllegalStateException("thrown by a test");
        });
        loop.execute(() -> {
            throw new AssertionError("thrown by a test");
        });

        assertThat(on(loop, () -> 42)).isEqualTo(42);
        assertThat(loop.counters().failures.get()).isEqualTo(2);
    }

    @Test
    void whatOtherThreadsSubmitIsCountedAsHandOff() throws Exception {
        var before = on(loop, () -> loop.counters().handOffs.get());

        on(loop, () -> null);
        on(loop, () -> null);

        assertThat(on(loop, () -> loop.counters().handOffs.get())).isEqualTo(before + 3);
    }

    @Test
    void whatTheLoopSubmitsToItselfIsNoHandOff() throws Exception {
        var done = new CompletableFuture<Long>();
        var before = on(loop, () -> loop.counters().handOffs.get());

        loop.execute(() -> loop.execute(
                () -> loop.execute(() -> done.complete(loop.counters().handOffs.get()))));

        assertThat(get(done)).isEqualTo(before + 1);
    }

    @Test
    void aTaskNumberIsTheTasksOwn() throws Exception {
        assertThat(on(loop, loop::taskNumber)).isLessThan(on(loop, loop::taskNumber));
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 50})
    void noTaskIsLostHoweverManyThreadsSubmit(long spinMicros) throws Exception {
        var busy = loop(spinMicros);
        busy.start();
        var threads = 4;
        var each = 25_000;
        var all = new CountDownLatch(threads * each);
        var submitters = new ArrayList<Thread>();
        for (var t = 0; t < threads; t++) {
            submitters.add(Thread.ofPlatform().start(() -> {
                for (var i = 0; i < each; i++) {
                    busy.execute(all::countDown);
                }
            }));
        }

        assertThat(all.await(30, TimeUnit.SECONDS))
                .as("%d left", all.getCount())
                .isTrue();
        for (var submitter : submitters) {
            submitter.join();
        }
        busy.stop();
        busy.join(Duration.ofSeconds(30));
    }

    /** Counted as parks, its polls of the last 80 us before each deadline looked as if it slept 50,000 times a second. */
    @Test
    void aLoopThatPollsUntilItsNextDeadlineDoesNotParkMeanwhile() throws Exception {
        var near = loop(0);
        near.start();
        var done = new CompletableFuture<Long>();
        near.execute(() -> {
            var before = near.counters().parks.get();
            var left = new AtomicInteger(500);
            var deadline = new Deadline[1];
            deadline[0] = new Deadline(() -> {
                if (left.decrementAndGet() > 0) {
                    near.arm(deadline[0], near.clock().nanos() + 50_000);
                } else {
                    done.complete(near.counters().parks.get() - before);
                }
            });
            near.arm(deadline[0], near.clock().nanos() + 50_000);
        });

        assertThat(get(done)).isZero();
        near.stop();
        near.join(Duration.ofSeconds(30));
    }

    @Test
    void aParkedLoopIsWokenByEveryTask() throws Exception {
        var parking = loop(0);
        parking.start();
        for (var i = 0; i < 5_000; i++) {
            on(parking, () -> null);
        }
        parking.stop();
        parking.join(Duration.ofSeconds(30));
    }

    @Test
    void aTaskThatInterruptsTheLoopDoesNotStopIt() throws Exception {
        loop.execute(() -> Thread.currentThread().interrupt());

        assertThat(on(loop, () -> 1)).isEqualTo(1);
    }

    // --- the end

    @Test
    void whatWasSubmittedBeforeTheEndStillRuns() throws Exception {
        var ran = new AtomicInteger();
        var hold = new CountDownLatch(1);
        loop.execute(() -> uninterruptibly(hold));
        for (var i = 0; i < 1_000; i++) {
            loop.execute(ran::incrementAndGet);
        }

        loop.stop();
        hold.countDown();
        loop.join(Duration.ofSeconds(30));

        assertThat(ran).hasValue(1_000);
    }

    @Test
    void onceEndedItTakesNoTasks() throws Exception {
        loop.stop();
        loop.join(Duration.ofSeconds(30));

        assertThatThrownBy(() -> loop.execute(() -> {}))
                .isInstanceOf(RejectedExecutionException.class)
                .hasMessageContaining("test-50");
    }

    /** Two threads meet at the same instant, some thousand times. */
    @Test
    void aTaskOfferedWhileItEndsRunsOrIsRefused() throws Exception {
        for (var round = 0; round < 3_000; round++) {
            var ending = loop(0);
            var ran = new AtomicInteger();
            var taken = new AtomicInteger();
            var begun = new CountDownLatch(1);
            ending.start();
            var submitter = Thread.ofPlatform().start(() -> {
                try {
                    while (true) {
                        ending.execute(ran::incrementAndGet);
                        taken.incrementAndGet();
                        begun.countDown();
                        for (var i = 0; i < 20; i++) {
                            Thread.onSpinWait();
                        }
                    }
                } catch (RejectedExecutionException ended) {
                    // What the test waits for.
                }
            });
            begun.await();
            ending.stop();
            submitter.join();
            ending.join(Duration.ofSeconds(30));

            assertThat(ran).as("tasks run in round %d", round).hasValue(taken.get());
        }
    }

    @Test
    void aTaskThatSubmitsItselfForEverIsRefusedInTheEnd() throws Exception {
        var ending = loop(0);
        var refused = new AtomicInteger();
        ending.start();
        ending.execute(new Runnable() {
            @Override
            public void run() {
                try {
                    ending.execute(this);
                } catch (RejectedExecutionException ended) {
                    refused.incrementAndGet();
                }
            }
        });

        ending.stop();
        ending.join(Duration.ofSeconds(30));

        assertThat(refused).hasValue(1);
    }

    @Test
    void stoppingTwiceIsAllowed() throws Exception {
        loop.stop();
        loop.join(Duration.ofSeconds(30));
        loop.stop();
    }

    // --- deadlines

    @Test
    void deadlinesFireInOrderAndNotEarly() throws Exception {
        var fired = new LinkedBlockingQueue<Integer>();
        var early = new AtomicInteger();
        loop.execute(() -> {
            var now = loop.clock().nanos();
            for (var i : new int[] {3, 1, 2, 0}) {
                var at = now + 1_000_000L + i * 500_000L;
                loop.arm(
                        new Deadline(() -> {
                            if (loop.clock().nanos() - at < 0) {
                                early.incrementAndGet();
                            }
                            fired.add(i);
                        }),
                        at);
            }
        });

        var order = new ArrayList<Integer>();
        for (var i = 0; i < 4; i++) {
            order.add(fired.poll(30, TimeUnit.SECONDS));
        }
        assertThat(order).containsExactly(0, 1, 2, 3);
        assertThat(early).hasValue(0);
    }

    @Test
    void aDisarmedDeadlineDoesNotFire() throws Exception {
        var fired = new AtomicInteger();
        var later = new CompletableFuture<Integer>();
        loop.execute(() -> {
            var now = loop.clock().nanos();
            var taken = new Deadline(fired::incrementAndGet);
            loop.arm(taken, now + 1_000_000);
            loop.arm(new Deadline(() -> later.complete(fired.get())), now + 2_000_000);
            loop.disarm(taken);
        });

        assertThat(get(later)).isZero();
    }

    @Test
    void aDeadlineThatThrowsDoesNotStopIt() throws Exception {
        var later = new CompletableFuture<Boolean>();
        loop.execute(() -> {
            loop.arm(
                    new Deadline(() -> {
                        throw new IllegalStateException("thrown by a test");
                    }),
                    loop.clock().nanos());
            loop.arm(new Deadline(() -> later.complete(true)), loop.clock().nanos() + 1);
        });

        assertThat(get(later)).isTrue();
    }

    // --- channels and pollers

    @Test
    void aChannelThatBecomesReadableIsNoticedOnTheLoop() throws Exception {
        try (var pipe = new Watched()) {
            on(loop, pipe::register);
            pipe.write(1);

            assertThat(pipe.seen.poll(30, TimeUnit.SECONDS)).isEqualTo(1);
            assertThat(pipe.seenBy.get()).isSameAs(loop.thread());
        }
    }

    enum Busy {
        OWN_TASKS,
        TASKS_OF_OTHERS,
        DEADLINES,
        A_POLLER
    }

    /** Keeps the loop busy until {@code over}. */
    private void keepBusy(Busy with, AtomicBoolean over) {
        switch (with) {
            case OWN_TASKS -> loop.execute(() -> again(over));
            case TASKS_OF_OTHERS ->
                Thread.ofPlatform().daemon().start(() -> {
                    var room = new Semaphore(10_000);
                    while (!over.get()) {
                        room.acquireUninterruptibly();
                        loop.execute(room::release);
                    }
                });
            case DEADLINES -> loop.execute(() -> armAgain(over));
            case A_POLLER ->
                loop.execute(() -> loop.add(() -> {
                    return over.get() ? 0 : 1;
                }));
        }
    }

    private void again(AtomicBoolean over) {
        if (!over.get()) {
            loop.execute(() -> again(over));
        }
    }

    private void armAgain(AtomicBoolean over) {
        if (!over.get()) {
            loop.arm(new Deadline(() -> armAgain(over)), loop.clock().nanos());
        }
    }

    @ParameterizedTest
    @EnumSource
    void aLoopThatIsNeverIdleLooksAtItsChannels(Busy with) throws Exception {
        var over = new AtomicBoolean();
        try (var pipe = new Watched()) {
            on(loop, pipe::register);
            keepBusy(with, over);
            for (var i = 0; i < 100; i++) {
                pipe.write(i);
                assertThat(pipe.seen.poll(30, TimeUnit.SECONDS)).isEqualTo(i);
            }
        } finally {
            over.set(true);
        }
    }

    /** Whoever submits faster than a loop takes does not hold it. */
    @Test
    void aTurnTakesNoMoreOfTheTasksOfOthersThanItHasToDoWith() {
        var flooded = loop(0);
        for (var i = 0; i < 100_000; i++) {
            flooded.execute(() -> {});
        }

        flooded.turn();
        flooded.stop();

        assertThat(flooded.counters().tasks.get()).isBetween(1L, 64L);
        assertThat(flooded.counters().handOffs.get()).isLessThanOrEqualTo(64 * 64);
    }

    /** Each look is a system call. */
    @Test
    void aTurnThatLeavesNothingToDoLeavesTheLookToTheNextOneButNotTwoInARow() {
        var idle = loop(0);
        var looks = new ArrayList<Long>();
        for (var i = 0; i < 4; i++) {
            idle.execute(() -> {});
            idle.turn();
            looks.add(idle.counters().polls.get());
        }
        // Now it waits for its channels.
        idle.turn();
        idle.turn();
        looks.add(idle.counters().polls.get());
        idle.stop();

        assertThat(looks).containsExactly(0L, 1L, 1L, 2L, 2L);
    }

    @Test
    void anUnregisteredChannelIsNotLookedAt() throws Exception {
        try (var pipe = new Watched();
                var other = new Watched()) {
            var key = on(loop, pipe::register);
            on(loop, other::register);
            on(loop, () -> {
                loop.unregister(key);
                return null;
            });
            pipe.write(1);
            other.write(2);

            assertThat(other.seen.poll(30, TimeUnit.SECONDS)).isEqualTo(2);
            assertThat(pipe.seen).isEmpty();
        }
    }

    @Test
    void aChannelMayBeRegisteredAgainDirectlyAfterItWasUnregistered() throws Exception {
        try (var pipe = new Watched()) {
            on(loop, () -> {
                loop.unregister(pipe.register());
                return pipe.register();
            });
            pipe.write(7);

            assertThat(pipe.seen.poll(30, TimeUnit.SECONDS)).isEqualTo(7);
        }
    }

    @Test
    void aClosedChannelDoesNotStopIt() throws Exception {
        try (var pipe = new Watched()) {
            on(loop, pipe::register);
        }

        assertThat(on(loop, () -> 1)).isEqualTo(1);
    }

    @Test
    void aChannelWhoseReadinessThrowsDoesNotStopIt() throws Exception {
        var pipe = Pipe.open();
        pipe.source().configureBlocking(false);
        var called = new CompletableFuture<Boolean>();
        on(
                loop,
                () -> loop.register(pipe.source(), SelectionKey.OP_READ, operations -> {
                    called.complete(true);
                    throw new IllegalStateException("thrown by a test");
                }));
        pipe.sink().write(ByteBuffer.wrap(new byte[1]));
        get(called);
        on(loop, () -> {
            pipe.source().close();
            return null;
        });
        pipe.sink().close();

        assertThat(on(loop, () -> 1)).isEqualTo(1);
        assertThat(loop.counters().failures.get()).isPositive();
    }

    @Test
    void aPollerIsLookedAtUntilItIsRemoved() throws Exception {
        var looks = new CountDownLatch(100);
        Poller poller = () -> {
            looks.countDown();
            return 0;
        };
        on(loop, () -> {
            loop.add(poller);
            return null;
        });
        assertThat(looks.await(30, TimeUnit.SECONDS)).isTrue();

        on(loop, () -> {
            loop.remove(poller);
            return null;
        });

        assertThat(on(loop, () -> 1)).isEqualTo(1);
    }

    // --- streams

    @Test
    void aPollerThatThrowsDoesNotStopIt() throws Exception {
        Poller broken = () -> {
            throw new IllegalStateException("thrown by a test");
        };
        on(loop, () -> {
            loop.add(broken);
            return null;
        });
        while (loop.counters().failures.get() < 3) {
            Thread.onSpinWait();
        }
        on(loop, () -> {
            loop.remove(broken);
            return null;
        });

        assertThat(loop.thread().isAlive()).isTrue();
    }

    @Test
    void withoutAnActorSystemItHasNoAttributes() {
        assertThatThrownBy(loop::attributes)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("test-50");
    }

    @Test
    void aStreamRunsOnTheLoopAlsoAfterItsDispatcherShutDownForIdleness() throws Exception {
        var system = ActorSystem.create("core-loop-test");
        try {
            LoopDispatcher.install(system, loop);
            assertThatThrownBy(() -> LoopDispatcher.install(system, loop)).isInstanceOf(IllegalArgumentException.class);
            assertThat(threads(system)).containsOnly(loop.thread());
            var dispatcher = (Dispatcher) system.dispatchers().lookup("sidecore.loop." + loop.name());
            var lease = dispatcher.executorService();
            // A second after its last stream the dispatcher shuts its executor down and has a new one in its place.
            while (dispatcher.executorService() == lease) {
                LockSupport.parkNanos(1_000_000);
            }

            assertThat(threads(system)).containsOnly(loop.thread());
        } finally {
            system.terminate();
            system.getWhenTerminated().toCompletableFuture().get(30, TimeUnit.SECONDS);
        }
    }

    private List<Thread> threads(ActorSystem system) throws Exception {
        return Source.range(1, 10)
                .map(i -> Thread.currentThread())
                .toMat(Sink.seq(), Keep.right())
                .withAttributes(loop.attributes())
                .run(system)
                .toCompletableFuture()
                .get(30, TimeUnit.SECONDS);
    }

    // --- the watch

    @Test
    void aTaskThatHoldsTheLoopIsReportedOnce() throws Exception {
        try (var watch = new LoopWatch(() -> List.of(loop), Duration.ofMillis(10))) {
            var looked = new CountDownLatch(1);
            loop.execute(() -> {
                while (watch.reports() == 0) {
                    Thread.onSpinWait();
                }
                looked.countDown();
            });

            assertThat(looked.await(30, TimeUnit.SECONDS)).isTrue();
            assertThat(watch.reports()).isEqualTo(1);
        }
    }

    private final class Watched implements AutoCloseable {
        final Pipe pipe = Pipe.open();
        final LinkedBlockingQueue<Integer> seen = new LinkedBlockingQueue<>();
        final AtomicReference<Thread> seenBy = new AtomicReference<>();

        Watched() throws java.io.IOException {
            pipe.source().configureBlocking(false);
        }

        SelectionKey register() {
            return loop.register(pipe.source(), SelectionKey.OP_READ, operations -> {
                seenBy.set(Thread.currentThread());
                var one = ByteBuffer.allocate(1);
                try {
                    pipe.source().read(one);
                } catch (java.io.IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
                seen.add((int) one.get(0));
            });
        }

        void write(int b) throws java.io.IOException {
            pipe.sink().write(ByteBuffer.wrap(new byte[] {(byte) b}));
        }

        @Override
        public void close() throws java.io.IOException {
            pipe.sink().close();
            pipe.source().close();
        }
    }

    private static <T> T on(CoreLoop loop, Callable<T> task) throws Exception {
        var done = new CompletableFuture<T>();
        loop.execute(() -> {
            try {
                done.complete(task.call());
            } catch (Throwable t) {
                done.completeExceptionally(t);
            }
        });
        return get(done);
    }

    private static <T> T get(CompletableFuture<T> future) throws Exception {
        return future.get(30, TimeUnit.SECONDS);
    }

    private static void uninterruptibly(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }
}
