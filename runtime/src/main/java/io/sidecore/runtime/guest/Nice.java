package io.sidecore.runtime.guest;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/** What the kernel calls the weight of what it schedules (sched(7)): one step of niceness is a fourth of the processor time. */
public final class Nice {
    private static final double STEP = 1.25;
    private static final double USUAL_WEIGHT = 100;

    private static final int TRIES = 10;
    private static final Duration AGAIN = Duration.ofMillis(100);

    private Nice() {}

    /**
     * Gives a session of processes its niceness among others, where the kernel has one for it (sched(7), the autogroup feature).
     *
     * @param process any one of it
     * @throws IOException if the kernel refuses; it takes one of all users' changes in a tenth of a second, which is waited for
     */
    public static void session(long process, int niceness) throws IOException, InterruptedException {
        var file = Path.of("/proc/" + process + "/autogroup");
        for (var left = TRIES; Files.exists(file); left--) {
            try {
                Files.writeString(file, Integer.toString(niceness));
                return;
            } catch (IOException e) {
                if (left == 0) {
                    throw e;
                }
                Thread.sleep(AGAIN);
            }
        }
    }

    /** The niceness of a weight, -20 to 19; 0 of 100. */
    public static int of(int weight) {
        return Math.clamp(Math.round(-Math.log(weight / USUAL_WEIGHT) / Math.log(STEP)), -20, 19);
    }
}
