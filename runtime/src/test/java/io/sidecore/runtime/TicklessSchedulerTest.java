package io.sidecore.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.typesafe.config.ConfigFactory;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.pekko.actor.Scheduler.TaskRunOnClose;
import org.apache.pekko.actor.SchedulerException;
import org.apache.pekko.dispatch.ExecutionContexts;
import org.apache.pekko.event.NoLogging;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import scala.concurrent.ExecutionContext;

class TicklessSchedulerTest {
    private static final Duration SOON = Duration.ofMillis(1);
    private static final Duration NEVER = Duration.ofDays(1);

    private final TicklessScheduler scheduler = new TicklessScheduler(
            ConfigFactory.empty(),
            NoLogging.getInstance(),
            task -> Thread.ofPlatform().daemon().unstarted(task));
    private final ExecutionContext direct = ExecutionContexts.fromExecutor(Runnable::run);
    private final BlockingQueue<String> ran = new LinkedBlockingQueue<>();

    @AfterEach
    void close() {
        scheduler.close();
    }

    private String next() throws InterruptedException {
        return ran.poll(10, TimeUnit.SECONDS);
    }

    @Test
    void tasksRunInTheOrderOfTheirDelaysAndNotBefore() throws Exception {
        var begun = System.nanoTime();
        scheduler.scheduleOnce(Duration.ofMillis(40), () -> ran.add("second"), direct);
        scheduler.scheduleOnce(Duration.ofMillis(20), () -> ran.add("first"), direct);

        assertThat(next()).isEqualTo("first");
        assertThat(next()).isEqualTo("second");
        assertThat(System.nanoTime() - begun)
                .isGreaterThanOrEqualTo(Duration.ofMillis(40).toNanos());
    }

    @Test
    void aTaskWithoutDelayIsHandedOverAtOnce() {
        scheduler.scheduleOnce(Duration.ZERO, () -> ran.add("now"), direct);

        assertThat(ran).containsExactly("now");
    }

    @Test
    void aCancelledTaskDoesNotRun() throws Exception {
        var task = scheduler.scheduleOnce(Duration.ofMillis(20), () -> ran.add("cancelled"), direct);

        assertThat(task.cancel()).isTrue();

        assertThat(task.isCancelled()).isTrue();
        assertThat(task.cancel()).as("once is enough").isFalse();
        scheduler.scheduleOnce(Duration.ofMillis(40), () -> ran.add("after"), direct);
        assertThat(next()).isEqualTo("after");
    }

    @Test
    void whatIsCancelledIsNotKept() {
        var once = scheduler.scheduleOnce(NEVER, () -> ran.add("once"), direct);
        var often = scheduler.scheduleAtFixedRate(NEVER, NEVER, () -> ran.add("often"), direct);
        assertThat(scheduler.waiting()).isEqualTo(2);

        once.cancel();
        often.cancel();

        assertThat(scheduler.waiting()).isZero();
    }

    @Test
    void aTaskThatRanCannotBeCancelled() throws Exception {
        var task = scheduler.scheduleOnce(SOON, () -> ran.add("ran"), direct);
        assertThat(next()).isEqualTo("ran");

        assertThat(task.cancel()).isFalse();
        assertThat(task.isCancelled()).isFalse();
    }

    @Test
    void aPeriodicTaskRunsUntilItIsCancelled() throws Exception {
        var runs = new AtomicInteger();
        var third = new CountDownLatch(3);
        var task = scheduler.scheduleAtFixedRate(
                SOON,
                SOON,
                () -> {
                    runs.incrementAndGet();
                    third.countDown();
                },
                direct);
        assertThat(third.await(10, TimeUnit.SECONDS)).isTrue();

        task.cancel();

        // What was running when it was cancelled has ended once a later task has run: there is one timer thread, and it
        // runs both.
        scheduler.scheduleOnce(SOON, () -> ran.add("after"), direct);
        assertThat(next()).isEqualTo("after");
        var atMost = runs.get();
        scheduler.scheduleOnce(Duration.ofMillis(10), () -> ran.add("much later"), direct);
        assertThat(next()).isEqualTo("much later");
        assertThat(runs).hasValue(atMost);
    }

    @Test
    void aTaskWithAFixedDelayIsRepeatedToo() throws Exception {
        var task = scheduler.scheduleWithFixedDelay(SOON, SOON, () -> ran.add("again"), direct);

        assertThat(next()).isEqualTo("again");
        assertThat(next()).isEqualTo("again");
        task.cancel();
    }

    @Test
    void anExecutorThatRefusesDoesNotStopTheOthers() throws Exception {
        var gone = ExecutionContexts.fromExecutor(task -> {
            throw new IllegalStateException("terminated");
        });
        scheduler.scheduleOnce(SOON, () -> ran.add("never"), gone);
        scheduler.scheduleOnce(Duration.ofMillis(5), () -> ran.add("the next"), direct);

        assertThat(next()).isEqualTo("the next");
    }

    /** As Pekko's own timers do where the actor that they tell has ended. */
    @Test
    void aPeriodicTaskMayEndByItself() throws Exception {
        var failures = new AtomicInteger();
        var telling = ExecutionContexts.fromExecutor(Runnable::run, failure -> failures.incrementAndGet());
        scheduler.scheduleAtFixedRate(
                SOON,
                SOON,
                () -> {
                    ran.add("once");
                    throw new SchedulerException("its actor has ended");
                },
                telling);
        assertThat(next()).isEqualTo("once");
        scheduler.scheduleOnce(Duration.ofMillis(10), () -> ran.add("much later"), direct);

        assertThat(next()).isEqualTo("much later");
        assertThat(failures).hasValue(0);
        assertThat(scheduler.waiting()).isZero();
    }

    @Test
    void closingRunsWhatMustRunAtTheEndAndNothingElse() {
        scheduler.scheduleOnce(NEVER, () -> ran.add("nothing else"), direct);
        TaskRunOnClose last = () -> ran.add("at the end");
        scheduler.scheduleOnce(NEVER, last, direct);

        scheduler.close();

        assertThat(ran).containsExactly("at the end");
    }

    @Test
    void aClosedSchedulerRefusesAsPekkoExpects() {
        scheduler.close();

        assertThatThrownBy(() -> scheduler.scheduleOnce(SOON, () -> ran.add("late"), direct))
                .isInstanceOf(IllegalStateException.class);
    }

    @Test
    void aPeriodOfNothingIsRefused() {
        assertThatThrownBy(() -> scheduler.scheduleAtFixedRate(SOON, Duration.ZERO, () -> ran.add("endless"), direct))
                .isInstanceOf(IllegalArgumentException.class);
    }
}
