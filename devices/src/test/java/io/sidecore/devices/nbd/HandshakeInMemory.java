package io.sidecore.devices.nbd;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** The handshake engine without a socket, and a client that asks it option by option. */
final class HandshakeInMemory {
    /** An option reply. */
    record Reply(int option, int type, byte[] data) {
        String text() {
            return new String(data, StandardCharsets.UTF_8);
        }

        ByteBuffer buffer() {
            return ByteBuffer.wrap(data);
        }
    }

    private final NbdHandshake handshake;

    HandshakeInMemory(NbdExport... exports) throws NbdProtocolException {
        handshake = new NbdHandshake(List.of(exports));
        handshake.sent(handshake.output().remaining());
        feed(ByteBuffer.allocate(4)
                .putInt(Nbd.FLAG_FIXED_NEWSTYLE | Nbd.FLAG_NO_ZEROES)
                .array());
    }

    NbdHandshake handshake() {
        return handshake;
    }

    NbdSession session() {
        return handshake.chosen().orElseThrow();
    }

    private void feed(byte[] bytes) throws NbdProtocolException {
        handshake.feed(ByteBuffer.wrap(bytes));
    }

    /** Asks, and takes the answers. */
    List<Reply> ask(int option, byte... data) throws NbdProtocolException {
        feed(option(option, data));
        var out = handshake.output();
        handshake.sent(out.remaining());
        var replies = new ArrayList<Reply>();
        while (out.hasRemaining()) {
            if (out.getLong() != Nbd.OPTION_REPLY_MAGIC) {
                throw new AssertionError("not an option reply");
            }
            var of = out.getInt();
            var type = out.getInt();
            var bytes = new byte[out.getInt()];
            out.get(bytes);
            replies.add(new Reply(of, type, bytes));
        }
        return replies;
    }

    static byte[] option(int option, byte... data) {
        return ByteBuffer.allocate(16 + data.length)
                .putLong(Nbd.IHAVEOPT)
                .putInt(option)
                .putInt(data.length)
                .put(data)
                .array();
    }

    /** The data of INFO and GO. */
    static byte[] info(String export, int... wanted) {
        var name = export.getBytes(StandardCharsets.UTF_8);
        var data = ByteBuffer.allocate(6 + name.length + 2 * wanted.length)
                .putInt(name.length)
                .put(name)
                .putShort((short) wanted.length);
        for (var one : wanted) {
            data.putShort((short) one);
        }
        return data.array();
    }

    /** The data of LIST_META_CONTEXT and SET_META_CONTEXT. */
    static byte[] queries(String export, String... queries) {
        var data = new ByteArrayOutputStream();
        data.writeBytes(string(export));
        data.writeBytes(ByteBuffer.allocate(4).putInt(queries.length).array());
        for (var query : queries) {
            data.writeBytes(string(query));
        }
        return data.toByteArray();
    }

    private static byte[] string(String text) {
        var bytes = text.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(4 + bytes.length)
                .putInt(bytes.length)
                .put(bytes)
                .array();
    }
}
