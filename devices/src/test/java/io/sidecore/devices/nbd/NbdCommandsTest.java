package io.sidecore.devices.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Capabilities.BlockSizes;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Extents;
import io.sidecore.actors.block.Request;
import io.sidecore.devices.block.MemoryMedium;
import io.sidecore.devices.nbd.ServerInMemory.Disk;
import io.sidecore.devices.nbd.ServerInMemory.Reply;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** RS-1: every command, flag and kind of reply; section names are those of proto.md. */
class NbdCommandsTest {
    private static final int SIZE = ServerInMemory.SIZE;
    private static final int EXTENT = MemoryMedium.EXTENT;
    private static final int HOLE_AND_ZERO = Nbd.STATE_HOLE | Nbd.STATE_ZERO;
    private static final BlockSizes SECTORS = new BlockSizes(512, 4096, 32 << 20);

    private ServerInMemory server = new ServerInMemory(Disk.ALL, true, true);

    @AfterEach
    void everythingIsGivenBack() {
        server.close();
    }

    private void serve(Disk disk, boolean structured, boolean allocation) {
        server.close();
        server = new ServerInMemory(disk, structured, allocation);
    }

    // --- Structured reply chunk message

    @Test
    void aReadIsAnsweredByOneChunkOfDataAtItsOffset() throws Exception {
        server.write(4096, pattern(512, 1));

        var reply = server.ask(0, Nbd.CMD_READ, 4096, 512);

        assertThat(reply.type()).isEqualTo(Nbd.REPLY_TYPE_OFFSET_DATA);
        assertThat(reply.offset()).isEqualTo(4096);
        assertThat(reply.data()).isEqualTo(pattern(512, 1));
    }

    @Test
    void aReadOfOddLengthAtAnOddOffsetIsServed() throws Exception {
        server.write(777, pattern(1313, 2));

        assertThat(server.read(777, 1313)).isEqualTo(pattern(1313, 2));
        assertThat(server.read(776, 1)).containsExactly(0);
    }

    @Test
    void aReadOfHolesAndDataIsStillOneChunk() throws Exception {
        server.write(EXTENT, pattern(10, 3));

        var data = server.read(0, 3 * EXTENT);

        assertThat(data).hasSize(3 * EXTENT);
        assertThat(java.util.Arrays.copyOfRange(data, EXTENT, EXTENT + 10)).isEqualTo(pattern(10, 3));
    }

    @ParameterizedTest
    @CsvSource({"true", "false"})
    void commandsWithoutDataAreAnsweredBySimpleReplies(boolean structured) throws Exception {
        serve(Disk.ALL, structured, structured);

        assertThat(server.write(0, new byte[10])).matches(Reply::simple);
        assertThat(server.ask(0, Nbd.CMD_FLUSH, 0, 0)).matches(Reply::simple);
        assertThat(server.ask(0, Nbd.CMD_TRIM, 0, 10)).matches(Reply::simple);
        assertThat(server.ask(0, Nbd.CMD_WRITE_ZEROES, 0, 10)).matches(Reply::simple);
        assertThat(server.ask(0, Nbd.CMD_CACHE, 0, 10)).matches(Reply::simple);
    }

    @Test
    void structuredRepliesInOrderAreOneStretchOfBytes() throws Exception {
        var all = new ArrayList<Integer>();
        for (var i = 0; i < 3; i++) {
            server.codec().receiveBuffer().put(ServerInMemory.request(0, Nbd.CMD_READ, i, 0, 100));
            server.codec().received(NbdRequestHeader.BYTES);
        }
        for (var request = server.codec().decode(1); request != null; ) {
            var following = request.unlink();
            server.codec().encode(request);
            request = following;
        }
        for (var bytes = server.codec().pending();
                bytes != null;
                bytes = server.codec().pending()) {
            all.add(bytes.remaining());
            server.codec().sent(bytes.remaining());
        }

        assertThat(all).containsExactly(3 * (NbdChunk.DATA_BYTES + 100));
    }

    @Test
    void aLargeReadIsAnsweredFromTheMediumsOwnMemoryBehindAChunkHeader() throws Exception {
        server.close();
        server = new ServerInMemory(new MemoryMedium(SIZE, SIZE), Disk.ALL, true, false, true);
        server.write(0, pattern(SIZE, 4));

        var reply = server.ask(0, Nbd.CMD_READ, 0, SIZE);

        assertThat(reply.type()).isEqualTo(Nbd.REPLY_TYPE_OFFSET_DATA);
        assertThat(reply.data()).isEqualTo(pattern(SIZE, 4));
    }

    // --- Structured reply types: errors

    @Test
    void anErrorSaysWhatWasWrongAndWhere() throws Exception {
        var reply = server.ask(0, Nbd.CMD_READ, SIZE - 100, 512);

        assertThat(reply.type()).isEqualTo(Nbd.REPLY_TYPE_ERROR_OFFSET);
        assertThat(reply.error()).isEqualTo(Errno.EINVAL.number());
        assertThat(reply.text()).isEqualTo("READ of 512 bytes at 1048476: the export has 1048576 bytes");
        assertThat(reply.offset()).as("the first byte that is not there").isEqualTo(SIZE);
    }

    @Test
    void anErrorBeyondTheEndPointsIntoTheRequest() throws Exception {
        assertThat(server.ask(0, Nbd.CMD_TRIM, SIZE + 4096L, 512).offset()).isEqualTo(SIZE + 4096);
    }

    @Test
    void anOffsetOfMoreThanTwoToThe63IsToldAsItWasMeant() throws Exception {
        var reply = server.ask(0, Nbd.CMD_READ, -512, 512);

        assertThat(reply.type()).isEqualTo(Nbd.REPLY_TYPE_ERROR);
        assertThat(reply.text()).contains("18446744073709551104");
    }

    @ParameterizedTest
    @CsvSource({
        "EIO, READ of 512 bytes at 0 failed",
        "ENOSPC, READ of 512 bytes at 0: no space is left",
        "ENOTSUP, READ of 512 bytes at 0 would be no faster than writing",
        "ESHUTDOWN, READ of 512 bytes at 0: the host is stopping",
        "EPERM, READ of 512 bytes at 0 is not permitted"
    })
    void whatTheStoreFailsIsSaidInWords(Errno error, String text) throws Exception {
        server.fate(ServerInMemory.failing(error));

        var reply = server.ask(0, Nbd.CMD_READ, 0, 512);

        assertThat(reply.type()).isEqualTo(Nbd.REPLY_TYPE_ERROR);
        assertThat(reply.error()).isEqualTo(error.number());
        assertThat(reply.text()).isEqualTo(text);
    }

    @Test
    void aFailedReadIsNeverAnsweredBySimpleReplyWhereRepliesAreStructured() throws Exception {
        assertThat(server.ask(1 << 7, Nbd.CMD_READ, 0, 512).simple()).isFalse();
    }

    @Test
    void withoutStructuredRepliesAnErrorIsANumber() throws Exception {
        serve(Disk.ALL, false, false);

        var reply = server.ask(0, Nbd.CMD_READ, SIZE, 512);

        assertThat(reply.simple()).isTrue();
        assertThat(reply.error()).isEqualTo(Errno.EINVAL.number());
    }

    // --- Command flags

    @ParameterizedTest
    @ValueSource(
            ints = {
                Nbd.CMD_READ,
                Nbd.CMD_WRITE,
                Nbd.CMD_FLUSH,
                Nbd.CMD_TRIM,
                Nbd.CMD_CACHE,
                Nbd.CMD_WRITE_ZEROES,
                Nbd.CMD_BLOCK_STATUS
            })
    void fuaIsAcceptedOnAnyCommandAndReachesTheStore(int command) throws Exception {
        var durable = new ArrayList<Boolean>();
        server.fate(request -> durable.add(request.has(Request.FUA)));
        var length = command == Nbd.CMD_FLUSH ? 0 : 512;

        var reply = server.ask(Nbd.CMD_FLAG_FUA, command, 0, length, new byte[command == Nbd.CMD_WRITE ? length : 0]);

        assertThat(reply.error()).isZero();
        if (NbdAdmission.op(command).changes()) {
            assertThat(durable).containsExactly(true);
        }
    }

    @Test
    void fuaOfALargeWriteThatIsReceivedInPlaceIsNotForgotten() throws Exception {
        server.close();
        server = new ServerInMemory(new MemoryMedium(SIZE, SIZE), Disk.ALL, true, false, true);
        var durable = new ArrayList<Boolean>();
        server.fate(request -> durable.add(request.isLent() && request.has(Request.FUA)));

        server.feed(ServerInMemory.request(Nbd.CMD_FLAG_FUA, Nbd.CMD_WRITE, 1, 0, SIZE, pattern(SIZE, 5)), 100_000);

        assertThat(server.reply().error()).isZero();
        assertThat(durable).containsExactly(true);
        assertThat(server.contents(0, SIZE)).isEqualTo(pattern(SIZE, 5));
    }

    @Test
    void fuaThatWasNotOfferedIsInvalid() throws Exception {
        serve(Disk.ALL.bare(), true, true);

        var reply = server.ask(Nbd.CMD_FLAG_FUA, Nbd.CMD_READ, 0, 512);

        assertThat(reply.error()).isEqualTo(Errno.EINVAL.number());
        assertThat(reply.text()).isEqualTo("READ with the flags 0x1; this export allows 0x4");
    }

    @Test
    void unfragmentedReadsAreServedToAnyLength() throws Exception {
        assertThat(server.ask(Nbd.CMD_FLAG_DF, Nbd.CMD_READ, 0, SIZE).data()).hasSize(SIZE);
    }

    @Test
    void dontFragmentIsInvalidWithoutStructuredReplies() throws Exception {
        serve(Disk.ALL, false, false);

        assertThat(server.ask(Nbd.CMD_FLAG_DF, Nbd.CMD_READ, 0, 512).error()).isEqualTo(Errno.EINVAL.number());
    }

    @ParameterizedTest
    @CsvSource({"0, 2", "0, 8", "0, 16", "1, 2", "1, 4", "3, 4", "4, 2", "4, 16", "5, 8", "6, 4", "6, 8", "7, 2", "7, 4"
    })
    void aFlagOfAnotherCommandIsInvalid(int command, int flag) throws Exception {
        var length = command == Nbd.CMD_FLUSH ? 0 : 512;

        var reply = server.ask(flag, command, 0, length, new byte[command == Nbd.CMD_WRITE ? length : 0]);

        assertThat(reply.error()).isEqualTo(Errno.EINVAL.number());
        assertThat(reply.text()).contains("flags");
    }

    // --- Request types: TRIM, WRITE_ZEROES, CACHE

    @Test
    void trimMakesAHole() throws Exception {
        server.write(0, pattern(SIZE, 6));

        assertThat(server.ask(0, Nbd.CMD_TRIM, EXTENT, 2 * EXTENT).error()).isZero();

        assertThat(server.medium.allocatedBytes()).isEqualTo(SIZE - 2 * EXTENT);
        assertThat(server.ask(0, Nbd.CMD_BLOCK_STATUS, 0, SIZE).extents())
                .containsExactly(EXTENT, 0, 2 * EXTENT, HOLE_AND_ZERO, SIZE - 3 * EXTENT, 0);
    }

    @Test
    void writeZeroesZeroesExactlyItsRange() throws Exception {
        server.write(0, pattern(SIZE, 7));
        var expected = pattern(SIZE, 7);
        java.util.Arrays.fill(expected, 100, 100 + 3 * EXTENT, (byte) 0);

        assertThat(server.ask(0, Nbd.CMD_WRITE_ZEROES, 100, 3 * EXTENT).error()).isZero();

        assertThat(server.read(0, SIZE)).isEqualTo(expected);
        assertThat(server.medium.allocatedBytes()).isEqualTo(SIZE - 2 * EXTENT);
    }

    @Test
    void writeZeroesWithoutHoleKeepsTheSpace() throws Exception {
        server.ask(Nbd.CMD_FLAG_NO_HOLE, Nbd.CMD_WRITE_ZEROES, 0, 4 * EXTENT);

        assertThat(server.medium.allocatedBytes()).isEqualTo(4 * EXTENT);
        assertThat(server.ask(0, Nbd.CMD_BLOCK_STATUS, 0, 4 * EXTENT).extents()).containsExactly(4 * EXTENT, 0);
    }

    @Test
    void fastZeroIsServedWhereItIsOfferedAndInvalidWhereNot() throws Exception {
        assertThat(server.ask(Nbd.CMD_FLAG_FAST_ZERO, Nbd.CMD_WRITE_ZEROES, 0, SIZE)
                        .error())
                .isZero();

        serve(Disk.ALL.withoutFastZero(), true, true);
        assertThat(server.ask(Nbd.CMD_FLAG_FAST_ZERO, Nbd.CMD_WRITE_ZEROES, 0, SIZE)
                        .error())
                .isEqualTo(Errno.EINVAL.number());
    }

    @Test
    void cacheIsAHintThatSucceeds() throws Exception {
        assertThat(server.ask(0, Nbd.CMD_CACHE, 0, SIZE).error()).isZero();
    }

    @ParameterizedTest
    @ValueSource(ints = {Nbd.CMD_TRIM, Nbd.CMD_CACHE, Nbd.CMD_WRITE_ZEROES, Nbd.CMD_BLOCK_STATUS})
    void commandsWithoutPayloadTakeLengthsUpToFourGibibytesLessOne(int command) throws Exception {
        server.close();
        server = new ServerInMemory(new MemoryMedium(8L << 30, 8L << 30), Disk.ALL, true, true, false);
        var lengths = new ArrayList<Long>();
        server.fate(request -> lengths.add(request.length()));

        assertThat(server.ask(0, command, 1L << 32, -1).error()).isZero();

        assertThat(lengths).containsExactly(0xffff_ffffL);
    }

    @ParameterizedTest
    @ValueSource(ints = {Nbd.CMD_TRIM, Nbd.CMD_CACHE, Nbd.CMD_WRITE_ZEROES})
    void whatWasNotOfferedIsInvalid(int command) throws Exception {
        serve(Disk.ALL.bare(), true, true);

        var reply = server.ask(0, command, 0, 512);

        assertThat(reply.error()).isEqualTo(Errno.EINVAL.number());
        assertThat(reply.text()).contains("not offered");
    }

    // --- Request types: FLUSH

    @Test
    void aFlushOfARangeIsInvalid() throws Exception {
        assertThat(server.ask(0, Nbd.CMD_FLUSH, 0, 512).error()).isEqualTo(Errno.EINVAL.number());
        assertThat(server.ask(0, Nbd.CMD_FLUSH, 512, 0).error()).isEqualTo(Errno.EINVAL.number());
    }

    // --- Request types: BLOCK_STATUS

    @Test
    void blockStatusTellsHolesFromData() throws Exception {
        server.write(2 * EXTENT, new byte[1]);

        var reply = server.ask(0, Nbd.CMD_BLOCK_STATUS, 0, 4 * EXTENT);

        assertThat(reply.type()).isEqualTo(Nbd.REPLY_TYPE_BLOCK_STATUS);
        assertThat(reply.extents()).containsExactly(2 * EXTENT, HOLE_AND_ZERO, EXTENT, 0, EXTENT, HOLE_AND_ZERO);
    }

    @Test
    void reqOneGetsOneExtentWithinTheRange() throws Exception {
        server.write(2 * EXTENT, new byte[1]);

        assertThat(server.ask(Nbd.CMD_FLAG_REQ_ONE, Nbd.CMD_BLOCK_STATUS, 0, 4 * EXTENT)
                        .extents())
                .containsExactly(2 * EXTENT, HOLE_AND_ZERO);
        assertThat(server.ask(Nbd.CMD_FLAG_REQ_ONE, Nbd.CMD_BLOCK_STATUS, 100, 7)
                        .extents())
                .containsExactly(7, HOLE_AND_ZERO);
    }

    @Test
    void aStoreThatKnowsOfNoHolesHasDataEverywhere() throws Exception {
        server.fate(request -> request.extents(null));

        assertThat(server.ask(0, Nbd.CMD_BLOCK_STATUS, 512, 4096).extents()).containsExactly(4096, 0);
    }

    @Test
    void moreExtentsThanAnAnswerHoldsEndBeforeTheRangeDoes() throws Exception {
        server.close();
        server = new ServerInMemory(new MemoryMedium(1L << 30, 1L << 30), Disk.ALL, true, true, false);
        for (var i = 0; i < Extents.MAX; i++) {
            server.write(2L * i * EXTENT, new byte[1]);
        }

        var extents = server.ask(0, Nbd.CMD_BLOCK_STATUS, 0, 1 << 30).extents();

        assertThat(extents).hasSize(2 * Extents.MAX);
    }

    @Test
    void blockStatusWithoutAContextIsInvalid() throws Exception {
        serve(Disk.ALL, true, false);

        var reply = server.ask(0, Nbd.CMD_BLOCK_STATUS, 0, 512);

        assertThat(reply.error()).isEqualTo(Errno.EINVAL.number());
        assertThat(reply.text()).contains("base:allocation");
    }

    @Test
    void blockStatusBeyondTheEndIsInvalid() throws Exception {
        assertThat(server.ask(0, Nbd.CMD_BLOCK_STATUS, SIZE - 1, 2).error()).isEqualTo(Errno.EINVAL.number());
    }

    // --- Error values

    @ParameterizedTest
    @CsvSource({"0, EINVAL", "1, ENOSPC", "4, EINVAL", "5, EINVAL", "6, ENOSPC", "7, EINVAL"})
    void beyondTheEndEveryCommandHasItsError(int command, Errno error) throws Exception {
        var reply = server.ask(0, command, SIZE, 512, new byte[command == Nbd.CMD_WRITE ? 512 : 0]);

        assertThat(reply.error()).isEqualTo(error.number());
        assertThat(server.read(0, 1)).as("the two are in step").containsExactly(0);
    }

    @ParameterizedTest
    @ValueSource(ints = {Nbd.CMD_READ, Nbd.CMD_WRITE, Nbd.CMD_TRIM, Nbd.CMD_CACHE, 6, Nbd.CMD_BLOCK_STATUS})
    void nothingIsInvalidAsARange(int command) throws Exception {
        var reply = server.ask(0, command, 0, 0);

        assertThat(reply.error()).isEqualTo(Errno.EINVAL.number());
        assertThat(reply.text()).endsWith(" of nothing");
    }

    @ParameterizedTest
    @ValueSource(ints = {Nbd.CMD_WRITE, Nbd.CMD_TRIM, Nbd.CMD_WRITE_ZEROES})
    void aReadOnlyExportIsNotChanged(int command) throws Exception {
        serve(Disk.ALL.asReadOnly(), true, true);

        var reply = server.ask(0, command, 0, 512, new byte[command == Nbd.CMD_WRITE ? 512 : 0]);

        assertThat(reply.error()).isEqualTo(Errno.EPERM.number());
        assertThat(reply.text()).isEqualTo("the export is read-only");
        assertThat(server.read(0, 512)).as("the two are in step").hasSize(512);
    }

    @Test
    void anUnknownCommandIsInvalid() throws Exception {
        var reply = server.ask(0, 8, 0, 512);

        assertThat(reply.error()).isEqualTo(Errno.EINVAL.number());
        assertThat(reply.text()).isEqualTo("command 8 is unknown");
    }

    // --- Size constraints

    @Test
    void anOversizeReadOverflowsWhereASmallerOneMayBeTried() throws Exception {
        assertThat(server.ask(0, Nbd.CMD_READ, 0, Nbd.MAX_PAYLOAD + 1).error()).isEqualTo(Errno.EOVERFLOW.number());
    }

    @Test
    void anOversizeWriteIsInvalidAndItsPayloadDropped() throws Exception {
        serve(Disk.ALL.with(new BlockSizes(1, 4096, 64 << 10)), true, true);

        var reply = server.write(0, pattern(128 << 10, 8));

        assertThat(reply.error()).isEqualTo(Errno.EINVAL.number());
        assertThat(reply.text()).contains("at most 65536 bytes at a time");
        assertThat(server.read(0, 64 << 10)).containsOnly(0);
    }

    @ParameterizedTest
    @CsvSource({"0,1,512", "0,512,1", "1,100,512", "4,512,513", "5,0,511", "6,511,512", "7,1,1"})
    void anUnalignedRequestIsInvalidAndItsPayloadDropped(int command, long offset, int length) throws Exception {
        serve(Disk.ALL.with(SECTORS), true, true);

        var reply = server.ask(0, command, offset, length, new byte[command == Nbd.CMD_WRITE ? length : 0]);

        assertThat(reply.error()).isEqualTo(Errno.EINVAL.number());
        assertThat(reply.text()).contains("multiples of 512");
        assertThat(server.read(512, 1024)).hasSize(1024);
    }

    // --- Terminating the transmission phase

    @Test
    void onceTheHostStopsEverythingIsRefusedAndWritesAreDropped() throws Exception {
        server.codec().shutDown();

        var write = server.write(0, pattern(4096, 9));
        var read = server.ask(0, Nbd.CMD_READ, 0, 512);

        assertThat(write.error()).isEqualTo(Errno.ESHUTDOWN.number());
        assertThat(read.error()).isEqualTo(Errno.ESHUTDOWN.number());
        assertThat(read.text()).isEqualTo("the host is stopping");
        assertThat(server.contents(0, 4096)).containsOnly(0);
    }

    @Test
    void aLargeWriteThatWasBeingReceivedWhenTheHostStoppedIsRefusedToo() throws Exception {
        server.close();
        server = new ServerInMemory(new MemoryMedium(SIZE, SIZE), Disk.ALL, true, false, true);
        var message = ServerInMemory.request(0, Nbd.CMD_WRITE, 1, 0, SIZE, pattern(SIZE, 10));
        server.feed(java.util.Arrays.copyOf(message, SIZE / 2), 100_000);
        server.codec().shutDown();

        server.feed(java.util.Arrays.copyOfRange(message, SIZE / 2, message.length), 100_000);

        assertThat(server.reply().error()).isEqualTo(Errno.ESHUTDOWN.number());
    }

    // --- any program

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void anyProgramLeavesTheContentsThatTheModelHas(long seed) throws Exception {
        var random = new Random(seed);
        serve(Disk.ALL, random.nextBoolean(), false);
        var model = new byte[SIZE];
        for (var i = 0; i < 3_000; i++) {
            var length = 1 + random.nextInt(random.nextInt(10) == 0 ? 3 * EXTENT : 5_000);
            var offset = random.nextInt(SIZE - length + 1);
            var fua = random.nextBoolean() ? Nbd.CMD_FLAG_FUA : 0;
            switch (random.nextInt(4)) {
                case 0 ->
                    assertThat(server.read(offset, length))
                            .as("step %d", i)
                            .isEqualTo(java.util.Arrays.copyOfRange(model, offset, offset + length));
                case 1, 2 -> {
                    var bytes = pattern(length, i);
                    assertThat(server.ask(fua, Nbd.CMD_WRITE, offset, length, bytes)
                                    .error())
                            .isZero();
                    System.arraycopy(bytes, 0, model, offset, length);
                }
                default -> {
                    var how = List.of(0, Nbd.CMD_FLAG_NO_HOLE, Nbd.CMD_FLAG_FAST_ZERO, Nbd.CMD_FLAG_NO_HOLE | 16)
                            .get(random.nextInt(4));
                    assertThat(server.ask(fua | how, Nbd.CMD_WRITE_ZEROES, offset, length)
                                    .error())
                            .isZero();
                    java.util.Arrays.fill(model, offset, offset + length, (byte) 0);
                }
            }
        }
        assertThat(server.contents(0, SIZE)).isEqualTo(model);
    }

    @Test
    void everyOperationHasItsCommand() {
        assertThat(List.of(0, 1, 3, 4, 5, 6, 7).stream().map(NbdAdmission::op))
                .containsExactlyInAnyOrder(BlockOp.values());
    }

    private static byte[] pattern(int length, int seed) {
        var bytes = new byte[length];
        new Random(seed).nextBytes(bytes);
        return bytes;
    }
}
