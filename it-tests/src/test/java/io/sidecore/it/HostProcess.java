package io.sidecore.it;

import io.sidecore.it.Peers.Running;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** A host in a process of its own, with the JVM options that a host is started with. */
public final class HostProcess implements AutoCloseable {
    private static final Path ROOT =
            Path.of(System.getProperty("basedir", ".")).toAbsolutePath().getParent();
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    private final Running process;

    /**
     * Starts it and waits until it serves.
     *
     * @param directory for its state and its sockets
     * @param settings what stands within {@code sidecore}
     * @param options more options for its JVM
     */
    public HostProcess(Path directory, String settings, String... options) throws IOException {
        this(command(directory, settings, options));
    }

    /** Runs a command that ends as {@link #command} says, and waits until the host serves. */
    public HostProcess(List<String> command) {
        process = Peers.start(command);
        Peers.until("the host serves", PATIENCE, () -> output().contains("Stop it with") || !process.alive());
        if (!process.alive()) {
            var said = output();
            process.close();
            throw new IllegalStateException("the host did not start: " + said);
        }
    }

    /** How a host with such settings is started. */
    public static List<String> command(Path directory, String settings, String... options) throws IOException {
        var file = directory.resolve("host.conf");
        Files.writeString(file, """
                sidecore {
                  data-directory = "%s"
                  %s
                }
                """.formatted(directory, settings));
        var command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "@" + ROOT.resolve("runtime/bin/jvm-options")));
        command.addAll(List.of(options));
        command.addAll(List.of(
                "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                "io.sidecore.runtime.Main",
                "run",
                file.toString()));
        return command;
    }

    /** The first that it announced. */
    public String uri() {
        return uri("nbd", "");
    }

    /** What it announced for an export ("" for the first one): {@code scheme} is what the URI begins with, {@code nbd+unix} say. */
    public String uri(String scheme, String export) {
        return output().lines()
                .map(String::strip)
                .filter(line -> line.startsWith(scheme) && line.contains("/" + export))
                .findFirst()
                .orElseThrow();
    }

    /** What it has said so far. */
    public String output() {
        return process.output();
    }

    /** Whether it runs. */
    public boolean alive() {
        return process.alive();
    }

    /** Its number. */
    public long pid() {
        return process.pid();
    }

    /** Its resident memory, in bytes. */
    public long resident() throws IOException {
        try (var status = Files.lines(Path.of("/proc/" + process.pid() + "/status"))) {
            var kibibytes = status.filter(line -> line.startsWith("VmRSS:"))
                    .findFirst()
                    .orElseThrow()
                    .replaceAll("\\D", "");
            return Long.parseLong(kibibytes) << 10;
        }
    }

    /** As a crash would. */
    public void kill() {
        process.kill();
    }

    @Override
    public void close() {
        process.close();
    }
}
