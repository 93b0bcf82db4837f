package io.sidecore.devices.interpose;

import java.util.concurrent.atomic.AtomicLong;

/**
 * A rate with a burst allowance, shared by any number of threads without a lock (the generic cell rate algorithm of ITU-T I.371): it keeps the time at which the allowance would be full again, and each use moves that on.
 * Pure: the time is a parameter.
 */
public final class TokenBucket {
    /** A rate in units a second, 0 for no limit; and how long an allowance may be saved up, in nanoseconds. */
    private record Rate(double nanosPerUnit, long burstNanos) {}

    private final AtomicLong full = new AtomicLong(Long.MIN_VALUE);
    private volatile Rate rate;

    /** A bucket that is full. */
    public TokenBucket(long unitsPerSecond, long burstNanos) {
        rate(unitsPerSecond, burstNanos);
    }

    /** Another rate from now on, with a full bucket: debts were made at the old price. Zero units a second mean no limit. */
    public void rate(long unitsPerSecond, long burstNanos) {
        if (unitsPerSecond < 0 || burstNanos < 0) {
            throw new IllegalArgumentException(
                    "a rate of " + unitsPerSecond + "/s with a burst of " + burstNanos + " ns");
        }
        rate = new Rate(unitsPerSecond == 0 ? 0 : 1e9 / unitsPerSecond, burstNanos);
        full.set(Long.MIN_VALUE);
    }

    /**
     * Takes {@code units} if they are allowed at {@code now}.
     *
     * @return 0 if they were taken, else nanoseconds after which it is worth asking again
     */
    public long tryTake(long units, long now) {
        var current = rate;
        if (current.nanosPerUnit == 0) {
            return 0;
        }
        var cost = (long) (units * current.nanosPerUnit);
        while (true) {
            var before = full.get();
            var base = before == Long.MIN_VALUE ? now : Math.max(before, now);
            // A use may begin whenever the debt of those before it is within the burst: one larger than the burst is
            // served late, not never.
            var early = base - now - current.burstNanos;
            if (early > 0) {
                return early;
            }
            if (full.compareAndSet(before, base + cost)) {
                return 0;
            }
        }
    }

    /** Takes {@code units} whether they are allowed or not: later uses wait the longer. */
    public void take(long units, long now) {
        var cost = (long) (units * rate.nanosPerUnit);
        full.updateAndGet(before -> (before == Long.MIN_VALUE ? now : Math.max(before, now)) + cost);
    }

    /** Nanoseconds after which something may be taken again, 0 if it may now. */
    public long waitNanos(long now) {
        var current = rate;
        var before = full.get();
        return current.nanosPerUnit == 0 || before == Long.MIN_VALUE
                ? 0
                : Math.max(0, before - now - current.burstNanos);
    }
}
