package io.sidecore.devices.nbd;

import io.sidecore.devices.interpose.TokenBucket;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;

/** How many lines of the log clients can cause: some at once, then one a second. Whoever connects, is refused and connects again must not fill a disk by it. For all threads. */
final class LogQuota {
    static final long LINES_A_SECOND = 1;
    static final long BURST_NANOS = 20_000_000_000L;

    private final TokenBucket lines = new TokenBucket(LINES_A_SECOND, BURST_NANOS);
    private final AtomicLong leftOut = new AtomicLong();

    /**
     * Has a line written, or leaves it out.
     *
     * @param nowNanos the time
     * @param line writes it; what it is given belongs at its end: empty, or how many were left out before
     */
    void say(long nowNanos, Consumer<String> line) {
        if (lines.tryTake(1, nowNanos) > 0) {
            leftOut.incrementAndGet();
            return;
        }
        var before = leftOut.getAndSet(0);
        line.accept(before == 0 ? "" : " (and " + before + " lines about others were left out)");
    }
}
