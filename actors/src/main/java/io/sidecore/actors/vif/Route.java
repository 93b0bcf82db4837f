package io.sidecore.actors.vif;

import java.util.List;

/** What lies behind a VIF: the interposers, the first one nearest to the guest, and the volume. */
public record Route(List<Interposer> interposers, Volume volume) {
    public Route {
        interposers = List.copyOf(interposers);
    }
}
