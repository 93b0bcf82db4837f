package io.sidecore.devices.nbd;

import static io.sidecore.devices.nbd.ClientMessages.flush;
import static io.sidecore.devices.nbd.ClientMessages.header;
import static io.sidecore.devices.nbd.ClientMessages.joined;
import static io.sidecore.devices.nbd.ClientMessages.pattern;
import static io.sidecore.devices.nbd.ClientMessages.read;
import static io.sidecore.devices.nbd.ClientMessages.write;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Capabilities;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.InFlightLedger;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.SlabPool;
import io.sidecore.devices.linux.OffHeap;
import io.sidecore.devices.nbd.ClientMessages.Reply;
import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The transmission phase as a codec, with a medium of 256 KiB (or as large as a test says) in place of a stream and a store. */
class NbdTransmissionTest {
    private static final int SIZE = 256 << 10;
    private static final int HEADER = NbdRequestHeader.BYTES;

    private int mappings;
    private final SlabPool pool = new SlabPool(
            (bytes, arena) -> {
                if (bytes < 2L * SlabPool.STANDARD) {
                    mappings++;
                }
                return OffHeap.map(bytes, arena);
            },
            Long.MAX_VALUE);
    private InFlightLedger ledger = new InFlightLedger(128);
    private NbdTransmission codec =
            new NbdTransmission(session(SIZE), 16 << 20, ledger, pool, (op, offset, length) -> null);
    private final byte[] medium = new byte[SIZE];
    private final ByteArrayOutputStream sent = new ByteArrayOutputStream();

    /** Whatever a test did: after its end no slot is in use and every slab is back in the pool. */
    @AfterEach
    void everythingIsGivenBack() {
        codec.close();
        for (var request : ledger.inUse()) {
            ledger.free(request);
        }
        assertThat(ledger.used()).isZero();
        assertThat(ledger.open()).isZero();
        assertThat(pool.borrowedBytes()).as("bytes that did not come back").isZero();
        pool.close();
    }

    private void use(long size, long inFlightBytes, int slots) {
        codec.close();
        ledger = new InFlightLedger(slots);
        codec = new NbdTransmission(session(size), inFlightBytes, ledger, pool, (op, offset, length) -> null);
    }

    static NbdSession session(long size) {
        return NbdSession.plain(new NbdExport("disk", () -> size, false, Capabilities.ALL));
    }

    // --- requests out

    @Test
    void aReadIsDecoded() throws Exception {
        receive(read(7, 4096, 512));

        var request = codec.decode(1);

        assertThat(request.op()).isEqualTo(BlockOp.READ);
        assertThat(request.offset()).isEqualTo(4096);
        assertThat(request.length()).isEqualTo(512);
        assertThat(request.cookie()).isEqualTo(7);
        assertThat(request.next()).isNull();
        assertThat(codec.refused()).isZero();
    }

    @Test
    void aWriteIsDecodedWithItsPayloadWhereItWasReceived() throws Exception {
        receive(write(7, 4096, pattern(512, 3)));

        var request = codec.decode(1);

        assertThat(request.op()).isEqualTo(BlockOp.WRITE);
        assertThat(payload(request)).isEqualTo(pattern(512, 3));
        assertThat(request.position()).isEqualTo(HEADER);
    }

    @Test
    void aFlushIsDecoded() throws Exception {
        receive(flush(7));

        assertThat(codec.decode(1).op()).isEqualTo(BlockOp.FLUSH);
    }

    @Test
    void requestsOfOneArrivalAreOneChainInOrder() throws Exception {
        receive(read(1, 0, 1), write(2, 0, new byte[10]), flush(3));

        var chain = codec.decode(1);

        assertThat(cookies(chain)).containsExactly(1L, 2L, 3L);
        assertThat(codec.decode(1)).isNull();
    }

    @Test
    void aChainIsAtMostABatch() throws Exception {
        for (var i = 0; i < InFlightLedger.BATCH + 1; i++) {
            receive(read(i, 0, 1));
        }

        assertThat(cookies(codec.decode(1))).hasSize(InFlightLedger.BATCH);
        assertThat(cookies(codec.decode(1))).hasSize(1);
    }

    @Test
    void nothingIsDecodedFromHalfAHeader() throws Exception {
        receive(java.util.Arrays.copyOf(flush(1), HEADER - 1));

        assertThat(codec.decode(1)).isNull();
        assertThat(codec.starved()).isFalse();
    }

    @Test
    void theRestOfAWriteIsExpectedOfWhichLittleHasCome() throws Exception {
        use(64L << 20, 4 << 20, 128);
        assertThat(codec.expectsRest()).isFalse();

        var small = write(1, 0, pattern(4096, 3));
        receive(java.util.Arrays.copyOf(small, HEADER));
        assertThat(codec.decode(1)).isNull();
        assertThat(codec.expectsRest()).isTrue();

        receive(java.util.Arrays.copyOfRange(small, HEADER, small.length));
        answer(codec.decode(1));
        assertThat(codec.expectsRest()).isFalse();

        receive(java.util.Arrays.copyOf(write(2, 0, new byte[Nbd.MAX_PAYLOAD]), HEADER));
        assertThat(codec.decode(1)).isNull();
        assertThat(codec.expectsRest()).isTrue();

        receive(new byte[64 << 10]);
        assertThat(codec.decode(1)).isNull();
        assertThat(codec.expectsRest()).isFalse();
    }

    @Test
    void goodbyeEndsDecodingWithoutAnAnswer() throws Exception {
        feed(joined(flush(1), header(Nbd.CMD_DISC, 2, 0, 0), flush(3)), 1000);

        assertThat(codec.disconnected()).isTrue();
        assertThat(replies(Map.of())).containsOnlyKeys(1L);
    }

    @Test
    void aWrongMagicNumberIsAProtocolError() {
        assertThatThrownBy(() -> feed(new byte[HEADER], 1000))
                .isInstanceOf(NbdProtocolException.class)
                .hasMessageContaining("magic");
    }

    // --- refusals

    @Test
    void aReadOfNothingIsInvalid() throws Exception {
        assertThat(answerTo(read(1, 0, 0))).isEqualTo(Errno.EINVAL.number());
    }

    @Test
    void aWriteOfNothingIsInvalid() throws Exception {
        assertThat(answerTo(write(1, 0, new byte[0]))).isEqualTo(Errno.EINVAL.number());
    }

    @ParameterizedTest
    @ValueSource(ints = {Nbd.MAX_PAYLOAD + 1, Integer.MAX_VALUE, -1})
    void anOversizeReadIsInvalid(int length) throws Exception {
        assertThat(answerTo(read(1, 0, length))).isEqualTo(Errno.EINVAL.number());
    }

    @ParameterizedTest
    @ValueSource(longs = {SIZE, SIZE - 511, -1, Long.MAX_VALUE, Long.MIN_VALUE, Long.MAX_VALUE - 511})
    void aReadBeyondTheEndIsInvalid(long offset) throws Exception {
        assertThat(answerTo(read(1, offset, 512))).isEqualTo(Errno.EINVAL.number());
    }

    @ParameterizedTest
    @ValueSource(longs = {SIZE, SIZE - 511, -1, Long.MAX_VALUE, Long.MIN_VALUE})
    void aWriteBeyondTheEndFindsNoSpace(long offset) throws Exception {
        assertThat(answerTo(write(1, offset, new byte[512]))).isEqualTo(Errno.ENOSPC.number());
    }

    @Test
    void theLastBytesOfTheMediumCanBeWrittenAndRead() throws Exception {
        feed(joined(write(1, SIZE - 512, pattern(512, 9)), read(2, SIZE - 512, 512)), 10_000);

        var replies = replies(Map.of(2L, 512));
        assertThat(replies.get(1L).error()).isZero();
        assertThat(replies.get(2L).data()).isEqualTo(pattern(512, 9));
    }

    @ParameterizedTest
    @ValueSource(ints = {8, 9, 0x100, 0xffff})
    void anUnknownCommandIsInvalid(int command) throws Exception {
        assertThat(answerTo(header(command, 1, 0, 512))).isEqualTo(Errno.EINVAL.number());
    }

    @Test
    void aFlagThatWasNotOfferedIsInvalid() throws Exception {
        var bytes = read(1, 0, 512);
        bytes[5] = 1 << 5;

        assertThat(answerTo(bytes)).isEqualTo(Errno.EINVAL.number());
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 27, 1000, 1 << 20})
    void thePayloadOfARefusedWriteIsDroppedAndTheTwoStayInStep(int chunk) throws Exception {
        var refused = write(1, SIZE, pattern(3 << 20, 1));

        feed(joined(refused, write(2, 0, pattern(100, 2)), read(3, 0, 100)), chunk == 1 ? 9 : chunk);

        var replies = replies(Map.of(3L, 100));
        assertThat(replies.get(1L).error()).isEqualTo(Errno.ENOSPC.number());
        assertThat(replies.get(3L).data()).isEqualTo(pattern(100, 2));
    }

    /** libnbd knows a request only once it has sent all of it. */
    @Test
    void aRefusedWriteIsAnsweredWhenItsPayloadHasCome() throws Exception {
        var whole = write(1, SIZE, new byte[1000]);
        feed(Arrays.copyOf(whole, whole.length - 1), 1000);
        assertThat(replies(Map.of())).isEmpty();

        feed(Arrays.copyOfRange(whole, whole.length - 1, whole.length), 1000);

        assertThat(replies(Map.of()).get(1L).error()).isEqualTo(Errno.ENOSPC.number());
    }

    @Test
    void aWritePayloadThatLooksLikeARequestIsNotTakenForOneWhenItIsRefused() throws Exception {
        feed(joined(write(1, SIZE, read(66, 0, 512)), flush(2)), 1000);

        assertThat(replies(Map.of())).containsOnlyKeys(1L, 2L);
    }

    // --- pieces and large ones

    @Test
    void byteByByteTheRequestsAreTheSame() throws Exception {
        feed(
                joined(
                        write(1, 10, pattern(300, 4)),
                        read(2, 0, 400),
                        flush(3),
                        write(4, SIZE, new byte[50]),
                        flush(5)),
                1);

        var replies = replies(Map.of(2L, 400));
        assertThat(replies).containsOnlyKeys(1L, 2L, 3L, 4L, 5L);
        var expected = new byte[400];
        System.arraycopy(pattern(300, 4), 0, expected, 10, 300);
        assertThat(replies.get(2L).data()).isEqualTo(expected);
    }

    @Test
    void aWriteOf32MibArrivesWhole() throws Exception {
        use(64L << 20, 4 << 20, 128);
        var bytes = pattern(Nbd.MAX_PAYLOAD, 5);
        var message = write(1, 1 << 20, bytes);
        Request request = null;
        for (var at = 0; request == null; ) {
            request = codec.decode(1);
            if (request == null) {
                var room = codec.receiveBuffer();
                var n = Math.min(Math.min(100_000, room.remaining()), message.length - at);
                assertThat(n).isPositive();
                room.put(message, at, n);
                codec.received(n);
                at += n;
            }
        }

        assertThat(request.length()).isEqualTo(Nbd.MAX_PAYLOAD);
        assertThat(MemorySegment.ofArray(bytes)
                        .mismatch(request.memory().asSlice(request.position(), request.length())))
                .isEqualTo(-1);
        answer(request);
        assertThat(replies(Map.of()).get(1L).error()).isZero();
    }

    @Test
    void aReadOf32MibIsAnsweredWhole() throws Exception {
        use(64L << 20, 4 << 20, 128);
        receive(read(1, 0, Nbd.MAX_PAYLOAD));
        var request = codec.decode(1);
        request.memory().asSlice(request.position(), request.length()).fill((byte) 0x5a);

        answer(request);

        var data = replies(Map.of(1L, Nbd.MAX_PAYLOAD)).get(1L).data();
        assertThat(data[0]).isEqualTo((byte) 0x5a);
        assertThat(data[Nbd.MAX_PAYLOAD - 1]).isEqualTo((byte) 0x5a);
    }

    @Test
    void aLargeSlabGoesBackWhenItsRequestIsOver() throws Exception {
        use(64L << 20, 4 << 20, 128);
        var before = pool.borrowedBytes();
        feedUnserved(write(1, 0, new byte[8 << 20]));

        assertThat(codec.receiveBuffer()).isNotNull();

        assertThat(pool.borrowedBytes()).isEqualTo(before);
    }

    // --- bounds

    @Test
    void withoutSlotsItStarvesUntilOneIsFree() throws Exception {
        use(SIZE, 16 << 20, 2);
        receive(flush(1), flush(2), flush(3));

        var chain = codec.decode(1);
        assertThat(codec.starved()).isTrue();
        assertThat(codec.decode(1)).isNull();
        answer(chain);

        assertThat(codec.decode(1).cookie()).isEqualTo(3);
        assertThat(codec.starved()).isFalse();
    }

    @Test
    void readsBeyondTheBytesInFlightStarveUntilSomeAreAnswered() throws Exception {
        use(64L << 20, 4 << 20, 128);
        receive(read(1, 0, 2 << 20), read(2, 0, 2 << 20));

        var first = codec.decode(1);
        assertThat(codec.decode(1)).isNull();
        assertThat(codec.starved()).isTrue();
        answer(first);

        var second = codec.decode(1);
        assertThat(second.cookie()).isEqualTo(2);
        answer(second);
    }

    @Test
    void aLargeWriteWaitsWhileTheBytesInFlightAreUsedUpAndThenGoesOn() throws Exception {
        use(64L << 20, 4 << 20, 128);
        receive(read(1, 0, 100), header(Nbd.CMD_WRITE, 2, 0, 8 << 20));
        var first = codec.decode(1);
        assertThat(codec.receiveBuffer()).isNull();
        assertThat(codec.starved()).isTrue();

        answer(first);

        assertThat(codec.decode(1)).isNull();
        assertThat(codec.receiveBuffer().remaining()).isGreaterThanOrEqualTo(8 << 20);
    }

    @Test
    void whereTheHostsMemoryIsUsedUpAQueueServesOneRequestAtATime() throws Exception {
        var few = new SlabPool(OffHeap::map, 5L * SlabPool.STANDARD);
        var other = new NbdTransmission(
                session(64L << 20), 64 << 20, new InFlightLedger(4), few, (op, offset, length) -> null);
        var mine = new InFlightLedger(128);
        var starving = new NbdTransmission(session(64L << 20), 64 << 20, mine, few, (op, offset, length) -> null);
        for (var i = 0; i < 3; i++) {
            starving.receiveBuffer().put(read(i, 0, 2 << 20));
            starving.received(HEADER);
        }

        for (var i = 0; i < 3; i++) {
            var request = starving.decode(1);
            assertThat(request.cookie()).isEqualTo(i);
            assertThat(request.next()).isNull();
            assertThat(starving.decode(1)).isNull();
            assertThat(starving.starved()).isEqualTo(i < 2);
            mine.answer(request, 1);
            starving.encode(request);
            for (ByteBuffer bytes; (bytes = starving.pending()) != null; ) {
                starving.sent(bytes.remaining());
            }
        }
        assertThat(few.mappedBytes()).isLessThanOrEqualTo(5L * SlabPool.STANDARD);
        other.close();
        starving.close();
        assertThat(few.borrowedBytes()).isZero();
        few.close();
    }

    @Test
    void aLargeWriteIsReceivedThoughTheHostsMemoryIsUsedUp() throws Exception {
        var none = new SlabPool(OffHeap::map, 1);
        var own = new InFlightLedger(4);
        var crowded = new NbdTransmission(session(64L << 20), 64 << 20, own, none, (op, offset, length) -> null);
        var message = write(1, 0, pattern(8 << 20, 1));
        Request request = null;
        for (var at = 0; request == null; request = crowded.decode(1)) {
            var room = crowded.receiveBuffer();
            var n = Math.min(room.remaining(), message.length - at);
            room.put(message, at, n);
            crowded.received(n);
            at += n;
        }

        assertThat(payload(request)).isEqualTo(pattern(8 << 20, 1));
        own.answer(request, 1);
        crowded.encode(request);
        crowded.close();
        assertThat(none.mappedBytes())
                .as("bytes that were not given back to the machine")
                .isZero();
        none.close();
    }

    // --- bytes out

    @Test
    void repliesOfReadsInOrderAreOneStretchOfBytes() throws Exception {
        receive(read(1, 0, 100), read(2, 100, 200), read(3, 300, 50));
        answer(codec.decode(1), false);

        assertThat(codec.pending().remaining()).isEqualTo(3 * 16 + 350);
        flushOut(1000);
        assertThat(codec.pending()).isNull();
        assertThat(replies(Map.of(1L, 100, 2L, 200, 3L, 50))).hasSize(3);
    }

    @Test
    void repliesOutOfOrderKeepTheirPayloads() throws Exception {
        receive(read(1, 0, 1), read(2, 0, 2), read(3, 0, 3));
        var requests = list(codec.decode(1));
        for (var request : requests) {
            request.memory().asSlice(request.position(), request.length()).fill((byte) request.cookie());
        }

        for (var i : new int[] {2, 0, 1}) {
            ledger.answer(requests.get(i), 1);
            codec.encode(requests.get(i));
        }
        flushOut(5);

        var replies = replies(Map.of(1L, 1, 2L, 2, 3L, 3));
        assertThat(List.copyOf(replies.keySet())).containsExactlyInAnyOrder(1L, 2L, 3L);
        assertThat(replies.get(1L).data()).containsExactly(1);
        assertThat(replies.get(2L).data()).containsExactly(2, 2);
        assertThat(replies.get(3L).data()).containsExactly(3, 3, 3);
    }

    @Test
    void aReadThatFailedIsAnsweredWithoutPayload() throws Exception {
        receive(read(1, 0, 100));
        var request = codec.decode(1);
        request.fail(Errno.EIO);

        answer(request);

        assertThat(sent.size()).isEqualTo(16);
        assertThat(replies(Map.of()).get(1L).error()).isEqualTo(Errno.EIO.number());
    }

    @Test
    void aRenewedReadIsAnsweredFromItsNewMemory() throws Exception {
        receive(read(1, 0, 100));
        var request = codec.decode(1);
        var old = request.slab();
        assertThat(codec.renew(request, false)).isTrue();
        request.memory().asSlice(request.position(), 100).fill((byte) 1);

        answer(request);
        codec.release(old);

        assertThat(replies(Map.of(1L, 100)).get(1L).data()).containsOnly(1);
    }

    @Test
    void closedInTheMiddleItLetsGoOfEverything() throws Exception {
        receive(read(1, 0, 100), write(2, 0, new byte[100]), flush(3), read(4, 0, 200 << 10));
        receive(java.util.Arrays.copyOf(write(5, 0, new byte[100]), 60));
        var requests = list(codec.decode(1));
        ledger.answer(requests.get(0), 1);
        codec.encode(requests.get(0));
        assertThat(codec.pending()).isNotNull();
        // The check is everythingIsGivenBack.
    }

    // --- seeded fuzz

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void anySequenceInAnyPiecesAnsweredInAnyOrderIsServedAsByTheReference(long seed) throws Exception {
        var random = new Random(seed);
        use(SIZE, 3 << 20, 1 + random.nextInt(100));
        var reference = new byte[SIZE];
        var expected = new HashMap<Long, Reply>();
        var stream = new ByteArrayOutputStream();
        for (var cookie = 0L; cookie < 2_000; cookie++) {
            var length = random.nextInt(20) == 0 ? random.nextInt(SIZE) : random.nextInt(6_000);
            var offset = random.nextInt(SIZE + 2_000) - 1_000;
            var outside = offset < 0 || offset > SIZE - length;
            switch (random.nextInt(8)) {
                case 0, 1, 2 -> {
                    stream.writeBytes(read(cookie, offset, length));
                    expected.put(
                            cookie,
                            length == 0 || outside
                                    ? new Reply(Errno.EINVAL.number(), null)
                                    : new Reply(0, java.util.Arrays.copyOfRange(reference, offset, offset + length)));
                }
                case 3, 4, 5 -> {
                    var bytes = new byte[length];
                    random.nextBytes(bytes);
                    stream.writeBytes(write(cookie, offset, bytes));
                    var error = length == 0 ? Errno.EINVAL : outside ? Errno.ENOSPC : Errno.OK;
                    expected.put(cookie, new Reply(error.number(), null));
                    if (error == Errno.OK) {
                        System.arraycopy(bytes, 0, reference, offset, length);
                    }
                }
                case 6 -> {
                    stream.writeBytes(flush(cookie));
                    expected.put(cookie, new Reply(0, null));
                }
                default -> {
                    stream.writeBytes(header(8 + random.nextInt(60_000), cookie, offset, length));
                    expected.put(cookie, new Reply(Errno.EINVAL.number(), null));
                }
            }
        }

        feedShuffled(stream.toByteArray(), random);

        var lengths = new HashMap<Long, Integer>();
        expected.forEach((cookie, reply) -> {
            if (reply.data() != null) {
                lengths.put(cookie, reply.data().length);
            }
        });
        var replies = replies(lengths);
        assertThat(replies.keySet()).isEqualTo(expected.keySet());
        expected.forEach((cookie, reply) -> {
            assertThat(replies.get(cookie).error()).as("error of %d", cookie).isEqualTo(reply.error());
            assertThat(replies.get(cookie).data()).as("data of %d", cookie).isEqualTo(reply.data());
        });
        assertThat(medium).isEqualTo(reference);
    }

    @Test
    void mutatedStreamsEndInAnswersOrAProtocolError() {
        var random = new Random(42);
        for (var round = 0; round < 3_000; round++) {
            use(SIZE, 4 << 20, 16);
            var bytes = joined(
                    write(1, 0, new byte[40]), read(2, 0, 512), flush(3), write(4, SIZE, new byte[30]), read(5, 9, 9));
            for (var n = random.nextInt(6); n >= 0; n--) {
                bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
            }
            sent.reset();
            try {
                feed(bytes, 1 + random.nextInt(60));
            } catch (NbdProtocolException expected) {
                assertThat(expected.getMessage()).isNotBlank();
            }
        }

        assertThat(mappings).as("standard slabs in use at a time").isBetween(1, 7);
    }

    // --- the queue's side

    /** Gives bytes to the codec without decoding; they have to fit. */
    private void receive(byte[]... parts) {
        var bytes = joined(parts);
        codec.receiveBuffer().put(bytes);
        codec.received(bytes.length);
    }

    /** Lets one large write come in, and answers it without looking. */
    private void feedUnserved(byte[] message) throws NbdProtocolException {
        for (var at = 0; at < message.length; ) {
            assertThat(codec.decode(1)).isNull();
            var room = codec.receiveBuffer();
            var n = Math.min(room.remaining(), message.length - at);
            room.put(message, at, n);
            codec.received(n);
            at += n;
        }
        answer(codec.decode(1));
    }

    /** Everything is served and answered at once. */
    private void feed(byte[] bytes, int chunk) throws NbdProtocolException {
        for (var at = 0; ; ) {
            serveAll(null);
            if (at == bytes.length || codec.disconnected()) {
                return;
            }
            var room = codec.receiveBuffer();
            var n = Math.min(Math.min(chunk, room.remaining()), bytes.length - at);
            assertThat(n).isPositive();
            room.put(bytes, at, n);
            codec.received(n);
            at += n;
        }
    }

    /** Everything is served at once, and answered some time, in some order. */
    private void feedShuffled(byte[] bytes, Random random) throws NbdProtocolException {
        var unanswered = new ArrayList<Request>();
        var at = 0;
        while (at < bytes.length) {
            serveAll(unanswered);
            var room = codec.starved() ? null : codec.receiveBuffer();
            if (room == null || random.nextInt(20) == 0) {
                if (room == null && unanswered.isEmpty()) {
                    fail("starved with nothing in flight, at " + at);
                }
                answerShuffled(unanswered, random);
                flushOut(1 + random.nextInt(20_000));
                continue;
            }
            var n = Math.min(Math.min(1 + random.nextInt(9_000), room.remaining()), bytes.length - at);
            room.put(bytes, at, n);
            codec.received(n);
            at += n;
        }
        do {
            serveAll(unanswered);
            answerShuffled(unanswered, random);
            flushOut(1000);
            serveAll(unanswered);
        } while (!unanswered.isEmpty());
    }

    private void answerShuffled(List<Request> unanswered, Random random) {
        Collections.shuffle(unanswered, random);
        for (var request : unanswered) {
            assertThat(ledger.answer(request, 1)).isTrue();
            codec.encode(request);
        }
        unanswered.clear();
    }

    private void serveAll(List<Request> unanswered) throws NbdProtocolException {
        while (true) {
            var chain = codec.decode(1);
            var refused = codec.refused();
            if (chain == null && refused == 0) {
                return;
            }
            for (var request : list(chain)) {
                serve(request);
                if (unanswered != null) {
                    unanswered.add(request);
                } else {
                    answer(request, false);
                }
            }
            if (unanswered == null) {
                flushOut(1000);
            }
        }
    }

    private void serve(Request request) {
        switch (request.op()) {
            case READ ->
                MemorySegment.copy(
                        medium,
                        (int) request.offset(),
                        request.memory(),
                        JAVA_BYTE,
                        request.position(),
                        request.payloadBytes());
            case WRITE ->
                MemorySegment.copy(
                        request.memory(),
                        JAVA_BYTE,
                        request.position(),
                        medium,
                        (int) request.offset(),
                        request.payloadBytes());
            // Answered, and that is all: what they do is for a store.
            default -> {}
        }
    }

    private void answer(Request chain) {
        answer(chain, true);
    }

    private void answer(Request chain, boolean flush) {
        for (var request : list(chain)) {
            assertThat(ledger.answer(request, 1)).isTrue();
            codec.encode(request);
        }
        if (flush) {
            flushOut(100_000);
        }
    }

    private void flushOut(int chunk) {
        for (ByteBuffer bytes; (bytes = codec.pending()) != null; ) {
            var piece = new byte[Math.min(chunk, bytes.remaining())];
            bytes.get(piece);
            sent.writeBytes(piece);
            codec.sent(piece.length);
        }
    }

    private int answerTo(byte[] request) throws NbdProtocolException {
        feed(request, 1000);
        var reply = ByteBuffer.wrap(sent.toByteArray());
        assertThat(reply.remaining()).isEqualTo(16);
        assertThat(reply.getInt()).isEqualTo(Nbd.SIMPLE_REPLY_MAGIC);
        var error = reply.getInt();
        assertThat(reply.getLong()).isEqualTo(1);
        return error;
    }

    private Map<Long, Reply> replies(Map<Long, Integer> payloads) {
        return ClientMessages.replies(sent.toByteArray(), payloads);
    }

    private static byte[] payload(Request request) {
        return request.memory().asSlice(request.position(), request.length()).toArray(JAVA_BYTE);
    }

    private static List<Request> list(Request chain) {
        var all = new ArrayList<Request>();
        while (chain != null) {
            all.add(chain);
            chain = chain.unlink();
        }
        return all;
    }

    private static List<Long> cookies(Request chain) {
        return list(chain).stream().map(Request::cookie).toList();
    }
}
