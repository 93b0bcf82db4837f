package io.sidecore.conf;

import java.util.Optional;

/**
 * {@code sidecore.metrics}: how a host is observed from outside.
 *
 * @param listen where it serves {@code /metrics}, {@code /health} and {@code /ready}; empty: nowhere
 */
public record MetricsSettings(Optional<ListenAddress.Tcp> listen) {
    /** Served nowhere. */
    public static final MetricsSettings OFF = new MetricsSettings(Optional.empty());
}
