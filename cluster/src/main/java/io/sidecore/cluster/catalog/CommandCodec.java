package io.sidecore.cluster.catalog;

import io.sidecore.actors.catalog.CatalogCommand;
import io.sidecore.actors.catalog.CatalogEntry;
import io.sidecore.actors.catalog.CatalogKey;
import io.sidecore.actors.catalog.CatalogState;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/**
 * Commands and entries as bytes, big-endian:
 *
 * <pre>
 *    0  type: 1 put, 2 delete, 3 entry of a snapshot
 *    1  length of the kind in bytes
 *    2  length of the name in bytes (16 bits)
 *    4  length of the value in bytes (32 bits)
 *    8  revision: that of an entry, or the one that a command expects (64 bits)
 *   16  kind, name, value
 * </pre>
 */
final class CommandCodec {
    private static final int PUT = 1;
    private static final int DELETE = 2;
    private static final int ENTRY = 3;
    static final int FIXED_BYTES = 16;

    /** The longest record. */
    static final int MAX_BYTES =
            FIXED_BYTES + CatalogKey.MAX_KIND_CHARS + CatalogKey.MAX_NAME_BYTES + CatalogState.MAX_VALUE_BYTES;

    private CommandCodec() {}

    static void encode(CatalogCommand command, ByteBuffer to) {
        switch (command) {
            case CatalogCommand.Put put -> encode(PUT, put.key(), put.expected(), put.value(), to);
            case CatalogCommand.Delete delete -> encode(DELETE, delete.key(), delete.expected(), "", to);
        }
    }

    static void encode(CatalogEntry entry, ByteBuffer to) {
        encode(ENTRY, entry.key(), entry.revision(), entry.value(), to);
    }

    private static void encode(int type, CatalogKey key, long revision, String value, ByteBuffer to) {
        var kind = key.kind().getBytes(StandardCharsets.US_ASCII);
        var name = key.name().getBytes(StandardCharsets.UTF_8);
        var text = value.getBytes(StandardCharsets.UTF_8);
        to.put((byte) type)
                .put((byte) kind.length)
                .putShort((short) name.length)
                .putInt(text.length)
                .putLong(revision)
                .put(kind)
                .put(name)
                .put(text);
    }

    /** @throws IllegalArgumentException with a sentence, if there is no command */
    static CatalogCommand decodeCommand(ByteBuffer from) {
        var record = Fields.decode(from);
        return switch (record.type) {
            case PUT -> new CatalogCommand.Put(record.key, record.revision, record.value);
            case DELETE -> new CatalogCommand.Delete(record.key, record.revision);
            default -> throw new IllegalArgumentException("a record of type " + record.type + " is no command");
        };
    }

    /** @throws IllegalArgumentException with a sentence, if there is no entry */
    static CatalogEntry decodeEntry(ByteBuffer from) {
        var record = Fields.decode(from);
        if (record.type != ENTRY) {
            throw new IllegalArgumentException("a record of type " + record.type + " is no entry");
        }
        return new CatalogEntry(record.key, record.revision, record.value);
    }

    private record Fields(int type, CatalogKey key, long revision, String value) {
        static Fields decode(ByteBuffer from) {
            if (from.remaining() < FIXED_BYTES) {
                throw new IllegalArgumentException("a record has only " + from.remaining() + " bytes");
            }
            var type = Byte.toUnsignedInt(from.get());
            var kind = Byte.toUnsignedInt(from.get());
            var name = Short.toUnsignedInt(from.getShort());
            var value = from.getInt();
            var revision = from.getLong();
            if (value < 0 || from.remaining() < (long) kind + name + value) {
                throw new IllegalArgumentException("a record is longer than its frame");
            }
            return new Fields(type, new CatalogKey(text(from, kind), text(from, name)), revision, text(from, value));
        }

        private static String text(ByteBuffer from, int length) {
            var bytes = new byte[length];
            from.get(bytes);
            return new String(bytes, StandardCharsets.UTF_8);
        }
    }
}
