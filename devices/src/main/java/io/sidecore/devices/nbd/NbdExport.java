package io.sidecore.devices.nbd;

/**
 * What a client can learn of an export.
 *
 * @param name what clients ask for
 * @param size bytes
 * @param multiConn whether a flush on one connection covers the writes completed on all of them
 */
public record NbdExport(String name, long size, boolean multiConn) {
    int transmissionFlags() {
        return Nbd.FLAG_HAS_FLAGS | Nbd.FLAG_SEND_FLUSH | (multiConn ? Nbd.FLAG_CAN_MULTI_CONN : 0);
    }
}
