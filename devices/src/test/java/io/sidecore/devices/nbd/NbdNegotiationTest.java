package io.sidecore.devices.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.block.Capabilities;
import io.sidecore.actors.core.Clock;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.Loop;
import io.sidecore.conf.LoopSettings;
import io.sidecore.devices.tls.Pki;
import io.sidecore.devices.tls.TlsAcceptor;
import io.sidecore.devices.transport.Transport;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A negotiation on a loop, between STARTTLS and the beginning of TLS, over a wire in memory. */
class NbdNegotiationTest {
    private static final int PATIENCE_SECONDS = 60;
    private static final NbdExport ROOT = new NbdExport("root", () -> 8L << 30, false, Capabilities.ALL);
    private static final byte[] GO = HandshakeInMemory.option(Nbd.OPT_GO, HandshakeInMemory.info("root"));

    @TempDir
    static Path folder;

    private static TlsAcceptor acceptor;

    private final CoreLoop loop = new CoreLoop(
            "negotiation-test",
            Clock.SYSTEM,
            new LoopSettings(Duration.ofNanos(50_000), 64, 8, Duration.ofNanos(200_000), Duration.ofMillis(100)),
            CoreLoop.Placement.floating());
    private final Wire wire = new Wire();
    private final CompletableFuture<NbdSession> ended = new CompletableFuture<>();
    private NbdNegotiation negotiation;

    @BeforeAll
    static void makeCertificate() throws Exception {
        var pki = new Pki(folder);
        acceptor = new TlsAcceptor(
                pki.files(pki.identity("server", "EC -groupname secp256r1"), Optional.empty()), Clock.SYSTEM);
    }

    @BeforeEach
    void start() throws Exception {
        loop.start();
        var service = new NbdListener.Service(List.of(ROOT), 1, Duration.ofMinutes(10), Optional.of(acceptor), false);
        negotiation = new NbdNegotiation(
                wire,
                service,
                loop,
                (of, session) -> ended.complete(session),
                of -> ended.complete(null),
                new LogQuota());
        onLoop(negotiation::start);
    }

    @AfterEach
    void stop() throws Exception {
        loop.stop();
        loop.join(Duration.ofSeconds(PATIENCE_SECONDS));
        assertThat(loop.counters().failures.get()).as("tasks that threw").isZero();
    }

    private void onLoop(Runnable task) throws Exception {
        CompletableFuture.runAsync(task, loop).get(PATIENCE_SECONDS, TimeUnit.SECONDS);
    }

    /** What the client has sent and nobody has read; what it was sent. On the loop. */
    private static final class Wire implements Transport {
        private final ByteBuffer sent = ByteBuffer.allocate(4096).limit(0);
        private final ByteArrayOutputStream answers = new ByteArrayOutputStream();

        void send(byte[]... pieces) {
            sent.compact();
            for (var piece : pieces) {
                sent.put(piece);
            }
            sent.flip();
        }

        int unread() {
            return sent.remaining();
        }

        @Override
        public void attach(Loop on, Listener told) {}

        @Override
        public void detach() {}

        @Override
        public void interest(boolean read, boolean write) {}

        @Override
        public int read(ByteBuffer into) {
            var bytes = Math.min(into.remaining(), sent.remaining());
            into.put(sent.slice(sent.position(), bytes));
            sent.position(sent.position() + bytes);
            return bytes;
        }

        @Override
        public long read(ByteBuffer[] into) {
            throw new UnsupportedOperationException();
        }

        @Override
        public int write(ByteBuffer from) {
            var bytes = from.remaining();
            while (from.hasRemaining()) {
                answers.write(from.get());
            }
            return bytes;
        }

        @Override
        public long write(ByteBuffer[] from, int count) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void endOutput() {}

        @Override
        public void close() {}
    }

    /** Up to the acknowledgement, behind which TLS is to begin with the loop's next task. */
    private void startTls() {
        wire.send(
                ByteBuffer.allocate(4).putInt(Nbd.FLAG_FIXED_NEWSTYLE).array(),
                HandshakeInMemory.option(Nbd.OPT_STARTTLS));
        negotiation.readable();
        assertThat(wire.answers.size()).as("greeting and acknowledgement").isEqualTo(18 + 20);
        assertThat(wire.unread()).isZero();
    }

    @Test
    void whatIsInjectedBehindTheAcknowledgementOfStarttlsIsNotReadInPlain() throws Exception {
        onLoop(() -> {
            startTls();
            wire.send(GO);
            // As the loop would, which found it readable in the selection before.
            negotiation.readable();

            assertThat(wire.unread()).isEqualTo(GO.length);
        });
        // It is TLS that gets to read it, and that refuses it.
        assertThat(ended.get(PATIENCE_SECONDS, TimeUnit.SECONDS))
                .as("the export chosen")
                .isNull();
        onLoop(() -> assertThat(wire.unread()).isZero());
    }

    @Test
    void aHostThatStopsThenReadsNothingInPlainEither() throws Exception {
        onLoop(() -> {
            startTls();
            wire.send(GO);

            negotiation.shutDown();

            assertThat(wire.unread()).isEqualTo(GO.length);
        });
        assertThat(ended.get(PATIENCE_SECONDS, TimeUnit.SECONDS))
                .as("the export chosen")
                .isNull();
        assertThat(wire.answers.size()).isEqualTo(18 + 20);
    }
}
