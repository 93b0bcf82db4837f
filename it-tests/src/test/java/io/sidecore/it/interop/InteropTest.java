package io.sidecore.it.interop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.typesafe.config.ConfigFactory;
import io.sidecore.conf.Settings;
import io.sidecore.it.Peers;
import io.sidecore.it.Peers.ShortDirectory;
import io.sidecore.it.Peers.Tool;
import io.sidecore.it.Peers.Verified;
import io.sidecore.runtime.HostException;
import io.sidecore.runtime.Sidecore;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** SV-1, SV-5, SV-6: foreign clients read back what they wrote on a sparse memory volume of 64 GiB, over both kinds of socket, and a host guards its sockets. */
class InteropTest {
    enum Over {
        TCP,
        UNIX
    }

    private static final boolean LONG = Boolean.getBoolean("it.long");
    private static final long GIB = 1L << 30;
    private static final long DISK = 64 * GIB;
    private static final int COPY = LONG ? 512 << 20 : 256 << 20;
    private static final Duration PATIENCE = Duration.ofSeconds(30);
    private static final AtomicInteger NUMBER = new AtomicInteger();

    private static ShortDirectory directory;
    private static Sidecore host;
    private static Path random;

    @BeforeAll
    static void startHost() throws IOException {
        directory = new ShortDirectory();
        random = directory.path().resolve("random");
        var bytes = new byte[1 << 20];
        var source = new Random(1);
        try (OutputStream out = Files.newOutputStream(random)) {
            for (var i = 0; i < COPY; i += bytes.length) {
                source.nextBytes(bytes);
                out.write(bytes);
            }
        }
        host = host("""
                volumes {
                  disk { size = 64 GiB, store { type = memory } }
                  copy { size = %d B, store { type = memory } }
                }
                exports.nbd { listen = ["127.0.0.1:0", "unix:nbd.sock"], volumes = [disk, copy] }
                """.formatted(COPY));
    }

    @AfterAll
    static void stopHost() {
        if (host != null) {
            host.close();
        }
        directory.close();
    }

    private static Sidecore host(String settings) {
        return Sidecore.start(Settings.read(ConfigFactory.parseString(
                "sidecore { data-directory = \"%s\"\n%s }".formatted(directory.path(), settings))));
    }

    private static String uri(Sidecore host, Over over, String export) {
        var scheme = over == Over.TCP ? "nbd://" : "nbd+unix://";
        return host.uris().stream()
                .filter(uri ->
                        uri.startsWith(scheme) && URI.create(uri).getPath().equals("/" + export))
                .findFirst()
                .orElseThrow();
    }

    private static String uri(Over over, String export) {
        return uri(host, over, export);
    }

    private static int port(Sidecore host) {
        return host.uris().stream()
                .map(URI::create)
                .filter(uri -> uri.getScheme().equals("nbd"))
                .findFirst()
                .orElseThrow()
                .getPort();
    }

    private static String oneVolume(String nbd) {
        return "volumes { disk { size = 64 GiB, store { type = memory } } }\nexports.nbd { volumes = [disk]\n" + nbd
                + " }";
    }

    // --- what a client is told
    // -----------------------------------------------------------------------------------------

    @ParameterizedTest
    @EnumSource
    void nbdinfoShowsTheSizeAndWhatTheExportCanDo(Over over) {
        var disk = uri(over, "disk");
        assertThat(Peers.run(Tool.NBDINFO, "--size", disk).ok().strip()).isEqualTo(Long.toString(DISK));
        assertThat(Peers.run(Tool.NBDINFO, disk).ok())
                .contains("newstyle-fixed", "export=\"disk\"", Long.toString(DISK));
        var info = Peers.json(Peers.run(Tool.NBDINFO, "--json", disk).ok());
        assertThat(info.getString("protocol")).isEqualTo("newstyle-fixed");
        var export = info.getConfigList("exports").getFirst();
        assertThat(export.getString("export-name")).isEqualTo("disk");
        assertThat(export.getLong("export-size")).isEqualTo(DISK);
        assertThat(export.getBoolean("is_read_only")).isFalse();
        assertThat(export.getBoolean("can_flush")).isTrue();
        assertThat(export.getBoolean("can_multi_conn")).isTrue();
        System.out.printf("nbdinfo over %s: 64 GiB, newstyle-fixed, flush, multi-conn%n", over);
    }

    @ParameterizedTest
    @EnumSource
    void nbdinfoListsEveryExport(Over over) {
        var server = uri(over, "disk").replace("/disk", "/");
        var exports = Peers.json(
                        Peers.run(Tool.NBDINFO, "--list", "--json", server).ok())
                .getConfigList("exports");
        assertThat(exports)
                .extracting(export -> export.getString("export-name"))
                .containsExactlyInAnyOrder("disk", "copy");
    }

    @ParameterizedTest
    @EnumSource
    void anUnknownExportIsRefused(Over over) {
        var refused = Peers.run(Tool.NBDINFO, uri(over, "disk").replace("/disk", "/desk"));
        assertThat(refused.exit()).isNotZero();
        assertThat(refused.err()).isNotBlank();
    }

    // --- copies
    // -----------------------------------------------------------------------------------------

    @ParameterizedTest
    @CsvSource({"TCP,1", "TCP,4", "UNIX,1", "UNIX,4"})
    void nbdcopyInAndOutGivesTheSameBytes(Over over, int connections) throws IOException {
        var back = directory.path().resolve("back" + NUMBER.incrementAndGet());
        var spread = "--connections=" + connections;
        Peers.run(Tool.NBDCOPY, spread, random.toString(), uri(over, "copy")).ok();
        Peers.run(Tool.NBDCOPY, spread, uri(over, "copy"), back.toString()).ok();
        assertThat(Files.mismatch(random, back)).as("first byte that differs").isEqualTo(-1);
        Files.delete(back);
        // From export to export, and what the other clients then see of the large volume's beginning.
        Peers.run(Tool.NBDCOPY, spread, uri(over, "copy"), uri(over, "disk")).ok();
        var read = new String[] {"-f", "raw", "-c", "read -v %d 512".formatted(COPY - 512), uri(over, "disk")};
        assertThat(hexDump(Peers.run(Tool.QEMU_IO, read).ok())).isEqualTo(tail(random));
        System.out.printf(
                "nbdcopy over %s, %d connections: %d MiB in, out, and across: equal%n", over, connections, COPY >> 20);
    }

    private static String tail(Path file) throws IOException {
        try (var channel = Files.newByteChannel(file)) {
            var last = java.nio.ByteBuffer.allocate(512);
            channel.position(channel.size() - 512);
            while (last.hasRemaining() && channel.read(last) >= 0) {}
            return HexFormat.of().formatHex(last.array());
        }
    }

    /** The bytes in lines such as {@code 0ffffe00:  1f 2e ...  ................}. */
    private static String hexDump(String dump) {
        var hex = new StringBuilder();
        dump.lines().filter(line -> line.matches("[0-9a-f]{8,}: .*")).forEach(line -> {
            var bytes = line.substring(line.indexOf(':') + 1).strip();
            hex.append(bytes, 0, 47);
        });
        return hex.toString().replace(" ", "");
    }

    @ParameterizedTest
    @EnumSource
    void bytesFarBeyondTwoGibibytesAreKept(Over over) {
        var tool = new String[] {
            "-f",
            "raw",
            "-c",
            "write -P 0x5a 60g 1m",
            "-c",
            "write -P 0xa5 %d 512".formatted(DISK - 512),
            "-c",
            "flush",
            "-c",
            "read -P 0x5a 60g 1m",
            "-c",
            "read -P 0xa5 %d 512".formatted(DISK - 512),
            "-c",
            "read -P 0 61g 1m",
            uri(over, "disk")
        };
        assertThat(Peers.run(Tool.QEMU_IO, tool).ok()).doesNotContain("verification failed");
        // The control: qemu-io does look.
        var wrong = Peers.run(Tool.QEMU_IO, "-f", "raw", "-c", "read -P 0x11 60g 1m", uri(over, "disk"));
        assertThat(wrong.out()).contains("Pattern verification failed");
    }

    @ParameterizedTest
    @EnumSource
    void qemuImgFindsTheExportIdenticalUntilAByteDiffers(Over over) {
        var copy = uri(over, "copy");
        Peers.run(Tool.NBDCOPY, random.toString(), copy).ok();
        var compare = new String[] {"compare", "-f", "raw", "-F", "raw", random.toString(), copy};
        assertThat(Peers.run(Tool.QEMU_IMG, compare).ok()).contains("Images are identical");
        // Two of the 512 bytes at least are not 0x77 in random data.
        Peers.run(Tool.QEMU_IO, "-f", "raw", "-c", "write -P 0x77 100m 512", copy)
                .ok();
        var different = Peers.run(Tool.QEMU_IMG, compare);
        assertThat(different.exit()).isEqualTo(1);
        assertThat(different.out()).contains("Content mismatch at offset " + (100 << 20));
        System.out.printf("qemu-img compare over %s: identical; one sector changed: found at its offset%n", over);
    }

    // --- fio
    // -----------------------------------------------------------------------------------------

    @ParameterizedTest
    @CsvSource({
        "TCP,1,1,bs=4k", "TCP,1,4,bs=4k", "TCP,32,1,bs=4k", "TCP,32,4,bs=4k",
        "TCP,1,1,bsrange=512-64k", "TCP,1,4,bsrange=512-64k", "TCP,32,1,bsrange=512-64k", "TCP,32,4,bsrange=512-64k",
        "UNIX,1,1,bs=4k", "UNIX,1,4,bs=4k", "UNIX,32,1,bs=4k", "UNIX,32,4,bs=4k",
        "UNIX,1,1,bsrange=512-64k", "UNIX,1,4,bsrange=512-64k", "UNIX,32,1,bsrange=512-64k",
                "UNIX,32,4,bsrange=512-64k",
        // Large ones lie in the medium's own memory; and among small ones.
        "TCP,8,2,bsrange=64k-1m", "UNIX,8,2,bsrange=64k-1m", "UNIX,32,2,bsrange=4k-256k",
    })
    void fioReadsBackWhatItWrote(Over over, int depth, int jobs, String sizes) {
        var fio = Peers.fioVerify(
                uri(over, "disk"),
                "--" + sizes,
                "--iodepth=" + depth,
                "--numjobs=" + jobs,
                "--offset=40g",
                "--offset_increment=3g",
                "--size=" + (LONG ? 64 : 16) + "m");
        var verified = Verified.of(Peers.run(Tool.FIO, fio));
        assertThat(verified.written()).isPositive();
        assertThat(verified.read()).as("each block written is read back").isEqualTo(verified.written());
        System.out.printf(
                "fio crc32c over %s, depth %d, %d jobs, %s: %,d written and verified%n",
                over, depth, jobs, sizes, verified.written());
    }

    @Test
    void fioNoticesOneSectorThatWasOverwritten() {
        var disk = uri(Over.UNIX, "disk");
        var region = new String[] {"--bs=4k", "--iodepth=8", "--offset=10g", "--size=4m"};
        var again = new ArrayList<>(Peers.fioVerify(disk, region));
        again.add("--verify_only");
        Verified.of(Peers.run(Tool.FIO, Peers.fioVerify(disk, region)));
        Peers.run(Tool.FIO, again).ok();
        Peers.run(Tool.QEMU_IO, "-f", "raw", "-c", "write -P 0x11 %d 512".formatted(10 * GIB + (1 << 20) + 512), disk)
                .ok();
        assertThat(Peers.run(Tool.FIO, again).exit()).as("fio's exit code").isNotZero();
    }

    // --- memory
    // -----------------------------------------------------------------------------------------

    @Test
    void memoryIsTakenByWhatWasWrittenNotByTheSize() throws IOException {
        try (var sparse = host(oneVolume("listen = [\"unix:sparse.sock\"]"))) {
            var uri = uri(sparse, Over.UNIX, "disk");
            var before = residentKibibytes();
            var writes = new ArrayList<>(List.of("-f", "raw"));
            IntStream.range(0, 64).forEach(i -> writes.addAll(List.of("-c", "write -P 0x5a %dg 1m".formatted(i))));
            writes.add(uri);
            Peers.run(Tool.QEMU_IO, writes).ok();
            var written = residentKibibytes() - before >> 10;
            // What was never written reads as zeroes and takes nothing.
            Peers.run(
                            Tool.FIO,
                            "--name=holes",
                            "--ioengine=nbd",
                            "--uri=" + uri,
                            "--thread",
                            "--rw=read",
                            "--bs=256k",
                            "--iodepth=4",
                            "--offset=20g",
                            "--size=4g")
                    .ok();
            var read = residentKibibytes() - before >> 10;
            System.out.printf(
                    "64 MiB written all over 64 GiB: resident memory + %d MiB; 4 GiB mostly of holes read: + %d MiB%n",
                    written, read);
            // Beyond the 64 MiB: the heap of the JVM that runs the host and this test, and a slab for requests.
            assertThat(read).isLessThan(512);
        }
    }

    @Test
    void theMemoryOfLargeRequestsGoesBackToTheMachine() throws IOException {
        try (var sparse = host(oneVolume("listen = [\"unix:large.sock\"]"))) {
            var uri = uri(sparse, Over.UNIX, "disk");
            var before = residentKibibytes();
            var reads = new ArrayList<>(List.of("-f", "raw"));
            // QEMU asks for 32 MiB at a time.
            IntStream.range(0, 64).forEach(i -> reads.addAll(List.of("-c", "read %dg 64m".formatted(i % 64))));
            reads.add(uri);
            Peers.run(Tool.QEMU_IO, reads).ok();
            var grown = residentKibibytes() - before >> 10;
            System.out.printf("4 GiB read in requests of 32 MiB: resident memory + %d MiB%n", grown);
            assertThat(grown).isLessThan(1_024);
        }
    }

    private static long residentKibibytes() throws IOException {
        return Files.readAllLines(Path.of("/proc/self/status")).stream()
                .filter(line -> line.startsWith("VmRSS:"))
                .map(line -> line.replaceAll("\\D", ""))
                .mapToLong(Long::parseLong)
                .findFirst()
                .orElseThrow();
    }

    // --- sockets
    // -----------------------------------------------------------------------------------------

    @Test
    void theSocketOfAKilledHostIsReplaced() throws IOException {
        var socket = directory.path().resolve("killed.sock");
        var settings = directory.path().resolve("killed.conf");
        var nbd = oneVolume("listen = [\"unix:%s\"]".formatted(socket));
        Files.writeString(settings, "sidecore { data-directory = \"%s\"\n%s }".formatted(directory.path(), nbd));
        var java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        var classes = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
        try (var killed = Peers.start(List.of(
                java,
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-cp",
                classes,
                "io.sidecore.runtime.Main",
                "run",
                settings.toString()))) {
            Peers.until("the other host serves: " + killed.output(), PATIENCE, () -> serves(socket));
            killed.kill();
        }
        assertThat(socket).as("what a killed host leaves").exists();
        try (var host = host(nbd)) {
            assertThat(Peers.run(Tool.NBDINFO, "--size", uri(host, Over.UNIX, "disk"))
                            .ok()
                            .strip())
                    .isEqualTo(Long.toString(DISK));
        }
        assertThat(socket).as("a host that stops takes its socket with it").doesNotExist();
    }

    private static boolean serves(Path socket) {
        try (var channel = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
            return channel.isConnected();
        } catch (IOException notYet) {
            return false;
        }
    }

    @ParameterizedTest
    @EnumSource
    void anAddressInUseIsRefusedBySentenceAndItsHolderServesOn(Over over) {
        var address = over == Over.TCP
                ? "127.0.0.1:" + port(host)
                : "unix:" + directory.path().resolve("nbd.sock");
        assertThatThrownBy(() ->
                        host(oneVolume("listen = [\"%s\"]".formatted(address))).close())
                .isInstanceOf(HostException.class)
                .hasMessageContaining("cannot listen on " + address);
        assertThat(Peers.run(Tool.NBDINFO, "--size", uri(over, "disk")).ok().strip())
                .isEqualTo(Long.toString(DISK));
    }

    @Test
    void aFileThatIsNoSocketIsNotReplaced() throws IOException {
        var file = Files.writeString(directory.path().resolve("precious"), "do not delete");
        assertThatThrownBy(() -> host(oneVolume("listen = [\"unix:precious\"]")).close())
                .isInstanceOf(HostException.class)
                .hasMessageContaining("unix:" + file);
        assertThat(file).hasContent("do not delete");
    }

    @Test
    void aConnectionBeyondTheMaximumIsClosedAndOneThatLeavesMakesRoom() throws IOException {
        try (var host = host(oneVolume("listen = [\"127.0.0.1:0\"], max-connections = 2"))) {
            try (var first = connect(host);
                    var second = connect(host)) {
                assertThat(greets(first)).isTrue();
                assertThat(greets(second)).isTrue();
                try (var third = connect(host)) {
                    assertThat(greets(third))
                            .as("a third connection is greeted")
                            .isFalse();
                }
            }
            Peers.until("there is room again", PATIENCE, () -> {
                try (var next = connect(host)) {
                    return greets(next);
                } catch (IOException e) {
                    return false;
                }
            });
        }
    }

    @Test
    void aClientThatDoesNotNegotiateInTimeIsDisconnectedAndOneThatDidIsNot() throws IOException {
        try (var host = host(oneVolume("listen = [\"127.0.0.1:0\"], handshake-timeout = 300 ms"))) {
            var uri = uri(host, Over.TCP, "disk");
            var commands = List.of(
                    "-f", "raw", "-c", "write -P 0x5a 0 64k", "-c", "sleep 1500", "-c", "read -P 0x5a 0 64k", uri);
            try (var negotiated = Peers.start(Tool.QEMU_IO, commands);
                    var silent = connect(host)) {
                assertThat(greets(silent)).isTrue();
                assertThat(silent.getInputStream().read()).as("end of stream").isEqualTo(-1);
                assertThat(negotiated.await(PATIENCE).ok())
                        .contains("read 65536/65536")
                        .doesNotContain("failed");
            }
        }
    }

    private static Socket connect(Sidecore host) throws IOException {
        var socket = new Socket();
        socket.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), port(host)), (int) PATIENCE.toMillis());
        socket.setSoTimeout((int) PATIENCE.toMillis());
        return socket;
    }

    /** Whether the server says {@code NBDMAGIC}, {@code IHAVEOPT} and its flags; false if it closes instead. */
    private static boolean greets(Socket socket) throws IOException {
        try {
            InputStream in = socket.getInputStream();
            return new String(in.readNBytes(18), java.nio.charset.StandardCharsets.ISO_8859_1)
                    .startsWith("NBDMAGICIHAVEOPT");
        } catch (java.net.SocketException reset) {
            return false;
        }
    }
}
