package io.sidecore.runtime.guest;

import io.sidecore.actors.vm.GuestException;
import io.sidecore.conf.ListenAddress.Unix;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;

/** A Unix socket in a folder of the host's, for its own user only, on which a guest's process calls. */
public final class UnixListener implements AutoCloseable {
    private final Path path;
    private final ServerSocketChannel channel;

    private UnixListener(Path path, ServerSocketChannel channel) {
        this.path = path;
        this.channel = channel;
    }

    /**
     * Listens there; a file that a killed host has left is removed.
     *
     * @throws GuestException if that cannot be
     */
    public static UnixListener bind(Path path) {
        var bytes = Unix.pathBytes(path);
        if (bytes > Unix.PATH_BYTES_MAX) {
            throw new GuestException(
                    "the path of the socket %s has %d bytes, and the kernel allows %d: set sidecore.data-directory to one with a shorter path"
                            .formatted(path, bytes, Unix.PATH_BYTES_MAX));
        }
        try {
            Files.deleteIfExists(path);
            var channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
            try {
                channel.bind(UnixDomainSocketAddress.of(path));
                Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-------"));
                return new UnixListener(path, channel);
            } catch (IOException | RuntimeException e) {
                channel.close();
                throw e;
            }
        } catch (IOException e) {
            throw new GuestException("cannot listen on " + path + ": " + e.getMessage(), e);
        }
    }

    /** The socket, for who accepts by itself. */
    public ServerSocketChannel channel() {
        return channel;
    }

    /**
     * Waits for the one caller that there is, and lets nobody else in.
     *
     * @throws IOException also if it is closed meanwhile
     */
    public SocketChannel acceptOne() throws IOException {
        try {
            return channel.accept();
        } finally {
            close();
        }
    }

    @Override
    public void close() throws IOException {
        channel.close();
        Files.deleteIfExists(path);
    }
}
