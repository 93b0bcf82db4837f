package io.sidecore.devices.nbd;

import static io.sidecore.devices.nbd.HandshakeInMemory.info;
import static io.sidecore.devices.nbd.HandshakeInMemory.queries;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.actors.block.Capabilities;
import io.sidecore.actors.block.Capabilities.BlockSizes;
import io.sidecore.devices.nbd.HandshakeInMemory.Reply;
import io.sidecore.devices.nbd.ServerInMemory.Disk;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** RS-1: what a client can negotiate beyond an export's name, and what it is told of the export; section names are those of proto.md. */
class NbdOptionsTest {
    private static final int GO = Nbd.OPT_GO;
    private static final int LIST_CONTEXTS = Nbd.OPT_LIST_META_CONTEXT;
    private static final int SET_CONTEXTS = Nbd.OPT_SET_META_CONTEXT;
    private static final NbdExport ROOT = new NbdExport("root", () -> 8L << 30, false, Capabilities.ALL);
    private static final NbdExport SCRATCH = new NbdExport("scratch", () -> 1 << 20, true, Capabilities.ALL);

    private HandshakeInMemory client;

    @BeforeEach
    void greet() throws Exception {
        client = new HandshakeInMemory(ROOT, SCRATCH);
    }

    private static int flags(List<Reply> go) {
        return go.getFirst().buffer().getShort(10) & 0xffff;
    }

    private static List<Integer> types(List<Reply> replies) {
        return replies.stream().map(Reply::type).toList();
    }

    // --- NBD_OPT_STRUCTURED_REPLY

    @Test
    void structuredRepliesAreAgreedOnWhenAskedFor() throws Exception {
        assertThat(types(client.ask(Nbd.OPT_STRUCTURED_REPLY))).containsExactly(Nbd.REP_ACK);
        client.ask(GO, info("root"));

        assertThat(client.session().structured()).isTrue();
        assertThat(client.session().allocation()).isFalse();
    }

    @Test
    void withoutThemRepliesAreSimple() throws Exception {
        client.ask(GO, info("root"));

        assertThat(client.session().structured()).isFalse();
    }

    @Test
    void structuredReplyWithDataIsInvalid() throws Exception {
        assertThat(types(client.ask(Nbd.OPT_STRUCTURED_REPLY, new byte[1]))).containsExactly(Nbd.REP_ERR_INVALID);
        client.ask(GO, info("root"));

        assertThat(client.session().structured()).isFalse();
    }

    @Test
    void exportNameKeepsWhatWasAgreedOnBefore() throws Exception {
        client.ask(Nbd.OPT_STRUCTURED_REPLY);
        client.ask(SET_CONTEXTS, queries("root", "base:allocation"));
        client.handshake()
                .feed(ByteBuffer.wrap(
                        HandshakeInMemory.option(Nbd.OPT_EXPORT_NAME, "root".getBytes(StandardCharsets.UTF_8))));

        assertThat(client.session().structured()).isTrue();
        assertThat(client.session().allocation()).isTrue();
    }

    @Test
    void extendedHeadersAreNotOffered() throws Exception {
        assertThat(types(client.ask(11))).containsExactly(Nbd.REP_ERR_UNSUP);
    }

    // --- NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT

    @ParameterizedTest
    @ValueSource(strings = {"base:", "base:allocation"})
    void aListFindsTheAllocationContext(String query) throws Exception {
        client.ask(Nbd.OPT_STRUCTURED_REPLY);

        var replies = client.ask(LIST_CONTEXTS, queries("root", query));

        assertThat(types(replies)).containsExactly(Nbd.REP_META_CONTEXT, Nbd.REP_ACK);
        assertThat(replies.getFirst().text()).endsWith("base:allocation");
    }

    @Test
    void aListWithoutQueriesIsOfAllContexts() throws Exception {
        client.ask(Nbd.OPT_STRUCTURED_REPLY);

        assertThat(types(client.ask(LIST_CONTEXTS, queries("root"))))
                .containsExactly(Nbd.REP_META_CONTEXT, Nbd.REP_ACK);
    }

    @ParameterizedTest
    @ValueSource(strings = {"qemu:dirty-bitmap:b", "x-none:", "base:else", "base:allocation2", "Base:allocation"})
    void aQueryForWhatIsNotThereFindsNothingAndIsNoError(String query) throws Exception {
        client.ask(Nbd.OPT_STRUCTURED_REPLY);

        assertThat(types(client.ask(LIST_CONTEXTS, queries("root", query)))).containsExactly(Nbd.REP_ACK);
        assertThat(types(client.ask(SET_CONTEXTS, queries("root", query)))).containsExactly(Nbd.REP_ACK);
        client.ask(GO, info("root"));
        assertThat(client.session().allocation()).isFalse();
    }

    @Test
    void aSelectedContextHoldsForTheExport() throws Exception {
        client.ask(Nbd.OPT_STRUCTURED_REPLY);

        var replies = client.ask(SET_CONTEXTS, queries("root", "x-none:y", "base:allocation", "base:allocation"));

        assertThat(types(replies)).containsExactly(Nbd.REP_META_CONTEXT, Nbd.REP_ACK);
        assertThat(replies.getFirst().buffer().getInt()).isEqualTo(NbdMetaContexts.ALLOCATION_ID);
        client.ask(GO, info("root"));
        assertThat(client.session().allocation()).isTrue();
    }

    @Test
    void aWildcardSelectsNothing() throws Exception {
        client.ask(Nbd.OPT_STRUCTURED_REPLY);

        assertThat(types(client.ask(SET_CONTEXTS, queries("root", "base:")))).containsExactly(Nbd.REP_ACK);
    }

    @Test
    void aSelectionWithoutQueriesSelectsNothing() throws Exception {
        client.ask(Nbd.OPT_STRUCTURED_REPLY);
        client.ask(SET_CONTEXTS, queries("root", "base:allocation"));

        assertThat(types(client.ask(SET_CONTEXTS, queries("root")))).containsExactly(Nbd.REP_ACK);
        client.ask(GO, info("root"));
        assertThat(client.session().allocation()).isFalse();
    }

    @Test
    void aContextOfAnotherExportIsDropped() throws Exception {
        client.ask(Nbd.OPT_STRUCTURED_REPLY);
        client.ask(SET_CONTEXTS, queries("root", "base:allocation"));
        client.ask(GO, info("scratch"));

        assertThat(client.session().allocation()).isFalse();
    }

    @Test
    void theDefaultExportIsTheSameByEitherName() throws Exception {
        client.ask(Nbd.OPT_STRUCTURED_REPLY);
        client.ask(SET_CONTEXTS, queries("", "base:allocation"));
        client.ask(GO, info("root"));

        assertThat(client.session().allocation()).isTrue();
    }

    @Test
    void aSelectionThatFailsDropsTheOneBefore() throws Exception {
        client.ask(Nbd.OPT_STRUCTURED_REPLY);
        client.ask(SET_CONTEXTS, queries("root", "base:allocation"));

        assertThat(types(client.ask(SET_CONTEXTS, queries("nowhere", "base:allocation"))))
                .containsExactly(Nbd.REP_ERR_UNKNOWN);
        client.ask(GO, info("root"));
        assertThat(client.session().allocation()).isFalse();
    }

    @ParameterizedTest
    @ValueSource(ints = {LIST_CONTEXTS, SET_CONTEXTS})
    void contextsNeedStructuredRepliesFirst(int option) throws Exception {
        assertThat(types(client.ask(option, queries("root", "base:allocation"))))
                .containsExactly(Nbd.REP_ERR_INVALID);
    }

    @ParameterizedTest
    @ValueSource(ints = {LIST_CONTEXTS, SET_CONTEXTS})
    void aQueryWithoutANamespaceIsInvalid(int option) throws Exception {
        client.ask(Nbd.OPT_STRUCTURED_REPLY);

        assertThat(types(client.ask(option, queries("root", "allocation")))).containsExactly(Nbd.REP_ERR_INVALID);
        assertThat(types(client.ask(option, queries("root", ":allocation")))).containsExactly(Nbd.REP_ERR_INVALID);
    }

    @ParameterizedTest
    @ValueSource(ints = {LIST_CONTEXTS, SET_CONTEXTS})
    void tooManyQueriesAreTooBig(int option) throws Exception {
        client.ask(Nbd.OPT_STRUCTURED_REPLY);
        var most = Collections.nCopies(NbdMetaContexts.MAX_QUERIES, "base:allocation");
        var more = new ArrayList<>(most);
        more.add("base:");

        assertThat(types(client.ask(option, queries("root", most.toArray(String[]::new)))))
                .containsExactly(Nbd.REP_META_CONTEXT, Nbd.REP_ACK);
        assertThat(types(client.ask(option, queries("root", more.toArray(String[]::new)))))
                .containsExactly(Nbd.REP_ERR_TOO_BIG);
    }

    @ParameterizedTest
    @ValueSource(ints = {LIST_CONTEXTS, SET_CONTEXTS})
    void queriesThatDoNotFitInTheirOptionAreInvalid(int option) throws Exception {
        client.ask(Nbd.OPT_STRUCTURED_REPLY);
        var whole = queries("root", "base:allocation");
        for (var bytes = 0; bytes < whole.length; bytes++) {
            assertThat(types(client.ask(option, java.util.Arrays.copyOf(whole, bytes))))
                    .as("%d of %d bytes", bytes, whole.length)
                    .containsExactly(Nbd.REP_ERR_INVALID);
            if (bytes % 30 == 29) {
                // Only so many options are answered.
                greet();
                client.ask(Nbd.OPT_STRUCTURED_REPLY);
            }
        }
        assertThat(types(client.ask(option, java.util.Arrays.copyOf(whole, whole.length + 1))))
                .containsExactly(Nbd.REP_ERR_INVALID);
        var many = queries("root");
        ByteBuffer.wrap(many).putInt(many.length - 4, -1);
        assertThat(types(client.ask(option, many))).containsExactly(Nbd.REP_ERR_INVALID);
    }

    // --- Transmission flags

    @Test
    void whatAVolumeCanDoIsOffered() throws Exception {
        client.ask(Nbd.OPT_STRUCTURED_REPLY);

        assertThat(flags(client.ask(GO, info("root"))))
                .isEqualTo(Nbd.FLAG_HAS_FLAGS
                        | Nbd.FLAG_SEND_FLUSH
                        | Nbd.FLAG_SEND_FUA
                        | Nbd.FLAG_SEND_TRIM
                        | Nbd.FLAG_SEND_WRITE_ZEROES
                        | Nbd.FLAG_SEND_DF
                        | Nbd.FLAG_CAN_MULTI_CONN
                        | Nbd.FLAG_SEND_CACHE
                        | Nbd.FLAG_SEND_FAST_ZERO);
    }

    @Test
    void dontFragmentIsOfferedOnlyWithStructuredReplies() throws Exception {
        assertThat(flags(client.ask(Nbd.OPT_INFO, info("root"))) & Nbd.FLAG_SEND_DF)
                .isZero();
    }

    @Test
    void ofAReadOnlyExportNothingIsOfferedThatChangesIt() throws Exception {
        assertThat(flags(client.ask(GO, info("scratch"))))
                .isEqualTo(Nbd.FLAG_HAS_FLAGS
                        | Nbd.FLAG_READ_ONLY
                        | Nbd.FLAG_SEND_FLUSH
                        | Nbd.FLAG_SEND_FUA
                        | Nbd.FLAG_CAN_MULTI_CONN
                        | Nbd.FLAG_SEND_CACHE);
    }

    @Test
    void whatAVolumeCannotDoIsNotOffered() throws Exception {
        client = new HandshakeInMemory(Disk.ALL.bare().export(1 << 20));

        assertThat(flags(client.ask(GO, info(""))))
                .isEqualTo(Nbd.FLAG_HAS_FLAGS | Nbd.FLAG_SEND_FLUSH | Nbd.FLAG_CAN_MULTI_CONN);
    }

    @Test
    void fastZeroIsOfferedApart() throws Exception {
        client = new HandshakeInMemory(Disk.ALL.withoutFastZero().export(1 << 20));

        var flags = flags(client.ask(GO, info("")));

        assertThat(flags & Nbd.FLAG_SEND_WRITE_ZEROES).isNotZero();
        assertThat(flags & Nbd.FLAG_SEND_FAST_ZERO).isZero();
    }

    // --- Size constraints

    @ParameterizedTest
    @CsvSource({"1, 4096, 33554432, 33554432", "512, 4096, 1048576, 1048576", "4096, 65536, -1, 33554432"})
    void theVolumesBlockSizesAreTold(int minimum, int preferred, int maximum, int told) throws Exception {
        var sizes = new BlockSizes(minimum, preferred, maximum < 0 ? Integer.MAX_VALUE : maximum);
        client = new HandshakeInMemory(Disk.ALL.with(sizes).export(1 << 20));

        var info = client.ask(GO, info("", Nbd.INFO_BLOCK_SIZE)).get(1).buffer();

        assertThat(info.getShort()).isEqualTo((short) Nbd.INFO_BLOCK_SIZE);
        assertThat(List.of(info.getInt(), info.getInt(), info.getInt())).containsExactly(minimum, preferred, told);
    }

    @Test
    void constraintsAreToldUnaskedAndDefaultsAreNot() throws Exception {
        assertThat(types(client.ask(Nbd.OPT_INFO, info("root")))).containsExactly(Nbd.REP_INFO, Nbd.REP_ACK);

        client = new HandshakeInMemory(
                Disk.ALL.with(new BlockSizes(512, 4096, 32 << 20)).export(1 << 20));
        assertThat(types(client.ask(GO, info("")))).containsExactly(Nbd.REP_INFO, Nbd.REP_INFO, Nbd.REP_ACK);
    }

    @Test
    void aSizeIsToldInWholeBlocks() throws Exception {
        client = new HandshakeInMemory(
                Disk.ALL.with(new BlockSizes(4096, 4096, 32 << 20)).export(10_000));

        assertThat(client.ask(GO, info("")).getFirst().buffer().getLong(2)).isEqualTo(8192);
        assertThat(client.session().size()).isEqualTo(8192);
    }

    @Test
    void aClientKeepsTheSizeItWasToldAndTheNextOneLearnsTheNew() throws Exception {
        var size = new AtomicLong(1 << 20);
        var growing = new NbdExport("disk", size::get, false, Capabilities.ALL);
        client = new HandshakeInMemory(growing);
        client.ask(Nbd.OPT_INFO, info("disk"));
        size.set(2 << 20);

        var told = client.ask(GO, info("disk")).getFirst().buffer().getLong(2);

        assertThat(told).as("GO answers what INFO did").isEqualTo(1 << 20);
        assertThat(client.session().size()).isEqualTo(1 << 20);
        client = new HandshakeInMemory(growing);
        client.ask(GO, info("disk"));
        assertThat(client.session().size()).isEqualTo(2 << 20);
    }

    // --- Option reply types

    @Test
    void aDescriptionIsGivenToWhoAsks() throws Exception {
        var described =
                client.ask(Nbd.OPT_INFO, info("scratch", Nbd.INFO_DESCRIPTION)).get(1);

        assertThat(described.buffer().getShort()).isEqualTo((short) Nbd.INFO_DESCRIPTION);
        assertThat(described.text()).endsWith("volume scratch, read-only");
        assertThat(client.ask(Nbd.OPT_LIST).getFirst().text()).endsWith("volume root");
    }

    @Test
    void oneInformationIsGivenOnceHoweverOftenItIsAskedFor() throws Exception {
        assertThat(client.ask(GO, info("root", 1, 1, 1, 0, 0))).hasSize(3);
    }

    @Test
    void aHostThatStopsRefusesEveryOptionButAnAbort() throws Exception {
        client.handshake().shutDown();

        for (var option : new int[] {Nbd.OPT_LIST, Nbd.OPT_INFO, GO, Nbd.OPT_STRUCTURED_REPLY, LIST_CONTEXTS, 4711}) {
            assertThat(types(client.ask(option, info("root")))).containsExactly(Nbd.REP_ERR_SHUTDOWN);
        }
        assertThat(types(client.ask(Nbd.OPT_ABORT))).containsExactly(Nbd.REP_ACK);
        assertThat(client.handshake().chosen()).isEmpty();
    }

    @Test
    void aHostThatStopsClosesOnExportName() throws Exception {
        client.handshake().shutDown();

        assertThatThrownBy(() -> client.ask(Nbd.OPT_EXPORT_NAME, "root".getBytes(StandardCharsets.UTF_8)))
                .isInstanceOf(NbdProtocolException.class)
                .hasMessageContaining("stopping");
    }

    // --- bounds

    @Test
    void answersThatAreNotTakenHoldUpTheOptionsBehindThem() throws Exception {
        var exports = new ArrayList<NbdExport>();
        for (var i = 0; i < 1_000; i++) {
            exports.add(new NbdExport("export-" + i, () -> 1 << 20, false, Capabilities.ALL));
        }
        client = new HandshakeInMemory(exports.toArray(NbdExport[]::new));
        var lists = ByteBuffer.allocate(16 * 60);
        while (lists.hasRemaining()) {
            lists.put(HandshakeInMemory.option(Nbd.OPT_LIST));
        }
        lists.flip();
        var answered = 0L;

        while (lists.hasRemaining()) {
            var before = lists.remaining();
            client.handshake().feed(lists);
            var out = client.handshake().output().remaining();
            assertThat(out).as("unsent bytes").isLessThan(NbdHandshake.MAX_OUTPUT + 100_000);
            assertThat(before - lists.remaining())
                    .as("bytes of options looked at")
                    .isPositive();
            client.handshake().sent(out);
            answered += out;
        }

        assertThat(answered).isGreaterThan(60 * 1_000 * 24);
    }
}
