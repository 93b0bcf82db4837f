package io.sidecore.runtime.control;

import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** Where a host is spoken to. */
final class ControlSocket {
    /** In the data directory. */
    static final String NAME = "control.sock";

    /** {@code sun_path} of unix(7) has 108 bytes, one of them for the terminating zero. */
    private static final int PATH_BYTES_MAX = 107;

    private ControlSocket() {}

    static Path path(Path dataDirectory) {
        return dataDirectory.resolve(NAME);
    }

    /** The address of a data directory's socket; through its link in the registry where the path itself is too long. */
    static UnixDomainSocketAddress address(Path dataDirectory) throws IOException {
        var path = path(dataDirectory);
        if (path.toString().getBytes(StandardCharsets.UTF_8).length > PATH_BYTES_MAX) {
            path = path(HostRegistry.ofThisUser().link(dataDirectory));
        }
        return UnixDomainSocketAddress.of(path);
    }
}
