package io.sidecore.devices.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.actors.block.Capabilities;
import io.sidecore.actors.block.Store.Answer;
import io.sidecore.conf.TlsSettings;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The handshake as bytes in, bytes out; section names are those of proto.md. */
class NbdHandshakeTest {
    private static final int BOTH = Nbd.FLAG_FIXED_NEWSTYLE | Nbd.FLAG_NO_ZEROES;
    /** What a client without structured replies is offered of a volume that can do all. */
    private static final int EVERYTHING = Nbd.FLAG_HAS_FLAGS
            | Nbd.FLAG_SEND_FLUSH
            | Nbd.FLAG_SEND_FUA
            | Nbd.FLAG_SEND_TRIM
            | Nbd.FLAG_SEND_WRITE_ZEROES
            | Nbd.FLAG_SEND_FAST_ZERO
            | Nbd.FLAG_SEND_CACHE;
    /** A store whose flush covers the connection it comes through, no other. */
    private static final Capabilities ALONE = new Capabilities(
            false,
            Answer.NATIVE,
            Answer.NATIVE,
            Answer.NATIVE,
            Answer.NATIVE,
            Answer.NATIVE,
            Answer.NATIVE,
            Answer.NATIVE,
            false,
            Capabilities.BlockSizes.ANY);

    private static final NbdExport ROOT = new NbdExport("root", () -> 8L << 30, false, Capabilities.ALL);
    private static final NbdExport SCRATCH = new NbdExport("scratch", () -> 1 << 20, false, ALONE);

    private final NbdHandshake handshake = new NbdHandshake(List.of(ROOT, SCRATCH));

    private record Reply(int option, int type, byte[] data) {}

    // --- the greeting

    @Test
    void theServerSpeaksFirstAndOffersFixedNewstyleWithoutZeroes() {
        var out = handshake.output();

        assertThat(out.getLong()).isEqualTo(Nbd.NBDMAGIC);
        assertThat(out.getLong()).isEqualTo(Nbd.IHAVEOPT);
        assertThat(out.getShort()).isEqualTo((short) BOTH);
        assertThat(out.hasRemaining()).isFalse();
    }

    @Test
    void clientFlagsNobodyKnowsEndIt() {
        assertThatThrownBy(() -> feed(flags(BOTH | 1 << 7)))
                .isInstanceOf(NbdProtocolException.class)
                .hasMessageContaining("0x83");
    }

    // --- NBD_OPT_GO and NBD_OPT_INFO

    @Test
    void goAnswersWithSizeAndFlagsAndChooses() throws Exception {
        feed(flags(BOTH), go("root"));

        var replies = replies();
        assertThat(replies).extracting(Reply::type).containsExactly(Nbd.REP_INFO, Nbd.REP_ACK);
        assertThat(replies).extracting(Reply::option).containsOnly(Nbd.OPT_GO);
        var info = ByteBuffer.wrap(replies.getFirst().data());
        assertThat(info.getShort()).isEqualTo((short) Nbd.INFO_EXPORT);
        assertThat(info.getLong()).isEqualTo(ROOT.size().getAsLong());
        assertThat(info.getShort()).isEqualTo((short) (EVERYTHING | Nbd.FLAG_CAN_MULTI_CONN));
        assertThat(info.hasRemaining()).isFalse();
        assertThat(handshake.done()).isTrue();
        assertThat(handshake.chosen().orElseThrow().export()).isEqualTo(ROOT);
    }

    @Test
    void anExportWhoseFlushesAreNotSharedOffersNoMultiConn() throws Exception {
        feed(flags(BOTH), go("scratch"));

        assertThat(ByteBuffer.wrap(replies().getFirst().data()).getShort(10)).isEqualTo((short) EVERYTHING);
    }

    @Test
    void theEmptyNameMeansTheFirstExport() throws Exception {
        feed(flags(BOTH), go(""));

        assertThat(handshake.chosen().orElseThrow().export()).isEqualTo(ROOT);
    }

    @Test
    void aClientMayAskForNameAndBlockSizes() throws Exception {
        feed(flags(BOTH), go("", Nbd.INFO_NAME, Nbd.INFO_BLOCK_SIZE));

        var replies = replies();
        assertThat(replies)
                .extracting(Reply::type)
                .containsExactly(Nbd.REP_INFO, Nbd.REP_INFO, Nbd.REP_INFO, Nbd.REP_ACK);
        var name = ByteBuffer.wrap(replies.get(1).data());
        assertThat(name.getShort()).isEqualTo((short) Nbd.INFO_NAME);
        assertThat(StandardCharsets.UTF_8.decode(name).toString()).isEqualTo("root");
        var sizes = ByteBuffer.wrap(replies.get(2).data());
        assertThat(sizes.getShort()).isEqualTo((short) Nbd.INFO_BLOCK_SIZE);
        assertThat(sizes.getInt()).isEqualTo(1);
        assertThat(sizes.getInt()).isEqualTo(4096);
        assertThat(sizes.getInt()).isEqualTo(Nbd.MAX_PAYLOAD);
    }

    @Test
    void informationThatNobodyKnowsIsLeftOut() throws Exception {
        feed(flags(BOTH), go("root", 0x7777));

        assertThat(replies()).extracting(Reply::type).containsExactly(Nbd.REP_INFO, Nbd.REP_ACK);
    }

    @Test
    void infoTellsTheSameWithoutChoosing() throws Exception {
        feed(flags(BOTH), info("scratch"));

        assertThat(replies()).extracting(Reply::type).containsExactly(Nbd.REP_INFO, Nbd.REP_ACK);
        assertThat(handshake.done()).isFalse();
        assertThat(handshake.chosen()).isEmpty();
    }

    @Test
    void anUnknownExportIsRefusedByNameAndTheClientMayGoOn() throws Exception {
        feed(flags(BOTH), go("nowhere"), go("scratch"));

        var replies = replies();
        assertThat(replies.getFirst().type()).isEqualTo(Nbd.REP_ERR_UNKNOWN);
        assertThat(text(replies.getFirst())).contains("nowhere");
        assertThat(handshake.chosen().orElseThrow().export()).isEqualTo(SCRATCH);
    }

    @Test
    void controlCharactersOfARefusedNameAreNotRepeated() throws Exception {
        feed(flags(BOTH), go("a\nb\u001bc"));

        assertThat(text(replies().getFirst())).contains("a?b?c");
    }

    @Test
    void aNameLongerThanItsOptionIsInvalid() throws Exception {
        var data = ByteBuffer.allocate(10).putInt(1000).array();
        feed(flags(BOTH), option(Nbd.OPT_GO, data), go("root"));

        assertThat(replies().getFirst().type()).isEqualTo(Nbd.REP_ERR_INVALID);
        assertThat(handshake.chosen().orElseThrow().export()).isEqualTo(ROOT);
    }

    @Test
    void aNegativeNameLengthIsInvalid() throws Exception {
        feed(flags(BOTH), option(Nbd.OPT_GO, ByteBuffer.allocate(10).putInt(-1).array()));

        assertThat(replies()).extracting(Reply::type).containsExactly(Nbd.REP_ERR_INVALID);
    }

    @Test
    void moreInformationRequestsThanTheOptionHoldsAreInvalid() throws Exception {
        var data = ByteBuffer.allocate(6).putInt(0).putShort((short) 3).array();
        feed(flags(BOTH), option(Nbd.OPT_INFO, data));

        assertThat(replies()).extracting(Reply::type).containsExactly(Nbd.REP_ERR_INVALID);
    }

    @Test
    void aGoWithoutDataIsInvalid() throws Exception {
        feed(flags(BOTH), option(Nbd.OPT_GO, new byte[0]));

        assertThat(replies()).extracting(Reply::type).containsExactly(Nbd.REP_ERR_INVALID);
    }

    @Test
    void bytesBehindGoAreLeftForTheTransmissionPhase() throws Exception {
        var in = ByteBuffer.wrap(joined(flags(BOTH), go("root"), new byte[] {1, 2, 3}));

        handshake.feed(in);

        assertThat(in.remaining()).isEqualTo(3);
        assertThat(in.get()).isEqualTo((byte) 1);
    }

    @Test
    void onceDoneNothingMoreIsRead() throws Exception {
        feed(flags(BOTH), go("root"));
        var more = ByteBuffer.wrap(new byte[100]);

        handshake.feed(more);

        assertThat(more.remaining()).isEqualTo(100);
    }

    // --- NBD_OPT_EXPORT_NAME

    @Test
    void exportNameAnswersWithZeroesUnlessTheClientDoesWithout() throws Exception {
        feed(flags(Nbd.FLAG_FIXED_NEWSTYLE), option(Nbd.OPT_EXPORT_NAME, "scratch".getBytes(StandardCharsets.UTF_8)));

        var out = afterGreeting();
        assertThat(out.remaining()).isEqualTo(8 + 2 + 124);
        assertThat(out.getLong()).isEqualTo(SCRATCH.size().getAsLong());
        assertThat(out.getShort()).isEqualTo((short) SCRATCH.transmissionFlags(false));
        while (out.hasRemaining()) {
            assertThat(out.get()).isZero();
        }
        assertThat(handshake.chosen().orElseThrow().export()).isEqualTo(SCRATCH);
    }

    @Test
    void exportNameAnswersWithoutZeroesIfBothSidesAgreed() throws Exception {
        feed(flags(BOTH), option(Nbd.OPT_EXPORT_NAME, "root".getBytes(StandardCharsets.UTF_8)));

        assertThat(afterGreeting().remaining()).isEqualTo(10);
        assertThat(handshake.chosen().orElseThrow().export()).isEqualTo(ROOT);
    }

    @Test
    void exportNameOfAnUnknownExportEndsIt() {
        assertThatThrownBy(() ->
                        feed(flags(BOTH), option(Nbd.OPT_EXPORT_NAME, "nowhere".getBytes(StandardCharsets.UTF_8))))
                .isInstanceOf(NbdProtocolException.class)
                .hasMessageContaining("nowhere");
    }

    @Test
    void anExportNameTooLongToBeOneEndsIt() {
        assertThatThrownBy(() -> feed(flags(BOTH), option(Nbd.OPT_EXPORT_NAME, new byte[NbdHandshake.MAX_OPTION + 1])))
                .isInstanceOf(NbdProtocolException.class);
    }

    // --- the other options

    @Test
    void listNamesEveryExportAndGoesOn() throws Exception {
        feed(flags(BOTH), option(Nbd.OPT_LIST, new byte[0]));

        var replies = replies();
        assertThat(replies).extracting(Reply::type).containsExactly(Nbd.REP_SERVER, Nbd.REP_SERVER, Nbd.REP_ACK);
        assertThat(ByteBuffer.wrap(replies.get(1).data()).getInt()).isEqualTo(7);
        assertThat(new String(replies.get(1).data(), 4, 7, StandardCharsets.UTF_8))
                .isEqualTo("scratch");
        assertThat(handshake.done()).isFalse();
    }

    @Test
    void listWithDataIsInvalid() throws Exception {
        feed(flags(BOTH), option(Nbd.OPT_LIST, new byte[1]));

        assertThat(replies()).extracting(Reply::type).containsExactly(Nbd.REP_ERR_INVALID);
    }

    @Test
    void abortIsAcknowledgedAndEndsWithoutAChoice() throws Exception {
        feed(flags(BOTH), option(Nbd.OPT_ABORT, new byte[0]));

        assertThat(replies()).extracting(Reply::type).containsExactly(Nbd.REP_ACK);
        assertThat(handshake.done()).isTrue();
        assertThat(handshake.chosen()).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 4, 11, 4711, -1})
    void anOptionNobodyKnowsIsUnsupportedAndItsDataSkipped(int unknown) throws Exception {
        feed(flags(BOTH), option(unknown, new byte[100]), go("root"));

        var first = replies().getFirst();
        assertThat(first.option()).isEqualTo(unknown);
        assertThat(first.type()).isEqualTo(Nbd.REP_ERR_UNSUP);
        assertThat(handshake.chosen().orElseThrow().export()).isEqualTo(ROOT);
    }

    @ParameterizedTest
    @ValueSource(ints = {NbdHandshake.MAX_OPTION + 1, 1 << 20})
    void anOversizeOptionIsTooBigAndTheTwoStayInStep(int length) throws Exception {
        feed(flags(BOTH), option(Nbd.OPT_GO, new byte[length]), go("scratch"));

        assertThat(replies()).extracting(Reply::type).containsExactly(Nbd.REP_ERR_TOO_BIG, Nbd.REP_INFO, Nbd.REP_ACK);
        assertThat(handshake.chosen().orElseThrow().export()).isEqualTo(SCRATCH);
    }

    @Test
    void anOptionOfFourGibibytesIsRefusedBeforeItsDataComes() throws Exception {
        feed(flags(BOTH), header(Nbd.OPT_INFO, -1));

        assertThat(replies()).extracting(Reply::type).containsExactly(Nbd.REP_ERR_TOO_BIG);
    }

    @Test
    void theLargestOptionThatFitsIsNotTooBig() throws Exception {
        feed(flags(BOTH), option(4711, new byte[NbdHandshake.MAX_OPTION]));

        assertThat(replies()).extracting(Reply::type).containsExactly(Nbd.REP_ERR_UNSUP);
    }

    @Test
    void garbageInPlaceOfAnOptionEndsIt() {
        assertThatThrownBy(() -> feed(flags(BOTH), "GET / HTTP/1.1\r\n\r\n".getBytes(StandardCharsets.UTF_8)))
                .isInstanceOf(NbdProtocolException.class)
                .hasMessageContaining("IHAVEOPT");
    }

    @Test
    void aClientThatNeverChoosesIsCutOff() throws Exception {
        feed(flags(BOTH));
        for (var i = 0; i < NbdHandshake.MAX_OPTIONS; i++) {
            feed(option(Nbd.OPT_LIST, new byte[0]));
        }

        assertThatThrownBy(() -> feed(option(Nbd.OPT_LIST, new byte[0]))).isInstanceOf(NbdProtocolException.class);
    }

    // --- TLS (proto.md, "TLS support")

    private static final byte[] STARTTLS = option(Nbd.OPT_STARTTLS, new byte[0]);

    private static List<Integer> types(NbdHandshake of) {
        var types = new ArrayList<Integer>();
        for (var out = of.output().position(18); out.hasRemaining(); ) {
            types.add(out.getInt(out.position() + 12));
            out.position(out.position() + 20 + out.getInt(out.position() + 16));
        }
        return types;
    }

    @Test
    void withoutTlsStarttlsIsNotSupported() throws Exception {
        feed(flags(BOTH), STARTTLS);

        assertThat(types(handshake)).containsExactly(Nbd.REP_ERR_UNSUP);
        assertThat(handshake.startsTls()).isFalse();
    }

    @Test
    void whereTlsIsAllowedEverythingAlsoGoesWithoutIt() throws Exception {
        var allowed = new NbdHandshake(List.of(ROOT, SCRATCH), TlsSettings.Mode.ALLOW);

        allowed.feed(ByteBuffer.wrap(joined(flags(BOTH), option(Nbd.OPT_LIST, new byte[0]), go("root"))));

        assertThat(types(allowed)).doesNotContain(Nbd.REP_ERR_TLS_REQD);
        assertThat(allowed.chosen().map(NbdSession::export)).contains(ROOT);
    }

    @Test
    void starttlsIsAcknowledgedOnceAndWithoutData() throws Exception {
        var allowed = new NbdHandshake(List.of(ROOT, SCRATCH), TlsSettings.Mode.ALLOW);

        allowed.feed(ByteBuffer.wrap(joined(flags(BOTH), option(Nbd.OPT_STARTTLS, new byte[3]))));
        assertThat(allowed.startsTls()).isFalse();
        allowed.feed(ByteBuffer.wrap(STARTTLS));
        assertThat(allowed.startsTls()).isTrue();
        allowed.secured();
        allowed.feed(ByteBuffer.wrap(joined(STARTTLS, go("root"))));

        assertThat(types(allowed))
                .containsExactly(Nbd.REP_ERR_INVALID, Nbd.REP_ACK, Nbd.REP_ERR_INVALID, Nbd.REP_INFO, Nbd.REP_ACK);
        assertThat(allowed.chosen().map(NbdSession::export)).contains(ROOT);
    }

    @Test
    void whereTlsIsRequiredNothingButStarttlsAndAbortIsAnsweredBefore() throws Exception {
        var required = new NbdHandshake(List.of(ROOT, SCRATCH), TlsSettings.Mode.REQUIRE);

        required.feed(ByteBuffer.wrap(joined(
                flags(BOTH),
                option(Nbd.OPT_LIST, new byte[0]),
                info("root"),
                go("root"),
                go("nowhere"),
                option(8, new byte[0]),
                option(4711, new byte[NbdHandshake.MAX_OPTION + 1]),
                option(Nbd.OPT_ABORT, new byte[0]))));

        assertThat(types(required))
                .hasSize(7)
                .startsWith(
                        Nbd.REP_ERR_TLS_REQD,
                        Nbd.REP_ERR_TLS_REQD,
                        Nbd.REP_ERR_TLS_REQD,
                        Nbd.REP_ERR_TLS_REQD,
                        Nbd.REP_ERR_TLS_REQD,
                        Nbd.REP_ERR_TLS_REQD)
                .endsWith(Nbd.REP_ACK);
        assertThat(required.chosen()).isEmpty();
    }

    @Test
    void aHostThatStopsTellsAPlainClientNothingButThatTlsIsRequired() throws Exception {
        var required = new NbdHandshake(List.of(ROOT, SCRATCH), TlsSettings.Mode.REQUIRE);
        required.shutDown();

        required.feed(ByteBuffer.wrap(joined(
                flags(BOTH), option(Nbd.OPT_LIST, new byte[0]), go("root"), option(4711, new byte[0]), STARTTLS)));
        assertThat(types(required))
                .containsExactly(
                        Nbd.REP_ERR_TLS_REQD, Nbd.REP_ERR_TLS_REQD, Nbd.REP_ERR_TLS_REQD, Nbd.REP_ERR_SHUTDOWN);
        assertThat(required.startsTls()).isFalse();

        required.feed(ByteBuffer.wrap(option(Nbd.OPT_ABORT, new byte[0])));
        assertThat(types(required)).endsWith(Nbd.REP_ACK);
    }

    @Test
    void aHostThatStopsTellsSoToAClientWithTls() throws Exception {
        var required = new NbdHandshake(List.of(ROOT, SCRATCH), TlsSettings.Mode.REQUIRE);
        required.feed(ByteBuffer.wrap(joined(flags(BOTH), STARTTLS)));
        required.secured();
        required.shutDown();

        required.feed(ByteBuffer.wrap(joined(option(Nbd.OPT_LIST, new byte[0]), go("root"))));

        assertThat(types(required)).containsExactly(Nbd.REP_ACK, Nbd.REP_ERR_SHUTDOWN, Nbd.REP_ERR_SHUTDOWN);
        assertThat(required.chosen()).isEmpty();
    }

    @Test
    void whereTlsIsRequiredAnExportNameWithoutItEndsTheConnection() {
        var required = new NbdHandshake(List.of(ROOT, SCRATCH), TlsSettings.Mode.REQUIRE);

        assertThatThrownBy(() -> required.feed(ByteBuffer.wrap(
                        joined(flags(BOTH), option(Nbd.OPT_EXPORT_NAME, "root".getBytes(StandardCharsets.UTF_8))))))
                .hasMessageContaining("without TLS");
    }

    @Test
    void whatWasSentBehindStarttlsInPlainEndsTheConnection() {
        var required = new NbdHandshake(List.of(ROOT, SCRATCH), TlsSettings.Mode.REQUIRE);

        assertThatThrownBy(() -> required.feed(ByteBuffer.wrap(joined(flags(BOTH), STARTTLS, go("root")))))
                .isInstanceOf(NbdProtocolException.class)
                .hasMessageContaining("in plain");
    }

    @Test
    void aClientWithoutFixedNewstyleIsOfferedNoTls() throws Exception {
        var allowed = new NbdHandshake(List.of(ROOT, SCRATCH), TlsSettings.Mode.ALLOW);
        var required = new NbdHandshake(List.of(ROOT, SCRATCH), TlsSettings.Mode.REQUIRE);

        allowed.feed(ByteBuffer.wrap(joined(flags(0), STARTTLS)));

        assertThat(types(allowed)).containsExactly(Nbd.REP_ERR_UNSUP);
        assertThatThrownBy(() -> required.feed(ByteBuffer.wrap(flags(0)))).isInstanceOf(NbdProtocolException.class);
    }

    // --- pieces

    @Test
    void byteByByteItAnswersTheSameAsAtOnce() throws Exception {
        var bytes = conversation();
        feed(bytes);
        var atOnce = rest(handshake.output());
        var slowly = new NbdHandshake(List.of(ROOT, SCRATCH));

        feedChunks(slowly, bytes, new SplittableRandom(1), 1);

        assertThat(rest(slowly.output())).isEqualTo(atOnce);
        assertThat(slowly.chosen()).isEqualTo(handshake.chosen());
    }

    @Test
    void answersSentInPiecesAreTheSameAnswers() throws Exception {
        var bytes = conversation();
        feed(bytes);
        var atOnce = rest(handshake.output());
        var other = new NbdHandshake(List.of(ROOT, SCRATCH));
        var sent = new ByteArrayOutputStream();
        var in = ByteBuffer.wrap(bytes);

        for (var end = 0; end < bytes.length; end++) {
            in.limit(end + 1);
            other.feed(in);
            sendSome(other, sent, 7);
        }
        while (other.output().hasRemaining()) {
            sendSome(other, sent, 7);
        }

        assertThat(sent.toByteArray()).isEqualTo(atOnce);
    }

    @Test
    void mutatedHandshakesEndInAnAnswerOrAProtocolErrorAndOutputStaysBounded() {
        var random = new SplittableRandom(20250101);
        for (var round = 0; round < 20_000; round++) {
            var bytes = mutated(conversation(), random);
            var victim = new NbdHandshake(List.of(ROOT, SCRATCH));
            try {
                feedChunks(victim, bytes, random, 64);
            } catch (NbdProtocolException expected) {
                assertThat(expected.getMessage()).isNotBlank();
            }
            assertThat(victim.output().remaining()).as("round %d", round).isLessThan(1024 + 32 * bytes.length);
        }
    }

    // --- the client's side

    private static byte[] conversation() {
        return joined(
                flags(BOTH),
                option(Nbd.OPT_LIST, new byte[0]),
                option(4711, new byte[0]),
                info("scratch", Nbd.INFO_NAME, Nbd.INFO_BLOCK_SIZE),
                go("nowhere"),
                go("root", Nbd.INFO_BLOCK_SIZE));
    }

    private static byte[] mutated(byte[] bytes, SplittableRandom random) {
        for (var n = random.nextInt(1, 8); n > 0; n--) {
            var at = random.nextInt(bytes.length);
            bytes[at] = switch (random.nextInt(4)) {
                case 0 -> 0;
                case 1 -> (byte) 0xff;
                case 2 -> (byte) (bytes[at] ^ 1 << random.nextInt(8));
                default -> (byte) random.nextInt();
            };
        }
        return random.nextInt(4) == 0 ? java.util.Arrays.copyOf(bytes, random.nextInt(1, bytes.length)) : bytes;
    }

    /** As a connection does it: what was not consumed stays in a buffer of a fixed size. */
    private static void feedChunks(NbdHandshake to, byte[] bytes, SplittableRandom random, int most)
            throws NbdProtocolException {
        var in = ByteBuffer.allocate(2 * NbdHandshake.MAX_OPTION);
        for (var at = 0; at < bytes.length && in.hasRemaining() && !to.done(); ) {
            var n = Math.min(Math.min(bytes.length - at, in.remaining()), 1 + random.nextInt(most));
            in.put(bytes, at, n);
            at += n;
            in.flip();
            to.feed(in);
            in.compact();
        }
    }

    private static void sendSome(NbdHandshake from, ByteArrayOutputStream to, int most) {
        var out = from.output();
        var piece = new byte[Math.min(most, out.remaining())];
        out.get(piece);
        to.writeBytes(piece);
        from.sent(piece.length);
    }

    private void feed(byte[]... parts) throws NbdProtocolException {
        var in = ByteBuffer.wrap(joined(parts));
        handshake.feed(in);
        assertThat(in.hasRemaining()).isFalse();
    }

    private ByteBuffer afterGreeting() {
        var out = handshake.output();
        return out.position(18);
    }

    private List<Reply> replies() {
        var replies = new ArrayList<Reply>();
        for (var out = afterGreeting(); out.hasRemaining(); ) {
            assertThat(out.getLong()).isEqualTo(Nbd.OPTION_REPLY_MAGIC);
            var option = out.getInt();
            var type = out.getInt();
            var data = new byte[out.getInt()];
            out.get(data);
            replies.add(new Reply(option, type, data));
        }
        return replies;
    }

    private static String text(Reply reply) {
        return new String(reply.data(), StandardCharsets.UTF_8);
    }

    private static byte[] flags(int flags) {
        return ByteBuffer.allocate(4).putInt(flags).array();
    }

    private static byte[] header(int option, int length) {
        return ByteBuffer.allocate(16)
                .putLong(Nbd.IHAVEOPT)
                .putInt(option)
                .putInt(length)
                .array();
    }

    private static byte[] option(int option, byte[] data) {
        return joined(header(option, data.length), data);
    }

    private static byte[] go(String name, int... wanted) {
        return option(Nbd.OPT_GO, query(name, wanted));
    }

    private static byte[] info(String name, int... wanted) {
        return option(Nbd.OPT_INFO, query(name, wanted));
    }

    private static byte[] query(String name, int... wanted) {
        var bytes = name.getBytes(StandardCharsets.UTF_8);
        var data = ByteBuffer.allocate(4 + bytes.length + 2 + 2 * wanted.length)
                .putInt(bytes.length)
                .put(bytes)
                .putShort((short) wanted.length);
        for (var one : wanted) {
            data.putShort((short) one);
        }
        return data.array();
    }

    private static byte[] joined(byte[]... parts) {
        var all = new ByteArrayOutputStream();
        for (var part : parts) {
            all.writeBytes(part);
        }
        return all.toByteArray();
    }

    private static byte[] rest(ByteBuffer buffer) {
        var bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }
}
