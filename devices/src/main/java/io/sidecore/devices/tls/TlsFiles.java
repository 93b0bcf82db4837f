package io.sidecore.devices.tls;

import java.nio.file.Path;
import java.util.Optional;

/**
 * Where a server's credentials lie, in PEM (RFC 7468).
 *
 * @param certificate its certificate, then those that vouch for it, the root not needed
 * @param key the private key of the first certificate
 * @param clientCa who vouches for clients; where present, a client without a certificate of theirs is refused
 */
public record TlsFiles(Path certificate, Path key, Optional<Path> clientCa) {}
