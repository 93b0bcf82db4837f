package io.sidecore.runtime.control;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;

/** JSON on lines of bounded length, over a socket. One thread reads and one writes. */
final class ControlLines implements Closeable {
    static final JsonMapper JSON = new JsonMapper();

    private final SocketChannel channel;
    private final int longest;
    private final ByteBuffer in = ByteBuffer.allocate(8 << 10).flip();

    /** @param longest bytes of a line that is read, at most */
    ControlLines(SocketChannel channel, int longest) {
        this.channel = channel;
        this.longest = longest;
    }

    /**
     * The next line; empty at the end.
     *
     * @throws IOException if the connection fails, the line is too long or no JSON
     */
    Optional<JsonNode> read() throws IOException {
        var line = new byte[256];
        var length = 0;
        while (true) {
            if (!in.hasRemaining() && !refill()) {
                if (length > 0) {
                    throw new IOException("the other end stopped in the middle of a line");
                }
                return Optional.empty();
            }
            var b = in.get();
            if (b == '\n') {
                return Optional.of(parse(new String(line, 0, length, StandardCharsets.UTF_8)));
            }
            if (length == longest) {
                throw new IOException("a line is longer than " + longest + " bytes");
            }
            if (length == line.length) {
                line = Arrays.copyOf(line, Math.min(longest, 2 * length));
            }
            line[length++] = b;
        }
    }

    private boolean refill() throws IOException {
        var bytes = channel.read(in.clear());
        in.flip();
        return bytes > 0;
    }

    private static JsonNode parse(String line) throws IOException {
        try {
            return JSON.readTree(line);
        } catch (JsonProcessingException e) {
            throw new IOException("expected a JSON object on a line: " + e.getOriginalMessage(), e);
        }
    }

    /** Sends a line. */
    void write(Object value) throws IOException {
        var text = JSON.writeValueAsBytes(value);
        var line =
                ByteBuffer.allocate(text.length + 1).put(text).put((byte) '\n').flip();
        while (line.hasRemaining()) {
            channel.write(line);
        }
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
