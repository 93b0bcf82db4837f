package io.sidecore.runtime.guest.qemu;

import io.sidecore.devices.linux.ProcessGroup;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What a run has left behind: its files, and processes, where the kernel did not kill them with the host. */
final class LeftOver {
    private static final Logger LOG = LoggerFactory.getLogger(LeftOver.class);
    private static final String PID_FILE = "qemu.pid";
    private static final long GONE_WITHIN_SECONDS = 10;

    /** Of the line of proc_pid_stat(5), counted from the field behind the program's name, which may have spaces in it. */
    private static final int GROUP = 2;

    private LeftOver() {}

    /** Lets the next host know which process works in a folder. */
    static void note(Process process, Path folder) throws IOException {
        Files.writeString(folder.resolve(PID_FILE), process.pid() + "\n");
    }

    static void forget(Path folder) throws IOException {
        Files.deleteIfExists(folder.resolve(PID_FILE));
    }

    /** Ends the process that was noted in a folder and those of its group, if they are the ones that were meant, which work there: numbers are used again. */
    static void end(Path folder) throws IOException, InterruptedException {
        var pidFile = folder.resolve(PID_FILE);
        if (!Files.exists(pidFile)) {
            return;
        }
        long pid;
        try {
            pid = Long.parseLong(Files.readString(pidFile).strip());
        } catch (NumberFormatException torn) {
            return;
        }
        var left = of(pid, folder);
        if (left.isEmpty()) {
            return;
        }
        LOG.warn("process {} was left by a host that was killed; it is killed now", pid);
        ProcessGroup.kill(pid);
        left.forEach(ProcessHandle::destroyForcibly);
        try {
            CompletableFuture.allOf(left.stream().map(ProcessHandle::onExit).toArray(CompletableFuture[]::new))
                    .get(GONE_WITHIN_SECONDS, TimeUnit.SECONDS);
        } catch (ExecutionException | TimeoutException e) {
            throw new IOException("process " + pid + " was left by a host that was killed, and cannot be ended", e);
        }
    }

    /** Removes a folder and all that is in it. */
    static void remove(Path folder) throws IOException {
        if (Files.exists(folder)) {
            try (var files = Files.walk(folder)) {
                for (var file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.deleteIfExists(file);
                }
            }
        }
    }

    /** The process itself may have ended before those that it had started. */
    private static List<ProcessHandle> of(long pid, Path folder) {
        return ProcessHandle.allProcesses()
                .filter(process -> process.pid() == pid || group(process.pid()) == pid)
                .filter(process -> worksIn(process.pid(), folder))
                .toList();
    }

    private static long group(long pid) {
        try {
            var line = Files.readString(Path.of("/proc/" + pid + "/stat"));
            return Long.parseLong(line.substring(line.lastIndexOf(')') + 2).split(" ")[GROUP]);
        } catch (IOException gone) {
            return -1;
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
