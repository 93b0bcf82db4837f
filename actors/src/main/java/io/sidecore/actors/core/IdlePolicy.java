package io.sidecore.actors.core;

/**
 * Decides what a loop does that found no work: poll again at once, or park until something happens. Polling saves the wake-up, which is worth 1.3 to 1.5 × at depth one while a core is free, and harms when cores are full, because the
 * poller takes the core that its own client needs. It also harms at depth: a loop that sleeps a little finds more requests at once and spends fewer system calls on each.
 *
 * <p>So a loop polls for at most {@code spinMax} after its last work, and only while (1) most work lately came within that time, (2) each arrival brought few requests, and (3) cores are not short. The last shows in the
 * time that the thread was runnable and did not run: measured while one client at depth one was served by a polling loop it was 0 to 3 % of the time, with four clients at depth 32 on two cores 33 to 42 %, polling or not. (The number of
 * involuntary context switches does not tell the two apart: 5,000 a second in the first case, 3,000 in the second.)
 *
 * <p>Half of all work is not most: a guest that writes at depth one sends a header, within microseconds its payload, and then nothing for longer than {@code spinMax}. A loop that polls after its answer holds the core on which the one who was answered would have run next: 0.84 × the throughput, for 1.5 × the
 * processor time. For the payload alone, which is on its way, it polls for {@link #REST_NANOS}: parking between the two cost two wake-ups for three requests.
 *
 * <p>Pure: told what happened and when, answers what to do. Used by one thread.
 */
final class IdlePolicy {
    /** Above this many requests an arrival (a moving mean), a loop parks rather than polls. */
    static final double SHALLOW = 6;

    /** Polling pays when it meets this share of all work. */
    static final double WORTH = 0.75;

    /** While the loop parks, the time in which it had no work contains the wake-up that polling would save. */
    static final long WAKE_UP_NANOS = 30_000;

    /** The rest of a request is polled for so long. */
    static final long REST_NANOS = 20_000;

    /** Cores are short when the thread waited for one during this share of the time; and no longer short below the other. */
    static final double SHORT = 0.10;

    static final double PLENTY = 0.04;
    /** How often the waiting time is looked at. */
    static final long LOOK_NANOS = 5_000_000;

    private static final double WEIGHT = 1.0 / 16;

    private final long spinMax;
    private final long restMax;
    /** Share (a moving mean) of the work that came within {@code spinMax}. */
    private double inTime;

    private double depth = 1;
    private long lookedAt;
    private long waitedBefore;
    private boolean coresAreShort;

    IdlePolicy(long spinMaxNanos, long now) {
        this.lookedAt = now;
        this.spinMax = spinMaxNanos;
        this.restMax = Math.min(spinMaxNanos, REST_NANOS);
    }

    /** Work came after {@code idleNanos} without any; {@code requests} requests were served since the last time. */
    void arrived(long idleNanos, long requests) {
        inTime += ((idleNanos < spinMax + WAKE_UP_NANOS ? 1 : 0) - inTime) * WEIGHT;
        depth += (Math.min(requests, 64) - depth) * WEIGHT;
    }

    /** Whether it is time to call {@link #waited}. */
    boolean wantsWaited(long now) {
        return now - lookedAt >= LOOK_NANOS;
    }

    /** The thread has been runnable without running for {@code nanos} in all its life. */
    void waited(long now, long nanos) {
        var share = (double) (nanos - waitedBefore) / (now - lookedAt);
        coresAreShort = share > (coresAreShort ? PLENTY : SHORT);
        waitedBefore = nanos;
        lookedAt = now;
    }

    /**
     * Nothing to do at {@code now}, nothing done since {@code lastWork}: true to poll again, false to park.
     *
     * @param rest whether what came last came in part
     */
    boolean poll(long now, long lastWork, boolean rest) {
        var idle = now - lastWork;
        return (inTime > WORTH ? idle < spinMax : rest && idle < restMax) && depth < SHALLOW && !coresAreShort;
    }
}
