package io.sidecore.devices.block;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.InFlightLedger;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Slab;
import io.sidecore.actors.block.Store;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MemoryMediumTest {
    private static final long GIB = 1L << 30;
    private static final int EXTENT = MemoryMedium.EXTENT;

    private final MemoryMedium medium = new MemoryMedium(64 * GIB, 16 << 20);
    private final Store store = medium.open();

    @AfterEach
    void close() {
        store.close();
        medium.close();
    }

    @Test
    void whatWasNeverWrittenReadsAsZeroesAndCostsNothing() {
        assertThat(read(store, 5 * GIB + 17, 100_000)).containsOnly(0);
        assertThat(medium.allocatedBytes()).isZero();
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 1, 65_535, 2 * GIB - 5, 4 * GIB - 1, 33 * GIB + 12_345, 64 * GIB - 200_000})
    void whatWasWrittenIsReadAnywhere(long offset) {
        var bytes = pattern(200_000, offset);

        assertThat(write(store, offset, bytes)).isEqualTo(Errno.OK);

        assertThat(read(store, offset, bytes.length)).isEqualTo(bytes);
    }

    @Test
    void farAwayBytesAreNotTheSameBytes() {
        write(store, 0, pattern(4096, 1));
        write(store, 4 * GIB, pattern(4096, 2));

        assertThat(read(store, 0, 4096)).isEqualTo(pattern(4096, 1));
        assertThat(read(store, 2 * GIB, 4096)).containsOnly(0);
    }

    @Test
    void aReadAcrossWrittenAndUnwrittenExtentsSeesBoth() {
        write(store, EXTENT, pattern(EXTENT, 1));

        var bytes = read(store, 0, 4 * EXTENT);

        var expected = new byte[4 * EXTENT];
        System.arraycopy(pattern(EXTENT, 1), 0, expected, EXTENT, EXTENT);
        assertThat(bytes).isEqualTo(expected);
    }

    @Test
    void aReadOverwritesWhatItsMemoryHeldBefore() {
        var request = request(BlockOp.READ, 0, pattern(1000, 1));

        WholeChain.serve(store, request);

        assertThat(bytes(request)).containsOnly(0);
    }

    @Test
    void memoryIsAccountedByExtentsAndOnce() {
        write(store, EXTENT - 1, new byte[2]);
        assertThat(medium.allocatedBytes()).isEqualTo(2 * EXTENT);

        write(store, 0, new byte[EXTENT]);
        assertThat(medium.allocatedBytes()).isEqualTo(2 * EXTENT);
    }

    @Test
    void aWriteBeyondTheLimitFindsNoSpaceAndWhatIsThereStays() {
        try (var small = new MemoryMedium(GIB, 2 * EXTENT)) {
            var limited = small.open();
            write(limited, 0, pattern(2 * EXTENT, 1));

            assertThat(write(limited, 10 * EXTENT, new byte[1])).isEqualTo(Errno.ENOSPC);
            assertThat(read(limited, 0, 2 * EXTENT)).isEqualTo(pattern(2 * EXTENT, 1));
            assertThat(write(limited, 5, pattern(100, 2))).isEqualTo(Errno.OK);
            assertThat(small.allocatedBytes()).isEqualTo(2 * EXTENT);
        }
    }

    @Test
    void aRefusedWriteChangesNoContents() {
        try (var small = new MemoryMedium(GIB, EXTENT)) {
            var limited = small.open();

            assertThat(write(limited, 0, pattern(2 * EXTENT, 1))).isEqualTo(Errno.ENOSPC);
            assertThat(read(limited, 0, 2 * EXTENT)).containsOnly(0);
        }
    }

    @Test
    void theRequestsOfAChainAreServedInOrderAndComeBackAsOne() {
        var write = request(BlockOp.WRITE, 0, pattern(100, 1));
        var read = request(BlockOp.READ, 0, new byte[100]);
        write.link(read);

        assertThat(store.serve(write, null)).isSameAs(write);
        assertThat(write.next()).isSameAs(read);
        assertThat(bytes(read)).isEqualTo(pattern(100, 1));
    }

    @Test
    void aFlushSucceeds() {
        var flush = request(BlockOp.FLUSH, 0, new byte[0]);

        assertThat(store.serve(flush, null).error()).isEqualTo(Errno.OK);
    }

    @Test
    void aFencedStoreReturnsRequestsUnserved() {
        assertThat(store.fence().toCompletableFuture()).isDone();

        assertThat(write(store, 0, pattern(100, 1))).isEqualTo(Errno.RETURNED);
        assertThat(read(medium.open(), 0, 100)).containsOnly(0);
        assertThat(medium.allocatedBytes()).isZero();
    }

    @Test
    void aFenceCutsOffNoOtherStore() {
        var other = medium.open();
        store.fence();

        assertThat(write(other, 0, pattern(100, 1))).isEqualTo(Errno.OK);
    }

    @Test
    void aRegionWrittenThroughoutKeepsItsContentsWhileItIsMovedIntoAHugePage() {
        var bytes = pattern(2 << 20, 3);
        for (var at = 0; at < bytes.length; at += EXTENT) {
            write(store, 2 * GIB + at, java.util.Arrays.copyOfRange(bytes, at, at + EXTENT));
        }
        for (var round = 0; round < 20; round++) {
            write(store, 2 * GIB + 12_345, java.util.Arrays.copyOfRange(bytes, 12_345, 99_999));
            assertThat(read(store, 2 * GIB, bytes.length)).isEqualTo(bytes);
        }
    }

    @Test
    void storesOfManyThreadsWriteSideBySide() throws Exception {
        var writers = new ArrayList<Callable<Void>>();
        for (var t = 0; t < 4; t++) {
            var lane = t;
            writers.add(() -> {
                var own = medium.open();
                var random = new Random(lane);
                for (var i = 0; i < 200; i++) {
                    // Every extent is shared by four threads, each with a quarter of its own.
                    var offset = random.nextInt(64) * (long) EXTENT + lane * (EXTENT / 4L);
                    var bytes = pattern(EXTENT / 4, random.nextInt());
                    assertThat(write(own, offset, bytes)).isEqualTo(Errno.OK);
                    assertThat(read(own, offset, bytes.length)).isEqualTo(bytes);
                }
                return null;
            });
        }
        try (var threads = Executors.newFixedThreadPool(4)) {
            for (var done : threads.invokeAll(writers)) {
                done.get(30, TimeUnit.SECONDS);
            }
        }
        assertThat(medium.allocatedBytes()).isLessThanOrEqualTo(64L * EXTENT).isPositive();
    }

    // --- lending

    @Test
    void aReadIsLentWhereEverythingWasWritten() {
        write(store, EXTENT, pattern(3 * EXTENT, 1));

        var lent = store.lend(BlockOp.READ, EXTENT + 5, 3 * EXTENT - 5);

        assertThat(lent.byteSize()).isEqualTo(3 * EXTENT - 5);
        assertThat(lent.asSlice(0, 1_000).toArray(JAVA_BYTE))
                .isEqualTo(java.util.Arrays.copyOfRange(pattern(3 * EXTENT, 1), 5, 1_005));
    }

    @ParameterizedTest
    @ValueSource(longs = {0, EXTENT - 1, EXTENT + 1, 3 * EXTENT})
    void aReadIsNotLentWhereAnExtentWasNotWritten(long offset) {
        write(store, EXTENT, pattern(EXTENT, 1));
        write(store, 2 * EXTENT, pattern(EXTENT, 2));

        assertThat(store.lend(BlockOp.READ, offset, 2 * EXTENT)).isNull();
        assertThat(medium.allocatedBytes()).isEqualTo(2 * EXTENT);
    }

    @Test
    void memoryLentToAReadCannotBeWritten() {
        write(store, 0, pattern(EXTENT, 1));

        var lent = store.lend(BlockOp.READ, 0, EXTENT);

        assertThat(lent.isReadOnly()).isTrue();
        assertThatThrownBy(() -> lent.set(JAVA_BYTE, 0, (byte) 1)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void memoryLentToAReadShowsWhatIsWrittenMeanwhile() {
        write(store, 0, pattern(EXTENT, 1));
        var lent = store.lend(BlockOp.READ, 0, EXTENT);

        write(store, 0, pattern(EXTENT, 2));

        assertThat(lent.toArray(JAVA_BYTE)).isEqualTo(pattern(EXTENT, 2));
    }

    @Test
    void whatIsPutIntoMemoryLentToAWriteIsOnTheMedium() {
        var lent = store.lend(BlockOp.WRITE, 5 * GIB + 7, 2 * EXTENT);

        assertThat(lent.byteSize()).isEqualTo(2 * EXTENT);
        MemorySegment.copy(pattern(2 * EXTENT, 1), 0, lent, JAVA_BYTE, 0, 2 * EXTENT);

        assertThat(read(store, 5 * GIB + 7, 2 * EXTENT)).isEqualTo(pattern(2 * EXTENT, 1));
    }

    @Test
    void memoryLentToAWriteIsAccountedAndOnce() {
        store.lend(BlockOp.WRITE, EXTENT / 2, EXTENT);
        assertThat(medium.allocatedBytes()).isEqualTo(2 * EXTENT);

        store.lend(BlockOp.WRITE, 0, 2 * EXTENT);
        assertThat(medium.allocatedBytes()).isEqualTo(2 * EXTENT);
    }

    @Test
    void beyondTheLimitNothingIsLentToAWrite() {
        try (var small = new MemoryMedium(GIB, 2 * EXTENT)) {
            var limited = small.open();
            write(limited, 0, pattern(2 * EXTENT, 1));

            assertThat(limited.lend(BlockOp.WRITE, 10 * EXTENT, EXTENT)).isNull();
            assertThat(limited.lend(BlockOp.WRITE, EXTENT, 2 * EXTENT)).isNull();
            assertThat(limited.lend(BlockOp.WRITE, 0, 2 * EXTENT)).isNotNull();
            assertThat(small.allocatedBytes()).isEqualTo(2 * EXTENT);
        }
    }

    @Test
    void aFencedStoreLendsNothing() {
        write(store, 0, pattern(EXTENT, 1));
        store.fence();

        assertThat(store.lend(BlockOp.READ, 0, EXTENT)).isNull();
        assertThat(store.lend(BlockOp.WRITE, EXTENT, EXTENT)).isNull();
        assertThat(medium.allocatedBytes()).isEqualTo(EXTENT);
    }

    @Test
    void aFlushIsLentNothing() {
        assertThat(store.lend(BlockOp.FLUSH, 0, 0)).isNull();
    }

    @Test
    void aWriteWhosePayloadLiesInPlaceIsServedAsItIs() {
        var request = lent(BlockOp.WRITE, store.lend(BlockOp.WRITE, 10, EXTENT), 10);
        MemorySegment.copy(pattern(EXTENT, 1), 0, request.memory(), JAVA_BYTE, 0, EXTENT);

        assertThat(store.serve(request, null)).isSameAs(request);

        assertThat(request.error()).isEqualTo(Errno.OK);
        assertThat(read(store, 10, EXTENT)).isEqualTo(pattern(EXTENT, 1));
    }

    /** A copy would throw: the memory of a read that is lent is read-only. */
    @ParameterizedTest
    @ValueSource(ints = {1_000, EXTENT})
    void aReadWhosePayloadLiesInPlaceIsServedWithoutACopy(int length) {
        write(store, 0, pattern(EXTENT, 1));
        var request = lent(BlockOp.READ, store.lend(BlockOp.READ, 0, length), 0);

        assertThat(store.serve(request, null)).isSameAs(request);

        assertThat(request.error()).isEqualTo(Errno.OK);
        assertThat(request.memory().byteSize()).isEqualTo(length);
    }

    @Test
    void aWriteWhosePayloadLiesInAnotherMediumIsCopied() {
        try (var other = new MemoryMedium(GIB, GIB)) {
            var request = lent(BlockOp.WRITE, other.open().lend(BlockOp.WRITE, 10, EXTENT), 10);
            MemorySegment.copy(pattern(EXTENT, 1), 0, request.memory(), JAVA_BYTE, 0, EXTENT);

            store.serve(request, null);

            assertThat(request.error()).isEqualTo(Errno.OK);
            assertThat(read(store, 10, EXTENT)).isEqualTo(pattern(EXTENT, 1));
        }
    }

    @Test
    void aWriteWhosePayloadLiesElsewhereInTheMediumIsCopied() {
        var request = lent(BlockOp.WRITE, store.lend(BlockOp.WRITE, 20 * EXTENT, EXTENT), 10);
        MemorySegment.copy(pattern(EXTENT, 1), 0, request.memory(), JAVA_BYTE, 0, EXTENT);

        store.serve(request, null);

        assertThat(read(store, 10, EXTENT)).isEqualTo(pattern(EXTENT, 1));
    }

    @Test
    void aFencedStoreReturnsAlsoWhatLiesInPlace() {
        var request = lent(BlockOp.WRITE, store.lend(BlockOp.WRITE, 0, EXTENT), 0);
        store.fence();

        store.serve(request, null);

        assertThat(request.error()).isEqualTo(Errno.RETURNED);
    }

    @Test
    void anImpossibleSizeIsRefused() {
        assertThatThrownBy(() -> new MemoryMedium(0, 1)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new MemoryMedium(1, 0)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new MemoryMedium(Long.MAX_VALUE, 1)).isInstanceOf(IllegalArgumentException.class);
    }

    private static Errno write(Store store, long offset, byte[] bytes) {
        var request = request(BlockOp.WRITE, offset, bytes);
        WholeChain.serve(store, request);
        return request.error();
    }

    private static byte[] read(Store store, long offset, int length) {
        var request = request(BlockOp.READ, offset, new byte[length]);
        WholeChain.serve(store, request);
        assertThat(request.error()).isEqualTo(Errno.OK);
        return bytes(request);
    }

    private static Request request(BlockOp op, long offset, byte[] payload) {
        var request = new InFlightLedger(1).open(op, offset, payload.length, 0, 0, 1);
        var slab = new Slab(Arena.ofAuto().allocate(payload.length + 16));
        slab.take(payload.length + 16);
        request.payload(slab, 16);
        MemorySegment.copy(payload, 0, slab.memory(), JAVA_BYTE, 16, payload.length);
        return request;
    }

    private static Request lent(BlockOp op, MemorySegment memory, long offset) {
        var request = new InFlightLedger(1).open(op, offset, memory.byteSize(), 0, 0, 1);
        request.lend(memory);
        return request;
    }

    private static byte[] bytes(Request request) {
        return request.memory().asSlice(request.position(), request.length()).toArray(JAVA_BYTE);
    }

    private static byte[] pattern(int length, long seed) {
        var bytes = new byte[length];
        new Random(seed).nextBytes(bytes);
        return bytes;
    }
}
