package io.sidecore.actors.core;

import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Reports, with its stack, a task that holds a loop longer than a bound: on a loop nothing may wait. One daemon thread for all loops of a host; no message, nothing on the loops. */
public final class LoopWatch implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(LoopWatch.class);

    private final Supplier<List<CoreLoop>> loops;
    private final Map<CoreLoop, Look> looks = new HashMap<>();
    private final Duration bound;
    private final Count reports = new Count();
    private final Thread thread;

    /** In which task a loop was found, and whether that was reported. */
    private record Look(long task, boolean reported) {}

    /** Watches the loops that there are at each time, from now on. */
    public LoopWatch(Supplier<List<CoreLoop>> loops, Duration bound) {
        this.loops = loops;
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
            var present = loops.get();
            looks.keySet().retainAll(present);
            present.forEach(this::look);
        }
    }

    private void look(CoreLoop loop) {
        var last = looks.getOrDefault(loop, new Look(-1, false));
        var task = loop.runningTask();
        // Still in the task of the last look: it has lasted a whole bound.
        var held = task != 0 && task == last.task();
        if (held && !last.reported()) {
            var thread = loop.thread();
            var stack = thread == null ? new StackTraceElement[0] : thread.getStackTrace();
            if (loop.runningTask() == task) {
                reports.add(1);
                LOG.warn(
                        "core loop {} has been held by one task for more than {}; whatever is placed on it waits\n{}",
                        loop.name(),
                        bound,
                        Arrays.stream(stack).map(frame -> "\tat " + frame).collect(Collectors.joining("\n")));
            }
        }
        looks.put(loop, new Look(task, held));
    }

    /** Returns when its thread has ended. */
    @Override
    public void close() {
        thread.interrupt();
        try {
            thread.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
