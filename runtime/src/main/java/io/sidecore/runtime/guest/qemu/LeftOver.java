package io.sidecore.runtime.guest.qemu;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A process that a killed host has left behind, where the kernel did not kill it with the host. */
final class LeftOver {
    private static final Logger LOG = LoggerFactory.getLogger(LeftOver.class);
    private static final long GONE_WITHIN_SECONDS = 10;

    private LeftOver() {}

    /**
     * Ends the process whose number is in a file, if it is the one that was meant: numbers are used again.
     *
     * @param folder what it works in
     */
    static void end(Path pidFile, Path folder) throws IOException, InterruptedException {
        if (!Files.exists(pidFile)) {
            return;
        }
        long pid;
        try {
            pid = Long.parseLong(Files.readString(pidFile).strip());
        } catch (NumberFormatException torn) {
            return;
        }
        var left = ProcessHandle.of(pid);
        if (left.isPresent() && worksIn(pid, folder)) {
            LOG.warn("process {} was left by a host that was killed; it is killed now", pid);
            left.get().destroyForcibly();
            CompletableFuture<ProcessHandle> gone = left.get().onExit();
            try {
                gone.get(GONE_WITHIN_SECONDS, TimeUnit.SECONDS);
            } catch (ExecutionException | TimeoutException e) {
                throw new IOException("process " + pid + " was left by a host that was killed, and cannot be ended", e);
            }
        }
    }

    private static boolean worksIn(long pid, Path folder) {
        try {
            return Files.isSameFile(Path.of("/proc/" + pid + "/cwd"), folder);
        } catch (IOException gone) {
            return false;
        }
    }
}
