package io.sidecore.actors.core;

import io.sidecore.conf.LoopSettings;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/**
 * Runs any number of {@link CoreLoop}s on the calling thread, on a virtual clock, in an order that a seed decides: which loop turns next, which of its tasks runs
 * next, how long things take. The loops' code is the production code; what a seed did once it does again, to the last bit.
 */
public final class Simulation {
    private final SplittableRandom random;
    private final List<CoreLoop> loops = new ArrayList<>();
    private long nanos = 1_000_000_000L;
    private @Nullable CoreLoop running;
    private long trace = 0xcbf29ce484222325L;
    private long steps;

    /** A simulation of which everything follows from {@code seed}. */
    public Simulation(long seed) {
        this.random = new SplittableRandom(seed);
    }

    /** The virtual clock. */
    public Clock clock() {
        return () -> nanos;
    }

    /** The source of all chance, for the other parts of a simulation. */
    public SplittableRandom random() {
        return random;
    }

    /** A new loop, driven by this simulation. */
    public CoreLoop loop(String name, LoopSettings limits) {
        var loop = new CoreLoop(name, limits, this);
        loops.add(loop);
        return loop;
    }

    /** The loop whose turn it is, null between turns. */
    @Nullable
    CoreLoop running() {
        return running;
    }

    /** The next task: any of those that wait. */
    Runnable pick(ArrayDeque<Runnable> tasks) {
        if (tasks.size() > 1) {
            for (var skip = random.nextInt(tasks.size()); skip > 0; skip--) {
                tasks.add(tasks.poll());
            }
        }
        return tasks.poll();
    }

    /** Notes an event in the trace: two runs of one seed must end with the same {@link #trace()}. */
    public void note(long event) {
        trace = (trace ^ event) * 0x100000001b3L;
    }

    /** A digest of all that was noted, the time and the order of turns included. */
    public long trace() {
        return trace;
    }

    /** Turns so far. */
    public long steps() {
        return steps;
    }

    /**
     * One step: a turn of a loop that has something to do; if none has, time passes to the next deadline.
     *
     * @return false if nothing can ever happen any more
     */
    public boolean step() {
        steps++;
        nanos += random.nextInt(2_000);
        var runnable = 0;
        for (var i = 0; i < loops.size(); i++) {
            if (loops.get(i).runnable(nanos)) {
                runnable++;
            }
        }
        if (runnable == 0) {
            return pass();
        }
        var choice = random.nextInt(runnable);
        for (var i = 0; i < loops.size(); i++) {
            if (loops.get(i).runnable(nanos) && choice-- == 0) {
                note(i);
                note(nanos);
                var loop = loops.get(i);
                running = loop;
                loop.turn();
                running = null;
                break;
            }
        }
        return true;
    }

    private boolean pass() {
        var next = Long.MAX_VALUE;
        for (var loop : loops) {
            next = Math.min(next, loop.earliestDeadline());
        }
        if (next == Long.MAX_VALUE) {
            return false;
        }
        nanos = Math.max(nanos, next);
        return true;
    }
}
