package io.sidecore.devices.nbd;

import java.nio.ByteBuffer;

/**
 * A simple reply, as offsets and pure functions.
 *
 * <pre>
 *    0        4       8                 16
 *   +--------+-------+-----------------+---------
 *   | magic  | error |     cookie      | payload (READ that succeeded)
 *   +--------+-------+-----------------+---------
 * </pre>
 */
final class NbdSimpleReply {
    static final int BYTES = 16;

    private NbdSimpleReply() {}

    static int error(ByteBuffer b, int at) {
        return b.getInt(at + 4);
    }

    static long cookie(ByteBuffer b, int at) {
        return b.getLong(at + 8);
    }

    static void put(ByteBuffer b, int at, int error, long cookie) {
        b.putInt(at, Nbd.SIMPLE_REPLY_MAGIC);
        b.putInt(at + 4, error);
        b.putLong(at + 8, cookie);
    }
}
