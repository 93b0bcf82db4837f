package io.sidecore.runtime.control;

import io.sidecore.conf.ListenAddress;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.file.Path;

/** Where a host is spoken to. */
final class ControlSocket {
    /** In the data directory. */
    static final String NAME = "control.sock";

    private ControlSocket() {}

    static Path path(Path dataDirectory) {
        return dataDirectory.resolve(NAME);
    }

    /** The address of a data directory's socket; through its link in the registry where the path itself is too long. */
    static UnixDomainSocketAddress address(Path dataDirectory) throws IOException {
        var path = path(dataDirectory);
        if (ListenAddress.Unix.pathBytes(path) > ListenAddress.Unix.PATH_BYTES_MAX) {
            path = path(HostRegistry.ofThisUser().link(dataDirectory));
        }
        return UnixDomainSocketAddress.of(path);
    }
}
