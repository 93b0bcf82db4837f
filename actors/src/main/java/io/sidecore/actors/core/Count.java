package io.sidecore.actors.core;

import java.util.concurrent.atomic.AtomicLong;

/**
 * A counter with one writer and any number of readers: an addition is a plain load and store, without a locked instruction. Readers see a value that is at
 * most a moment old.
 */
public final class Count {
    private final AtomicLong value = new AtomicLong();

    /** Adds; the one writer only. */
    public void add(long n) {
        value.setOpaque(value.getPlain() + n);
    }

    /** Raises the value to {@code n} if it is lower; the one writer only. */
    public void max(long n) {
        if (n > value.getPlain()) {
            value.setOpaque(n);
        }
    }

    /** The present value; any thread. */
    public long get() {
        return value.getOpaque();
    }
}
