package io.sidecore.devices.nbd;

import io.sidecore.actors.block.Capabilities;
import io.sidecore.actors.block.Store;
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
        return new NbdExport(name, attachment::size, attachment.readOnly(), attachment.capabilities());
    }

    /** In a few words, for a person who chooses among exports. */
    String description() {
        return "volume " + name + (readOnly ? ", read-only" : "");
    }

    /** The size to tell a client: whole blocks, since it could not reach the rest (proto.md, "Size constraints"). */
    public long toldSize() {
        var bytes = size.getAsLong();
        return bytes - bytes % capabilities.sizes().minimum();
    }

    /** The largest payload of a request: the volume's limit, or ours. */
    int maxPayload() {
        return Math.min(capabilities.sizes().maximum(), Nbd.MAX_PAYLOAD);
    }

    /** Of what the volume can do, what this client can use (proto.md, "Transmission flags"). */
    int transmissionFlags(boolean structured) {
        var zeroes = !readOnly && can(capabilities.writeZeroes());
        return Nbd.FLAG_HAS_FLAGS
                | flag(readOnly, Nbd.FLAG_READ_ONLY)
                | flag(can(capabilities.flush()), Nbd.FLAG_SEND_FLUSH)
                | flag(can(capabilities.fua()), Nbd.FLAG_SEND_FUA)
                | flag(!readOnly && can(capabilities.trim()), Nbd.FLAG_SEND_TRIM)
                | flag(zeroes, Nbd.FLAG_SEND_WRITE_ZEROES)
                | flag(zeroes && can(capabilities.fastZero()), Nbd.FLAG_SEND_FAST_ZERO)
                | flag(structured, Nbd.FLAG_SEND_DF)
                | flag(capabilities.sharedFlush(), Nbd.FLAG_CAN_MULTI_CONN)
                | flag(can(capabilities.cache()), Nbd.FLAG_SEND_CACHE);
    }

    private static boolean can(Store.Answer answer) {
        return answer != Store.Answer.NONE;
    }

    private static int flag(boolean set, int flag) {
        return set ? flag : 0;
    }
}
