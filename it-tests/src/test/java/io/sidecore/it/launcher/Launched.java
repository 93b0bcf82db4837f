package io.sidecore.it.launcher;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.it.NbdClient;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;

/** A launcher that was started, and the JVM it becomes. Its output goes to files in its working directory. */
final class Launched implements AutoCloseable {
    static final Path ROOT =
            Path.of(System.getProperty("basedir", ".")).toAbsolutePath().getParent();
    static final Path LAUNCHER = ROOT.resolve("runtime/bin/sidecore");
    private static final String CONFIGURATION = """
            sidecore {
              volumes { disk { size = 16 MiB, store { type = memory } } }
              exports { nbd { listen = ["127.0.0.1:0"], volumes = [disk] } }
            }
            """;

    private final Path directory;
    private final Process process;

    private Launched(Path directory, Process process) {
        this.directory = directory;
        this.process = process;
    }

    static Launched start(Path launcher, Path directory, Map<String, String> environment, String... arguments)
            throws IOException {
        Files.createDirectories(directory);
        var command = new ArrayList<>(List.of(launcher.toString()));
        command.addAll(List.of(arguments));
        var builder = new ProcessBuilder(command)
                .directory(directory.toFile())
                .redirectOutput(directory.resolve("out").toFile())
                .redirectError(directory.resolve("err").toFile());
        // The jars of this build, which is still going on.
        builder.environment().put("SIDECORE_NO_BUILD", "1");
        builder.environment().putAll(environment);
        return new Launched(directory, builder.start());
    }

    /** Starts {@code sidecore run} with a memory disk named {@code disk}. */
    static Launched run(Path launcher, Path directory, Map<String, String> environment) throws IOException {
        Files.createDirectories(directory);
        var file = Files.writeString(directory.resolve("test.conf"), CONFIGURATION);
        return start(launcher, directory, environment, "run", file.toString());
    }

    /** Waits until the host serves, or has ended. */
    void starts() {
        while (!out().contains("Stop it with Ctrl-C") && process.isAlive()) {
            Thread.onSpinWait();
        }
    }

    /** The same, and does some I/O. */
    void serves() throws IOException {
        starts();
        var uri = out().lines()
                .map(String::strip)
                .filter(line -> line.startsWith("nbd://"))
                .findFirst()
                .orElseThrow(() -> new AssertionError("it does not serve: " + err()));
        try (var client = NbdClient.connect(uri)) {
            assertThat(client.size()).isEqualTo(16 << 20);
            client.batch(true, 10, 4096, new SplittableRandom(1));
        }
    }

    /** The processes that are its children, ended ones that nobody asked for included. */
    List<ProcessHandle> children() {
        return process.children().toList();
    }

    /** Asks it to stop by SIGTERM. */
    Launched terminate() {
        process.destroy();
        return this;
    }

    /** Ends it, and all that it started, as a crash would. */
    void kill() {
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly().onExit().join();
    }

    int exitCode() throws InterruptedException {
        assertThat(process.waitFor(120, TimeUnit.SECONDS)).as("it ended").isTrue();
        return process.exitValue();
    }

    String out() {
        return read("out");
    }

    String err() {
        return read("err");
    }

    private String read(String name) {
        try {
            return Files.readString(directory.resolve(name));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void close() {
        kill();
    }
}
