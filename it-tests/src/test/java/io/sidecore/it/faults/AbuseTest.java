package io.sidecore.it.faults;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.it.Peers;
import io.sidecore.it.Peers.Tool;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** SV-11: a host in a process of its own under clients that mean harm. It stays up, its memory within its bounds, and a client of another export that checks every block it reads notices nothing. */
class AbuseTest {
    private static final boolean LONG = Boolean.getBoolean("it.long");
    private static final int ROUNDS = LONG ? 20 : 3;
    private static final int MIB = 1 << 20;
    private static final int MAX_CONNECTIONS = 12;
    private static final int IN_FLIGHT = 33 * MIB;
    private static final int VOLUME = 32 * MIB;
    /** Beyond what is configured: the heap, code, and what the kernel counts to the process. */
    private static final int SLACK = 64 * MIB;

    private static final Duration PATIENCE = Duration.ofMinutes(1);
    private static final long IHAVEOPT = 0x49484156454F5054L;
    private static final int REQUEST = 0x25609513;
    private static final int READ = 0;
    private static final int WRITE = 1;

    @TempDir
    Path directory;

    private final List<SocketChannel> held = new ArrayList<>();
    private final SplittableRandom random = new SplittableRandom(1);
    private HostProcess host;

    @BeforeEach
    void start() throws IOException {
        host = new HostProcess("""
                volumes {
                  victim { size = %1$d B, store { type = memory } }
                  other { size = %1$d B, store { type = memory } }
                }
                vif.in-flight-bytes = %2$d B
                exports.nbd {
                  listen = ["127.0.0.1:0"], volumes = [victim, other]
                  max-connections = %3$d, handshake-timeout = 500 ms
                }
                """.formatted(VOLUME, IN_FLIGHT, MAX_CONNECTIONS));
    }

    @AfterEach
    void stop() throws IOException {
        letGo();
        host.close();
    }

    @Test
    void anAbusedHostStaysUpWithinItsBoundsAndServesTheOthers() throws IOException {
        // What it costs to serve at all is not what abuse costs.
        warmUp();
        var before = host.resident();
        var stop = directory.resolve("stop");
        try (var checking = Peers.startPython(CHECKING, host.uri("nbd", "other"), stop.toString())) {
            Peers.until(
                    "it checks: " + checking.output(),
                    PATIENCE,
                    () -> checking.output().contains("checking"));
            var most = 0L;
            for (var round = 0; round < ROUNDS; round++) {
                for (var attack : attacks()) {
                    attack.run();
                    most = Math.max(most, host.resident());
                    assertThat(host.alive()).as("alive after %s", attack.name()).isTrue();
                    assertThat(checking.alive())
                            .as("the other client after %s: %s", attack.name(), checking.output())
                            .isTrue();
                    letGo();
                }
            }
            Files.createFile(stop);
            var checked = checking.await(PATIENCE).ok().lines().toList().getLast();
            var bound = (long) MAX_CONNECTIONS * IN_FLIGHT + 2L * VOLUME + SLACK;
            System.out.printf(
                    "abuse: %d rounds of %d attacks; resident memory %d MiB before, %d MiB more at most (bound %d MiB); another export: %s, 0 errors%n",
                    ROUNDS, attacks().size(), before / MIB, (most - before) / MIB, bound / MIB, checked);
            assertThat(most - before).as("bytes of resident memory more").isLessThan(bound);
        }
        assertThat(host.output()).doesNotContain("ERROR", "OutOfMemory");
        served("victim");
    }

    /** Crowds, one behind the other, of clients that never say a word: a place is free again when the time to negotiate is over. */
    @Test
    void afterAFloodOfConnectionsThereIsRoomAgain() throws IOException {
        flood(50 * MAX_CONNECTIONS);

        served("victim");
        assertThat(host.alive()).isTrue();
    }

    private void served(String export) {
        Peers.until(
                "there is a place for another client",
                PATIENCE,
                () -> Peers.run(Tool.NBDINFO, "--size", host.uri("nbd", export)).exit() == 0);
        Peers.run(
                        Tool.QEMU_IO,
                        "-f",
                        "raw",
                        "-c",
                        "write -P 0x5a 1m 1m",
                        "-c",
                        "read -P 0x5a 1m 1m",
                        host.uri("nbd", export))
                .ok();
    }

    private void warmUp() {
        for (var export : List.of("victim", "other")) {
            Peers.run(
                            Tool.QEMU_IO,
                            "-f",
                            "raw",
                            "-c",
                            "write -P 1 0 32m",
                            "-c",
                            "read -P 1 0 32m",
                            "-c",
                            "read -P 1 0 1m",
                            host.uri("nbd", export))
                    .ok();
            Peers.run(
                            Tool.FIO,
                            "--name=warm",
                            "--ioengine=nbd",
                            "--uri=" + host.uri("nbd", export),
                            "--thread",
                            "--rw=randrw",
                            "--bs=4k",
                            "--iodepth=16",
                            "--size=32m",
                            "--loops=8")
                    .ok();
        }
    }

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

    private record Attack(String name, Doing doing) {
        interface Doing {
            void run() throws IOException;
        }

        void run() throws IOException {
            doing.run();
        }
    }

    private List<Attack> attacks() {
        return List.of(
                new Attack("handshakes that never end", this::slowHandshakes),
                new Attack("requests that never end", this::slowRequests),
                new Attack("connections cut off in the middle", this::cutOff),
                new Attack("options of four gibibytes", this::oversizeOptions),
                new Attack("garbage in place of a handshake", this::garbageForAHandshake),
                new Attack("garbage in place of requests", this::garbageForRequests),
                new Attack("refused requests whose answers nobody takes", () -> answersNobodyTakes(READ, VOLUME, 512)),
                new Attack("reads whose answers nobody takes", () -> answersNobodyTakes(READ, 0, MIB)),
                new Attack("large reads whose answers nobody takes", () -> answersNobodyTakes(READ, 0, VOLUME)),
                new Attack("a flood of connections", () -> flood(10 * MAX_CONNECTIONS)));
    }

    /** They begin an option, and wait for what the host does about it. */
    private void slowHandshakes() throws IOException {
        for (var i = 0; i < MAX_CONNECTIONS - 1; i++) {
            send(hold(), flagsAnd(option(7, 6)), random.nextInt(1, 20));
        }
        for (var channel : held) {
            assertThat(endOf(channel)).as("cut off when its time is over").isTrue();
        }
    }

    /** A header and a half; a payload of which one byte comes. */
    private void slowRequests() throws IOException {
        for (var i = 0; i < MAX_CONNECTIONS / 2; i++) {
            var channel = negotiated();
            var bytes = i % 2 == 0 ? request(WRITE, 0, VOLUME, 1) : request(READ, 0, 512, 0);
            send(channel, bytes, i % 2 == 0 ? bytes.length : random.nextInt(1, 28));
        }
    }

    /** Reset, not closed, with requests in flight and a payload half sent. */
    private void cutOff() throws IOException {
        for (var i = 0; i < 4 * MAX_CONNECTIONS; i++) {
            var channel = negotiated();
            for (var n = 0; n < 8; n++) {
                send(channel, request(READ, 0, MIB, 0), 28);
            }
            send(channel, request(WRITE, 0, MIB, 5_000), 5_028);
            channel.setOption(java.net.StandardSocketOptions.SO_LINGER, 0);
            channel.close();
            held.remove(channel);
        }
    }

    private void oversizeOptions() throws IOException {
        for (var i = 0; i < MAX_CONNECTIONS / 2; i++) {
            var channel = hold();
            send(channel, flagsAnd(option(random.nextInt(3, 12), -1)), 20);
            pour(channel, 4 * MIB);
        }
    }

    private void garbageForAHandshake() throws IOException {
        for (var i = 0; i < 2 * MAX_CONNECTIONS; i++) {
            var channel = hold();
            var bytes = new byte[random.nextInt(20, 5_000)];
            random.nextBytes(bytes);
            pour(channel, bytes);
            release(channel);
        }
    }

    private void garbageForRequests() throws IOException {
        for (var i = 0; i < 2 * MAX_CONNECTIONS; i++) {
            var channel = negotiated();
            var bytes = new byte[random.nextInt(28, 100_000)];
            random.nextBytes(bytes);
            // Some requests that are none: right magic number, any flags, command, offset and length.
            for (var at = 0; at + 28 <= bytes.length && random.nextInt(20) != 0; at += 28) {
                ByteBuffer.wrap(bytes).putInt(at, REQUEST);
                bytes[at + 4] = 0;
                bytes[at + 6] = 0;
            }
            pour(channel, bytes);
            release(channel);
        }
    }

    private void answersNobodyTakes(int command, long offset, int length) throws IOException {
        var request = request(command, offset, length, 0);
        var many = ByteBuffer.allocate(1_000 * request.length);
        while (many.hasRemaining()) {
            many.put(request);
        }
        for (var i = 0; i < MAX_CONNECTIONS / 2; i++) {
            var channel = negotiated();
            for (var n = 0; n < 20; n++) {
                pour(channel, many.array());
            }
        }
        // It still answers: the socket of each is full of answers.
        for (var channel : held) {
            channel.configureBlocking(true);
            var magic = ByteBuffer.allocate(4);
            read(channel, magic);
            assertThat(magic.getInt(0)).isEqualTo(0x668e33ef);
        }
    }

    private void flood(int connections) throws IOException {
        for (var i = 0; i < connections; i++) {
            held.add(connect());
        }
    }

    // --- sockets

    private SocketChannel connect() throws IOException {
        var uri = URI.create(host.uri("nbd", "victim"));
        return SocketChannel.open(new InetSocketAddress(uri.getHost(), uri.getPort()));
    }

    /** A connection that was greeted; one that finds no place tries again. */
    private SocketChannel hold() throws IOException {
        var end = System.nanoTime() + PATIENCE.toNanos();
        while (true) {
            var channel = connect();
            var greeting = ByteBuffer.allocate(18);
            if (read(channel, greeting)) {
                held.add(channel);
                return channel;
            }
            channel.close();
            assertThat(System.nanoTime()).as("a place within " + PATIENCE).isLessThan(end);
        }
    }

    /** A connection to the export, with structured replies. */
    private SocketChannel negotiated() throws IOException {
        var channel = hold();
        var name = "victim".getBytes(StandardCharsets.UTF_8);
        var options = ByteBuffer.allocate(4 + 16 + 16 + 6 + name.length)
                .putInt(3)
                .put(option(8, 0))
                .put(option(7, 6 + name.length))
                .putInt(name.length)
                .put(name)
                .putShort((short) 0);
        send(channel, options.array(), options.capacity());
        assertThat(read(channel, ByteBuffer.allocate(20 + 20 + 12 + 20)))
                .as("negotiated")
                .isTrue();
        return channel;
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

    private static void pour(SocketChannel channel, int count) throws IOException {
        pour(channel, new byte[count]);
    }

    /** Whether it was filled, rather than that the stream ended. */
    private static boolean read(SocketChannel channel, ByteBuffer whole) throws IOException {
        try {
            while (whole.hasRemaining()) {
                if (channel.read(whole) < 0) {
                    return false;
                }
            }
            return true;
        } catch (IOException refused) {
            return false;
        }
    }

    private static boolean endOf(SocketChannel channel) throws IOException {
        Socket socket = channel.socket();
        socket.setSoTimeout((int) PATIENCE.toMillis());
        try {
            return socket.getInputStream().read() < 0;
        } catch (java.net.SocketException reset) {
            return true;
        }
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
