package io.sidecore.devices.nbd;

/**
 * What client and server agreed on in the handshake; it holds for the whole of the transmission phase.
 *
 * @param export the export
 * @param size bytes of it as the client was told, and as it stays for this client, whatever becomes of the volume
 * @param structured whether replies to reads are structured
 * @param allocation whether the client may ask for block status, in the context {@code base:allocation}
 */
public record NbdSession(NbdExport export, long size, boolean structured, boolean allocation) {
    /** Nothing agreed on but the export: simple replies, as after NBD_OPT_EXPORT_NAME alone. */
    public static NbdSession plain(NbdExport export) {
        return new NbdSession(export, export.toldSize(), false, false);
    }

    int transmissionFlags() {
        return export.transmissionFlags(structured);
    }
}
