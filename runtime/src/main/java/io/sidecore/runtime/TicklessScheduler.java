package io.sidecore.runtime;

import com.typesafe.config.Config;
import java.io.Closeable;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.pekko.actor.AbstractScheduler;
import org.apache.pekko.actor.Cancellable;
import org.apache.pekko.actor.Scheduler.TaskRunOnClose;
import org.apache.pekko.actor.SchedulerException;
import org.apache.pekko.actor.SchedulerTask;
import org.apache.pekko.event.LoggingAdapter;
import org.jspecify.annotations.Nullable;
import scala.concurrent.ExecutionContext;
import scala.concurrent.duration.FiniteDuration;

/**
 * Pekko's scheduler without its tick. The stock one wakes up a hundred times a second, for ever, and costs an idle host 1 % of a core;
 * this one sleeps until a timer is due, which makes it exact besides. It keeps its timers in a heap: right for the hundreds that a host
 * has, not for the millions that the stock one is made for.
 */
public final class TicklessScheduler extends AbstractScheduler implements Closeable {
    private static final double MAX_FREQUENCY = 10_000;

    private final ScheduledThreadPoolExecutor timer;
    private final LoggingAdapter log;
    private final Set<Timer> dueAtClose = ConcurrentHashMap.newKeySet();

    /** For Pekko, which finds it by its name in the configuration. */
    public TicklessScheduler(Config config, LoggingAdapter log, ThreadFactory threads) {
        this.log = log;
        timer = new ScheduledThreadPoolExecutor(1, threads);
        timer.setRemoveOnCancelPolicy(true);
        timer.setExecuteExistingDelayedTasksAfterShutdownPolicy(false);
    }

    /** @throws IllegalStateException if it is closed: Pekko relies on that */
    @Override
    public Cancellable scheduleOnce(FiniteDuration delay, Runnable task, ExecutionContext executor) {
        var once = new Timer(task, executor);
        once.start(delay.toNanos());
        return once;
    }

    /** What Pekko's other methods for periodic tasks end in; deprecated only to be called by others. */
    @Override
    @SuppressWarnings("deprecation")
    public Cancellable schedule(
            FiniteDuration initial, FiniteDuration period, Runnable task, ExecutionContext executor) {
        if (period.toNanos() <= 0) {
            throw new IllegalArgumentException(
                    "a period of " + period + " would be an endless loop: it must be longer than nothing");
        }
        var repeated = new Repeated(task, executor, initial.toNanos(), period.toNanos());
        repeated.start(initial.toNanos());
        return repeated;
    }

    /** Timers that are not due yet. */
    int waiting() {
        return timer.getQueue().size();
    }

    @Override
    public double maxFrequency() {
        return MAX_FREQUENCY;
    }

    /** What asked to run at the latest now runs now, nothing else does any more. */
    @Override
    public void close() {
        // Not shutdownNow: a task that an executor runs on its caller's thread must not be interrupted.
        timer.shutdown();
        for (var last : dueAtClose) {
            last.runNow();
        }
    }

    private static void execute(ExecutionContext executor, Runnable due) {
        try {
            executor.execute(due);
        } catch (RuntimeException e) {
            // It is gone, say. The other timers go on.
            executor.reportFailure(e);
        }
    }

    /** One task and its fate: it waits, and then it is handed to its executor once or is cancelled. */
    private class Timer implements Runnable, Cancellable {
        private final AtomicReference<@Nullable Runnable> task;
        private final ExecutionContext executor;
        private final boolean atClose;
        private volatile boolean cancelled;
        private volatile @Nullable Future<?> pending;

        Timer(Runnable task, ExecutionContext executor) {
            this.task = new AtomicReference<>(task);
            this.executor = executor;
            atClose = task instanceof TaskRunOnClose;
        }

        final void start(long delayNanos) {
            if (timer.isShutdown()) {
                throw new IllegalStateException("cannot schedule: the scheduler is closed");
            }
            if (delayNanos <= 0) {
                run();
                return;
            }
            if (atClose) {
                dueAtClose.add(this);
            }
            try {
                pending = timer.schedule(this, delayNanos, TimeUnit.NANOSECONDS);
            } catch (RejectedExecutionException e) {
                dueAtClose.remove(this);
                // If close() has run it already, nothing is lost and there is nothing to complain of.
                if (task.getAndSet(null) != null) {
                    throw new IllegalStateException("cannot schedule: the scheduler is closed", e);
                }
            }
            if (cancelled) {
                forget();
            }
        }

        @Override
        public void run() {
            var due = taken();
            if (due != null) {
                execute(executor, due);
            }
        }

        final void runNow() {
            var due = taken();
            if (due != null) {
                try {
                    due.run();
                } catch (RuntimeException e) {
                    log.error(e, "a task that was due at the end failed");
                }
            }
        }

        private @Nullable Runnable taken() {
            if (atClose) {
                dueAtClose.remove(this);
            }
            return task.getAndSet(null);
        }

        @Override
        public boolean cancel() {
            var spared = taken();
            if (spared == null) {
                return false;
            }
            cancelled = true;
            forget();
            if (spared instanceof SchedulerTask notified) {
                execute(executor, notified::cancelled);
            }
            return true;
        }

        private void forget() {
            var future = pending;
            if (future != null) {
                future.cancel(false);
            }
        }

        @Override
        public boolean isCancelled() {
            return cancelled;
        }
    }

    /** A task at a fixed rate: its next run is set when one has ended, so that runs never overlap, and lost time is caught up. */
    private final class Repeated implements Cancellable {
        private final Runnable task;
        private final ExecutionContext executor;
        private final long periodNanos;
        private final AtomicReference<@Nullable Timer> next = new AtomicReference<>();
        private final AtomicBoolean cancelled = new AtomicBoolean();
        private long dueNanos;

        Repeated(Runnable task, ExecutionContext executor, long initialNanos, long periodNanos) {
            this.task = task;
            this.executor = executor;
            this.periodNanos = periodNanos;
            dueNanos = System.nanoTime() + initialNanos;
        }

        void start(long delayNanos) {
            var timer = new Timer(this::run, executor);
            next.set(timer);
            timer.start(delayNanos);
            if (cancelled.get()) {
                timer.cancel();
            }
        }

        private void run() {
            if (cancelled.get()) {
                return;
            }
            try {
                // A task that throws is not run again; its executor tells.
                task.run();
            } catch (SchedulerException e) {
                log.debug("a periodic task ends: {}", e.getMessage());
                return;
            }
            dueNanos += periodNanos;
            try {
                start(Math.max(1, dueNanos - System.nanoTime()));
            } catch (IllegalStateException e) {
                log.debug("a periodic task ends with its scheduler: {}", e.getMessage());
            }
        }

        @Override
        public boolean cancel() {
            if (!cancelled.compareAndSet(false, true)) {
                return false;
            }
            var pending = next.get();
            if (pending != null) {
                pending.cancel();
            }
            if (task instanceof SchedulerTask notified) {
                execute(executor, notified::cancelled);
            }
            return true;
        }

        @Override
        public boolean isCancelled() {
            return cancelled.get();
        }
    }
}
