package io.sidecore.devices.nbd;

import java.nio.ByteBuffer;

/**
 * The header of a request, as offsets and pure functions.
 *
 * <pre>
 *    0        4       6      8                 16                24       28
 *   +--------+-------+------+-----------------+-----------------+--------+---------
 *   | magic  | flags | type |     cookie      |     offset      | length | payload (WRITE)
 *   +--------+-------+------+-----------------+-----------------+--------+---------
 * </pre>
 */
final class NbdRequestHeader {
    static final int BYTES = 28;

    private NbdRequestHeader() {}

    static int magic(ByteBuffer b, int at) {
        return b.getInt(at);
    }

    static int flags(ByteBuffer b, int at) {
        return b.getShort(at + 4) & 0xffff;
    }

    static int type(ByteBuffer b, int at) {
        return b.getShort(at + 6) & 0xffff;
    }

    static long cookie(ByteBuffer b, int at) {
        return b.getLong(at + 8);
    }

    static long offset(ByteBuffer b, int at) {
        return b.getLong(at + 16);
    }

    /** Unsigned. */
    static long length(ByteBuffer b, int at) {
        return b.getInt(at + 24) & 0xffff_ffffL;
    }

    /** Writes a header behind what is in the buffer: the client's side. */
    static void put(ByteBuffer b, int flags, int type, long cookie, long offset, int length) {
        b.putInt(Nbd.REQUEST_MAGIC)
                .putShort((short) flags)
                .putShort((short) type)
                .putLong(cookie)
                .putLong(offset)
                .putInt(length);
    }
}
