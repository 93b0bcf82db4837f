package io.sidecore.devices.block;

import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Platform threads that wait for files in place of a loop. One is there from the beginning; whoever of them begins to work starts another if none is idle, up to their bound, and they stay. A loop starts none: a thread that a
 * pinned loop starts stays on the loop's core. What waits for them is bounded, too: by the slots of the queues whose requests that is.
 *
 * <p>One of them at most looks for work a while before it parks, if work lately came at intervals that make it worth it: a hand-off then costs no wake-up. Not where
 * requests are served one behind the other: whoever is woken finds more at once, and has left the core to others (4 KiB writes to ext4, depth 32, two cores: a third less with looking). It yields between looks, so that it takes no core from a client.
 */
final class IoThreads implements AutoCloseable {
    /** How long one looks for work before it parks. */
    private static final long SPIN_NANOS = 50_000;

    /** Work at intervals up to so many times that is worth looking for: while it parks, an interval contains the wake-up. */
    private static final double WORTH = 2;

    /** Above this many requests at a time (a moving mean) they park rather than look. */
    private static final double SHALLOW = 2;

    private static final double WEIGHT = 1.0 / 16;
    private static final int MOST = 64;
    private static final int LOOKS_BETWEEN_YIELDS = 64;

    private static final Logger LOG = LoggerFactory.getLogger(IoThreads.class);

    private final String name;
    private final int max;
    private final ConcurrentLinkedQueue<Runnable> tasks = new ConcurrentLinkedQueue<>();
    private final ConcurrentLinkedDeque<Worker> parked = new ConcurrentLinkedDeque<>();
    private final AtomicInteger looking = new AtomicInteger();
    private final AtomicInteger started = new AtomicInteger();
    private final AtomicInteger alive = new AtomicInteger();
    /** Moving mean of what it takes until an idle worker gets something to do, in nanoseconds; written by whoever was idle. */
    private volatile double interval = 8.0 * SPIN_NANOS;

    /** Moving mean of the requests that are served without a pause; a hint, written by any thread. */
    private volatile double depth = 1;

    private volatile boolean stopping;

    /** At most so many, named so and by a number. */
    IoThreads(String name, int max) {
        this.name = name;
        this.max = max;
        startOne();
    }

    /**
     * Runs a task, soon. Any thread.
     *
     * @throws RejectedExecutionException once closed
     */
    void execute(Runnable task) {
        if (stopping) {
            throw new RejectedExecutionException(name + " has ended");
        }
        tasks.offer(task);
        // Who stops looking looks once more after having said so: either it sees the task, or this sees that nobody
        // looks.
        if (looking.get() == 0) {
            wakeOne();
        }
    }

    /** So many requests were served one behind the other without a pause. Any thread. */
    void served(int requests) {
        depth += (Math.min(requests, MOST) - depth) * WEIGHT;
    }

    private void wakeOne() {
        var worker = parked.poll();
        if (worker != null) {
            LockSupport.unpark(worker);
        }
    }

    private void startOne() {
        var number = started.getAndIncrement();
        if (number >= max) {
            started.decrementAndGet();
            return;
        }
        alive.incrementAndGet();
        new Worker(name + "-" + number).start();
    }

    /** Threads started so far. */
    int started() {
        return started.get();
    }

    /** Ends them once they have done what they were given. Returns when they have; interrupts are kept for later. */
    @Override
    public void close() {
        stopping = true;
        var interrupted = false;
        while (alive.get() > 0) {
            for (Worker worker; (worker = parked.poll()) != null; ) {
                LockSupport.unpark(worker);
            }
            LockSupport.parkNanos(200_000);
            interrupted |= Thread.interrupted();
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private final class Worker extends Thread {
        Worker(String name) {
            super(null, null, name, 0, false);
            setDaemon(true);
        }

        @Override
        public void run() {
            try {
                for (Runnable task; (task = next()) != null; ) {
                    run(task);
                }
            } finally {
                alive.decrementAndGet();
            }
        }

        private void run(Runnable task) {
            if (parked.isEmpty() && looking.get() == 0 && started.get() < max) {
                startOne();
            }
            try {
                task.run();
            } catch (Throwable t) {
                LOG.error("{}: a task threw; the thread goes on", getName(), t);
            }
        }

        /** The next task; null when it is time to end. */
        private @Nullable Runnable next() {
            var task = tasks.poll();
            if (task != null) {
                return task;
            }
            var idleSince = System.nanoTime();
            while (true) {
                task = look(idleSince);
                if (task == null) {
                    if (stopping) {
                        return null;
                    }
                    parked.push(this);
                    if (tasks.isEmpty() && !stopping) {
                        LockSupport.park(IoThreads.this);
                    }
                    parked.remove(this);
                    task = tasks.poll();
                }
                if (task != null) {
                    var sample = Math.min(System.nanoTime() - idleSince, 8 * SPIN_NANOS);
                    interval += (sample - interval) * WEIGHT;
                    return task;
                }
            }
        }

        @SuppressWarnings(
                "ThreadPriorityCheck") // A guest on the same core shall run meanwhile; nothing else is expected of it.
        private @Nullable Runnable look(long idleSince) {
            if (interval >= WORTH * SPIN_NANOS || depth >= SHALLOW || !looking.compareAndSet(0, 1)) {
                return tasks.poll();
            }
            Runnable found;
            for (var looks = 1; ; looks++) {
                found = tasks.poll();
                if (found != null || stopping || System.nanoTime() - idleSince > SPIN_NANOS) {
                    break;
                }
                if (looks % LOOKS_BETWEEN_YIELDS == 0) {
                    Thread.yield();
                } else {
                    Thread.onSpinWait();
                }
            }
            looking.set(0);
            if (found == null) {
                found = tasks.poll();
            }
            if (found != null && !tasks.isEmpty()) {
                wakeOne();
            }
            return found;
        }
    }
}
