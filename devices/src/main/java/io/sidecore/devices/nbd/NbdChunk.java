package io.sidecore.devices.nbd;

import java.nio.ByteBuffer;

/**
 * A chunk of a structured reply, as offsets and pure functions (proto.md, "Structured reply chunk message" and "Structured reply types").
 *
 * <pre>
 *    0        4       6      8                 16       20
 *   +--------+-------+------+-----------------+--------+---------
 *   | magic  | flags | type |     cookie      | length | payload (length bytes)
 *   +--------+-------+------+-----------------+--------+---------
 *
 *   payloads, by type:     20                 28
 *                         +-----------------+---------
 *    OFFSET_DATA          |     offset      | data
 *                         +-----------------+--------+
 *    OFFSET_HOLE          |     offset      |  size  |
 *                         +--------+--------+--------+----
 *    BLOCK_STATUS         |context | length | state  | and so on: length and state of the next extent
 *                         +--------+----+---+--------+----+-----------------+
 *    ERROR, ERROR_OFFSET  | error  |text|  text bytes     |     offset      | the offset: ERROR_OFFSET only
 *                         +--------+----+-----------------+-----------------+
 *                         20       24   26
 * </pre>
 */
final class NbdChunk {
    /** Bytes before the payload. */
    static final int BYTES = 20;

    /** Bytes before the data of an OFFSET_DATA chunk. */
    static final int DATA_BYTES = BYTES + 8;

    /** Bytes before the extents of a BLOCK_STATUS chunk. */
    static final int STATUS_BYTES = BYTES + 4;

    /** Bytes of an extent. */
    static final int EXTENT_BYTES = 8;

    /** Bytes before the text of an error chunk. */
    static final int ERROR_BYTES = BYTES + 6;

    private NbdChunk() {}

    static int flags(ByteBuffer b, int at) {
        return b.getShort(at + 4) & 0xffff;
    }

    static int type(ByteBuffer b, int at) {
        return b.getShort(at + 6) & 0xffff;
    }

    static long cookie(ByteBuffer b, int at) {
        return b.getLong(at + 8);
    }

    /** Of the payload; unsigned. */
    static long length(ByteBuffer b, int at) {
        return b.getInt(at + 16) & 0xffff_ffffL;
    }

    /** Of an OFFSET_DATA or OFFSET_HOLE chunk. */
    static long offset(ByteBuffer b, int at) {
        return b.getLong(at + 20);
    }

    /** Of a BLOCK_STATUS chunk. */
    static int context(ByteBuffer b, int at) {
        return b.getInt(at + 20);
    }

    /** Of an error chunk. */
    static int error(ByteBuffer b, int at) {
        return b.getInt(at + 20);
    }

    /** Of an error chunk, in bytes. */
    static int textLength(ByteBuffer b, int at) {
        return b.getShort(at + 24) & 0xffff;
    }

    /** Of an ERROR_OFFSET chunk. */
    static long errorOffset(ByteBuffer b, int at) {
        return b.getLong(at + ERROR_BYTES + textLength(b, at));
    }

    /** A chunk that is the last one of its reply. */
    static void put(ByteBuffer b, int at, int type, long cookie, int length) {
        b.putInt(at, Nbd.STRUCTURED_REPLY_MAGIC);
        b.putShort(at + 4, (short) Nbd.REPLY_FLAG_DONE);
        b.putShort(at + 6, (short) type);
        b.putLong(at + 8, cookie);
        b.putInt(at + 16, length);
    }

    /** What stands before {@code bytes} of data, which are the whole of a read. */
    static void putData(ByteBuffer b, int at, long cookie, long offset, int bytes) {
        put(b, at, Nbd.REPLY_TYPE_OFFSET_DATA, cookie, 8 + bytes);
        b.putLong(at + 20, offset);
    }

    /** What stands before so many extents. */
    static void putStatus(ByteBuffer b, int at, long cookie, int context, int extents) {
        put(b, at, Nbd.REPLY_TYPE_BLOCK_STATUS, cookie, 4 + EXTENT_BYTES * extents);
        b.putInt(at + 20, context);
    }

    /** One extent; {@code length} is unsigned. */
    static void putExtent(ByteBuffer b, int at, int length, int state) {
        b.putInt(at, length);
        b.putInt(at + 4, state);
    }

    /** What stands before the text of an ERROR chunk, or of an ERROR_OFFSET chunk, whose offset stands behind the text. */
    static void putError(ByteBuffer b, int at, int type, long cookie, int error, int textBytes) {
        put(b, at, type, cookie, 6 + textBytes + (type == Nbd.REPLY_TYPE_ERROR_OFFSET ? 8 : 0));
        b.putInt(at + 20, error);
        b.putShort(at + 24, (short) textBytes);
    }
}
