package io.sidecore.it.files;

import io.sidecore.it.Peers;
import io.sidecore.it.Peers.Running;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** A host in a process of its own, which serves one volume in a file on a Unix socket. */
final class HostProcess implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    private final Running process;
    private final Path socket;

    /**
     * Starts it and waits until it serves.
     *
     * @param directory for its state and its socket
     * @param volume the volume's section, without its name
     * @param before what stands before the command, such as strace
     */
    HostProcess(Path directory, String volume, String... before) throws IOException {
        socket = directory.resolve("s");
        process = Peers.start(command(directory, volume, before));
        Peers.until("the host serves: " + process.output(), PATIENCE, this::serves);
    }

    /** How a host that serves so is started. */
    static List<String> command(Path directory, String volume, String... before) throws IOException {
        var settings = directory.resolve("host.conf");
        Files.writeString(settings, """
                sidecore {
                  data-directory = "%s"
                  volumes { disk { %s } }
                  exports.nbd { listen = ["unix:s"], volumes = [disk] }
                }
                """.formatted(directory, volume));
        var command = new ArrayList<>(List.of(before));
        command.addAll(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                // Its own log, not that of the tests, which says less.
                "-Dlogback.configurationFile=logback.xml",
                "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                "io.sidecore.runtime.Main",
                "run",
                settings.toString()));
        return command;
    }

    private boolean serves() {
        try (var channel = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
            return channel.isConnected();
        } catch (IOException notYet) {
            return !process.alive();
        }
    }

    String uri() {
        return "nbd+unix:///disk?socket=" + socket;
    }

    String output() {
        return process.output();
    }

    /** As a crash would. */
    void kill() {
        process.kill();
    }

    @Override
    public void close() {
        process.close();
    }
}
