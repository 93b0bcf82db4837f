package io.sidecore.it.faults;

import io.sidecore.it.Peers;
import io.sidecore.it.Peers.ShortDirectory;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/** A host as a person starts it, in a process of its own: {@code runtime/bin/sidecore run FILE}. */
final class HostProcess implements AutoCloseable {
    private static final Path ROOT =
            Path.of(System.getProperty("basedir", ".")).toAbsolutePath().getParent();
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    private final ShortDirectory directory = new ShortDirectory();
    private final Peers.Running running;

    /** Starts one; {@code settings} stand within {@code sidecore}. It serves when this returns. */
    HostProcess(String settings) throws IOException {
        var file = Files.writeString(
                directory.path().resolve("host.conf"),
                "sidecore { data-directory = \"%s\"\n%s }".formatted(directory.path(), settings));
        // The jars of the build that is still going on, where it is one that makes them.
        running = Peers.start(List.of(
                "env",
                "SIDECORE_NO_BUILD=" + System.getenv().getOrDefault("SIDECORE_NO_BUILD", ""),
                ROOT.resolve("runtime/bin/sidecore").toString(),
                "run",
                file.toString()));
        Peers.until("it serves", PATIENCE, () -> running.output().contains("Stop it with") || !running.alive());
        if (!running.alive()) {
            throw new IOException("the host did not start: " + running.output());
        }
    }

    /** What it announced for an export over TCP, or over Unix sockets. */
    String uri(String scheme, String export) {
        return running.output()
                .lines()
                .map(String::strip)
                .filter(line -> line.startsWith(scheme + "://") && line.contains("/" + export))
                .findFirst()
                .orElseThrow();
    }

    /** Whether it is still there. */
    boolean alive() {
        return running.alive();
    }

    /** What it has said. */
    String output() {
        return running.output();
    }

    /** Resident memory in bytes. */
    long resident() {
        try (var status = Files.lines(Path.of("/proc/" + running.pid() + "/status"))) {
            return status.filter(line -> line.startsWith("VmRSS:"))
                            .map(line -> line.replaceAll("\\D", ""))
                            .mapToLong(Long::parseLong)
                            .findFirst()
                            .orElseThrow()
                    << 10;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void close() {
        running.close();
        directory.close();
    }
}
