package io.sidecore.devices.interpose;

import io.sidecore.actors.block.Errno;
import java.time.Duration;
import java.util.SplittableRandom;

/**
 * What is to go wrong, how often: a seed and ratios. The same seed makes the same decisions for the same sequence of requests. Ratios are independent of each other in the order hang, error, delay: a request that hangs is not
 * delayed as well. One plan is read by one thread at a time.
 *
 * @param seed of all decisions
 * @param delayRatio share of requests that are delayed, 0 to 1
 * @param delay by how long
 * @param errorRatio share of requests that fail without reaching the store
 * @param error with what
 * @param hangRatio share of requests that are never heard of again
 */
public record FaultPlan(
        long seed, double delayRatio, Duration delay, double errorRatio, Errno error, double hangRatio) {
    /** What happens to a request. */
    public enum Fate {
        PASS,
        DELAY,
        ERROR,
        HANG
    }

    /** A plan in which nothing goes wrong, to be refined. */
    public static FaultPlan none(long seed) {
        return new FaultPlan(seed, 0, Duration.ZERO, 0, Errno.EIO, 0);
    }

    /** This plan with delays. */
    public FaultPlan withDelay(double ratio, Duration by) {
        return new FaultPlan(seed, ratio, by, errorRatio, error, hangRatio);
    }

    /** This plan with errors. */
    public FaultPlan withError(double ratio, Errno with) {
        return new FaultPlan(seed, delayRatio, delay, ratio, with, hangRatio);
    }

    /** This plan with requests that hang. */
    public FaultPlan withHang(double ratio) {
        return new FaultPlan(seed, delayRatio, delay, errorRatio, error, ratio);
    }

    /** The decisions of this plan, from the beginning. */
    public Decisions decisions() {
        return new Decisions(this);
    }

    /** A sequence of decisions. */
    public static final class Decisions {
        private final FaultPlan plan;
        private final SplittableRandom random;

        private Decisions(FaultPlan plan) {
            this.plan = plan;
            this.random = new SplittableRandom(plan.seed);
        }

        /** The fate of the next request. */
        public Fate next() {
            if (plan.hangRatio > 0 && random.nextDouble() < plan.hangRatio) {
                return Fate.HANG;
            }
            if (plan.errorRatio > 0 && random.nextDouble() < plan.errorRatio) {
                return Fate.ERROR;
            }
            if (plan.delayRatio > 0 && random.nextDouble() < plan.delayRatio) {
                return Fate.DELAY;
            }
            return Fate.PASS;
        }
    }
}
