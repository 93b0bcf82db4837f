package io.sidecore.devices.block;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Store.Answer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** RS-9: a client sees the same disk, whatever the image can do. */
class MaskTest {
    private static final int SIZE = 64 << 10;

    static Stream<Arguments> matrix() {
        var all = new ArrayList<Arguments>();
        for (var sector : List.of(1, 512, 4096)) {
            for (var punch : List.of(Answer.NATIVE, Answer.NONE)) {
                for (var zero : List.of(Answer.NATIVE, Answer.NONE)) {
                    for (var extents : List.of(Answer.NATIVE, Answer.NONE)) {
                        all.add(Arguments.of(sector, punch, zero, extents));
                    }
                }
            }
        }
        return all.stream();
    }

    @ParameterizedTest(name = "sectors of {0}, punch {1}, zero {2}, extents {3}")
    @MethodSource("matrix")
    void randomRequestsOfAnyAlignmentLeaveWhatTheyWouldLeaveOnAPlainArray(
            int sector, Answer punch, Answer zero, Answer extents) {
        var image = new ArrayImage(new byte[SIZE], ArrayImage.traits(sector, punch, zero, extents));
        var model = new byte[SIZE];
        var random = new Random(sector);
        try (var medium = new FileMedium(() -> image, 4)) {
            var disk = new Disk(medium.open());
            for (var step = 0; step < 400; step++) {
                var length = 1 + random.nextInt(random.nextBoolean() ? 100 : 10_000);
                var offset = random.nextInt(SIZE - length);
                switch (random.nextInt(4)) {
                    case 0 -> {
                        var bytes = new byte[length];
                        random.nextBytes(bytes);
                        assertThat(disk.write(offset, bytes)).isEqualTo(Errno.OK);
                        System.arraycopy(bytes, 0, model, offset, length);
                    }
                    case 1 -> {
                        var flags = random.nextBoolean() ? Request.NO_HOLE : 0;
                        assertThat(disk.ask(BlockOp.WRITE_ZEROES, offset, length, flags))
                                .isEqualTo(Errno.OK);
                        Arrays.fill(model, offset, offset + length, (byte) 0);
                    }
                    case 2 ->
                        assertThat(disk.read(offset, length))
                                .isEqualTo(Arrays.copyOfRange(model, offset, offset + length));
                    default -> {
                        assertThat(disk.ask(BlockOp.TRIM, offset, length, 0)).isEqualTo(Errno.OK);
                        // What was trimmed is anything; all around it stays.
                        var now = disk.read(offset, length);
                        System.arraycopy(now, 0, model, offset, length);
                    }
                }
            }
            assertThat(disk.read(0, SIZE)).isEqualTo(model);
            if (extents == Answer.NONE) {
                assertThat(disk.map(3, SIZE - 7)).isEqualTo("data " + (SIZE - 7));
            }
        }
    }

    @ParameterizedTest(name = "sectors of {0}, punch {1}, zero {2}, extents {3}")
    @MethodSource("matrix")
    void theAnswersSayWhatIsNativeWhatIsEmulatedAndWhatIsNotThere(
            int sector, Answer punch, Answer zero, Answer extents) {
        var image = new ArrayImage(new byte[SIZE], ArrayImage.traits(sector, punch, zero, extents));
        try (var medium = new FileMedium(() -> image, 1)) {
            var can = medium.open().capabilities();
            var quick = punch == Answer.NATIVE || zero == Answer.NATIVE;

            assertThat(can.trim()).isEqualTo(punch);
            assertThat(can.writeZeroes()).isEqualTo(quick ? Answer.NATIVE : Answer.EMULATED);
            assertThat(can.fastZero()).isEqualTo(quick ? Answer.NATIVE : Answer.NONE);
            assertThat(can.extents()).isEqualTo(extents);
            assertThat(can.cache()).isEqualTo(Answer.NONE);
            assertThat(can.flush()).isEqualTo(Answer.NATIVE);
            assertThat(can.fua()).isEqualTo(Answer.EMULATED);
            assertThat(can.sizes().minimum()).isEqualTo(1);
        }
    }

    @Test
    void aFastZeroIsRefusedWhereItWouldNotBeFast() {
        var image = new ArrayImage(new byte[SIZE], ArrayImage.traits(512, Answer.NONE, Answer.NONE, Answer.NONE));
        try (var medium = new FileMedium(() -> image, 1)) {
            assertThat(new Disk(medium.open()).ask(BlockOp.WRITE_ZEROES, 0, 512, Request.FAST_ZERO))
                    .isEqualTo(Errno.ENOTSUP);
        }
    }

    @Test
    void aReadOnlyImageIsNeverChanged() {
        var traits = new Image.Traits(
                1, true, Answer.NONE, Answer.NONE, Answer.NONE, Answer.NONE, Answer.NONE, false, false);
        var image = new ArrayImage(new byte[SIZE], traits);
        try (var medium = new FileMedium(() -> image, 1)) {
            var disk = new Disk(medium.open());

            assertThat(disk.write(0, new byte[] {1})).isEqualTo(Errno.EPERM);
            assertThat(disk.ask(BlockOp.TRIM, 0, 512, 0)).isEqualTo(Errno.EPERM);
            assertThat(disk.ask(BlockOp.WRITE_ZEROES, 0, 512, 0)).isEqualTo(Errno.EPERM);
            assertThat(image.bytes()).containsOnly(0);
            assertThat(medium.open().capabilities().readOnly()).isTrue();
        }
    }

    /** Each writer has bytes of its own in every sector; a lost one is a neighbour's read-modify-write gone wrong. */
    @Test
    void writersOfOneSectorDoNotUndoEachOther() throws Exception {
        var traits = new Image.Traits(
                4096, false, Answer.NATIVE, Answer.NATIVE, Answer.NONE, Answer.NONE, Answer.NONE, false, true);
        var image = new ArrayImage(new byte[SIZE], traits);
        var writers = 4;
        try (var medium = new FileMedium(() -> image, 8);
                var threads = Executors.newFixedThreadPool(writers)) {
            var store = medium.open();
            var all = new ArrayList<Callable<Void>>();
            for (var writer = 0; writer < writers; writer++) {
                var own = writer;
                all.add(() -> {
                    var disk = new Disk(store);
                    var random = new Random(own);
                    for (var round = 0; round < 300; round++) {
                        var offset = random.nextInt(SIZE / 1024) * 1024 + own * 256;
                        var bytes = new byte[256];
                        Arrays.fill(bytes, (byte) (round + 1));
                        disk.write(offset, bytes);
                        assertThat(disk.read(offset, 256)).isEqualTo(bytes);
                    }
                    return null;
                });
            }
            for (var result : threads.invokeAll(all)) {
                result.get();
            }
        }
    }
}
