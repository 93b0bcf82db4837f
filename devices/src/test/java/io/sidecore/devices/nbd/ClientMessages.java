package io.sidecore.devices.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

/** The client's side of the transmission phase: what it sends, and what it makes of the answers. */
final class ClientMessages {
    /** An answer; {@code data} is null where none is expected. */
    record Reply(int error, byte[] data) {}

    private ClientMessages() {}

    static byte[] header(int type, long cookie, long offset, int length) {
        var bytes = ByteBuffer.allocate(NbdRequestHeader.BYTES);
        NbdRequestHeader.put(bytes, 0, type, cookie, offset, length);
        return bytes.array();
    }

    static byte[] read(long cookie, long offset, int length) {
        return header(Nbd.CMD_READ, cookie, offset, length);
    }

    static byte[] write(long cookie, long offset, byte[] payload) {
        return joined(header(Nbd.CMD_WRITE, cookie, offset, payload.length), payload);
    }

    static byte[] flush(long cookie) {
        return header(Nbd.CMD_FLUSH, cookie, 0, 0);
    }

    static byte[] pattern(int length, int seed) {
        var bytes = new byte[length];
        new Random(seed).nextBytes(bytes);
        return bytes;
    }

    static byte[] joined(byte[]... parts) {
        var all = new ByteArrayOutputStream();
        for (var part : parts) {
            all.writeBytes(part);
        }
        return all.toByteArray();
    }

    /** The answers in {@code sent}, in their order, by cookie; those with a payload are named with its length. */
    static Map<Long, Reply> replies(byte[] sent, Map<Long, Integer> payloads) {
        var replies = new LinkedHashMap<Long, Reply>();
        for (var in = ByteBuffer.wrap(sent); in.hasRemaining(); ) {
            assertThat(in.getInt()).isEqualTo(Nbd.SIMPLE_REPLY_MAGIC);
            var error = in.getInt();
            var cookie = in.getLong();
            byte[] data = null;
            if (payloads.containsKey(cookie)) {
                data = new byte[payloads.get(cookie)];
                in.get(data);
            }
            assertThat(replies.put(cookie, new Reply(error, data)))
                    .as("second answer to %d", cookie)
                    .isNull();
        }
        return replies;
    }
}
