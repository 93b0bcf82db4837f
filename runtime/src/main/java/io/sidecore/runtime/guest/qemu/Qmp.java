package io.sidecore.runtime.guest.qemu;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.sidecore.actors.vm.GuestException;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The QEMU Machine Protocol on a connected socket: commands are answered, events are told as they come. Safe for all threads.
 *
 * <p>Source: QEMU Machine Protocol Specification (qemu.org/docs/master/interop/qmp-spec.html).
 */
final class Qmp implements AutoCloseable {
    /** Bytes of a message of QEMU's, at most. */
    private static final int LONGEST = 4 << 20;

    private static final JsonMapper JSON = new JsonMapper();

    private final SocketChannel channel;
    private final Consumer<JsonNode> events;
    private final AtomicLong number = new AtomicLong();
    private final Map<Long, CompletableFuture<JsonNode>> asked = new ConcurrentHashMap<>();
    private final CompletableFuture<JsonNode> greeting = new CompletableFuture<>();
    private final Object writing = new Object();
    private volatile @Nullable QmpException ended;

    /** @param events told of events, in order, on the thread that reads; it must not ask and wait */
    Qmp(SocketChannel channel, Consumer<JsonNode> events) {
        this.channel = channel;
        this.events = events;
        Thread.ofVirtual().name("sidecore-qmp").start(this::read);
    }

    /** Completed when commands can be given. */
    CompletableFuture<JsonNode> negotiate() {
        return greeting.thenCompose(greeted -> ask("qmp_capabilities"));
    }

    /** Asks; the answer is what QEMU returns. Fails with a {@link QmpException}. */
    CompletableFuture<JsonNode> ask(String command) {
        return ask(command, Map.of());
    }

    /**
     * Waits for an answer.
     *
     * @throws GuestException if QEMU refuses, or is gone
     */
    static <T> T await(CompletableFuture<T> answer) throws InterruptedException {
        try {
            return answer.get();
        } catch (ExecutionException e) {
            var cause = e.getCause();
            throw new GuestException(cause.getMessage() == null ? cause.toString() : cause.getMessage(), cause);
        }
    }

    CompletableFuture<JsonNode> ask(String command, Map<String, ?> arguments) {
        var id = number.incrementAndGet();
        var answer = new CompletableFuture<JsonNode>();
        asked.put(id, answer);
        try {
            var message = arguments.isEmpty()
                    ? Map.of("execute", command, "id", id)
                    : Map.of("execute", command, "arguments", arguments, "id", id);
            write(JSON.writeValueAsBytes(message));
        } catch (ClosedChannelException e) {
            answer.completeExceptionally(gone(e));
        } catch (IOException e) {
            answer.completeExceptionally(
                    new QmpException("QEMU cannot be told to " + command + ": " + e.getMessage(), e));
        }
        var gone = ended;
        if (gone != null) {
            // Nobody would answer it.
            answer.completeExceptionally(gone);
        }
        var _ = answer.whenComplete((done, failure) -> asked.remove(id));
        return answer;
    }

    /** What closes the socket is the end of QEMU, or of what watches it; the exception itself says nothing. */
    private QmpException gone(ClosedChannelException e) {
        var gone = ended;
        return gone == null ? new QmpException("QEMU has ended", e) : gone;
    }

    private void write(byte[] message) throws IOException {
        var buffer = ByteBuffer.allocate(message.length + 1)
                .put(message)
                .put((byte) '\n')
                .flip();
        synchronized (writing) {
            while (buffer.hasRemaining()) {
                channel.write(buffer);
            }
        }
    }

    private void read() {
        var gone = new QmpException("QEMU has ended");
        try (InputStream in = new BufferedInputStream(Channels.newInputStream(channel))) {
            var line = new ByteArrayOutputStream();
            for (int b; (b = in.read()) >= 0; ) {
                if (b == '\n') {
                    heard(line.toString(StandardCharsets.UTF_8));
                    line.reset();
                } else if (line.size() == LONGEST) {
                    throw new QmpException("a message of QEMU's is longer than " + LONGEST + " bytes");
                } else {
                    line.write(b);
                }
            }
        } catch (QmpException nonsense) {
            gone = nonsense;
        } catch (ClosedChannelException e) {
            gone = gone(e);
        } catch (IOException | RuntimeException e) {
            gone = new QmpException("QEMU has ended: " + e.getMessage(), e);
        } finally {
            ended = gone;
            refuseAll(gone);
            closeSilent();
        }
    }

    private void heard(String line) {
        JsonNode message;
        try {
            message = JSON.readTree(line);
        } catch (JsonProcessingException e) {
            throw new QmpException("QEMU said something that is no JSON: " + e.getOriginalMessage(), e);
        }
        if (message.has("QMP")) {
            greeting.complete(message.get("QMP"));
        } else if (message.has("event")) {
            events.accept(message);
        } else {
            var answer = asked.get(message.path("id").asLong());
            if (answer == null) {
                return;
            }
            if (message.has("error")) {
                answer.completeExceptionally(new QmpException(
                        "QEMU refuses: " + message.get("error").path("desc").asText()));
            } else {
                answer.complete(message.path("return"));
            }
        }
    }

    private void refuseAll(QmpException gone) {
        greeting.completeExceptionally(gone);
        asked.values().forEach(answer -> answer.completeExceptionally(gone));
    }

    private void closeSilent() {
        try {
            channel.close();
        } catch (IOException e) {
            // Nothing is lost with it.
        }
    }

    @Override
    public void close() {
        closeSilent();
    }
}
