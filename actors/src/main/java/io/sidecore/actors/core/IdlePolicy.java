package io.sidecore.actors.core;

/**
 * Decides what a loop does that found no work: poll again at once, or park until something happens. Polling saves the wake-up, which is worth 1.4 × at depth
 * one while a core is free, and harms when cores are full, because the poller takes the core that its own client needs. It also harms at depth: a loop that sleeps
 * a little finds more requests at once and spends fewer system calls on each.
 *
 * <p>So a loop polls for at most {@code spinMax} after its last work, and only while (1) work lately came at intervals shorter than that, (2) each arrival
 * brought few requests, and (3) the thread was not pushed off its core lately. The last shows as an involuntary context switch, or as a gap in the loop's own
 * sense of time; each time it happens the loop refrains for twice as long, up to {@link #MAX_PENALTY_NANOS}.
 *
 * <p>Pure: told what happened and when, answers what to do. Used by one thread.
 */
final class IdlePolicy {
    /** Above this many requests an arrival (a moving mean), a loop parks rather than polls. */
    static final double SHALLOW = 3.0;

    static final long MIN_PENALTY_NANOS = 2_000_000;
    static final long MAX_PENALTY_NANOS = 512_000_000;
    /** A polling loop that misses so much time was not running. */
    static final long GAP_NANOS = 150_000;

    private static final double WEIGHT = 1.0 / 16;

    private final long spinMax;
    private double interval;
    private double depth = 1;
    private long lastArrival;
    private long lastPoll;
    private boolean polling;
    private long penalty = MIN_PENALTY_NANOS;
    private long refrainUntil;
    private boolean refrain;

    IdlePolicy(long spinMaxNanos) {
        this.spinMax = spinMaxNanos;
        this.interval = 4.0 * spinMaxNanos;
    }

    /** Input or output was found ready and {@code requests} requests were served since the last arrival. */
    void arrived(long now, long requests) {
        // An idle hour is one long interval, not a reason to park through the next thousand requests.
        var sample = Math.min(now - lastArrival, 4 * spinMax);
        interval += (sample - interval) * WEIGHT;
        depth += (Math.min(requests, 64) - depth) * WEIGHT;
        lastArrival = now;
        polling = false;
    }

    /** The thread was pushed off its core while it had something to do. */
    void preempted(long now) {
        if (refrain && now - refrainUntil < 0) {
            return;
        }
        // Forgiven after a quiet time ten times as long as the last penalty.
        penalty = refrain && now - refrainUntil < 10 * penalty
                ? Math.min(2 * penalty, MAX_PENALTY_NANOS)
                : MIN_PENALTY_NANOS;
        refrainUntil = now + penalty;
        refrain = true;
    }

    /** Nothing to do at {@code now}, nothing done since {@code lastWork}: true to poll again, false to park. */
    boolean poll(long now, long lastWork) {
        if (polling && now - lastPoll > GAP_NANOS) {
            preempted(now);
        }
        lastPoll = now;
        polling = spinMax > 0
                && now - lastWork < spinMax
                && interval < spinMax
                && depth < SHALLOW
                && !(refrain && now - refrainUntil < 0);
        return polling;
    }
}
