package io.sidecore.devices.block;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Medium;
import io.sidecore.actors.block.MediumException;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Store.Answer;
import io.sidecore.devices.linux.IoVector;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** RS-7: raw images on the file systems that are here: that of temporary files, and one in memory. */
@EnabledOnOs(OS.LINUX)
class FileMediumTest {
    private static final long MIB = 1 << 20;

    private final List<Path> folders = new ArrayList<>();
    private Path folder;

    @BeforeEach
    void create() throws IOException {
        folder = folder(Path.of(System.getProperty("java.io.tmpdir")));
    }

    private Path folder(Path in) throws IOException {
        var made = Files.createTempDirectory(in, "sidecore-image");
        folders.add(made);
        return made;
    }

    @AfterEach
    void delete() throws IOException {
        for (var made : folders) {
            try (var files = Files.list(made)) {
                for (var file : files.toList()) {
                    Files.delete(file);
                }
            }
            Files.delete(made);
        }
    }

    private static LinuxImage.Options options(Path image, long size) {
        return new LinuxImage.Options(image, size, true, false, false);
    }

    private static FileMedium medium(Path image, long size) {
        return FileMedium.of(options(image, size), 4);
    }

    /** Where, and whether past the page cache. */
    record Way(Path in, boolean direct) {}

    static Stream<Way> ways() {
        var tmp = Path.of(System.getProperty("java.io.tmpdir"));
        var shm = Path.of("/dev/shm");
        return Stream.of(new Way(tmp, false), new Way(tmp, true), new Way(shm, false))
                .filter(way -> Files.isWritable(way.in()));
    }

    @ParameterizedTest
    @MethodSource("ways")
    void whatWasWrittenIsReadAndStandsInTheFile(Way way) throws IOException {
        var path = folder(way.in()).resolve("disk.img");
        var model = new byte[(int) (4 * MIB)];
        var random = new Random(7);
        try (var medium = FileMedium.of(new LinuxImage.Options(path, 4 * MIB, true, false, way.direct()), 4)) {
            var disk = new Disk(medium.open());
            assertThat(disk.read(0, model.length)).isEqualTo(model);
            for (var step = 0; step < 200; step++) {
                var chain = new ArrayList<Request>();
                // Neighbours among them: those are joined.
                var offset = random.nextInt((int) (2 * MIB));
                for (var i = 0; i < 1 + random.nextInt(8); i++) {
                    var bytes = new byte[random.nextInt(3) == 0 ? 4096 : 1 + random.nextInt(20_000)];
                    random.nextBytes(bytes);
                    chain.add(disk.write(offset, bytes, step % 7 == 0 ? Request.FUA : 0));
                    System.arraycopy(bytes, 0, model, offset, bytes.length);
                    offset += bytes.length + (random.nextInt(4) == 0 ? 777 : 0);
                }
                disk.serve(chain);
                assertThat(chain).extracting(Request::error).containsOnly(Errno.OK);
                chain.forEach(disk::free);
                var at = random.nextInt(model.length - 50_000);
                assertThat(disk.read(at, 50_000)).isEqualTo(Arrays.copyOfRange(model, at, at + 50_000));
            }
            assertThat(disk.flush()).isEqualTo(Errno.OK);
            assertThat(disk.read(0, model.length)).isEqualTo(model);
        }
        assertThat(Files.readAllBytes(path)).isEqualTo(model);
    }

    @ParameterizedTest
    @MethodSource("ways")
    void trimmedAndZeroedRangesAreHolesAndReadAsZeroes(Way way) throws IOException {
        var path = folder(way.in()).resolve("disk.img");
        try (var medium = FileMedium.of(new LinuxImage.Options(path, 8 * MIB, true, false, way.direct()), 4)) {
            var store = medium.open();
            var disk = new Disk(store);
            assertThat(disk.map(0, 8 * MIB)).isEqualTo("hole " + 8 * MIB);
            var bytes = new byte[(int) (4 * MIB)];
            Arrays.fill(bytes, (byte) 5);
            disk.write(0, bytes);
            disk.flush();
            assertThat(disk.map(0, 8 * MIB)).isEqualTo("data " + 4 * MIB + ", hole " + 4 * MIB);
            assertThat(store.capabilities().trim()).isEqualTo(Answer.NATIVE);
            assertThat(store.capabilities().extents()).isEqualTo(Answer.NATIVE);

            assertThat(disk.ask(BlockOp.TRIM, MIB, MIB, 0)).isEqualTo(Errno.OK);
            assertThat(disk.ask(BlockOp.WRITE_ZEROES, 3 * MIB, MIB, Request.FUA | Request.FAST_ZERO))
                    .isEqualTo(Errno.OK);

            assertThat(disk.map(0, 8 * MIB))
                    .isEqualTo("data " + MIB + ", hole " + MIB + ", data " + MIB + ", hole " + 5 * MIB);
            assertThat(disk.read(MIB, (int) MIB)).containsOnly(0);
            assertThat(disk.read(2 * MIB, (int) MIB)).containsOnly(5);
            // Unaligned edges keep their neighbours.
            assertThat(disk.ask(BlockOp.WRITE_ZEROES, 2 * MIB + 100, 10_000, 0)).isEqualTo(Errno.OK);
            assertThat(disk.read(2 * MIB, 100)).containsOnly(5);
            assertThat(disk.read(2 * MIB + 100, 10_000)).containsOnly(0);
            assertThat(disk.read(2 * MIB + 10_100, 100)).containsOnly(5);
            assertThat(disk.ask(BlockOp.WRITE_ZEROES, 0, MIB, Request.NO_HOLE)).isEqualTo(Errno.OK);
            assertThat(disk.read(0, (int) MIB)).containsOnly(0);
            assertThat(disk.ask(BlockOp.CACHE, 0, 8 * MIB, 0)).isEqualTo(Errno.OK);
        }
    }

    @Test
    void aNewImageIsSparseAndForItsOwnerOnly() throws IOException {
        var path = folder.resolve("sub.img");
        try (var medium = medium(path, 1 << 30)) {
            assertThat(medium.size()).isEqualTo(1 << 30);
        }
        assertThat(Files.size(path)).isEqualTo(1 << 30);
        assertThat(Files.getAttribute(path, "unix:nlink")).isEqualTo(1);
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(path)))
                .isEqualTo("rw-------");
    }

    @Test
    void anImageOfAnotherSizeIsRefusedAndOneWithoutASizeIsTakenAsItIs() throws IOException {
        var path = folder.resolve("disk.img");
        Files.write(path, new byte[8192]);

        assertThatThrownBy(() -> medium(path, 4096))
                .isInstanceOf(MediumException.class)
                .hasMessage(
                        path
                                + " has 8192 bytes, but the volume is to have 4096; leave the size out to take the image as it is");
        try (var medium = medium(path, 0)) {
            assertThat(medium.size()).isEqualTo(8192);
        }
        Files.write(path, new byte[1000]);
        assertThatThrownBy(() -> medium(path, 0)).hasMessageContaining("no multiple of 512");
    }

    @Test
    void whatCannotBeOpenedIsNamedWithWhatToDo() throws IOException {
        assertThatThrownBy(() -> medium(folder.resolve("none.img"), 0))
                .isInstanceOf(MediumException.class)
                .hasMessageContaining("none.img: No such file or directory")
                .hasMessageContaining("Give the volume a size");
        assertThatThrownBy(() -> medium(folder, 0)).hasMessageContaining(folder.toString());
        assertThatThrownBy(() ->
                        FileMedium.of(new LinuxImage.Options(folder.resolve("none.img"), 4096, false, false, false), 1))
                .hasMessageContaining("No such file");
        assertThat(folder.resolve("none.img")).doesNotExist();
    }

    @Test
    void aSecondOpenerIsToldWhichFileAndWhichProcess() throws IOException {
        var path = folder.resolve("disk.img");
        try (var _ = medium(path, MIB)) {
            assertThatThrownBy(() -> medium(path, 0))
                    .isInstanceOf(MediumException.class)
                    .hasMessageContaining(path + " is in use by")
                    .hasMessageContaining("(pid " + ProcessHandle.current().pid() + ")");
            assertThatThrownBy(() -> FileMedium.of(new LinuxImage.Options(path, 0, false, true, false), 1))
                    .hasMessageContaining("is in use by");
        }
        // Readers go together, a writer does not go with them.
        try (var one = FileMedium.of(new LinuxImage.Options(path, 0, false, true, false), 1);
                var two = FileMedium.of(new LinuxImage.Options(path, 0, false, true, false), 1)) {
            assertThat(one.size()).isEqualTo(two.size());
            assertThatThrownBy(() -> medium(path, 0)).hasMessageContaining("is in use by");
        }
        medium(path, 0).close();
    }

    @Test
    void aResizeShowsInStoresThatAreOpenAndNothingIsWrittenBehindTheNewEnd() throws IOException {
        var path = folder.resolve("disk.img");
        try (var medium = medium(path, MIB)) {
            var store = medium.open();
            var disk = new Disk(store);
            disk.write(0, new byte[] {1, 2, 3});

            medium.resize(4 * MIB);
            assertThat(store.size()).isEqualTo(4 * MIB);
            assertThat(disk.read(3 * MIB, 4096)).containsOnly(0);
            assertThat(disk.write(4 * MIB - 3, new byte[] {7, 8, 9})).isEqualTo(Errno.OK);

            medium.resize(2 * MIB);
            assertThat(disk.write(2 * MIB, new byte[512])).isEqualTo(Errno.ENOSPC);
            assertThat(disk.ask(BlockOp.READ, 2 * MIB, 512, 0)).isEqualTo(Errno.EIO);
            assertThat(Files.size(path)).isEqualTo(2 * MIB);
            medium.resize(4 * MIB);
            assertThat(disk.read(4 * MIB - 3, 3)).as("what was cut off is gone").containsOnly(0);
            assertThat(disk.read(0, 3)).containsExactly(1, 2, 3);
            assertThatThrownBy(() -> medium.resize(1000)).isInstanceOf(MediumException.class);
        }
    }

    @Test
    void anInterruptedThreadStillReadsAndWrites() throws IOException {
        try (var medium = medium(folder.resolve("disk.img"), MIB)) {
            var disk = new Disk(medium.open());
            var chain = List.of(disk.write(0, new byte[] {4, 5}, 0));
            Thread.currentThread().interrupt();
            disk.issue(chain);
            assertThat(Thread.interrupted()).isTrue();
            assertThat(disk.answered().error()).isEqualTo(Errno.OK);
            assertThat(disk.read(0, 2)).containsExactly(4, 5);
        }
    }

    @Test
    void afterAFenceNothingReachesTheImageAndWhatIsAskedComesBack() throws IOException {
        try (var medium = medium(folder.resolve("disk.img"), MIB)) {
            var store = medium.open();
            var disk = new Disk(store);
            disk.write(0, new byte[] {1});

            assertThat(store.fence().toCompletableFuture()).succeedsWithin(Duration.ofMinutes(1));

            assertThat(disk.write(0, new byte[] {2})).isEqualTo(Errno.RETURNED);
            assertThat(new Disk(medium.open()).read(0, 1)).containsExactly(1);
        }
    }

    // --- failures of real files
    // ------------------------------------------------------------------------------------------

    @Test
    void aTruncatedImageFailsTheMediumAndServesAgainOnceItIsRepaired() throws IOException {
        var path = folder.resolve("disk.img");
        try (var medium = medium(path, MIB)) {
            var failures = new ArrayList<String>();
            medium.watch(failures::add);
            var disk = new Disk(medium.open());
            disk.write(0, new byte[] {9});
            try (var file = new RandomAccessFile(path.toFile(), "rw")) {
                file.setLength(4096);
            }

            assertThat(disk.ask(BlockOp.READ, 8192, 512, 0)).isEqualTo(Errno.EIO);

            assertThat(failures).singleElement().asString().contains(path.toString(), "truncated", "to 4096 bytes");
            assertThat(disk.ask(BlockOp.READ, 0, 512, 0)).isEqualTo(Errno.EIO);
            assertThat(disk.flush()).isEqualTo(Errno.EIO);
            assertThatThrownBy(medium::recover)
                    .isInstanceOf(MediumException.class)
                    .hasMessageContaining("now has 4096");
            try (var file = new RandomAccessFile(path.toFile(), "rw")) {
                file.setLength(MIB);
            }

            medium.recover();

            assertThat(medium.failure()).isEmpty();
            assertThat(new Disk(medium.open()).read(0, 1)).containsExactly(9);
            assertThat(failures).hasSize(1);
        }
    }

    @Test
    void aFlushToAnImageThatVanishedIsNotAcknowledged() throws IOException {
        var path = folder.resolve("disk.img");
        try (var medium = medium(path, MIB)) {
            var failures = new ArrayList<String>();
            medium.watch(failures::add);
            var disk = new Disk(medium.open());
            Files.delete(path);

            assertThat(disk.flush()).isEqualTo(Errno.EIO);

            assertThat(failures).singleElement().asString().contains(path.toString(), "has vanished");
            assertThatThrownBy(medium::recover).isInstanceOf(MediumException.class);
            assertThat(new Disk(medium.open()).write(0, new byte[1])).isEqualTo(Errno.EIO);
            Files.write(path, new byte[(int) MIB]);

            medium.recover();

            assertThat(new Disk(medium.open()).flush()).isEqualTo(Errno.OK);
        }
    }

    @Test
    void aReplacedImageIsNoticedByTheNextFlush() throws IOException {
        var path = folder.resolve("disk.img");
        try (var medium = medium(path, MIB)) {
            new Disk(medium.open()).write(0, new byte[] {7});
            var original = Files.createLink(folder.resolve("original.img"), path);
            var other = folder.resolve("other.img");
            Files.write(other, new byte[(int) MIB], StandardOpenOption.CREATE_NEW);
            Files.move(other, path, StandardCopyOption.REPLACE_EXISTING);

            assertThat(new Disk(medium.open()).ask(BlockOp.WRITE, 4096, 512, Request.FUA))
                    .isEqualTo(Errno.EIO);

            assertThat(medium.failure())
                    .hasValueSatisfying(why -> assertThat(why).contains("was replaced"));
            Files.move(original, path, StandardCopyOption.REPLACE_EXISTING);

            medium.recover();

            assertThat(new Disk(medium.open()).read(0, 1)).containsExactly(7);
        }
    }

    // --- failures of an image that fails as it is told
    // --------------------------------------------------------------------

    private static class Failing extends ArrayImage {
        volatile ImageException onWrite;
        volatile RuntimeException onSync;
        volatile ImageException onRead;
        volatile CountDownLatch held;
        private final AtomicInteger syncs = new AtomicInteger();
        final AtomicInteger inside = new AtomicInteger();

        Failing() {
            super(new byte[(int) MIB], ArrayImage.traits(1, Answer.NATIVE, Answer.NATIVE, Answer.NONE));
        }

        @Override
        public void read(long offset, IoVector to) {
            if (onRead != null) {
                throw onRead;
            }
            super.read(offset, to);
        }

        @Override
        public void write(long offset, IoVector from) {
            await();
            if (onWrite != null) {
                throw onWrite;
            }
            super.write(offset, from);
        }

        @Override
        public void sync() {
            await();
            syncs.incrementAndGet();
            if (onSync != null) {
                throw onSync;
            }
        }

        private void await() {
            try {
                if (held != null) {
                    inside.incrementAndGet();
                    held.await();
                }
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        }
    }

    @Test
    void aFailedFlushStaysFailedAndIsNeverTriedAgain() {
        var image = new Failing();
        try (var medium = new FileMedium(() -> image, 2)) {
            var failures = new ArrayList<String>();
            medium.watch(failures::add);
            var disk = new Disk(medium.open());
            image.onSync = new ImageException(ImageException.Kind.IO, "the disk is burning");

            assertThat(disk.ask(BlockOp.WRITE, 0, 512, Request.FUA)).isEqualTo(Errno.EIO);
            image.onSync = null;

            assertThat(disk.flush()).isEqualTo(Errno.EIO);
            assertThat(disk.write(0, new byte[1])).isEqualTo(Errno.EIO);
            assertThat(disk.ask(BlockOp.READ, 0, 1, 0)).isEqualTo(Errno.EIO);
            assertThat(image.syncs).hasValue(1);
            assertThat(failures).containsExactly("a flush failed: the disk is burning");
        }
    }

    @Test
    void noSpaceDuringAFlushIsAFailedFlushAndNotAFullDisk() {
        var image = new Failing();
        try (var medium = new FileMedium(() -> image, 2)) {
            image.onSync = new ImageException(ImageException.Kind.FULL, "no space");
            assertThat(new Disk(medium.open()).flush()).isEqualTo(Errno.EIO);
            assertThat(medium.failure()).isPresent();
        }
    }

    /** What a watcher is told, in order. */
    private static final class Told implements Medium.Watcher {
        private final List<String> all = new CopyOnWriteArrayList<>();

        /** What it was told, once that is so much: it is told by a thread of the medium's. */
        List<String> all(int count) {
            var until = System.nanoTime() + 10_000_000_000L;
            while (all.size() < count && System.nanoTime() < until) {
                Thread.onSpinWait();
            }
            return all;
        }

        @Override
        public void failed(String why) {
            all.add("failed: " + why);
        }

        @Override
        public void degraded(String condition) {
            all.add("degraded: " + condition);
        }

        @Override
        public void well(String condition) {
            all.add("well: " + condition);
        }
    }

    @Test
    void eachErrorConcernsItsRequestAloneAndIsToldOnceUntilItIsOver() {
        var image = new Failing();
        var full = "quota exceeded; what needs space is answered ENOSPC";
        var readOnly = "remounted read-only; changes are answered EPERM until it can be written again";
        var bad = "bad sector; what touches that place is answered EIO as long as it lasts";
        try (var medium = new FileMedium(() -> image, 2)) {
            var told = new Told();
            medium.watch(told);
            var disk = new Disk(medium.open());
            disk.write(0, new byte[] {3});

            image.onWrite = new ImageException(ImageException.Kind.LIMITED, "quota exceeded");
            assertThat(disk.write(0, new byte[512])).isEqualTo(Errno.ENOSPC);
            assertThat(disk.write(512, new byte[512])).isEqualTo(Errno.ENOSPC);
            image.onWrite = new ImageException(ImageException.Kind.READ_ONLY, "remounted read-only");
            assertThat(disk.write(0, new byte[512])).isEqualTo(Errno.EPERM);
            image.onRead = new ImageException(ImageException.Kind.IO, "bad sector");
            assertThat(disk.ask(BlockOp.READ, 8192, 512, 0)).isEqualTo(Errno.EIO);
            assertThat(disk.ask(BlockOp.READ, 0, 512, 0)).isEqualTo(Errno.EIO);
            assertThat(medium.conditions()).containsExactly(full, readOnly, bad);
            image.onWrite = null;
            image.onRead = null;

            assertThat(disk.read(0, 1)).containsExactly(3);
            assertThat(disk.write(4096, new byte[] {4})).isEqualTo(Errno.OK);
            assertThat(medium.conditions()).as("places of failure untouched").containsExactly(full, bad);
            assertThat(disk.write(0, new byte[] {4})).isEqualTo(Errno.OK);
            assertThat(disk.read(8000, 512)).hasSize(512);
            assertThat(medium.conditions()).as("a part of what failed").containsExactly(full, bad);
            assertThat(disk.write(0, new byte[512])).isEqualTo(Errno.OK);
            assertThat(disk.read(8000, 1024)).hasSize(1024);

            assertThat(medium.conditions()).isEmpty();
            assertThat(medium.failure()).isEmpty();
            assertThat(told.all(6))
                    .containsExactly(
                            "degraded: " + full,
                            "degraded: " + readOnly,
                            "degraded: " + bad,
                            "well: " + readOnly,
                            "well: " + full,
                            "well: " + bad);
        }
    }

    @Test
    void aFullImageIsWellAgainOnceThereIsRoomForWhatWasRefused() {
        var image = new Failing() {
            private volatile long room;

            @Override
            public boolean hasRoom(long bytes) {
                return room > bytes;
            }
        };
        try (var medium = new FileMedium(() -> image, 2)) {
            var told = new Told();
            medium.watch(told);
            var disk = new Disk(medium.open());
            image.onWrite = new ImageException(ImageException.Kind.FULL, "full");
            assertThat(disk.write(0, new byte[8192])).isEqualTo(Errno.ENOSPC);
            image.onWrite = null;
            // Where space was taken before there still is some.
            assertThat(disk.write(65536, new byte[8192])).isEqualTo(Errno.OK);
            image.room = 4096;
            assertThat(disk.flush()).isEqualTo(Errno.OK);
            assertThat(told.all(1)).hasSize(1);

            image.room = 65536;
            assertThat(disk.flush()).as("looks after the image").isEqualTo(Errno.OK);

            assertThat(medium.conditions()).isEmpty();
            assertThat(told.all(2))
                    .containsExactly(
                            "degraded: full; what needs space is answered ENOSPC until there is some",
                            "well: full; what needs space is answered ENOSPC until there is some");
        }
    }

    @Test
    void aFailedImageIsLetGoOnceNobodyIsInsideAndOpenedAnewByARecovery() {
        var opened = new AtomicInteger();
        var closed = new AtomicInteger();
        class Counted extends Failing {
            @Override
            public void close() {
                closed.incrementAndGet();
            }
        }
        var first = new Counted();
        try (var medium = new FileMedium(() -> opened.getAndIncrement() == 0 ? first : new Counted(), 2)) {
            var store = medium.open();
            var disk = new Disk(store);
            first.held = new CountDownLatch(1);
            disk.issue(List.of(disk.write(0, new byte[] {1}, 0)));
            Disk.until(() -> first.inside.get() == 1);
            first.onRead = new ImageException(ImageException.Kind.LOST, "gone");
            assertThat(disk.ask(BlockOp.READ, 4096, 1, 0)).isEqualTo(Errno.EIO);
            // As a volume does when its medium fails.
            store.close();
            assertThat(closed).as("a write is inside").hasValue(0);

            first.held.countDown();
            disk.answered();
            Disk.until(() -> closed.get() == 1);

            medium.recover();
            assertThat(opened).hasValue(2);
            assertThat(closed).hasValue(1);
            assertThat(new Disk(medium.open()).write(0, new byte[] {2})).isEqualTo(Errno.OK);
        }
        assertThat(closed).hasValue(2);
    }

    @Test
    void ofJoinedWritesOnlyThoseFailThatCannotBeWritten() {
        var image = new Failing() {
            @Override
            public void write(long offset, IoVector from) {
                if (offset + from.bytes() > 1024) {
                    throw new ImageException(ImageException.Kind.FULL, "full");
                }
                super.write(offset, from);
            }
        };
        try (var medium = new FileMedium(() -> image, 2)) {
            var disk = new Disk(medium.open());
            var chain = List.of(
                    disk.write(0, new byte[512], 0),
                    disk.write(512, new byte[512], 0),
                    disk.write(1024, new byte[512], 0));

            disk.serve(chain);

            assertThat(chain).extracting(Request::error).containsExactly(Errno.OK, Errno.OK, Errno.ENOSPC);
        }
    }

    @Test
    void oneSyncServesAllFlushesThatWaitForIt() {
        var image = new Failing();
        try (var medium = new FileMedium(() -> image, 4)) {
            var disk = new Disk(medium.open());
            image.held = new CountDownLatch(1);
            disk.issue(List.of(disk.request(BlockOp.FLUSH, 0, 0, 0)));
            for (var i = 0; i < 20; i++) {
                disk.issue(List.of(disk.request(BlockOp.FLUSH, 0, 0, 0)));
            }
            image.held.countDown();
            for (var i = 0; i < 21; i++) {
                assertThat(disk.answered().error()).isEqualTo(Errno.OK);
            }
            // The first may have begun alone; the others went together, or with it.
            assertThat(image.syncs.get()).isBetween(1, 2);
        }
    }

    @Test
    void aFenceWaitsForTheThreadThatIsInsideAndSendsBackWhatHasNotBegun() {
        var image = new Failing();
        try (var medium = new FileMedium(() -> image, 1)) {
            var store = medium.open();
            var disk = new Disk(store);
            image.held = new CountDownLatch(1);
            var began = disk.write(0, new byte[] {1}, 0);
            disk.issue(List.of(began));
            Disk.until(() -> image.inside.get() == 1);
            var waiting = disk.write(4096, new byte[] {2}, 0);
            disk.issue(List.of(waiting));

            var fenced = store.fence().toCompletableFuture();
            assertThat(fenced).isNotDone();
            image.held.countDown();

            fenced.join();
            var answers = List.of(disk.answered(), disk.answered());
            assertThat(answers).containsExactlyInAnyOrder(began, waiting);
            assertThat(waiting.error()).isEqualTo(Errno.RETURNED);
            assertThat(image.bytes()[4096]).isZero();
        }
    }
}
