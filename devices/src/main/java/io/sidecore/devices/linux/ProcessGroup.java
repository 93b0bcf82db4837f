package io.sidecore.devices.linux;

/** A process and those that it has started, in a group of their own (setpgid(2), setsid(2)). On systems other than Linux nothing is done to it. */
public final class ProcessGroup {
    private static final int SIGKILL = 9;

    private ProcessGroup() {}

    /**
     * Kills all that is left of a group; that there is none is no error.
     *
     * @param leader the number of the process that began it, which may have ended
     */
    public static void kill(long leader) {
        // 0 and 1 mean others: the caller's own group, and everybody.
        if (Libc.LINUX && leader > 1) {
            var _ = Libc.kill(Math.toIntExact(-leader), SIGKILL);
        }
    }
}
