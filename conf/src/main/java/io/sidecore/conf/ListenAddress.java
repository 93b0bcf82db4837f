package io.sidecore.conf;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** An element of {@code listen}: where a server accepts connections. {@code toString} is what a user would write. */
public sealed interface ListenAddress {
    /**
     * Reads {@code HOST:PORT}, {@code [IPV6]:PORT} or {@code unix:PATH}, the path resolved against the data directory.
     *
     * @throws IllegalArgumentException with a clause for the user that says what is wrong
     */
    static ListenAddress parse(String text, Path dataDirectory) {
        return text.startsWith(Unix.PREFIX)
                ? Unix.parse(text.substring(Unix.PREFIX.length()), dataDirectory)
                : Tcp.parse(text);
    }

    /**
     * A TCP address.
     *
     * @param host a name or an address, an IPv6 address without brackets; not looked up yet
     * @param port 0 to 65535; 0: any free port
     */
    record Tcp(String host, int port) implements ListenAddress {
        private static final Pattern FORM =
                Pattern.compile("(?:\\[(?<v6>[0-9a-fA-F:.]+(?:%[\\w.-]+)?)]|(?<host>[\\w.-]+)):(?<port>\\d{1,5})");
        private static final int PORT_MAX = 65535;

        private static Tcp parse(String text) {
            Matcher form = FORM.matcher(text);
            if (!form.matches()) {
                throw new IllegalArgumentException(
                        text.startsWith("/")
                                ? "a Unix socket is written " + Unix.PREFIX + text
                                : "it is none of these");
            }
            int port = Integer.parseInt(form.group("port"));
            if (port > PORT_MAX) {
                throw new IllegalArgumentException("a port is at most " + PORT_MAX);
            }
            String v6 = form.group("v6");
            return new Tcp(v6 == null ? form.group("host") : v6, port);
        }

        @Override
        public String toString() {
            return (host.contains(":") ? "[" + host + "]" : host) + ":" + port;
        }
    }

    /**
     * A Unix socket.
     *
     * @param path resolved against the data directory
     */
    record Unix(Path path) implements ListenAddress {
        private static final String PREFIX = "unix:";

        /** {@code sun_path} of unix(7) has 108 bytes, one of them for the terminating zero. */
        public static final int PATH_BYTES_MAX = 107;

        private static Unix parse(String text, Path dataDirectory) {
            if (text.isBlank()) {
                throw new IllegalArgumentException("the path is missing");
            }
            Path path = dataDirectory.resolve(text).normalize();
            int bytes = pathBytes(path);
            if (bytes > PATH_BYTES_MAX) {
                throw new IllegalArgumentException(
                        path + " has " + bytes + " bytes, the operating system allows " + PATH_BYTES_MAX);
            }
            return new Unix(path);
        }

        /** Bytes of a path, of which a socket may have {@link #PATH_BYTES_MAX}. */
        public static int pathBytes(Path path) {
            return path.toString().getBytes(StandardCharsets.UTF_8).length;
        }

        @Override
        public String toString() {
            return PREFIX + path;
        }
    }
}
