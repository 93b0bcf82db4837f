package io.sidecore.it.files;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.it.HostProcess;
import io.sidecore.it.Peers;
import io.sidecore.it.Peers.Running;
import io.sidecore.it.Peers.ShortDirectory;
import io.sidecore.it.Peers.Tool;
import io.sidecore.it.SmallFileSystem;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** RS-7: volumes in files of real host processes, seen by foreign clients. */
class FileVolumeTest {
    private static final int MIB = 1 << 20;
    private static final int BLOCK = 4096;
    private static final int BLOCKS = 1024;
    private static final int SECTOR = 512;
    private static final int WRITERS = 4;
    private static final int KILLS = Boolean.getBoolean("it.long") ? 50 : 5;
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    private final ShortDirectory directory = new ShortDirectory();

    @AfterEach
    void delete() {
        directory.close();
    }

    /** The settings of a host that serves one volume in a file. */
    private static String volume(Path image, int mebibytes) {
        return """
                volumes { disk { size = %d MiB, store { type = file, path = "%s" } } }
                exports.nbd { listen = ["unix:s"], volumes = [disk] }
                """.formatted(mebibytes, image);
    }

    // --- promises
    // ---------------------------------------------------------------------------------------------------------

    @Test
    void flushesAndForcedWritesReachFdatasyncAndOthersDoNot() throws IOException {
        var trace = directory.path().resolve("trace");
        Peers.need(Tool.STRACE);
        var command =
                new ArrayList<>(List.of("strace", "-f", "-qq", "-o", trace.toString(), "-e", "trace=fdatasync,fsync"));
        command.addAll(
                HostProcess.command(directory.path(), volume(directory.path().resolve("disk.img"), 16)));
        try (var host = new HostProcess(command)) {
            var before = syncs(trace);
            ask(host, "h.pwrite(bytes(4096), 0)", "h.zero(4096, 8192)", "h.trim(4096, 16384)");
            assertThat(syncs(trace)).as("after a write, zeroes and a trim").isEqualTo(before);
            for (var asked : List.of(
                    "h.flush()",
                    "h.pwrite(bytes(4096), 0, nbd.CMD_FLAG_FUA)",
                    "h.zero(4096, 0, nbd.CMD_FLAG_FUA)",
                    "h.trim(4096, 0, nbd.CMD_FLAG_FUA)")) {
                ask(host, asked);
                assertThat(syncs(trace)).as("after " + asked).isEqualTo(++before);
            }
        }
    }

    private static long syncs(Path trace) throws IOException {
        try (var lines = Files.lines(trace)) {
            // One that another thread interrupts in the listing has a second line, "resumed".
            return lines.filter(line -> line.contains("sync(") && !line.contains("resumed"))
                    .count();
        }
    }

    private static String ask(HostProcess host, String... lines) {
        return Nbdsh.ask(host.uri(), lines);
    }

    /** What each writer prints is the number of its last write that a flush has covered. */
    private static final String WRITER = """
            import nbd, struct, sys
            # Killed with its server: nothing to say.
            sys.excepthook = lambda *_: None
            writer, begin = int(sys.argv[2]), int(sys.argv[3])
            h = nbd.NBD()
            h.connect_uri(sys.argv[1])
            n = begin
            while True:
                for i in range(8):
                    n += 1
                    h.pwrite(struct.pack('>Q', n) * 512, writer * (4 << 20) + n * 7919 % 1024 * 4096)
                h.flush()
                print(n, flush=True)
            """;

    @Test
    void whatWasFlushedIsThereAfterAHostWasKilledUnderLoad() throws IOException {
        var image = directory.path().resolve("disk.img");
        var copy = directory.path().resolve("copy.img");
        var random = new Random(3);
        var due = new long[WRITERS][BLOCKS];
        for (var kill = 0; kill < KILLS; kill++) {
            try (var host = new HostProcess(directory.path(), volume(image, 16))) {
                verify(host, copy, due);
                load(host, (kill + 1) * 1_000_000L, due, 20 + random.nextInt(200));
            }
        }
        try (var host = new HostProcess(directory.path(), volume(image, 16))) {
            verify(host, copy, due);
        }
        System.out.printf("a host killed %d times under load: nothing flushed is lost%n", KILLS);
    }

    /** Lets all writers write, each with numbers from {@code begin} on, kills the host after so many flushes of the first, and notes what is due. */
    private static void load(HostProcess host, long begin, long[][] due, int flushes) {
        var writers = new ArrayList<Running>();
        try {
            for (var i = 0; i < WRITERS; i++) {
                writers.add(Peers.startPython(WRITER, host.uri(), Integer.toString(i), Long.toString(begin)));
            }
            Peers.until(
                    "the first writer has flushed " + flushes + " times",
                    PATIENCE,
                    () -> numbers(writers.getFirst().output()).count() >= flushes);
            host.kill();
            for (var i = 0; i < WRITERS; i++) {
                var flushed =
                        numbers(writers.get(i).await(PATIENCE).out()).max().orElse(begin);
                for (var n = begin + 1; n <= flushed; n++) {
                    due[i][(int) (n * 7919 % BLOCKS)] = n;
                }
            }
        } finally {
            writers.forEach(Running::close);
        }
    }

    private static LongStream numbers(String out) {
        // Digits without the end of their line were being printed when the writer died: a smaller number, if any.
        return out.lines().filter(line -> line.matches("\\d{7,}")).mapToLong(Long::parseLong);
    }

    /** Each sector holds one number throughout: of the last flushed write to it, or of a later one. */
    private static void verify(HostProcess host, Path copy, long[][] due) throws IOException {
        Files.deleteIfExists(copy);
        Peers.run(Tool.NBDCOPY, host.uri(), copy.toString()).ok();
        var bytes = ByteBuffer.wrap(Files.readAllBytes(copy));
        for (var offset = 0; offset < bytes.capacity(); offset += SECTOR) {
            var number = bytes.getLong(offset);
            for (var word = 8; word < SECTOR; word += 8) {
                if (bytes.getLong(offset + word) != number) {
                    throw new AssertionError("torn sector at " + offset);
                }
            }
            var block = offset % (4 * MIB) / BLOCK;
            assertThat(number).as("sector at " + offset).isGreaterThanOrEqualTo(due[offset / (4 * MIB)][block]);
            assertThat(number == 0 || number * 7919 % BLOCKS == block)
                    .as("sector at " + offset + " belongs elsewhere: " + number)
                    .isTrue();
        }
    }

    // --- holes
    // ---------------------------------------------------------------------------------------------------------

    @Test
    void clientsSeeHolesAndMakeThem() throws IOException {
        var image = directory.path().resolve("disk.img");
        try (var host = new HostProcess(directory.path(), volume(image, 64))) {
            ask(host, "h.pwrite(b'x' * (8 << 20), 0)", "h.flush()", "h.trim(1 << 20, 1 << 20)");
            var map = Peers.run(Tool.NBDINFO, "--map", host.uri())
                    .ok()
                    .lines()
                    .map(line -> line.strip().replaceAll(" +", " "))
                    .toList();
            assertThat(map)
                    .containsExactly(
                            "0 1048576 0 data",
                            "1048576 1048576 3 hole,zero",
                            "2097152 6291456 0 data",
                            "8388608 58720256 3 hole,zero");
            assertThat((long) Files.getAttribute(image, "unix:size")).isEqualTo(64L * MIB);
        }
    }

    // --- trouble
    // ---------------------------------------------------------------------------------------------------------

    @Test
    void aSecondHostIsToldWhichProcessHasTheImage() throws IOException {
        var image = directory.path().resolve("disk.img");
        try (var host = new HostProcess(directory.path(), volume(image, 16));
                var elsewhere = new ShortDirectory();
                var second = Peers.start(HostProcess.command(elsewhere.path(), volume(image, 16)))) {
            var ended = second.await(PATIENCE);
            assertThat(ended.exit()).isNotZero();
            assertThat(ended.out() + ended.err()).contains("volume disk: " + image + " is in use by java (pid ");
            // And so are QEMU's tools.
            var refused = Peers.run(Tool.QEMU_IO, "-f", "raw", "-c", "write 0 512", image.toString());
            assertThat(refused.exit()).isNotZero();
            assertThat(refused.err() + refused.out()).contains("lock");
            assertThat(host.output()).doesNotContain("ERROR");
        }
    }

    @Test
    void aFullDiskIsSaidOnceInTheLogAndOnceThatItIsWellAgain() throws IOException {
        var image = directory.path().resolve("small").resolve("disk.img");
        try (var small = SmallFileSystem.inMemory(directory.path().resolve("small"), 12);
                var host = new HostProcess(directory.path(), volume(image, 64))) {
            var ballast = Files.write(small.path().resolve("ballast"), new byte[4 * MIB]);
            var refused = ask(host, "print([t(h.pwrite, bytes(1 << 20), i << 20) for i in range(32)].count('ENOSPC'))");
            assertThat(Integer.parseInt(refused.strip())).isGreaterThanOrEqualTo(24);

            Files.delete(ballast);
            Peers.until("the host has noticed that there is room: " + host.output(), PATIENCE, () -> {
                ask(host, "h.pread(512, 0)");
                return host.output().contains("well again");
            });
            ask(host, "h.pwrite(bytes(2 << 20), 40 << 20)", "h.flush()");

            assertThat(host.output().lines().filter(line -> line.contains("Volume:")))
                    .satisfiesExactly(
                            full -> assertThat(full)
                                    .containsPattern("WARN +Volume: volume disk: Cannot write 1048576 bytes at \\d+ of "
                                            + image + ": No space left on device \\(errno 28\\); "
                                            + "what needs space is answered ENOSPC until there is some$"),
                            well -> assertThat(well)
                                    .containsPattern("INFO +Volume: volume disk is well again; it had been: Cannot"));
        }
    }

    @Test
    void anImageThatIsTruncatedFailsTheVolumeAndTheHostServesOn() throws IOException {
        var image = directory.path().resolve("disk.img");
        try (var host = new HostProcess(directory.path(), volume(image, 16))) {
            ask(host, "h.pwrite(b'a' * 4096, 0)");
            try (var file = Files.newByteChannel(image, StandardOpenOption.WRITE)) {
                file.truncate(MIB);
            }
            var answers = ask(
                    host,
                    "for at in (8 << 20, 0):",
                    "    try:",
                    "        h.pread(4096, at)",
                    "    except nbd.Error as e:",
                    "        print(e.errno)");
            assertThat(answers.lines()).containsExactly("EIO", "EIO");
            assertThat(host.output()).contains("truncated by somebody else, from 16777216 to 1048576 bytes");
            assertThat(Peers.run(Tool.NBDINFO, "--size", host.uri()).ok().strip())
                    .isEqualTo("16777216");
        }
    }
}
