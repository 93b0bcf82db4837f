package io.sidecore.actors.vif;

import io.sidecore.actors.core.Clock;
import io.sidecore.actors.core.Count;
import java.util.Arrays;

/**
 * Where the time of a batch goes, stage by stage, from the first byte read to the last byte written. One batch in {@link #EVERY} on average is timed, if it is
 * answered in the task in which it arrived; the stages then add up to the whole. Written on the queue's loop, readable by everyone.
 */
public final class Stages {
    /** Reading from the guest. */
    public static final int QUEUE = 0;
    /** Decoding into requests. */
    public static final int DEMULTIPLEX = 1;
    /** The stream and its interposers, both ways. */
    public static final int INTERPOSE = 2;
    /** The store: for a memory volume, the copy. */
    public static final int STORE = 3;
    /** Encoding and writing the answers, which wait for the end of the loop's turn. */
    public static final int SIGNAL = 4;

    /** One batch of so many is timed, on average: a queue that looks in vain after each batch has a rhythm, which a fixed step could always miss. */
    public static final int EVERY = 16;

    private static final String[] NAMES = {"queue", "demultiplex", "interpose", "store", "signal"};

    private final Clock clock;
    private final Count[] nanos = new Count[NAMES.length];
    private final long[] laps = new long[NAMES.length];
    private final Count endToEnd = new Count();
    private final Count batches = new Count();
    private final Count timed = new Count();
    private boolean timing;
    private boolean answered;
    private long began;
    private long mark;
    private long task;
    private int skip = 1;
    private int random = 1;

    Stages(Clock clock) {
        this.clock = clock;
        for (var i = 0; i < nanos.length; i++) {
            nanos[i] = new Count();
        }
    }

    /** Names of the stages, in order. */
    public static String[] names() {
        return NAMES.clone();
    }

    /** Nanoseconds of the timed batches in a stage. */
    public long nanos(int stage) {
        return nanos[stage].get();
    }

    /** Nanoseconds of the timed batches from end to end. */
    public long endToEndNanos() {
        return endToEnd.get();
    }

    /** Batches that were timed. */
    public long timed() {
        return timed.get();
    }

    /** Batches answered. */
    public long batches() {
        return batches.get();
    }

    /** A batch may begin here. */
    public void begin(long taskNumber) {
        if (answered) {
            // The timed one has not left yet.
            return;
        }
        timing = --skip == 0;
        if (timing) {
            random = random * 1_664_525 + 1_013_904_223;
            skip = 1 + (random >>> 16) % (2 * EVERY - 1);
            task = taskNumber;
            Arrays.fill(laps, 0);
            began = mark = clock.nanos();
        }
    }

    /** The time since the last lap belongs to {@code stage}. */
    public void lap(int stage) {
        if (timing && !answered || stage == SIGNAL && answered) {
            var now = clock.nanos();
            laps[stage] += now - mark;
            mark = now;
        }
    }

    /** A batch was answered; unless it arrived in the same task it is not timed. */
    void answered(long taskNumber) {
        batches.add(1);
        answered = timing && taskNumber == task;
        timing = answered;
    }

    /** Answers have left. */
    public void sent() {
        if (answered) {
            lap(SIGNAL);
            for (var i = 0; i < laps.length; i++) {
                nanos[i].add(laps[i]);
            }
            endToEnd.add(mark - began);
            timed.add(1);
            answered = false;
            timing = false;
        }
    }
}
