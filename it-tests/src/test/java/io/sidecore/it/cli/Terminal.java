package io.sidecore.it.cli;

import static org.junit.jupiter.api.Assertions.fail;

import io.sidecore.it.StartCache;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A shell in a directory of its own, in which {@code sidecore} is the launcher of this build and finds no other hosts than those started here. */
public final class Terminal implements AutoCloseable {
    private static final Path ROOT =
            Path.of(System.getProperty("basedir", ".")).toAbsolutePath().getParent();
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    private final Path directory;
    private final Path cache;
    private final List<Process> background = new ArrayList<>();
    private int number;

    /** A shell in this directory, which the path of a socket must fit into. */
    public Terminal(Path directory) throws IOException {
        this.directory = directory;
        this.cache = StartCache.ofThisBuild();
        Files.createDirectories(directory.resolve("run"));
    }

    /** What a command wrote, to both outputs, and how it ended. */
    public record Result(int exit, String text) {}

    Path directory() {
        return directory;
    }

    /** Runs a command line to its end. */
    public Result run(String command) {
        var output = output();
        var process = start(command, output);
        try {
            if (!process.waitFor(PATIENCE.toMillis(), TimeUnit.MILLISECONDS)) {
                fail(command + " did not end within " + PATIENCE + ":\n" + read(output));
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        } finally {
            end(process);
        }
        return new Result(process.exitValue(), read(output));
    }

    /** Starts a command line that goes on; returns the file that it writes to. */
    public Path startInBackground(String command) {
        var output = output();
        background.add(start("exec " + command, output));
        return output;
    }

    /** What was started last. */
    public Process last() {
        return background.getLast();
    }

    private Path output() {
        return directory.resolve("run/output-" + number++);
    }

    private Process start(String command, Path output) {
        var builder = new ProcessBuilder("bash", "-c", command)
                .directory(directory.toFile())
                .redirectErrorStream(true)
                .redirectInput(Path.of("/dev/null").toFile())
                .redirectOutput(output.toFile());
        var environment = builder.environment();
        environment.put("PATH", ROOT.resolve("runtime/bin") + ":" + environment.get("PATH"));
        environment.put("XDG_RUNTIME_DIR", directory.resolve("run").toString());
        // The jars of this build, which is still going on.
        environment.put("SIDECORE_NO_BUILD", "1");
        environment.put("SIDECORE_CACHE", cache.toString());
        environment.put("TZ", "UTC");
        try {
            return builder.start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** What a command has written so far. */
    public static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void end(Process process) {
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
    }

    @Override
    public void close() {
        background.forEach(Terminal::end);
        for (var process : background) {
            process.onExit().join();
        }
    }
}
