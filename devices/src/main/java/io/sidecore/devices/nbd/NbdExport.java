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
    /** A volume as it is attached. */
    public static NbdExport of(String name, Attachment attachment) {
        return new NbdExport(name, attachment.volume()::size, attachment.readOnly(), attachment.capabilities());
    }

    int transmissionFlags() {
        return Nbd.FLAG_HAS_FLAGS | Nbd.FLAG_SEND_FLUSH | (capabilities.sharedFlush() ? Nbd.FLAG_CAN_MULTI_CONN : 0);
    }
}
