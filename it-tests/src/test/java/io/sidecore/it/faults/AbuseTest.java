package io.sidecore.it.faults;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.it.Certificates;
import io.sidecore.it.HostProcess;
import io.sidecore.it.Peers;
import io.sidecore.it.Peers.ShortDirectory;
import io.sidecore.it.Peers.Tool;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketException;
import java.net.StandardSocketOptions;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.locks.LockSupport;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLSocket;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** SV-11: a host in a process of its own under clients that mean harm, in plain and over TLS. It stays up, its memory within its bounds, and a client of another export that checks every block it reads notices nothing. */
class AbuseTest {
    private static final int ROUNDS = Boolean.getBoolean("it.long") ? 20 : 3;
    private static final int MIB = 1 << 20;
    private static final int VOLUME = 32 * MIB;
    private static final Duration PATIENCE = Duration.ofMinutes(1);

    /** What is configured, as little as can be: the bounds are to be reached. One place is the other client's. */
    private static final int CONNECTIONS = 5;

    private static final int IN_FLIGHT = 33 * MIB;
    /** Touched from the beginning: it neither grows nor hides what grows, and what clients can fill it with does not fit. */
    private static final String HEAP = "96m";
    /** Beyond what is configured. */
    private static final int SLACK = 64 * MIB;

    private static final long IHAVEOPT = 0x49484156454F5054L;
    private static final int STARTTLS = 5;
    private static final int GO = 7;
    private static final int STRUCTURED_REPLY = 8;
    private static final int REQUEST = 0x25609513;
    private static final int CHUNK = 0x668e33ef;
    private static final int READ = 0;
    private static final int WRITE = 1;
    private static final byte APPLICATION_DATA = 23;

    private final ShortDirectory directory = new ShortDirectory();
    private final List<SocketChannel> held = new ArrayList<>();
    private final SplittableRandom random = new SplittableRandom(1);
    private SSLContext tls;
    private Certificates certificates;
    private HostProcess host;
    private InetSocketAddress address;
    private long began;

    @BeforeEach
    void start() throws IOException, GeneralSecurityException {
        certificates = Certificates.in(directory.path().resolve("pki"));
        tls = certificates.context();
        began = System.nanoTime();
        host = new HostProcess(
                directory.path(),
                """
                volumes {
                  lent { size = %1$d B, store { type = memory } }
                  copied { size = %1$d B, store { type = memory } }
                  other { size = %1$d B, store { type = memory } }
                }
                vif.in-flight-bytes = %2$d B
                exports.nbd {
                  listen = ["127.0.0.1:0"]
                  # With something in between, no memory of the medium is lent: payloads take the queue's own.
                  volumes = [lent, { volume = copied, interposers = [{ type = rate-limit, iops = 1000000 }] }, other]
                  max-connections = %3$d, handshake-timeout = 2 s
                  %4$s
                }
                """.formatted(VOLUME, IN_FLIGHT, CONNECTIONS, certificates.settings("allow")),
                "-Xms" + HEAP,
                "-Xmx" + HEAP,
                "-XX:+AlwaysPreTouch");
        address = new InetSocketAddress(
                InetAddress.getLoopbackAddress(),
                URI.create(host.uri("nbd:", "lent")).getPort());
    }

    @AfterEach
    void stop() throws IOException {
        letGo();
        if (host != null) {
            host.close();
        }
        directory.close();
    }

    @Test
    void anAbusedHostStaysUpWithinItsBoundsAndServesTheOthers() throws IOException {
        // What it costs to serve at all is not what abuse costs.
        for (var export : List.of("lent", "copied", "other")) {
            warmUp(export);
        }
        var before = host.resident();
        var stop = directory.path().resolve("stop");
        try (var checking = Peers.startPython(CHECKING, host.uri("nbd:", "other"), stop.toString())) {
            Peers.until(
                    "the other client checks",
                    PATIENCE,
                    () -> checking.output().contains("checking") || !checking.alive());
            var most = before;
            for (var round = 0; round < ROUNDS; round++) {
                for (var attack : attacks()) {
                    attack.doing().run();
                    most = Math.max(most, host.resident());
                    assertThat(host.alive())
                            .as("alive after %s: %s", attack.name(), host.output())
                            .isTrue();
                    assertThat(checking.alive())
                            .as("the other client after %s: %s", attack.name(), checking.output())
                            .isTrue();
                    letGo();
                }
            }
            Files.createFile(stop);
            var checked = checking.await(PATIENCE).ok().lines().toList().getLast();
            var bound = (long) CONNECTIONS * IN_FLIGHT + SLACK;
            System.out.printf(
                    "abuse: %d rounds of %d attacks; resident memory %d MiB, at most %d MiB more (bound %d MiB); another export meanwhile: %s, 0 errors%n",
                    ROUNDS, attacks().size(), before / MIB, (most - before) / MIB, bound / MIB, checked);
            assertThat(most - before).as("bytes of resident memory more").isLessThanOrEqualTo(bound);
        }
        served();
        assertThat(host.output()).doesNotContain("ERROR", "OutOfMemory");
    }

    /** Crowds of clients that never say a word, one behind the other: a place is free again when the time to negotiate is over, and the log has not been filled. */
    @Test
    void afterAFloodOfConnectionsThereIsRoomAgainAndTheLogIsShort() throws IOException {
        flood(1_000);

        served();
        assertThat(host.alive()).isTrue();
        var lines =
                host.output().lines().filter(line -> line.contains("refused a connection") || line.contains(" ended"));
        // So many at once, and one a second.
        assertThat(lines.count())
                .isBetween(1L, 21 + Duration.ofNanos(System.nanoTime() - began).toSeconds());
    }

    private void served() {
        for (var export : List.of("lent", "copied")) {
            Peers.until("there is a place for another client", PATIENCE, () -> info(host.uri("nbd:", export)) == 0);
            Peers.run(
                            Tool.QEMU_IO,
                            "-f",
                            "raw",
                            "-c",
                            "write -P 0x5a 1m 1m",
                            "-c",
                            "read -P 0x5a 1m 1m",
                            host.uri("nbd:", export))
                    .ok();
            Peers.until("there is a place for one over TLS", PATIENCE, () -> info(secured(export)) == 0);
        }
    }

    private static int info(String uri) {
        return Peers.run(Tool.NBDINFO, "--size", uri).exit();
    }

    private void warmUp(String export) {
        for (var command : List.of("write -P 1 0 32m", "read -P 1 0 32m", "read -P 1 0 1m")) {
            Peers.run(Tool.QEMU_IO, "-f", "raw", "-c", command, host.uri("nbd:", export))
                    .ok();
        }
        Peers.run(
                        Tool.FIO,
                        "--name=warm",
                        "--ioengine=nbd",
                        "--uri=" + host.uri("nbd:", export),
                        "--thread",
                        "--rw=randrw",
                        "--bs=4k",
                        "--iodepth=16",
                        "--size=32m")
                .ok();
        Peers.run(Tool.NBDINFO, secured(export)).ok();
    }

    private String secured(String export) {
        return certificates.with(host.uri("nbds:", export));
    }

    /** Writes, and reads back what it wrote before, until a file is there. */
    private static final String CHECKING = """
            import nbd, os, random, sys, zlib
            h = nbd.NBD()
            h.connect_uri(sys.argv[1])
            random.seed(1)
            sums, known, checked = {}, [], 0
            def check(at):
                assert zlib.crc32(h.pread(4096, at)) == sums[at], "block at %d" % at
            print("checking", flush=True)
            while not os.path.exists(sys.argv[2]):
                at = 4096 * random.randrange(h.get_size() // 4096)
                data = os.urandom(4096)
                h.pwrite(data, at, nbd.CMD_FLAG_FUA if checked % 7 == 0 else 0)
                if at not in sums:
                    known.append(at)
                sums[at] = zlib.crc32(data)
                check(random.choice(known))
                checked += 1
                if checked % 100 == 0:
                    h.flush()
            for at in known:
                check(at)
            print(checked + len(known), "blocks read back and checked", flush=True)
            """;

    // --- what is done to it

    private interface Doing {
        void run() throws IOException;
    }

    private record Attack(String name, Doing doing) {}

    private List<Attack> attacks() {
        return List.of(
                new Attack("handshakes that never end", this::slowHandshakes),
                new Attack("requests that never end", this::slowRequests),
                new Attack("connections cut off in the middle", this::cutOff),
                new Attack("options of four gibibytes", this::oversizeOptions),
                new Attack("garbage in place of a handshake", this::garbageForAHandshake),
                new Attack("garbage in place of requests", this::garbageForRequests),
                new Attack("refused requests whose answers nobody takes", () -> answersNobodyTakes(VOLUME, 512)),
                new Attack("small reads whose answers nobody takes", () -> answersNobodyTakes(0, 4096)),
                new Attack("reads whose answers nobody takes", () -> answersNobodyTakes(0, MIB)),
                new Attack("large reads whose answers nobody takes", () -> answersNobodyTakes(0, VOLUME)),
                new Attack("a flood of connections", () -> flood(200)),
                new Attack("TLS handshakes that are cut", this::cutTlsHandshakes),
                new Attack("TLS handshakes that never end", this::slowTlsHandshakes),
                new Attack("garbage in place of a TLS handshake", this::garbageForATlsHandshake),
                new Attack("garbage between TLS records", this::garbageForTlsRecords),
                new Attack("clients that vanish within a TLS record", this::vanishWithinARecord),
                new Attack("key updates whose answers nobody takes", this::keyUpdates),
                new Attack("reads over TLS whose answers nobody takes", this::tlsAnswersNobodyTakes));
    }

    /** They begin an option, and wait for what the host does about it. */
    private void slowHandshakes() throws IOException {
        for (var i = 0; i < CONNECTIONS - 1; i++) {
            send(hold(), flagsAnd(option(GO, 6)), random.nextInt(1, 20));
        }
        for (var channel : held) {
            assertEnds(channel);
        }
    }

    /** A part of a header; a payload of which one byte comes. */
    private void slowRequests() throws IOException {
        for (var i = 0; i < CONNECTIONS - 1; i++) {
            var channel = negotiated(i / 2 % 2 == 0 ? "lent" : "copied");
            var bytes = i % 2 == 0 ? request(WRITE, 0, VOLUME, 1) : request(READ, 0, 512, 0);
            send(channel, bytes, i % 2 == 0 ? bytes.length : random.nextInt(1, 28));
        }
    }

    /** Reset, not closed, with requests in flight and a payload half sent. */
    private void cutOff() throws IOException {
        for (var i = 0; i < 4 * CONNECTIONS; i++) {
            var channel = negotiated(i % 2 == 0 ? "lent" : "copied");
            for (var n = 0; n < 8; n++) {
                send(channel, request(READ, 0, MIB, 0), 28);
            }
            send(channel, request(WRITE, 0, MIB, 5_000), 28 + 5_000);
            reset(channel);
        }
    }

    private void oversizeOptions() throws IOException {
        for (var i = 0; i < CONNECTIONS - 1; i++) {
            var channel = hold();
            send(channel, flagsAnd(option(random.nextInt(3, 12), -1)), 20);
            pour(channel, new byte[4 * MIB]);
        }
    }

    private void garbageForAHandshake() throws IOException {
        for (var i = 0; i < 4 * CONNECTIONS; i++) {
            var channel = hold();
            pour(channel, garbage(20, 5_000));
            release(channel);
        }
    }

    private void garbageForRequests() throws IOException {
        for (var i = 0; i < 4 * CONNECTIONS; i++) {
            var channel = negotiated(i % 2 == 0 ? "lent" : "copied");
            var bytes = garbage(28, 100_000);
            // Some that are requests: any flags, command, offset and length behind the right magic number.
            for (var at = 0; at + 28 <= bytes.length && random.nextInt(20) != 0; at += 28) {
                ByteBuffer.wrap(bytes).putInt(at, REQUEST);
                bytes[at + 4] = 0;
                bytes[at + 6] = 0;
            }
            pour(channel, bytes);
            release(channel);
        }
    }

    private void answersNobodyTakes(long offset, int length) throws IOException {
        var request = request(READ, offset, length, 0);
        var many = ByteBuffer.allocate(1_000 * request.length);
        while (many.hasRemaining()) {
            many.put(request);
        }
        for (var i = 0; i < CONNECTIONS - 1; i++) {
            var channel = negotiated(i % 2 == 0 ? "lent" : "copied");
            for (var n = 0; n < 20; n++) {
                pour(channel, many.array());
            }
        }
        for (var channel : held) {
            channel.configureBlocking(true);
            assertThat(in(channel).readInt()).as("the beginning of an answer").isEqualTo(CHUNK);
        }
    }

    private void flood(int connections) throws IOException {
        for (var i = 0; i < connections; i++) {
            held.add(connect());
        }
    }

    // --- over TLS

    /** At any byte of the client's hello, or behind it when the host has begun to compute its answer. */
    private void cutTlsHandshakes() throws IOException {
        for (var i = 0; i < 4 * CONNECTIONS; i++) {
            var channel = startedTls();
            var hello = hello();
            send(channel, hello, i % 4 == 0 ? hello.length : random.nextInt(1, hello.length));
            if (i % 2 == 0) {
                reset(channel);
            } else {
                release(channel);
            }
        }
    }

    private void slowTlsHandshakes() throws IOException {
        for (var i = 0; i < CONNECTIONS - 1; i++) {
            var channel = startedTls();
            var hello = hello();
            send(channel, hello, i % 2 == 0 ? hello.length : random.nextInt(0, hello.length));
        }
        for (var channel : held) {
            assertEnds(channel);
        }
    }

    private void garbageForATlsHandshake() throws IOException {
        for (var i = 0; i < 4 * CONNECTIONS; i++) {
            var channel = startedTls();
            var bytes = garbage(20, 40_000);
            if (i % 2 == 0) {
                // The header of a handshake's record, of any length.
                ByteBuffer.wrap(bytes).put((byte) 22).putShort((short) 0x301).putShort((short) random.nextInt());
            }
            pour(channel, bytes);
            release(channel);
        }
    }

    private void garbageForTlsRecords() throws IOException {
        for (var i = 0; i < 2 * CONNECTIONS; i++) {
            var channel = startedTls();
            var secured = secured(channel);
            if (i % 2 == 0) {
                negotiate(secured.getInputStream(), secured.getOutputStream(), "copied");
            }
            var bytes = garbage(20, 40_000);
            if (random.nextBoolean()) {
                var header = ByteBuffer.wrap(bytes).put(APPLICATION_DATA).putShort((short) 0x303);
                header.putShort((short) random.nextInt(1 << 14));
            }
            pour(channel, bytes);
            release(channel);
        }
    }

    private void vanishWithinARecord() throws IOException {
        for (var i = 0; i < 2 * CONNECTIONS; i++) {
            var channel = startedTls();
            var secured = secured(channel);
            var out = secured.getOutputStream();
            negotiate(secured.getInputStream(), out, i % 2 == 0 ? "lent" : "copied");
            for (var n = 0; n < 8; n++) {
                out.write(request(READ, 0, MIB, 0));
            }
            out.write(request(WRITE, 0, MIB, 500_000));
            var record = ByteBuffer.allocate(1_000).put(APPLICATION_DATA).putShort((short) 0x303);
            record.putShort((short) (1 << 14));
            send(channel, record.array(), record.capacity());
            reset(channel);
        }
    }

    /** Each is to be answered by one (RFC 8446, 4.6.3), as long as the host likes. */
    private void keyUpdates() throws IOException {
        for (var i = 0; i < CONNECTIONS - 1; i++) {
            var channel = startedTls();
            var secured = secured(channel);
            try {
                for (var n = 0; n < 2_000; n++) {
                    secured.startHandshake();
                }
            } catch (SocketException | SSLException cutOff) {
                // As is asserted next.
            }
            assertEnds(channel);
        }
    }

    private void tlsAnswersNobodyTakes() throws IOException {
        for (var i = 0; i < CONNECTIONS - 1; i++) {
            var secured = secured(startedTls());
            var out = secured.getOutputStream();
            negotiate(secured.getInputStream(), out, i % 2 == 0 ? "lent" : "copied");
            // As many as a queue takes: to write more would be to wait.
            for (var n = 0; n < 200; n++) {
                out.write(request(READ, 0, i / 2 % 2 == 0 ? MIB : VOLUME, 0));
            }
            assertThat(secured.getInputStream().read())
                    .as("the beginning of an answer")
                    .isEqualTo(CHUNK >>> 24);
        }
    }

    /** A client's first record. */
    private byte[] hello() throws IOException {
        var engine = tls.createSSLEngine("localhost", 0);
        engine.setUseClientMode(true);
        engine.beginHandshake();
        var record = ByteBuffer.allocate(engine.getSession().getPacketBufferSize());
        engine.wrap(ByteBuffer.allocate(0), record);
        return java.util.Arrays.copyOf(record.array(), record.position());
    }

    private SocketChannel startedTls() throws IOException {
        var channel = hold();
        send(channel, flagsAnd(option(STARTTLS, 0)), 20);
        var acknowledged = in(channel).readNBytes(20);
        assertThat(acknowledged).as("STARTTLS acknowledged").endsWith(0, 0, 0, STARTTLS, 0, 0, 0, 1, 0, 0, 0, 0);
        return channel;
    }

    private SSLSocket secured(SocketChannel channel) throws IOException {
        var socket = channel.socket();
        var secured = (SSLSocket) tls.getSocketFactory().createSocket(socket, "localhost", socket.getPort(), false);
        secured.startHandshake();
        return secured;
    }

    // --- sockets

    private SocketChannel connect() throws IOException {
        return SocketChannel.open(address);
    }

    /** A connection that was greeted; one that finds no place tries again. */
    private SocketChannel hold() throws IOException {
        var end = System.nanoTime() + PATIENCE.toNanos();
        while (true) {
            var channel = connect();
            if (greeted(channel)) {
                channel.socket().setSoTimeout((int) PATIENCE.toMillis());
                held.add(channel);
                return channel;
            }
            channel.close();
            assertThat(System.nanoTime())
                    .as("a place within %s: %s", PATIENCE, host.output())
                    .isLessThan(end);
            LockSupport.parkNanos(1_000_000);
        }
    }

    private static boolean greeted(SocketChannel channel) throws IOException {
        try {
            return in(channel).readNBytes(18).length == 18;
        } catch (SocketException reset) {
            return false;
        }
    }

    private static DataInputStream in(SocketChannel channel) throws IOException {
        return new DataInputStream(channel.socket().getInputStream());
    }

    private SocketChannel negotiated(String export) throws IOException {
        var channel = hold();
        send(channel, new byte[] {0, 0, 0, 3}, 4);
        negotiate(in(channel), channel.socket().getOutputStream(), export);
        return channel;
    }

    /** Chooses an export, with structured replies. */
    private static void negotiate(InputStream in, OutputStream out, String export) throws IOException {
        var name = export.getBytes(StandardCharsets.UTF_8);
        out.write(ByteBuffer.allocate(16 + 16 + 6 + name.length)
                .put(option(STRUCTURED_REPLY, 0))
                .put(option(GO, 6 + name.length))
                .putInt(name.length)
                .put(name)
                .putShort((short) 0)
                .array());
        assertThat(in.readNBytes(20 + 20 + 12 + 20))
                .as("negotiated")
                .hasSize(72)
                .endsWith(0, 0, 0, 1, 0, 0, 0, 0);
    }

    private static byte[] option(int option, int length) {
        return ByteBuffer.allocate(16)
                .putLong(IHAVEOPT)
                .putInt(option)
                .putInt(length)
                .array();
    }

    private static byte[] flagsAnd(byte[] option) {
        return ByteBuffer.allocate(4 + option.length).putInt(3).put(option).array();
    }

    private static byte[] request(int command, long offset, int length, int payload) {
        return ByteBuffer.allocate(28 + payload)
                .putInt(REQUEST)
                .putInt(command)
                .putLong(1)
                .putLong(offset)
                .putInt(length)
                .array();
    }

    private byte[] garbage(int least, int most) {
        var bytes = new byte[random.nextInt(least, most)];
        random.nextBytes(bytes);
        return bytes;
    }

    private static void send(SocketChannel channel, byte[] bytes, int count) throws IOException {
        var buffer = ByteBuffer.wrap(bytes, 0, count);
        while (buffer.hasRemaining()) {
            channel.write(buffer);
        }
    }

    /** Sends as much as is taken. */
    private static void pour(SocketChannel channel, byte[] bytes) throws IOException {
        channel.configureBlocking(false);
        var buffer = ByteBuffer.wrap(bytes);
        try {
            while (buffer.hasRemaining() && channel.write(buffer) > 0) {}
        } catch (IOException refused) {
            assertThat(refused).as("the host has closed it").hasMessageMatching("(?i).*(reset|broken pipe).*");
        }
    }

    /** The host closes it, whatever it says before. */
    private static void assertEnds(SocketChannel channel) throws IOException {
        try {
            in(channel).readAllBytes();
        } catch (SocketException reset) {
            assertThat(reset).hasMessageContaining("reset");
        }
    }

    private void reset(SocketChannel channel) throws IOException {
        channel.setOption(StandardSocketOptions.SO_LINGER, 0);
        release(channel);
    }

    private void release(SocketChannel channel) throws IOException {
        channel.close();
        held.remove(channel);
    }

    private void letGo() throws IOException {
        for (var channel : held) {
            channel.close();
        }
        held.clear();
    }
}
