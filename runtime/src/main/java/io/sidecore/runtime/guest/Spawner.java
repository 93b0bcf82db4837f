package io.sidecore.runtime.guest;

import io.sidecore.actors.block.DaemonThread;
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
 */
public final class Spawner implements AutoCloseable {
    private final ExecutorService thread = DaemonThread.started("sidecore-spawner");

    /**
     * Starts a process.
     *
     * @param nice by how much it yields to others, -20 to 19
     * @throws IOException if it cannot be started
     */
    public Process start(List<String> command, Path workingDirectory, int nice)
            throws IOException, InterruptedException {
        var whole = new ArrayList<String>();
        found("setpriv").ifPresent(setpriv -> whole.addAll(List.of(setpriv.toString(), "--pdeathsig", "KILL")));
        if (nice != 0) {
            whole.addAll(List.of("nice", "-n", Integer.toString(nice)));
        }
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

    /** Whether a process ends with a host that is killed. */
    public boolean endsWithTheHost() {
        return found("setpriv").isPresent();
    }

    /** A program by its name, looked for on the path, or by its path. */
    public static Optional<Path> found(String program) {
        if (program.contains("/")) {
            return Optional.of(Path.of(program)).filter(Files::isExecutable);
        }
        for (var folder : System.getenv().getOrDefault("PATH", "/usr/bin:/bin").split(":")) {
            var candidate = Path.of(folder).resolve(program);
            if (Files.isExecutable(candidate) && !Files.isDirectory(candidate)) {
                return Optional.of(candidate);
            }
        }
        return Optional.empty();
    }

    /** What it has started is killed. */
    @Override
    public void close() {
        thread.shutdown();
    }
}
