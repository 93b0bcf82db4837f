package io.sidecore.actors.core;

import io.sidecore.conf.Amounts;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Finds a task that holds a loop longer than a bound: on a loop nothing may wait. It is told in a line that says where the task is, and with its whole stack at DEBUG. While a host is young its code is still being compiled, and a task that takes a second there is no
 * fault: the bound is ten times as long then. One daemon thread for all loops of a host; no message, nothing on the loops.
 */
public final class LoopWatch implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(LoopWatch.class);
    private static final Duration YOUTH = Duration.ofSeconds(15);
    private static final int WHILE_YOUNG = 10;

    private final Supplier<List<CoreLoop>> loops;
    private final Map<CoreLoop, Look> looks = new HashMap<>();
    private final Duration bound;
    private final long oldEnough;
    private final Count reports = new Count();
    private final Thread thread;
    private volatile List<Held> held = List.of();

    /** In which task a loop was found, how often in a row, and where the task was when that was told. */
    private record Look(long task, int times, @Nullable Held told) {}

    /**
     * A loop that one task holds.
     *
     * @param atLeast how long, at least
     * @param where the task is: {@code Class.method(File:line)}; empty where that is not known
     */
    public record Held(String loop, Duration atLeast, String where) {
        /** What is wrong, without the loop's name. */
        public String sentence() {
            return "one task has held it for " + Amounts.duration(atLeast) + " and more"
                    + (where.isEmpty() ? "" : ", at " + where);
        }
    }

    /** Watches the loops that there are at each time, from now on. */
    public LoopWatch(Supplier<List<CoreLoop>> loops, Duration bound) {
        this(loops, bound, YOUTH);
    }

    LoopWatch(Supplier<List<CoreLoop>> loops, Duration bound, Duration youth) {
        this.loops = loops;
        this.bound = bound;
        this.oldEnough = System.nanoTime() + youth.toNanos();
        this.thread = Thread.ofPlatform().daemon().name("sidecore-loop-watch").unstarted(this::watch);
        thread.start();
    }

    /** Tasks reported so far. */
    public long reports() {
        return reports.get();
    }

    /** The loops that are held at present by a task that was reported. */
    public List<Held> held() {
        return held;
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
            var found = new ArrayList<Held>();
            for (var look : looks.values()) {
                var told = look.told();
                if (told != null) {
                    found.add(new Held(told.loop(), bound.multipliedBy(look.times()), told.where()));
                }
            }
            held = List.copyOf(found);
        }
    }

    private void look(CoreLoop loop) {
        var last = looks.get(loop);
        var task = loop.runningTask();
        if (last == null || task == 0 || task != last.task()) {
            looks.put(loop, new Look(task, 0, null));
            return;
        }
        // Still in the task of the last look: it has lasted so many whole bounds.
        var times = last.times() + 1;
        var young = System.nanoTime() - oldEnough < 0;
        var told = last.told();
        if (told == null && times >= (young ? WHILE_YOUNG : 1)) {
            told = report(loop, task, times);
        }
        looks.put(loop, new Look(task, times, told));
    }

    /** Null if the task is over meanwhile. */
    private @Nullable Held report(CoreLoop loop, long task, int times) {
        var thread = loop.thread();
        var stack = thread == null ? new StackTraceElement[0] : thread.getStackTrace();
        if (loop.runningTask() != task) {
            return null;
        }
        var told = new Held(loop.name(), bound.multipliedBy(times), where(stack));
        LOG.atWarn()
                .addKeyValue("loop", loop.name())
                .log("loop {}: {}; whatever is placed on it waits", loop.name(), told.sentence());
        if (LOG.isDebugEnabled()) {
            LOG.atDebug()
                    .addKeyValue("loop", loop.name())
                    .log(
                            "the stack of loop {}\n{}",
                            loop.name(),
                            Arrays.stream(stack).map(frame -> "\tat " + frame).collect(Collectors.joining("\n")));
        }
        reports.add(1);
        return told;
    }

    /** The innermost frame of ours, which is no part of the loop itself: what is below it is a library's, and says less. */
    private static String where(StackTraceElement[] stack) {
        return Arrays.stream(stack)
                .filter(frame -> frame.getClassName().startsWith("io.sidecore.")
                        && !frame.getClassName().startsWith(CoreLoop.class.getName()))
                .findFirst()
                .or(() -> Arrays.stream(stack).findFirst())
                .map(LoopWatch::brief)
                .orElse("");
    }

    private static String brief(StackTraceElement frame) {
        var name = frame.getClassName();
        return name.substring(name.lastIndexOf('.') + 1) + "." + frame.getMethodName() + "(" + frame.getFileName() + ":"
                + frame.getLineNumber() + ")";
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
