package io.sidecore.actors.vif;

import io.sidecore.actors.block.Capabilities;
import io.sidecore.conf.AttachMode;

/** A VIF's hold on a volume: in which mode, and what the volume could do when it was taken. Safe for all threads. */
public final class Attachment {
    private final Volume volume;
    private final String holder;
    private final AttachMode mode;
    private final Capabilities capabilities;

    Attachment(Volume volume, String holder, AttachMode mode, Capabilities capabilities) {
        this.volume = volume;
        this.holder = holder;
        this.mode = mode;
        this.capabilities = capabilities;
    }

    /** The volume. */
    public Volume volume() {
        return volume;
    }

    /** Bytes of the volume, at present. */
    public long size() {
        return volume.size();
    }

    /** Who holds it: a VIF's id. */
    public String holder() {
        return holder;
    }

    /** How. */
    public AttachMode mode() {
        return mode;
    }

    /** Whether nothing can be written through it. */
    public boolean readOnly() {
        return mode == AttachMode.READ_ONLY || capabilities.readOnly();
    }

    /** What the volume can do. */
    public Capabilities capabilities() {
        return capabilities;
    }

    /** Lets the volume go. Its queues must have ended. */
    public void detach() {
        volume.detach(this);
    }

    @Override
    public String toString() {
        return holder + " (" + mode.name().toLowerCase(java.util.Locale.ROOT).replace('_', '-') + ")";
    }
}
