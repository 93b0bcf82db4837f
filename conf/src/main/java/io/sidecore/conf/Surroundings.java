package io.sidecore.conf;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.BindException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.net.UnknownHostException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Stream;

/** What a configuration meets on this machine: files that are there or not, and addresses that are free or not. It is looked at, not changed; what is found may be otherwise a moment later. */
public enum Surroundings {
    /** Nothing is looked at: a configuration is judged by itself. */
    UNSEEN,
    /** Files only: for a host that runs, and has its addresses. */
    FILES,
    /** All that a start needs. */
    ALL;

    /** What hinders to read a file; empty if nothing does. */
    Optional<String> unreadable(Path file) {
        if (this == UNSEEN) {
            return Optional.empty();
        }
        if (Files.isDirectory(file)) {
            return Optional.of("this is a directory; expected a file");
        }
        if (!Files.exists(file)) {
            return Optional.of("there is no such file" + near(file));
        }
        return Files.isReadable(file) ? Optional.empty() : Optional.of("the file cannot be read: permission denied");
    }

    /** What hinders to make a file; empty if nothing does. The data directory is made at start, others are not: one that is missing is a misspelt path, or a file system that is not mounted. */
    Optional<String> folderless(Path file, Path dataDirectory) {
        Path folder = file.toAbsolutePath().normalize().getParent();
        if (this == UNSEEN
                || folder == null
                || Files.isDirectory(folder)
                || folder.equals(dataDirectory.toAbsolutePath().normalize())) {
            return Optional.empty();
        }
        return Optional.of("there is no folder " + folder + near(folder));
    }

    /** The name of a file beside it that was probably meant. */
    private static String near(Path file) {
        Path folder = file.toAbsolutePath().getParent();
        if (folder == null || !Files.isDirectory(folder)) {
            return "";
        }
        try (Stream<Path> beside = Files.list(folder)) {
            List<String> names =
                    beside.map(path -> path.getFileName().toString()).toList();
            return Spelling.nearest(file.getFileName().toString(), names)
                    .map(nearest -> "; did you mean \"" + nearest + "\"?")
                    .orElse("");
        } catch (IOException | UncheckedIOException unlisted) {
            return "";
        }
    }

    /** Bytes of a regular file; empty where there is none, or it is not looked at. */
    OptionalLong bytes(Path file) {
        try {
            return this == UNSEEN || !Files.isRegularFile(file)
                    ? OptionalLong.empty()
                    : OptionalLong.of(Files.size(file));
        } catch (IOException unknown) {
            return OptionalLong.empty();
        }
    }

    /** What hinders to listen on an address; empty if nothing does. */
    Optional<String> unavailable(ListenAddress address) {
        if (this != ALL) {
            return Optional.empty();
        }
        return switch (address) {
            case ListenAddress.Tcp tcp -> unavailable(tcp);
            case ListenAddress.Unix unix -> unavailable(unix.path());
        };
    }

    private static Optional<String> unavailable(ListenAddress.Tcp tcp) {
        try (ServerSocketChannel channel = ServerSocketChannel.open()) {
            channel.setOption(StandardSocketOptions.SO_REUSEADDR, true);
            channel.bind(new InetSocketAddress(InetAddress.getByName(tcp.host()), tcp.port()));
            return Optional.empty();
        } catch (UnknownHostException unknown) {
            return Optional.of("no host has the name " + tcp.host());
        } catch (BindException taken) {
            boolean inUse = String.valueOf(taken.getMessage()).contains("in use");
            return Optional.of(
                    inUse
                            ? "it is in use by another process; stop that one, or choose another port"
                            : String.valueOf(taken.getMessage()));
        } catch (IOException refused) {
            return Optional.of(String.valueOf(refused.getMessage()));
        }
    }

    private static Optional<String> unavailable(Path socket) {
        if (!Files.exists(socket, LinkOption.NOFOLLOW_LINKS)) {
            return Optional.empty();
        }
        if (Files.isRegularFile(socket) || Files.isDirectory(socket)) {
            return Optional.of("there is a file which is not a socket; remove it, or choose another path");
        }
        try (var _ = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
            return Optional.of("it is in use by another process; stop that one, or choose another path");
        } catch (ConnectException leftByAProcessThatHasEnded) {
            return Optional.empty();
        } catch (IOException refused) {
            return Optional.of(String.valueOf(refused.getMessage()));
        }
    }
}
