package io.sidecore.devices.nbd;

import io.sidecore.actors.block.Capabilities;
import io.sidecore.actors.vif.Attachment;
import java.util.function.LongSupplier;

/**
 * What a client can learn of an export.
 *
 * @param name what clients ask for
 * @param size bytes, at present: a client keeps the size that it was told when it connected
 * @param readOnly whether it cannot be written
 * @param capabilities what the volume can do
 */
public record NbdExport(String name, LongSupplier size, boolean readOnly, Capabilities capabilities) {
    /** A volume under its own name, as it is attached. */
    public static NbdExport of(Attachment attachment) {
        var volume = attachment.volume();
        return new NbdExport(volume.name(), volume::size, attachment.readOnly(), attachment.capabilities());
    }

    int transmissionFlags() {
        return Nbd.FLAG_HAS_FLAGS | Nbd.FLAG_SEND_FLUSH | (capabilities.sharedFlush() ? Nbd.FLAG_CAN_MULTI_CONN : 0);
    }
}
