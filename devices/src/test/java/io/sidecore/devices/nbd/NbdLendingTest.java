package io.sidecore.devices.nbd;

import static io.sidecore.devices.nbd.ClientMessages.flush;
import static io.sidecore.devices.nbd.ClientMessages.header;
import static io.sidecore.devices.nbd.ClientMessages.joined;
import static io.sidecore.devices.nbd.ClientMessages.pattern;
import static io.sidecore.devices.nbd.ClientMessages.read;
import static io.sidecore.devices.nbd.ClientMessages.write;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.InFlightLedger;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.SlabPool;
import io.sidecore.devices.linux.OffHeap;
import io.sidecore.devices.nbd.ClientMessages.Reply;
import java.io.ByteArrayOutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.BooleanSupplier;
import java.util.function.IntSupplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Large payloads in the medium's own memory: received there, and sent from there. What is not lent goes the old way, and nobody can tell from the bytes. */
class NbdLendingTest {
    private static final int SIZE = 8 << 20;
    private static final int LARGE = NbdTransmission.LEND_MIN;
    private static final int WINDOW = 16;

    private final SlabPool pool = new SlabPool(OffHeap::map, Long.MAX_VALUE);
    private final Arena arena = Arena.ofShared();
    private final MemorySegment medium = arena.allocate(SIZE);
    private final InFlightLedger ledger = new InFlightLedger(64);
    private final NbdTransmission codec =
            new NbdTransmission(NbdTransmissionTest.session(SIZE), 16 << 20, ledger, pool, this::lend);
    private final ByteArrayOutputStream sent = new ByteArrayOutputStream();
    private final List<BlockOp> lent = new ArrayList<>();
    private BooleanSupplier lends = () -> true;
    private int answers;

    private MemorySegment lend(BlockOp op, long offset, int length) {
        if (!lends.getAsBoolean()) {
            return null;
        }
        lent.add(op);
        var range = medium.asSlice(offset, length);
        return op == BlockOp.READ ? range.asReadOnly() : range;
    }

    /** Whatever a test did: after its end every slab is back in the pool. */
    @AfterEach
    void everythingIsGivenBack() {
        codec.close();
        assertThat(pool.borrowedBytes()).as("bytes that did not come back").isZero();
        pool.close();
        arena.close();
    }

    // --- writes

    @ParameterizedTest
    @ValueSource(ints = {1, 27, 28, 29, 1_000, LARGE - 1, LARGE, LARGE + 27})
    void aLargeWriteIsReceivedWhereItBelongsWhateverThePieces(int piece) throws Exception {
        var payload = pattern(LARGE + 5_000, 1);

        var requests = receive(write(1, 12_345, payload), () -> piece);

        assertThat(requests).hasSize(1);
        assertThat(requests.getFirst().isLent()).isTrue();
        assertThat(requests.getFirst().offset()).isEqualTo(12_345);
        assertThat(requests.getFirst().length()).isEqualTo(payload.length);
        assertThat(requests.getFirst().cookie()).isEqualTo(1);
        assertSame(bytes(12_345, payload.length), payload);
        assertThat(lent).containsExactly(BlockOp.WRITE);
    }

    @Test
    void nothingOfALargeWriteIsRequestedBeforeItHasArrivedWhole() throws Exception {
        var message = write(1, 0, pattern(LARGE, 1));

        assertThat(receive(Arrays.copyOf(message, message.length - 1), () -> 4_000))
                .isEmpty();
        assertThat(ledger.open()).isZero();
        assertThat(receive(Arrays.copyOfRange(message, message.length - 1, message.length), () -> 1))
                .hasSize(1);
    }

    @Test
    void theHeaderOfALargeWriteMayArriveInTwoPieces() throws Exception {
        var message = write(1, 0, pattern(LARGE, 1));
        assertThat(receive(Arrays.copyOf(message, 10), () -> 10)).isEmpty();
        assertThat(lent).isEmpty();

        var requests = receive(Arrays.copyOfRange(message, 10, message.length), () -> 18);

        assertThat(requests).hasSize(1);
        assertSame(bytes(0, LARGE), pattern(LARGE, 1));
    }

    @Test
    void largeWritesBehindEachOtherAreAllReceivedWhereTheyBelong() throws Exception {
        var messages = new byte[5][];
        for (var i = 0; i < messages.length; i++) {
            messages[i] = write(i, i * 2L * LARGE, pattern(LARGE + i, i));
        }

        var requests = receive(joined(messages), () -> 50_000);

        assertThat(requests).hasSize(5).allMatch(Request::isLent);
        assertThat(requests).extracting(Request::cookie).containsExactly(0L, 1L, 2L, 3L, 4L);
        for (var i = 0; i < messages.length; i++) {
            assertSame(bytes(i * 2 * LARGE, LARGE + i), pattern(LARGE + i, i));
        }
    }

    @Test
    void ofALargeWriteBehindALargeOneOnlyTheHeaderIsReadAhead() throws Exception {
        receive(write(1, 0, pattern(LARGE, 1)), () -> 10_000);

        var requests = receive(write(2, 1 << 20, pattern(LARGE, 2)), () -> Integer.MAX_VALUE);

        assertThat(requests).hasSize(1).allMatch(Request::isLent);
        assertSame(bytes(1 << 20, LARGE), pattern(LARGE, 2));
    }

    @Test
    void smallRequestsBehindALargeWriteAreReadAheadAgain() throws Exception {
        receive(write(1, 0, pattern(LARGE, 1)), () -> 10_000);

        var requests = receive(joined(write(2, SIZE - 100, pattern(100, 2)), read(3, 0, 50), flush(4)), () -> 10_000);

        assertThat(requests).extracting(Request::cookie).containsExactly(2L, 3L, 4L);
        assertThat(requests).noneMatch(Request::isLent);
        assertThat(codec.receiveBuffer().remaining()).as("room").isGreaterThan(LARGE);
        answer(requests);
        assertSame(bytes(SIZE - 100, 100), pattern(100, 2));
    }

    @Test
    void thePayloadOfARefusedWriteBehindALargeOneIsDroppedInLargePieces() throws Exception {
        receive(write(1, 0, pattern(LARGE, 1)), () -> 10_000);
        receive(header(Nbd.CMD_WRITE, 2, SIZE, 100 << 20), () -> 28);

        assertThat(codec.receiveBuffer().remaining()).as("room").isGreaterThan(LARGE);
    }

    @Test
    void aWriteBelowTheBoundIsNotLent() throws Exception {
        var requests = receive(write(1, 0, pattern(LARGE - 1, 1)), () -> 1_000);

        assertThat(requests).hasSize(1).noneMatch(Request::isLent);
        assertThat(lent).isEmpty();
        answer(requests);
    }

    @Test
    void aLargeWriteThatIsHereAlreadyIsNotMoved() throws Exception {
        var requests = receive(write(1, 0, pattern(LARGE, 1)), () -> 2 * LARGE);

        assertThat(requests).hasSize(1).noneMatch(Request::isLent);
        answer(requests);
        assertSame(bytes(0, LARGE), pattern(LARGE, 1));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 28, 50_000, 3 * LARGE})
    void aLargeWriteThatNobodyLendsForArrivesInASlab(int piece) throws Exception {
        lends = () -> false;

        var requests = receive(
                joined(write(1, 0, pattern(3 * LARGE, 1)), write(2, 1 << 20, pattern(2 << 20, 2)), flush(3)),
                () -> piece);

        assertThat(requests).hasSize(3).noneMatch(Request::isLent);
        answer(requests);
        assertSame(bytes(0, 3 * LARGE), pattern(3 * LARGE, 1));
        assertSame(bytes(1 << 20, 2 << 20), pattern(2 << 20, 2));
    }

    @Test
    void aLenderThatComesToItsSensesHalfWayIsGivenWhatHasArrived() throws Exception {
        var asked = new int[1];
        lends = () -> ++asked[0] > 5;

        var requests = receive(write(1, 77, pattern(LARGE, 1)), () -> 5_000);

        assertThat(requests).hasSize(1).allMatch(Request::isLent);
        assertSame(bytes(77, LARGE), pattern(LARGE, 1));
    }

    @Test
    void aLargeWriteWithoutASlotWaitsForOneAndArrivesAllTheSame() throws Exception {
        var waiting = new ArrayList<Request>();
        for (var i = 0; i < 64; i++) {
            waiting.addAll(receive(flush(100 + i), () -> 28));
        }

        assertThat(receive(write(1, 0, pattern(LARGE, 1)), () -> 10_000)).isEmpty();
        assertThat(codec.starved()).isTrue();
        answer(waiting);

        var requests = list(codec.decode(1));
        assertThat(requests).extracting(Request::cookie).containsExactly(1L);
        answer(requests);
        assertSame(bytes(0, LARGE), pattern(LARGE, 1));
    }

    @Test
    void aLandedWriteHoldsNoMemoryOfTheHost() throws Exception {
        var before = pool.borrowedBytes();

        var requests = receive(write(1, 0, pattern(4 << 20, 1)), () -> 50_000);

        assertThat(requests).hasSize(1);
        assertThat(pool.borrowedBytes()).isEqualTo(before);
    }

    @Test
    void aConnectionMayEndInTheMiddleOfALanding() throws Exception {
        var message = write(1, 0, pattern(LARGE, 1));

        receive(joined(flush(7), Arrays.copyOf(message, message.length / 2)), () -> 5_000);

        // The check is everythingIsGivenBack; of the write nobody hears.
        assertThat(ledger.inUse()).extracting(Request::cookie).containsExactly(7L);
    }

    // --- reads

    @Test
    void aLargeReadIsSentFromTheMediumItself() throws Exception {
        fill();
        var before = pool.borrowedBytes();
        var requests = receive(read(1, 4_321, 3 << 20), () -> 28);
        assertThat(requests).hasSize(1).allMatch(Request::isLent);
        assertThat(pool.borrowedBytes()).isEqualTo(before);

        answer(requests);
        // What is sent is what the medium holds when it is sent: the guest has not got its answer.
        medium.set(JAVA_BYTE, 4_321, (byte) 99);
        var expected = bytes(4_321, 3 << 20);
        send(() -> 100_000);

        assertSame(replies(Map.of(1L, 3 << 20)).get(1L).data(), expected);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 15, 16, 17, 1_000, LARGE, LARGE + 16, 1 << 20})
    void lentAndOtherAnswersLeaveInOrderWhateverFitsAtATime(int piece) throws Exception {
        fill();
        var lengths = Map.of(1L, LARGE, 2L, 100, 3L, LARGE + 1, 4L, 2 * LARGE, 6L, 512, 7L, LARGE);
        var requests = receive(
                joined(
                        read(1, 0, LARGE),
                        read(2, 50, 100),
                        read(3, 1_000, LARGE + 1),
                        read(4, 1 << 20, 2 * LARGE),
                        flush(5),
                        read(6, 0, 512),
                        read(7, SIZE - LARGE, LARGE)),
                () -> 1_000);

        answer(requests);
        send(() -> piece);

        var replies = replies(lengths);
        assertThat(replies.keySet()).containsExactly(1L, 2L, 3L, 4L, 5L, 6L, 7L);
        assertThat(replies.values()).allMatch(reply -> reply.error() == 0);
        assertSame(replies.get(1L).data(), bytes(0, LARGE));
        assertSame(replies.get(2L).data(), bytes(50, 100));
        assertSame(replies.get(3L).data(), bytes(1_000, LARGE + 1));
        assertSame(replies.get(4L).data(), bytes(1 << 20, 2 * LARGE));
        assertSame(replies.get(6L).data(), bytes(0, 512));
        assertSame(replies.get(7L).data(), bytes(SIZE - LARGE, LARGE));
    }

    @Test
    void moreAnswersThanGoInOneCallLeaveInSeveral() throws Exception {
        fill();
        var lengths = new HashMap<Long, Integer>();
        var requests = new ArrayList<Request>();
        for (var i = 0L; i < 40; i++) {
            lengths.put(i, LARGE);
            requests.addAll(receive(read(i, i * 1_000, LARGE), () -> 28));
        }

        answer(requests);
        assertThat(codec.pendingBytes()).isEqualTo(40L * (16 + LARGE));
        assertThat(codec.scattered()).isTrue();
        send(() -> Integer.MAX_VALUE);

        var replies = replies(lengths);
        for (var i = 0; i < 40; i++) {
            assertSame(replies.get((long) i).data(), bytes(i * 1_000, LARGE));
        }
        assertThat(codec.scattered()).isFalse();
        assertThat(codec.pendingBytes()).isZero();
    }

    @Test
    void onceLentAnswersHaveLeftTheOthersLeaveOneByOneAgain() throws Exception {
        answer(receive(joined(read(1, 0, LARGE), read(2, 0, LARGE)), () -> 28));
        send(() -> LARGE);

        var small = receive(joined(read(3, 0, 10), read(4, 0, 10)), () -> 56);
        answer(small.reversed());

        assertThat(codec.hasPending()).isTrue();
        assertThat(codec.scattered()).isFalse();
    }

    @Test
    void aLentReadThatFailedIsAnsweredWithoutPayload() throws Exception {
        var requests = receive(joined(read(1, 0, LARGE), flush(2)), () -> 100);
        assertThat(requests.getFirst().isLent()).isTrue();
        requests.getFirst().fail(Errno.EIO);

        answer(requests);
        send(() -> 1_000);

        assertThat(sent.size()).isEqualTo(2 * NbdSimpleReply.BYTES);
        assertThat(replies(Map.of()).get(1L).error()).isEqualTo(Errno.EIO.number());
    }

    @Test
    void aLentWriteThatFailedIsAnsweredWithItsError() throws Exception {
        var requests = receive(write(1, 0, pattern(LARGE, 1)), () -> 10_000);
        requests.getFirst().fail(Errno.EIO);

        answer(requests);
        send(() -> 1_000);

        assertThat(replies(Map.of()).get(1L).error()).isEqualTo(Errno.EIO.number());
    }

    @Test
    void aReadThatNobodyLendsForIsAnsweredFromASlab() throws Exception {
        fill();
        lends = () -> false;
        var requests = receive(read(1, 5, 2 * LARGE), () -> 28);
        assertThat(requests).noneMatch(Request::isLent);

        answer(requests);
        send(() -> 10_000);

        assertSame(replies(Map.of(1L, 2 * LARGE)).get(1L).data(), bytes(5, 2 * LARGE));
    }

    @Test
    void aReadThatIsIssuedAgainIsLentAgain() throws Exception {
        fill();
        var request = receive(read(1, 0, LARGE), () -> 28).getFirst();
        ledger.replay(2, false);
        assertThat(request.isLent()).isFalse();

        assertThat(codec.renew(request, false)).isTrue();

        assertThat(request.isLent()).isTrue();
        ledger.answer(request, 2);
        codec.encode(request);
        send(() -> LARGE);
        assertSame(replies(Map.of(1L, LARGE)).get(1L).data(), bytes(0, LARGE));
    }

    /** Lent ones cost nothing while they were lent: all at once they would be far beyond the bound. */
    @Test
    void readsThatAreIssuedAgainUnlentWaitForMemoryLikeNewOnes() throws Exception {
        var requests = new ArrayList<Request>();
        for (var i = 0; i < 20; i++) {
            requests.addAll(receive(read(i, 0, 6 << 20), () -> 28));
        }
        lends = () -> false;
        ledger.replay(2, false);

        assertThat(codec.renew(requests.get(0), false)).isTrue();
        assertThat(codec.renew(requests.get(1), false)).isTrue();
        assertThat(codec.renew(requests.get(2), false)).isFalse();
        assertThat(codec.starved()).isTrue();
        assertThat(codec.renew(requests.get(2), true))
                .as("alone, it has memory in any case")
                .isTrue();

        for (var request : requests) {
            if (request.slab() == null) {
                request.fail(Errno.EIO);
            }
            ledger.answer(request, 2);
            codec.encode(request);
            send(() -> LARGE);
        }
        assertThat(replies(Map.of(0L, 6 << 20, 1L, 6 << 20, 2L, 6 << 20))).hasSize(20);
    }

    @Test
    void aConnectionMayEndWithALentAnswerHalfSent() throws Exception {
        answer(receive(joined(read(1, 0, LARGE), read(2, 0, 100), read(3, 0, LARGE)), () -> 1_000));

        sendOnce(LARGE / 2);

        // The check is everythingIsGivenBack.
        assertThat(codec.hasPending()).isTrue();
    }

    // --- seeded fuzz

    /** Requests in flight do not overlap, so that every read has one right answer: each of {@link #WINDOW} has a stripe of its own. */
    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void anySequenceInAnyPiecesIsServedAsByTheReference(long seed) throws Exception {
        var random = new Random(seed);
        lends = () -> random.nextInt(4) != 0;
        var reference = new byte[SIZE];
        var expected = new HashMap<Long, Reply>();
        var lengths = new HashMap<Long, Integer>();
        var stream = new ByteArrayOutputStream();
        var ends = new int[300];
        for (var cookie = 0; cookie < ends.length; cookie++) {
            var length = 1 + random.nextInt(random.nextInt(3) == 0 ? 2_000 : 3 * LARGE);
            var outside = random.nextInt(20) == 0;
            var stripe = cookie % WINDOW * (SIZE / WINDOW);
            var offset = outside ? SIZE - length / 2 : stripe + random.nextInt(SIZE / WINDOW - length);
            var error = Errno.OK;
            if (random.nextBoolean()) {
                stream.writeBytes(read(cookie, offset, length));
                error = outside ? Errno.EINVAL : Errno.OK;
                if (!outside) {
                    lengths.put((long) cookie, length);
                }
            } else {
                var payload = pattern(length, cookie);
                stream.writeBytes(write(cookie, offset, payload));
                error = outside ? Errno.ENOSPC : Errno.OK;
                if (!outside) {
                    System.arraycopy(payload, 0, reference, offset, length);
                }
            }
            ends[cookie] = stream.size();
            var data =
                    lengths.containsKey((long) cookie) ? Arrays.copyOfRange(reference, offset, offset + length) : null;
            expected.put((long) cookie, new Reply(error.number(), data));
        }
        var in = ByteBuffer.wrap(stream.toByteArray());
        while (in.hasRemaining()) {
            var allowed = ends[Math.min(ends.length, answers + WINDOW) - 1] - in.position();
            arrive(in, Math.min(allowed, 1 + random.nextInt(random.nextBoolean() ? 3_000 : 2 * LARGE)));
            for (Request chain; (chain = decode()) != null; ) {
                for (var request : list(chain)) {
                    answer(List.of(request));
                    send(() -> 1 + random.nextInt(LARGE));
                }
            }
        }
        send(() -> LARGE);

        var replies = replies(lengths);
        assertThat(replies.keySet()).isEqualTo(expected.keySet());
        expected.forEach((cookie, reply) -> {
            assertThat(replies.get(cookie).error()).as("error of %d", cookie).isEqualTo(reply.error());
            if (reply.data() != null) {
                assertSame(replies.get(cookie).data(), reply.data());
            }
        });
        assertSame(bytes(0, SIZE), reference);
        assertThat(lent).contains(BlockOp.READ, BlockOp.WRITE);
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4})
    void answersOfAnyKindInAnyOrderKeepTheirPayloads(long seed) throws Exception {
        var random = new Random(seed);
        lends = random::nextBoolean;
        fill();
        var lengths = new HashMap<Long, Integer>();
        var offsets = new HashMap<Long, Integer>();
        var unanswered = new ArrayList<Request>();
        for (var cookie = 0L; cookie < 200; cookie++) {
            var length = 1 + random.nextInt(random.nextBoolean() ? 3_000 : 2 * LARGE);
            lengths.put(cookie, length);
            offsets.put(cookie, random.nextInt(SIZE - length));
            unanswered.addAll(receive(read(cookie, offsets.get(cookie), length), () -> 28));
            if (unanswered.size() > 20 || random.nextInt(10) == 0) {
                Collections.shuffle(unanswered, random);
                answer(unanswered);
                unanswered.clear();
                sendOnce(random.nextInt(2 * LARGE));
            }
        }
        answer(unanswered);
        send(() -> 1 + random.nextInt(LARGE));

        var replies = replies(lengths);
        assertThat(replies).hasSize(200);
        replies.forEach((cookie, reply) -> assertThat(reply.data())
                .as("answer %d", cookie)
                .isEqualTo(bytes(offsets.get(cookie), lengths.get(cookie))));
    }

    // --- the connection's side

    /** What the bytes are decoded into, arriving in pieces. */
    private List<Request> receive(byte[] bytes, IntSupplier piece) throws NbdProtocolException {
        var requests = new ArrayList<Request>();
        for (var in = ByteBuffer.wrap(bytes); in.hasRemaining(); ) {
            arrive(in, piece.getAsInt());
            for (Request chain; (chain = decode()) != null; ) {
                requests.addAll(list(chain));
            }
        }
        return requests;
    }

    /** As a socket does: fills what it is given, in order, with at most so many bytes. */
    private void arrive(ByteBuffer from, int atMost) {
        var room = codec.receiveBuffer();
        assertThat(room).as("room").isNotNull();
        var behind = codec.receiveBehind();
        var bytes = move(from, room, atMost);
        if (!room.hasRemaining() && behind != null) {
            bytes += move(from, behind, atMost - bytes);
        }
        assertThat(bytes).as("bytes taken").isPositive();
        codec.received(bytes);
    }

    private static int move(ByteBuffer from, ByteBuffer into, int atMost) {
        var n = Math.min(Math.min(atMost, from.remaining()), into.remaining());
        into.put(from.slice(from.position(), n));
        from.position(from.position() + n);
        return n;
    }

    /** The next requests; what is refused is answered meanwhile. */
    private Request decode() throws NbdProtocolException {
        while (true) {
            var chain = codec.decode(1);
            var refused = codec.refused();
            answers += refused;
            if (chain != null || refused == 0) {
                return chain;
            }
        }
    }

    /** Serves as a store does: what lies in place is done. */
    private void answer(List<Request> requests) {
        for (var request : requests) {
            if (!request.isLent() && request.length() > 0) {
                var range = medium.asSlice(request.offset(), request.length());
                var payload = request.memory().asSlice(request.position(), request.length());
                if (request.op() == BlockOp.READ) {
                    payload.copyFrom(range);
                } else {
                    range.copyFrom(payload);
                }
            }
            encode(request);
        }
    }

    private void encode(Request request) {
        assertThat(ledger.answer(request, 1)).isTrue();
        codec.encode(request);
        answers++;
    }

    private void send(IntSupplier piece) {
        while (codec.hasPending()) {
            sendOnce(piece.getAsInt());
        }
    }

    /** As a socket does: sends at most so many bytes of what a call would give it. */
    private void sendOnce(int atMost) {
        if (!codec.hasPending()) {
            return;
        }
        var pieces = new ByteBuffer[8];
        var count = 1;
        if (codec.scattered()) {
            count = codec.gather(pieces);
        } else {
            pieces[0] = codec.pending();
        }
        var left = atMost;
        for (var i = 0; i < count && left > 0; i++) {
            var piece = new byte[Math.min(left, pieces[i].remaining())];
            pieces[i].get(piece);
            sent.writeBytes(piece);
            left -= piece.length;
        }
        codec.sent(atMost - left);
    }

    private Map<Long, Reply> replies(Map<Long, Integer> payloads) {
        return ClientMessages.replies(sent.toByteArray(), payloads);
    }

    private void fill() {
        MemorySegment.copy(pattern(SIZE, 42), 0, medium, JAVA_BYTE, 0, SIZE);
    }

    private byte[] bytes(int offset, int length) {
        return medium.asSlice(offset, length).toArray(JAVA_BYTE);
    }

    /** Byte for byte, without printing them all if they differ. */
    private static void assertSame(byte[] actual, byte[] expected) {
        assertThat(Arrays.mismatch(actual, expected))
                .as("first byte that differs")
                .isEqualTo(-1);
    }

    private static List<Request> list(Request chain) {
        var all = new ArrayList<Request>();
        while (chain != null) {
            all.add(chain);
            chain = chain.unlink();
        }
        return all;
    }
}
