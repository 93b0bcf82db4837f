package io.sidecore.actors.core;

import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Reports, with its stack, a task that holds a loop longer than a bound: on a loop nothing may wait. One daemon thread for all loops of a host; no message, nothing on the loops. */
public final class LoopWatch implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(LoopWatch.class);

    private final List<CoreLoop> loops;
    private final long[] seen;
    private final boolean[] reported;
    private final Duration bound;
    private final Count reports = new Count();
    private final Thread thread;

    /** Watches the loops from now on. */
    public LoopWatch(List<CoreLoop> loops, Duration bound) {
        this.loops = List.copyOf(loops);
        this.seen = new long[loops.size()];
        Arrays.fill(seen, -1);
        this.reported = new boolean[loops.size()];
        this.bound = bound;
        this.thread = Thread.ofPlatform().daemon().name("sidecore-loop-watch").unstarted(this::watch);
        thread.start();
    }

    /** Tasks reported so far. */
    public long reports() {
        return reports.get();
    }

    private void watch() {
        while (!Thread.interrupted()) {
            try {
                Thread.sleep(bound);
            } catch (InterruptedException e) {
                return;
            }
            for (var i = 0; i < seen.length; i++) {
                look(i);
            }
        }
    }

    private void look(int i) {
        var loop = loops.get(i);
        var task = loop.runningTask();
        // Still in the task of the last look: it has lasted a whole bound.
        var held = task != 0 && task == seen[i];
        if (held && !reported[i]) {
            var stack = loop.thread() == null
                    ? new StackTraceElement[0]
                    : loop.thread().getStackTrace();
            if (loop.runningTask() == task) {
                reports.add(1);
                LOG.warn(
                        "core loop {} has been held by one task for more than {}; whatever is placed on it waits\n{}",
                        loop.name(),
                        bound,
                        Arrays.stream(stack).map(frame -> "\tat " + frame).collect(Collectors.joining("\n")));
            }
        }
        reported[i] = held;
        seen[i] = task;
    }

    @Override
    public void close() {
        thread.interrupt();
    }
}
