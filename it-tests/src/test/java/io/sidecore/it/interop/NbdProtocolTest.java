package io.sidecore.it.interop;

import static org.assertj.core.api.Assertions.assertThat;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import io.sidecore.conf.Settings;
import io.sidecore.it.Certificates;
import io.sidecore.it.NbdClient;
import io.sidecore.it.Peers;
import io.sidecore.it.Peers.ShortDirectory;
import io.sidecore.it.Peers.Tool;
import io.sidecore.runtime.Sidecore;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** RS-1: foreign clients use everything that the NBD protocol has, over both kinds of socket and over TLS, on a memory volume that is new for each test. */
class NbdProtocolTest {
    enum Over {
        TCP,
        UNIX,
        TLS
    }

    private static final int MIB = 1 << 20;
    private static final int SIZE = 64 * MIB;
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    @TempDir
    static Path pki;

    private static Certificates certificates;

    private final ShortDirectory directory = new ShortDirectory();
    private Sidecore host;

    @BeforeAll
    static void makeCertificates() throws IOException {
        certificates = Certificates.in(pki.resolve("pki"));
    }

    @BeforeEach
    void start() {
        start("");
    }

    private void start(String interposers) {
        host = Sidecore.start(Settings.read(ConfigFactory.parseString(
                """
                sidecore {
                  data-directory = "%s"
                  vif.drain-max = 200 ms
                  volumes { disk { size = 64 MiB, store { type = memory } } }
                  exports.nbd {
                    listen = ["127.0.0.1:0", "unix:nbd.sock"]
                    volumes = [{ volume = disk, interposers = [%s] }]
                    %s
                  }
                }
                """.formatted(directory.path(), interposers, certificates.settings("allow")))));
    }

    @AfterEach
    void stop() {
        host.close();
        directory.close();
    }

    private String uri(Over over) {
        var uri = announced(over).toString();
        return over == Over.TLS ? certificates.with(uri) : uri;
    }

    private URI announced(Over over) {
        var scheme = switch (over) {
            case TCP -> "nbd";
            case UNIX -> "nbd+unix";
            case TLS -> "nbds";
        };
        return host.uris().stream()
                .map(URI::create)
                .filter(uri -> uri.getScheme().equals(scheme))
                .findFirst()
                .orElseThrow();
    }

    /** A tool of QEMU's, with what it needs to know of TLS in front of its arguments: they say what an image is by {@code driver=} options. */
    private Peers.Result qemuImg(String command, String... arguments) {
        var all = new ArrayList<>(List.of(command));
        all.addAll(CREDENTIALS.formatted(certificates.folder()).lines().toList());
        all.addAll(List.of(arguments));
        return Peers.run(Tool.QEMU_IMG, all);
    }

    private static final String CREDENTIALS = "--object\ntls-creds-x509,id=tls0,endpoint=client,dir=%s";

    private String image(Over over) {
        var uri = announced(over);
        var server = over == Over.UNIX
                ? "type=unix,file.server.path=" + uri.getQuery().substring("socket=".length())
                : "type=inet,file.server.host=127.0.0.1,file.server.port=" + uri.getPort();
        return "driver=raw,file.driver=nbd,file.export=disk,file.server." + server
                + (over == Over.TLS ? ",file.tls-creds=tls0" : "");
    }

    private static String image(Path file, String format) {
        return "driver=%s,file.driver=file,file.filename=%s".formatted(format, file);
    }

    // --- what a client is told

    @ParameterizedTest
    @EnumSource
    void nbdinfoShowsEveryCapability(Over over) {
        var info = Peers.json(Peers.run(Tool.NBDINFO, "--json", uri(over)).ok());
        assertThat(info.getBoolean("structured")).isTrue();
        assertThat(info.getBoolean("TLS")).isEqualTo(over == Over.TLS);
        var export = info.getConfigList("exports").getFirst();
        for (var can : List.of(
                "can_cache",
                "can_df",
                "can_fast_zero",
                "can_flush",
                "can_fua",
                "can_multi_conn",
                "can_trim",
                "can_zero")) {
            assertThat(export.getBoolean(can)).as(can).isTrue();
        }
        assertThat(export.getBoolean("is_read_only")).isFalse();
        assertThat(export.getBoolean("is_rotational")).isFalse();
        assertThat(export.getString("description")).isEqualTo("volume disk");
        assertThat(export.getStringList("contexts")).containsExactly("base:allocation");
        assertThat(export.getLong("block_size_minimum")).isEqualTo(1);
        assertThat(export.getLong("block_size_preferred")).isEqualTo(4096);
        assertThat(export.getLong("block_size_maximum")).isEqualTo(32 * MIB);
        System.out.printf("nbdinfo over %s: structured replies, base:allocation and every capability%n", over);
    }

    @ParameterizedTest
    @EnumSource
    void nbdinfoMapsDataAndHoles(Over over) {
        qemuIo(over, "write -P 1 16m 4m", "write -P 2 40m 64k");

        var map = Peers.json("{ map = "
                + Peers.run(Tool.NBDINFO, "--map", "--json", uri(over)).ok() + " }");

        assertThat(extents(map, "offset", "length", "type"))
                .containsExactly(
                        List.of(0, 16 * MIB, 3),
                        List.of(16 * MIB, 4 * MIB, 0),
                        List.of(20 * MIB, 20 * MIB, 3),
                        List.of(40 * MIB, 64 << 10, 0),
                        List.of(40 * MIB + (64 << 10), 24 * MIB - (64 << 10), 3));
    }

    private static List<List<Integer>> extents(Config map, String... keys) {
        var extents = new ArrayList<List<Integer>>();
        for (var extent : map.getConfigList("map")) {
            extents.add(List.of(keys).stream().map(extent::getInt).toList());
        }
        return extents;
    }

    @ParameterizedTest
    @EnumSource(names = {"TCP", "UNIX"})
    void aClientKeepsItsSizeWhenTheVolumeIsResizedAndTheNextOneSeesTheNew(Over over) throws IOException {
        try (var before = NbdClient.connect(uri(over))) {
            host.volume("disk").orElseThrow().resize(2L * SIZE);

            assertThat(before.refusals(1)).as("refused behind its own end").isEqualTo(1);
            before.batch(true, 8, 4096, new SplittableRandom(1));
            assertThat(Peers.run(Tool.NBDINFO, "--size", uri(over)).ok().strip())
                    .isEqualTo(Integer.toString(2 * SIZE));
            qemuIo(over, "write -P 0x3c 100m 1m", "read -P 0x3c 100m 1m", "read -P 0 127m 1m");
        }
    }

    // --- copies

    @ParameterizedTest
    @EnumSource
    void nbdcopyCopiesASparseImageInAndOutAndItsHolesStayHoles(Over over) throws IOException {
        var image = sparseImage();
        var back = directory.path().resolve("back");

        Peers.run(Tool.NBDCOPY, image.toString(), uri(over)).ok();
        assertThat(dataBytes(over)).as("bytes of data on the volume").isEqualTo(3 * MIB);
        Peers.run(Tool.NBDCOPY, uri(over), back.toString()).ok();

        assertThat(Files.mismatch(image, back)).as("first byte that differs").isEqualTo(-1);
    }

    @ParameterizedTest
    @EnumSource
    void qemuImgConvertsComparesAndMaps(Over over) throws IOException {
        var image = sparseImage();
        // A volume that is not empty: convert has to zero what the image does not have.
        qemuIo(over, "write -P 0xee 0 64m");

        qemuImg("convert", "-n", "-f", "raw", "--target-image-opts", image.toString(), image(over))
                .ok();

        qemuImg("compare", "--image-opts", image(image, "raw"), image(over)).ok();
        assertThat(dataBytes(over)).as("bytes of data on the volume").isEqualTo(3 * MIB);
        var map = qemuImg("map", "--output=json", "--image-opts", image(over)).ok();
        var extents = Peers.json("{ map = " + map + " }").getConfigList("map");
        assertThat(extents.stream().filter(e -> e.getBoolean("data")).map(e -> e.getLong("start")))
                .containsExactly(0L, 8L * MIB, 32L * MIB);
        var back = directory.path().resolve("back.qcow2");
        qemuImg("convert", "--image-opts", image(over), "-O", "qcow2", back.toString())
                .ok();
        qemuImg("compare", "--image-opts", image(back, "qcow2"), image(over)).ok();
        // The control: compare does look.
        qemuIo(over, "write -P 0x77 8m 512");
        assertThat(qemuImg("compare", "--image-opts", image(back, "qcow2"), image(over))
                        .exit())
                .isEqualTo(1);
    }

    /** Of the size of the volume: random data in the MiB at 0, 8 and 32, the rest holes. */
    private Path sparseImage() throws IOException {
        var image = directory.path().resolve("image");
        var bytes = new byte[MIB];
        var random = new Random(1);
        try (var file = new RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(SIZE);
            for (var at : new int[] {0, 8, 32}) {
                random.nextBytes(bytes);
                file.seek((long) at * MIB);
                file.write(bytes);
            }
        }
        return image;
    }

    private long dataBytes(Over over) {
        var map = Peers.run(Tool.NBDINFO, "--map", "--json", uri(over)).ok();
        return Peers.json("{ map = " + map + " }").getConfigList("map").stream()
                .filter(extent -> extent.getInt("type") == 0)
                .mapToLong(extent -> extent.getLong("length"))
                .sum();
    }

    // --- every command

    @ParameterizedTest
    @EnumSource
    void qemuIoRunsEveryCommand(Over over) {
        qemuIo(
                over,
                "write -P 0x11 0 8m",
                "write -f -P 0x22 1m 1m",
                "flush",
                "read -P 0x11 0 1m",
                "read -P 0x22 1m 1m",
                "aio_write -f -P 0x33 2m 64k",
                "aio_flush",
                "read -P 0x33 2m 64k",
                "write -z 3m 1m",
                "read -P 0 3m 1m",
                "write -z -u 4m 1m",
                "read -P 0 4m 1m",
                "write -z -u -f 5m 64k",
                "read -P 0 5m 64k",
                "write -z -n 6m 1m",
                "read -P 0 6m 1m",
                "discard 7m 1m",
                "read 7m 1m",
                "writev -P 0x44 8m 512 1k 64k",
                "readv -P 0x44 8m 512 1k 64k",
                "write -P 0x55 100 777",
                "read -P 0x55 100 777",
                "read -P 0x11 877 99",
                "write -z 200 300",
                "read -P 0 200 300",
                "read -P 0x55 500 377");

        // Written with zeroes, and kept, is what was zeroed without leave to unmap; given back is what was not.
        var map = Peers.json("{ map = "
                + Peers.run(Tool.NBDINFO, "--map", "--json", uri(over)).ok() + " }");
        assertThat(extents(map, "offset", "type")).contains(List.of(0, 0), List.of(4 * MIB, 3), List.of(7 * MIB, 3));
        assertThat(extents(map, "offset", "length").getFirst()).containsExactly(0, 4 * MIB);
    }

    private void qemuIo(Over over, String... commands) {
        var arguments = new ArrayList<>(
                CREDENTIALS.formatted(certificates.folder()).lines().toList());
        for (var command : commands) {
            arguments.addAll(List.of("-c", command));
        }
        arguments.addAll(List.of("-d", "unmap", "--image-opts", image(over)));
        var said = Peers.run(Tool.QEMU_IO, arguments);
        assertThat(said.ok() + said.err()).doesNotContain("verification failed", "failed:", "error");
    }

    @ParameterizedTest
    @EnumSource
    void libnbdReadsUnfragmentedAtAnyLengthAndOffset(Over over) {
        python(over, """
                import os
                h.set_strict_mode(h.get_strict_mode() & ~nbd.STRICT_FLAGS)
                connect()
                data = bytearray(os.urandom(1 << 20))
                h.pwrite(data, 12345)
                chunks = []
                def chunk(buf, offset, status, error):
                    chunks.append((offset, len(buf), status))
                for length, offset in [(1, 12345), (511, 12346), (65536, 20000), (777777, 12399)]:
                    del chunks[:]
                    found = h.pread_structured(length, offset, chunk, nbd.CMD_FLAG_DF)
                    assert found == data[offset - 12345:][:length], offset
                    assert chunks == [(offset, length, nbd.READ_DATA)], chunks
                assert h.pread(3, 12344) == b'\\0' + data[:2]
                # FUA on a command that writes nothing is accepted.
                h.set_strict_mode(0)
                h.cache(4096, 0, nbd.CMD_FLAG_FUA)
                h.flush(nbd.CMD_FLAG_FUA)
                """);
    }

    @ParameterizedTest
    @EnumSource
    void libnbdAsksForBlockStatus(Over over) {
        python(over, """
                h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
                connect()
                h.pwrite(b'x' * 65536, 131072)
                def status(length, offset, flags=0):
                    entries = []
                    def extent(context, at, found, error):
                        assert (context, at) == ("base:allocation", offset)
                        entries.extend(found)
                    h.block_status(length, offset, extent, flags)
                    return entries
                hole = nbd.STATE_HOLE | nbd.STATE_ZERO
                assert status(1 << 20, 0) == [131072, hole, 65536, 0, 851968, hole]
                assert status(1 << 20, 0, nbd.CMD_FLAG_REQ_ONE) == [131072, hole]
                assert status(100, 131072, nbd.CMD_FLAG_REQ_ONE) == [100, 0]
                assert status(7, 131069) == [3, hole, 4, 0]
                h.trim(65536, 131072, nbd.CMD_FLAG_FUA)
                assert status(64 << 20, 0) == [64 << 20, hole]
                h.zero(65536, 0, nbd.CMD_FLAG_NO_HOLE)
                assert status(131072, 0) == [65536, 0, 65536, hole]
                h.zero(65536, 0, nbd.CMD_FLAG_FAST_ZERO | nbd.CMD_FLAG_FUA)
                assert status(131072, 0) == [131072, hole]
                """);
    }

    @ParameterizedTest
    @EnumSource
    void whatMakesNoSenseIsAnsweredAndTheConnectionServesOn(Over over) {
        python(over, """
                import errno
                h.set_strict_mode(0)
                connect()
                size = h.get_size()
                def refused(why, call, *arguments):
                    try:
                        call(*arguments)
                    except nbd.Error as e:
                        assert e.errnum == why, (call, arguments, e)
                    else:
                        raise AssertionError((call, arguments))
                    assert h.pread(1, 0) == b'\\0'
                refused(errno.EINVAL, h.pwrite, b'', 0)
                refused(errno.EINVAL, h.zero, 0, 0)
                refused(errno.EINVAL, h.trim, 0, 0)
                refused(errno.EINVAL, h.cache, 0, 0)
                refused(errno.EINVAL, h.pread, 2, size - 1)
                refused(errno.ENOSPC, h.pwrite, b'x' * 70000, size - 1)
                refused(errno.ENOSPC, h.zero, 0xffffffff, 0)
                refused(errno.EINVAL, h.trim, 0xffffffff, 0)
                refused(errno.EINVAL, h.cache, 2, size - 1)
                refused(errno.EINVAL, h.pread, 1, 1 << 63)
                refused(errno.EINVAL, h.block_status, 512, 0, lambda *a: 0)
                refused(errno.EINVAL, h.flush, nbd.CMD_FLAG_DF)
                refused(errno.EINVAL, h.trim, 512, 0, nbd.CMD_FLAG_REQ_ONE)
                refused(errno.EINVAL, h.pwrite, b'x' * 512, 0, nbd.CMD_FLAG_NO_HOLE)
                assert h.pread(65536, 0) == bytes(65536)
                """);
    }

    @ParameterizedTest
    @EnumSource
    void aClientThatWantsSimpleRepliesGetsThem(Over over) {
        python(over, """
                h.set_request_structured_replies(False)
                h.set_strict_mode(0)
                connect()
                assert not h.get_structured_replies_negotiated()
                assert not h.can_df()
                h.pwrite(b'abc', 1)
                assert h.pread(5, 0) == b'\\0abc\\0'
                h.zero(1, 2, nbd.CMD_FLAG_FUA)
                assert h.pread(5, 0) == b'\\0a\\0c\\0'
                h.trim(65536, 0)
                h.cache(65536, 0)
                h.flush()
                try:
                    h.pread(512, 0, nbd.CMD_FLAG_DF)
                    raise AssertionError("served")
                except nbd.Error as e:
                    assert e.errno == 'EINVAL', e
                assert h.pread(1, 0) == b'\\0'
                """);
    }

    // --- the end

    @ParameterizedTest
    @EnumSource
    void whatCannotBeServedAnyMoreIsToldSoWhenTheHostStopsHoweverMuchThatIs(Over over) {
        host.close();
        start("{ type = fault-plan, hang { ratio = 1.0 } }");
        // More than there are slots: of some the host has seen nothing yet.
        try (var client = startPython(over, """
                connect()
                errors = []
                for i in range(200):
                    h.aio_pread(nbd.Buffer(512), 0, lambda error: completed(error, errors))
                    h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(512)), 0, lambda error: completed(error, errors))
                while h.aio_get_direction() & nbd.AIO_DIRECTION_WRITE:
                    h.poll(-1)
                print("asked", flush=True)
                while len(errors) < 400:
                    h.poll(-1)
                assert errors == [108] * 400, errors
                """)) {
            Peers.until("it has asked", PATIENCE, () -> client.output().contains("asked") || !client.alive());

            host.close();

            client.await(PATIENCE).ok();
        }
    }

    @ParameterizedTest
    @EnumSource
    void whoGoesOnAskingWhileTheHostStopsIsServedThenRefusedThenDisconnected(Over over) {
        try (var client = startPython(over, """
                connect()
                answers = {}
                asked = 0
                told = False
                refused = None
                served_again = []
                def answered(cookie, error):
                    global refused
                    errors = []
                    completed(error, errors)
                    answers[cookie] = errors[0]
                    if errors[0] == 108 and refused is None:
                        refused = asked
                    if errors[0] == 0 and refused is not None and cookie >= refused:
                        served_again.append(cookie)
                    return 1
                try:
                    while True:
                        while asked - len(answers) < 64:
                            asked += 1
                            h.aio_pread(nbd.Buffer(4096), 0, lambda error, c=asked - 1: answered(c, error))
                        h.poll(-1)
                        if not told and len(answers) > 1000:
                            told = True
                            print("asking", flush=True)
                except nbd.Error:
                    pass
                assert set(answers.values()) <= {0, 107, 108}, set(answers.values())
                assert not served_again, (refused, served_again)
                assert 0 in answers.values()
                print("disconnected")
                """)) {
            Peers.until("it asks", PATIENCE, () -> client.output().contains("asking") || !client.alive());

            host.close();

            assertThat(client.await(PATIENCE).ok()).contains("disconnected");
        }
    }

    // --- Python

    private static final String PROLOGUE = """
            import nbd, sys
            h = nbd.NBD()
            # Where the certificates are.
            h.set_uri_allow_local_file(True)
            def connect():
                h.connect_uri(sys.argv[1])
            def completed(error, errors):
                errors.append(error.value if hasattr(error, 'value') else error)
                return 1
            """;

    private void python(Over over, String script) {
        try (var running = startPython(over, script)) {
            running.await(PATIENCE).ok();
        }
    }

    private Peers.Running startPython(Over over, String script) {
        return Peers.startPython(PROLOGUE + script, uri(over));
    }
}
