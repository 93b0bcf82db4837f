package io.sidecore.conf;

import java.nio.file.Path;
import java.util.Optional;

/**
 * {@code sidecore.exports.nbd.tls}.
 *
 * @param mode whether clients may or must use TLS
 * @param files its credentials; present unless the mode is {@link Mode#OFF}
 */
public record TlsSettings(Mode mode, Optional<Files> files) {
    /** No TLS. */
    public static final TlsSettings NONE = new TlsSettings(Mode.OFF, Optional.empty());

    /** Whether clients use TLS. */
    public enum Mode {
        /** They cannot. */
        OFF,
        /** They may. */
        ALLOW,
        /** They must. */
        REQUIRE
    }

    /**
     * Where the credentials lie, in PEM.
     *
     * @param certificate the server's certificate, then those that vouch for it
     * @param key its private key
     * @param clientCa who vouches for clients; empty: clients need no certificate
     */
    public record Files(Path certificate, Path key, Optional<Path> clientCa) {}
}
