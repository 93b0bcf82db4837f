package io.sidecore.actors.vif;

import java.util.List;

/** What lies behind a VIF: the interposers, the first one nearest to the guest, and its hold on a volume. */
public record Route(List<Interposer> interposers, Attachment attachment) {
    public Route {
        interposers = List.copyOf(interposers);
    }

    /** The volume that is held. */
    public Volume volume() {
        return attachment.volume();
    }
}
