package io.sidecore.runtime;

import io.sidecore.conf.ListenAddress;
import io.sidecore.devices.nbd.NbdListener;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.URLEncoder;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;

/** A bound address, and how clients write it. */
final class NbdAddress implements AutoCloseable {
    private static final int BACKLOG = 1024;
    /** In a mode of stat(2). */
    private static final int FILE_TYPE = 0170000;

    private static final int SOCKET = 0140000;

    private final ListenAddress address;
    private final ServerSocketChannel channel;

    private NbdAddress(ListenAddress address, ServerSocketChannel channel) {
        this.address = address;
        this.channel = channel;
    }

    /** @throws HostException if the address is in use or not to be had */
    static NbdAddress bind(ListenAddress address) {
        try {
            return new NbdAddress(
                    address,
                    switch (address) {
                        case ListenAddress.Tcp tcp -> bind(tcp);
                        case ListenAddress.Unix unix -> bind(unix.path());
                    });
        } catch (IOException | RuntimeException e) {
            throw new HostException(
                    "cannot listen on " + address + ": " + e.getMessage()
                            + "; stop what uses it, or change sidecore.exports.nbd.listen",
                    e);
        }
    }

    private static ServerSocketChannel bind(ListenAddress.Tcp tcp) throws IOException {
        var channel = ServerSocketChannel.open();
        try {
            channel.setOption(StandardSocketOptions.SO_REUSEADDR, true);
            channel.bind(new InetSocketAddress(InetAddress.getByName(tcp.host()), tcp.port()), BACKLOG);
            return channel;
        } catch (IOException | RuntimeException e) {
            channel.close();
            throw e;
        }
    }

    private static ServerSocketChannel bind(Path path) throws IOException {
        if (path.toAbsolutePath().getParent() != null) {
            Files.createDirectories(path.toAbsolutePath().getParent());
        }
        removeStale(path);
        var channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            channel.bind(UnixDomainSocketAddress.of(path), BACKLOG);
            Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-------"));
            return channel;
        } catch (IOException | RuntimeException e) {
            channel.close();
            throw e;
        }
    }

    /** A socket file that nobody listens on was left by a host that was killed. Nothing else is ever removed. */
    private static void removeStale(Path path) throws IOException {
        if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        var mode = (int) Files.getAttribute(path, "unix:mode", LinkOption.NOFOLLOW_LINKS);
        if ((mode & FILE_TYPE) != SOCKET) {
            throw new IOException("there is a file which is not a socket");
        }
        try {
            SocketChannel.open(UnixDomainSocketAddress.of(path)).close();
        } catch (ConnectException refused) {
            Files.delete(path);
            return;
        }
        throw new IOException("another process listens there");
    }

    void listen(NbdListener listener) {
        try {
            listener.listen(channel);
        } catch (IOException e) {
            throw new HostException("cannot listen on " + address + ": " + e.getMessage(), e);
        }
    }

    /** Where a client on this machine finds this export, whatever its working directory. */
    String uri(String export) {
        return switch (address) {
            case ListenAddress.Tcp tcp -> "nbd://%s:%d/%s".formatted(host(tcp), bound().getPort(), export);
            case ListenAddress.Unix unix ->
                "nbd+unix:///%s?socket=%s"
                        .formatted(
                                export,
                                URLEncoder.encode(reachable(unix.path()).toString(), StandardCharsets.UTF_8)
                                        .replace("%2F", "/")
                                        .replace("+", "%20"));
        };
    }

    /** A relative path may be short enough for a socket where the absolute one is not. */
    private static Path reachable(Path socket) {
        var absolute = socket.toAbsolutePath().normalize();
        return ListenAddress.Unix.pathBytes(absolute) <= ListenAddress.Unix.PATH_BYTES_MAX ? absolute : socket;
    }

    /** The same over TLS. */
    String tlsUri(String export) {
        return uri(export).replaceFirst("^nbd", "nbds");
    }

    /** Whether it is every address of this machine. */
    boolean everywhere() {
        return address instanceof ListenAddress.Tcp && bound().getAddress().isAnyLocalAddress();
    }

    private String host(ListenAddress.Tcp tcp) {
        if (everywhere()) {
            return "localhost";
        }
        return tcp.host().indexOf(':') >= 0 ? "[" + tcp.host() + "]" : tcp.host();
    }

    private InetSocketAddress bound() {
        try {
            return (InetSocketAddress) channel.getLocalAddress();
        } catch (IOException e) {
            throw new HostException("the socket on " + address + " has gone: " + e.getMessage(), e);
        }
    }

    @Override
    public void close() throws IOException {
        channel.close();
        if (address instanceof ListenAddress.Unix unix) {
            Files.deleteIfExists(unix.path());
        }
    }
}
