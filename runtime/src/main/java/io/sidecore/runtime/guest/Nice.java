package io.sidecore.runtime.guest;

/** What the kernel calls the weight of what it schedules (sched(7)): one step of niceness is a fourth of the processor time. */
public final class Nice {
    private static final double STEP = 1.25;
    private static final double USUAL_WEIGHT = 100;

    private Nice() {}

    /** The niceness of a weight, -20 to 19; 0 of 100. */
    public static int of(int weight) {
        return Math.clamp(Math.round(-Math.log(weight / USUAL_WEIGHT) / Math.log(STEP)), -20, 19);
    }
}
