package io.sidecore.devices.tls;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.actors.core.Clock;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.conf.LoopSettings;
import io.sidecore.devices.transport.SocketTransport;
import io.sidecore.devices.transport.Transport;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLSocket;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The transport on a loop, between two sockets; the JDK's blocking client at the other end. What waits here waits for an event, with a bound that only a failure reaches. */
@Timeout(120)
class TlsTransportTest {
    private static final int PATIENCE_SECONDS = 60;

    @TempDir
    static Path folder;

    private static Pki.Identity server;
    private static Pki.Identity client;
    private static Pki.Identity stranger;

    private final List<CoreLoop> loops = List.of(loop("tls-test-0"), loop("tls-test-1"));
    private final List<AutoCloseable> open = new ArrayList<>();

    @BeforeAll
    static void makeCertificates() {
        var pki = new Pki(folder);
        server = pki.identity("server", "EC -groupname secp256r1");
        client = pki.identity("client", "EC -groupname secp256r1");
        stranger = pki.identity("stranger", "EC -groupname secp256r1");
    }

    private static CoreLoop loop(String name) {
        return new CoreLoop(
                name,
                Clock.SYSTEM,
                new LoopSettings(Duration.ofNanos(50_000), 64, 8, Duration.ofNanos(200_000), Duration.ofMillis(100)),
                CoreLoop.Placement.floating());
    }

    @BeforeEach
    void start() {
        loops.forEach(CoreLoop::start);
    }

    @AfterEach
    void stop() throws Exception {
        for (var one : open) {
            one.close();
        }
        for (var loop : loops) {
            loop.stop();
            loop.join(Duration.ofSeconds(30));
            assertThat(loop.counters().failures.get()).as("tasks that threw").isZero();
        }
    }

    /** Sends back what it receives, in pieces of all sizes; keeps what it was told. On its loop. */
    private static final class Echo implements Transport.Listener {
        final CompletableFuture<Long> ended = new CompletableFuture<>();
        final Transport transport;
        private final Random random;
        private final ByteBuffer held = ByteBuffer.allocateDirect(300_000);
        private long received;
        private boolean atEnd;

        Echo(Transport transport, long seed) {
            this.transport = transport;
            this.random = new Random(seed);
        }

        void on(CoreLoop loop) {
            transport.attach(loop, this);
            proceed();
        }

        void moveTo(CoreLoop other) {
            transport.detach();
            other.execute(() -> on(other));
        }

        @Override
        public void readable() {
            try {
                var room = held.remaining();
                var first = held.slice(held.position(), random.nextInt(room + 1));
                var second =
                        held.slice(held.position() + first.capacity(), random.nextInt(room - first.capacity() + 1));
                var bytes = room == 0 || first.capacity() + second.capacity() == 0
                        ? 0
                        : transport.read(new ByteBuffer[] {first, second});
                if (bytes < 0) {
                    atEnd = true;
                } else {
                    // A hole between the two would be a failure of its own.
                    assertThat(bytes).isEqualTo(first.position() + second.position());
                    assertThat(second.position() == 0 || !first.hasRemaining()).isTrue();
                    held.position(held.position() + (int) bytes);
                    received += bytes;
                }
                proceed();
            } catch (IOException e) {
                fail(e);
            }
        }

        @Override
        public void writable() {
            proceed();
        }

        private void proceed() {
            try {
                held.flip();
                if (held.hasRemaining()) {
                    var piece = held.slice(0, 1 + random.nextInt(held.limit()));
                    held.position((int) transport.write(new ByteBuffer[] {piece}, 1));
                }
                held.compact();
                transport.interest(!atEnd && held.hasRemaining(), held.position() > 0);
                if (atEnd && held.position() == 0) {
                    transport.detach();
                    transport.close();
                    ended.complete(received);
                }
            } catch (IOException e) {
                fail(e);
            }
        }

        private void fail(IOException e) {
            transport.interest(false, false);
            transport.detach();
            transport.close();
            ended.completeExceptionally(e);
        }
    }

    private record Pair(Echo echo, Socket socket) {}

    private Pair connect(long seed, Executor pool, Optional<Pki.Identity> clientCa) throws Exception {
        try (var listener =
                ServerSocketChannel.open().bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0))) {
            var socket = new Socket(
                    InetAddress.getLoopbackAddress(), listener.socket().getLocalPort());
            open.add(socket);
            socket.setSoTimeout(PATIENCE_SECONDS * 1000);
            var acceptor = new TlsAcceptor(new Pki(folder).files(server, clientCa), Clock.SYSTEM);
            open.add(acceptor);
            var below = new SocketTransport(listener.accept());
            var transport = pool == null ? acceptor.accept(below) : new TlsTransport(below, acceptor::engine, pool);
            var echo = new Echo(transport, seed);
            loops.getFirst().execute(() -> echo.on(loops.getFirst()));
            return new Pair(echo, socket);
        }
    }

    private Pair connect(long seed) throws Exception {
        return connect(seed, null, Optional.empty());
    }

    private static SSLSocket tls(Socket socket, Optional<Pki.Identity> own, String... versions) throws IOException {
        var secured = (SSLSocket)
                Pki.client(server, own).getSocketFactory().createSocket(socket, "localhost", socket.getPort(), true);
        if (versions.length > 0) {
            secured.setEnabledProtocols(versions);
        }
        secured.startHandshake();
        return secured;
    }

    private static SSLSocket tls(Socket socket, String... versions) throws IOException {
        return tls(socket, Optional.empty(), versions);
    }

    /** Sends so many bytes in pieces of all sizes, and finds the same coming back. */
    private static void exchange(SSLSocket socket, int bytes, long seed) throws Exception {
        var sent = new byte[bytes];
        new Random(seed).nextBytes(sent);
        var sending = CompletableFuture.runAsync(() -> {
            var sizes = new Random(seed + 1);
            try {
                for (var at = 0; at < bytes; ) {
                    var most = sizes.nextInt(4) == 0 ? 100_000 : 100;
                    var n = Math.min(bytes - at, 1 + sizes.nextInt(most));
                    socket.getOutputStream().write(sent, at, n);
                    at += n;
                }
            } catch (IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        });
        assertThat(socket.getInputStream().readNBytes(bytes)).isEqualTo(sent);
        sending.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
    }

    // --- bytes

    @ParameterizedTest
    @CsvSource({"TLSv1.3,1", "TLSv1.3,2", "TLSv1.2,3", "TLSv1.2,4"})
    void bytesComeBackInOrderWhateverThePieces(String version, long seed) throws Exception {
        var pair = connect(seed);
        try (var socket = tls(pair.socket(), version)) {
            assertThat(socket.getSession().getProtocol()).isEqualTo(version);
            assertThat(socket.getSession().getCipherSuite()).contains("AES_128_GCM");
            exchange(socket, 4 << 20, seed);
        }
        assertThat(pair.echo().ended.get(PATIENCE_SECONDS, TimeUnit.SECONDS)).isEqualTo(4 << 20);
    }

    @Test
    void aMoveToAnotherLoopLosesNothing() throws Exception {
        var pair = connect(5);
        try (var socket = tls(pair.socket())) {
            var moving = new Thread(() -> {
                for (var i = 1; i < 2_000; i++) {
                    var moved = new CompletableFuture<Void>();
                    var to = loops.get(i & 1);
                    loops.get(~i & 1).execute(() -> {
                        if (!pair.echo().ended.isDone()) {
                            pair.echo().moveTo(to);
                        }
                        moved.complete(null);
                    });
                    moved.join();
                    // Only once it runs there can it be moved from there.
                    var arrived = new CompletableFuture<Void>();
                    to.execute(() -> arrived.complete(null));
                    arrived.join();
                }
            });
            moving.start();
            exchange(socket, 8 << 20, 5);
            moving.join();
            exchange(socket, 1 << 20, 6);
        }
        assertThat(pair.echo().ended.get(PATIENCE_SECONDS, TimeUnit.SECONDS)).isEqualTo(9 << 20);
    }

    @Test
    void aClientThatTakesNothingIsNotReadFromEither() throws Exception {
        var pair = connect(7);
        try (var socket = tls(pair.socket())) {
            // More than both sockets' buffers and ours hold: without backpressure all of it would be taken.
            var sending = CompletableFuture.runAsync(() -> {
                try {
                    var piece = new byte[1 << 16];
                    for (var i = 0; i < 64 << 4; i++) {
                        socket.getOutputStream().write(piece);
                    }
                } catch (IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            });
            var before = -1L;
            var now = 0L;
            while (now != before || now == 0) {
                before = now;
                now = CompletableFuture.supplyAsync(() -> pair.echo().received, delayed(loops.getFirst()))
                        .get();
            }
            assertThat(sending.isDone()).isFalse();
            assertThat(socket.getInputStream().readNBytes(64 << 20)).hasSize(64 << 20);
            sending.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
        }
    }

    private static Executor delayed(CoreLoop loop) {
        return task -> CompletableFuture.delayedExecutor(200, TimeUnit.MILLISECONDS, loop)
                .execute(task);
    }

    // --- what TLS does by itself

    @Test
    void aKeyUpdateInBetweenIsAnswered() throws Exception {
        var pair = connect(8);
        try (var socket = tls(pair.socket(), "TLSv1.3")) {
            for (var i = 0; i < 5; i++) {
                exchange(socket, 100_000, i);
                // In TLS 1.3 this updates the keys, and asks the server to do so.
                socket.startHandshake();
            }
            exchange(socket, 100_000, 9);
        }
    }

    @Test
    void aFloodOfKeyUpdatesIsRefused() throws Exception {
        var pair = connect(22);
        var socket = tls(pair.socket(), "TLSv1.3");
        exchange(socket, 1000, 22);
        try {
            for (var i = 0; i < 1_000; i++) {
                socket.startHandshake();
            }
        } catch (IOException cutOff) {
            assertThat(cutOff).isInstanceOfAny(SSLException.class, java.net.SocketException.class);
        }
        assertThat(failure(pair)).hasMessageContaining("without content");
    }

    @Test
    void aRenegotiationIsRefused() throws Exception {
        var pair = connect(9);
        var socket = tls(pair.socket(), "TLSv1.2");
        exchange(socket, 1000, 9);
        assertThatThrownBy(() -> {
                    socket.startHandshake();
                    socket.getInputStream().read();
                })
                .isInstanceOf(IOException.class);
        assertThat(failure(pair)).hasMessageContaining("renegotiation");
    }

    @Test
    void whatAHandshakeComputesIsNotComputedOnTheLoop() throws Exception {
        var threads = Collections.synchronizedList(new ArrayList<Thread>());
        var pair = connect(
                10,
                task -> new Thread(() -> {
                            threads.add(Thread.currentThread());
                            task.run();
                        })
                        .start(),
                Optional.empty());
        try (var socket = tls(pair.socket())) {
            exchange(socket, 1000, 10);
        }
        // One makes the engine, the others do what it asks for.
        assertThat(threads).hasSizeGreaterThanOrEqualTo(2);
    }

    @Test
    void whenTooManyHandshakesComputeOneMoreIsRefused() throws Exception {
        var pair = connect(
                11,
                _ -> {
                    throw new java.util.concurrent.RejectedExecutionException();
                },
                Optional.empty());
        assertThat(failure(pair)).hasMessageContaining("too many TLS handshakes");
    }

    // --- certificates

    @Test
    void aClientWithTheRightCertificateIsLetIn() throws Exception {
        var pair = connect(12, null, Optional.of(client));
        try (var socket = tls(pair.socket(), Optional.of(client))) {
            exchange(socket, 1000, 12);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aClientWithoutOrWithAnotherCertificateIsRefused(boolean another) throws Exception {
        var pair = connect(13, null, Optional.of(client));
        assertThatThrownBy(() -> {
                    var own = another ? Optional.of(stranger) : Optional.<Pki.Identity>empty();
                    exchange(tls(pair.socket(), own), 1000, 13);
                })
                .isInstanceOfAny(IOException.class);
        assertThat(failure(pair)).hasMessageContaining("TLS handshake failed");
    }

    // --- ends

    @Test
    void afterACloseNotifyTheOtherDirectionStillCarries() throws Exception {
        var pair = connect(14);
        var socket = tls(pair.socket(), "TLSv1.3");
        var sent = new byte[500_000];
        new Random(14).nextBytes(sent);
        var reading = CompletableFuture.supplyAsync(() -> all(socket));
        socket.getOutputStream().write(sent);
        socket.shutdownOutput();
        assertThat(reading.get(PATIENCE_SECONDS, TimeUnit.SECONDS)).isEqualTo(sent);
        assertThat(pair.echo().ended.get(PATIENCE_SECONDS, TimeUnit.SECONDS)).isEqualTo(sent.length);
    }

    /** Ends its part, and listens until its peer has ended the other. On its loop. */
    private static final class Leaver implements Transport.Listener {
        final CompletableFuture<Integer> ended = new CompletableFuture<>();
        private final ByteBuffer in = ByteBuffer.allocate(1000);
        private final Transport transport;

        Leaver(Transport transport) {
            this.transport = transport;
        }

        void leave(CoreLoop loop) {
            transport.detach();
            transport.attach(loop, this);
            transport.interest(true, false);
            try {
                transport.endOutput();
            } catch (IOException e) {
                ended.completeExceptionally(e);
            }
        }

        @Override
        public void readable() {
            try {
                if (transport.read(in) < 0) {
                    transport.detach();
                    transport.close();
                    ended.complete(in.position());
                }
            } catch (IOException e) {
                ended.completeExceptionally(e);
            }
        }

        @Override
        public void writable() {}
    }

    @ParameterizedTest
    @ValueSource(strings = {"TLSv1.2", "TLSv1.3"})
    void behindItsOwnEndNothingIsReadButTheEndOfThePeer(String protocol) throws Exception {
        var pair = connect(24);
        var socket = tls(pair.socket(), protocol);
        exchange(socket, 1000, 24);
        var leaver = new Leaver(pair.echo().transport);
        var loop = loops.getFirst();

        loop.execute(() -> leaver.leave(loop));
        assertThat(all(socket)).isEmpty();
        if (protocol.equals("TLSv1.3")) {
            // Before, the JDK ends both directions at the same time.
            socket.getOutputStream().write(new byte[500_000]);
            assertThat(leaver.ended).isNotDone();
        }
        socket.close();

        assertThat(leaver.ended.get(PATIENCE_SECONDS, TimeUnit.SECONDS)).isZero();
    }

    private static byte[] all(SSLSocket socket) {
        try {
            InputStream in = socket.getInputStream();
            // Ends by the server's close_notify: without one the JDK would complain.
            return in.readAllBytes();
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    @Test
    void aConnectionThatIsCutWithinARecordEndsBeforeThatRecord() throws Exception {
        var pair = connect(15);
        exchange(tls(pair.socket()), 1000, 15);
        pair.socket().getOutputStream().write(new byte[] {0x17, 3, 3, 0x40, 0, 1, 2, 3});
        pair.socket().shutdownOutput();
        assertThat(pair.echo().ended.get(PATIENCE_SECONDS, TimeUnit.SECONDS)).isEqualTo(1000);
    }

    /** Says nothing but what its peer does not take, and looks at nothing else before that has gone. On its loop. */
    private static final class Speaker implements Transport.Listener {
        final CompletableFuture<Void> blocked = new CompletableFuture<>();
        final CompletableFuture<Void> ended = new CompletableFuture<>();
        private final ByteBuffer words = ByteBuffer.allocate(64 << 10);
        private final Transport transport;

        Speaker(Transport transport) {
            this.transport = transport;
        }

        @Override
        public void readable() {}

        @Override
        public void writable() {
            try {
                while (transport.write(words.clear()) == words.capacity()) {}
                blocked.complete(null);
            } catch (IOException e) {
                transport.interest(false, false);
                transport.detach();
                transport.close();
                ended.completeExceptionally(e);
            }
        }
    }

    @Test
    void whoWaitsToWriteIsToldThatThePeerWasReset() throws Exception {
        var pair = connect(23);
        exchange(tls(pair.socket()), 1000, 23);
        var speaker = new Speaker(pair.echo().transport);
        var loop = loops.getFirst();
        loop.execute(() -> {
            speaker.transport.detach();
            speaker.transport.attach(loop, speaker);
            speaker.transport.interest(false, true);
        });
        speaker.blocked.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
        pair.socket().setSoLinger(true, 0);

        pair.socket().close();

        assertThatThrownBy(() -> speaker.ended.get(PATIENCE_SECONDS, TimeUnit.SECONDS))
                .hasCauseInstanceOf(IOException.class);
    }

    @Test
    void aResetIsAFailureAndNothingMore() throws Exception {
        var pair = connect(16);
        exchange(tls(pair.socket()), 1000, 16);
        pair.socket().setSoLinger(true, 0);
        pair.socket().close();
        assertThat(failure(pair)).isInstanceOf(IOException.class);
    }

    // --- nonsense

    @ParameterizedTest
    @ValueSource(strings = {"GET / HTTP/1.1\r\n\r\n", "IHAVEOPT\0\0\0\1\0\0\0\0", "\u0016\u0003\u0001\0\u0005hello"})
    void garbageInPlaceOfAHelloIsRefused(String garbage) throws Exception {
        var pair = connect(17);
        pair.socket().getOutputStream().write(garbage.getBytes(java.nio.charset.StandardCharsets.ISO_8859_1));
        assertThat(failure(pair)).hasMessageContaining("TLS handshake failed");
    }

    @Test
    void aHelloThatIsCutOffIsRefused() throws Exception {
        var pair = connect(18);
        pair.socket().getOutputStream().write(new byte[] {0x16, 3, 1, 2, 0, 1, 0});
        pair.socket().shutdownOutput();
        assertThat(failure(pair)).hasMessageContaining("closed the connection");
    }

    @Test
    void aRecordThatWasTamperedWithIsRefused() throws Exception {
        var pair = connect(19);
        var socket = tls(pair.socket());
        exchange(socket, 1000, 19);
        var record = new byte[5 + 64];
        System.arraycopy(new byte[] {0x17, 3, 3, 0, 64}, 0, record, 0, 5);
        pair.socket().getOutputStream().write(record);
        assertThat(failure(pair)).isInstanceOf(SSLException.class);
        assertThatThrownBy(() -> socket.getInputStream().read()).hasMessageContaining("bad_record_mac");
    }

    @Test
    void aRecordThatClaimsToBeTooLongIsRefusedAtOnce() throws Exception {
        var pair = connect(20);
        exchange(tls(pair.socket()), 1000, 20);
        pair.socket().getOutputStream().write(new byte[] {0x17, 3, 3, (byte) 0xff, (byte) 0xff});
        assertThat(failure(pair)).hasMessageContaining("65535 bytes");
    }

    @Test
    void randomBytesNeverHarmTheLoop() throws Exception {
        var random = new Random(21);
        for (var i = 0; i < 100; i++) {
            var pair = connect(i);
            var garbage = new byte[1 + random.nextInt(2000)];
            random.nextBytes(garbage);
            if (i % 2 == 0) {
                // The beginning of a handshake's record, so that it is looked at.
                System.arraycopy(
                        new byte[] {0x16, 3, 1, 0, 40, 1, 0, 0, 36, 3, 3},
                        0,
                        garbage = java.util.Arrays.copyOf(garbage, 100),
                        0,
                        11);
            }
            pair.socket().getOutputStream().write(garbage);
            pair.socket().shutdownOutput();
            assertThat(failure(pair)).isInstanceOf(IOException.class);
        }
    }

    private static Throwable failure(Pair pair) throws Exception {
        try {
            var bytes = pair.echo().ended.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
            throw new AssertionError("it ended well after " + bytes + " bytes");
        } catch (ExecutionException e) {
            return e.getCause();
        }
    }
}
