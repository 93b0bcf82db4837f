package io.sidecore.cluster.catalog;

import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/**
 * The bytes of a journal, big-endian. A file header is followed by frames; a frame is what was written and forced as one, so it is there wholly or not at all.
 *
 * <pre>
 *   file header                          frame header
 *    0  magic "SCCATLOG"                  0  magic "SCFR"
 *    8  version                           4  type: 1 snapshot, 2 changes, 3 mark
 *   12  0                                 8  sequence (64 bits)
 *   16  salt (64 bits)                   16  number of records
 *   24  base: revision of the snapshot   20  length of the payload in bytes
 *   32  number of its entries            24  CRC-32C of the payload
 *   36  CRC-32C of bytes 0..35           28  CRC-32C of the salt and of bytes 0..27
 *   40  frames                           32  payload: records, see CommandCodec
 * </pre>
 *
 * <p>The snapshot's frames come first; their sequence is the number of entries before them. The sequence of changes is the revision of the first one, that of a mark the revision before it.
 *
 * <p>A <b>mark</b> stands behind the last frame and says that all before it was forced; the next frame overwrites it. It costs no force of its own. With it, or with a later frame, behind it, a damaged
 * frame is known to have been whole once; without, it is a tail that was never answered. The salt, drawn for each file, keeps text in a payload, which users choose, from being taken for a frame.
 *
 * <p>In every version magic, version, and check sum of the file header stay where they are, so that an older program can name a newer file.
 */
final class JournalLayout {
    static final int VERSION = 1;
    static final int FILE_HEADER_BYTES = 40;
    static final int FRAME_HEADER_BYTES = 32;

    static final int SNAPSHOT = 1;
    static final int CHANGES = 2;
    static final int MARK = 3;

    private static final long FILE_MAGIC = 0x5343_4341_544c_4f47L;
    private static final int FRAME_MAGIC = 0x5343_4652;

    private JournalLayout() {}

    /** A file header: its version, the salt of its frames, and the snapshot that it begins with. */
    record FileHeader(int version, long salt, long base, int entries) {
        static FileHeader now(long salt, long base, int entries) {
            return new FileHeader(VERSION, salt, base, entries);
        }

        void encode(ByteBuffer to) {
            var from = to.position();
            to.putLong(FILE_MAGIC)
                    .putInt(version)
                    .putInt(0)
                    .putLong(salt)
                    .putLong(base)
                    .putInt(entries);
            to.putInt(checksum(to, from, to.position() - from));
        }

        /** Whether a file begins like a journal of any version. */
        static boolean hasMagic(ByteBuffer bytes) {
            return bytes.getLong(0) == FILE_MAGIC;
        }

        /** Whether a whole and undamaged header stands there. */
        static boolean isWhole(ByteBuffer bytes) {
            return bytes.getInt(36) == checksum(bytes, 0, 36);
        }

        static FileHeader decode(ByteBuffer bytes) {
            return new FileHeader(bytes.getInt(8), bytes.getLong(16), bytes.getLong(24), bytes.getInt(32));
        }
    }

    /** A frame header. */
    record FrameHeader(int type, long sequence, int records, int length, int payloadChecksum) {
        /** Puts it in front of its payload, which stands there already. */
        void encode(ByteBuffer to, int at, long salt) {
            to.putInt(at, FRAME_MAGIC)
                    .putInt(at + 4, type)
                    .putLong(at + 8, sequence)
                    .putInt(at + 16, records)
                    .putInt(at + 20, length)
                    .putInt(at + 24, payloadChecksum)
                    .putInt(at + 28, checksum(to, at, salt));
        }

        /** Whether a whole and undamaged frame header of this file stands there, whatever its payload. */
        static boolean isWhole(ByteBuffer bytes, int at, long salt) {
            return at + FRAME_HEADER_BYTES <= bytes.limit()
                    && bytes.getInt(at) == FRAME_MAGIC
                    && bytes.getInt(at + 28) == checksum(bytes, at, salt);
        }

        static FrameHeader decode(ByteBuffer bytes, int at) {
            return new FrameHeader(
                    bytes.getInt(at + 4),
                    bytes.getLong(at + 8),
                    bytes.getInt(at + 16),
                    bytes.getInt(at + 20),
                    bytes.getInt(at + 24));
        }

        private static int checksum(ByteBuffer bytes, int at, long salt) {
            var crc = new CRC32C();
            crc.update(ByteBuffer.allocate(Long.BYTES).putLong(0, salt));
            crc.update(bytes.duplicate().limit(at + 28).position(at));
            return (int) crc.getValue();
        }
    }

    /** The CRC-32C (RFC 3720, B.4) of a part of a buffer. */
    static int checksum(ByteBuffer bytes, int from, int length) {
        var crc = new CRC32C();
        crc.update(bytes.duplicate().limit(from + length).position(from));
        return (int) crc.getValue();
    }

    /** A mark: everything up to this revision was forced. */
    static ByteBuffer mark(long salt, long revision) {
        var bytes = ByteBuffer.allocate(FRAME_HEADER_BYTES);
        new FrameHeader(MARK, revision, 0, 0, 0).encode(bytes, 0, salt);
        return bytes;
    }
}
