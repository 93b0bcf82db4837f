package io.sidecore.conf;

import java.time.Duration;
import java.util.OptionalLong;

/** An element of {@code interposers}: what stands between a VIF and its volume. */
public sealed interface InterposerSettings {
    /**
     * Limits what all queues of a VIF do together. One of the two rates is present at least.
     *
     * @param iops requests per second
     * @param bytesPerSecond payload bytes per second
     * @param burst how much unused allowance may be saved up, as the time in which it accrues
     */
    record RateLimit(OptionalLong iops, OptionalLong bytesPerSecond, Duration burst) implements InterposerSettings {}

    /**
     * Makes faults on purpose, the same ones for the same seed. Ratios are shares of all requests, 0 to 1.
     *
     * @param seed of the random choice
     * @param delayRatio requests that are delayed
     * @param delay by how much
     * @param errorRatio requests that are answered with an error
     * @param errno which error
     * @param hangRatio requests that are swallowed and never come back
     */
    record FaultPlan(long seed, double delayRatio, Duration delay, double errorRatio, Errno errno, double hangRatio)
            implements InterposerSettings {}

    /** The errors that a fault plan can answer: those that an NBD reply can carry. */
    enum Errno {
        EIO,
        ENOSPC,
        EPERM,
        EINVAL,
        ENOMEM,
        ESHUTDOWN,
        EOVERFLOW
    }
}
