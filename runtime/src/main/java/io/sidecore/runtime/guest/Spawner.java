package io.sidecore.runtime.guest;

import io.sidecore.actors.block.DaemonThread;
import io.sidecore.devices.linux.ProcessGroup;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;

/**
 * Starts processes that do not outlive the host, also if it is killed: the kernel kills them when the thread that has started them ends (prctl(2), PR_SET_PDEATHSIG, set by setpriv(1)). That is why it is one thread, which lives as long as the host.
 *
 * <p>Each has a session of its own (setsid(1)): what a terminal tells the host, Ctrl-C or that it is closed, is for the host, which asks its guests to end.
 */
public final class Spawner implements AutoCloseable {
    private final ExecutorService thread = DaemonThread.started("sidecore-spawner");

    /**
     * Starts a process. What it writes is lost, save for its standard error.
     *
     * @throws IOException if it cannot be started
     */
    public Process start(List<String> command, Path workingDirectory) throws IOException, InterruptedException {
        var whole = new ArrayList<String>();
        // Both become the program, under the number that they have.
        found("setsid").ifPresent(setsid -> whole.add(setsid.toString()));
        found("setpriv").ifPresent(setpriv -> whole.addAll(List.of(setpriv.toString(), "--pdeathsig", "KILL")));
        whole.addAll(command);
        var builder = new ProcessBuilder(whole)
                .directory(workingDirectory.toFile())
                .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
                .redirectOutput(ProcessBuilder.Redirect.DISCARD);
        try {
            return thread.submit(builder::start).get();
        } catch (ExecutionException e) {
            if (e.getCause() instanceof IOException io) {
                throw io;
            }
            throw new IOException(e.getCause().getMessage(), e.getCause());
        }
    }

    /** Kills a process and all that it has started, where it was a script. It may have ended: those are killed then. */
    public static void kill(Process process) {
        ProcessGroup.kill(process.pid());
        // Before it has a group of its own, too. What one that has ended said last can still be read.
        if (process.isAlive()) {
            process.destroyForcibly();
        }
    }

    /** Whether a process ends with a host that is killed. */
    public boolean endsWithTheHost() {
        return found("setpriv").isPresent();
    }

    /** A program by its name, looked for on the path, or by its path. */
    public static Optional<Path> found(String program) {
        if (program.contains("/")) {
            return Optional.of(Path.of(program)).filter(Spawner::isProgram);
        }
        for (var folder : System.getenv().getOrDefault("PATH", "/usr/bin:/bin").split(":")) {
            var candidate = Path.of(folder).resolve(program);
            if (isProgram(candidate)) {
                return Optional.of(candidate);
            }
        }
        return Optional.empty();
    }

    private static boolean isProgram(Path file) {
        return Files.isExecutable(file) && !Files.isDirectory(file);
    }

    /** What it has started is killed. */
    @Override
    public void close() {
        thread.shutdown();
    }
}
