package io.sidecore.conf;

import java.time.Duration;
import java.util.List;

/**
 * {@code sidecore.exports.nbd}: the NBD server.
 *
 * @param listen where it accepts connections; not empty, no address twice
 * @param volumes what it exports from the start on; no name twice
 * @param maxConnections open connections, at most
 * @param handshakeTimeout how long a client may take from connecting to its choice of an export
 * @param placement which loops serve the connections
 * @param tls whether the connections are encrypted
 */
public record NbdSettings(
        List<ListenAddress> listen,
        List<ExportedVolume> volumes,
        int maxConnections,
        Duration handshakeTimeout,
        Placement placement,
        TlsSettings tls) {
    public NbdSettings {
        listen = List.copyOf(listen);
        volumes = List.copyOf(volumes);
    }

    /**
     * A volume, and under which name it is exported.
     *
     * @param name what clients ask for
     * @param volume a name out of {@link Settings#volumes()}
     * @param mode how it is held: two that write must both be shared
     * @param interposers what stands between, from the client to the volume
     */
    public record ExportedVolume(String name, String volume, AttachMode mode, List<InterposerSettings> interposers) {
        public ExportedVolume {
            interposers = List.copyOf(interposers);
        }
    }
}
