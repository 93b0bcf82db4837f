package io.sidecore.devices.nbd;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import io.sidecore.actors.block.Capabilities;
import io.sidecore.actors.block.Capabilities.BlockSizes;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.InFlightLedger;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.SlabPool;
import io.sidecore.actors.block.Store;
import io.sidecore.actors.block.Store.Answer;
import io.sidecore.devices.block.MemoryMedium;
import io.sidecore.devices.block.WholeChain;
import io.sidecore.devices.linux.OffHeap;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** The engine of the transmission phase on a memory medium that serves at once, without a socket, a loop or a stream; and a client that reads its replies. */
final class ServerInMemory implements AutoCloseable {
    static final int SIZE = 1 << 20;

    /** What can be told of a volume that is not {@link Capabilities#ALL}. */
    record Disk(boolean readOnly, Answer optional, Answer fastZero, BlockSizes sizes) {
        static final Disk ALL = new Disk(false, Answer.NATIVE, Answer.NATIVE, BlockSizes.ANY);

        Disk asReadOnly() {
            return new Disk(true, optional, fastZero, sizes);
        }

        /** Without FUA, trim, zeroes and caching. */
        Disk bare() {
            return new Disk(readOnly, Answer.NONE, Answer.NONE, sizes);
        }

        Disk withoutFastZero() {
            return new Disk(readOnly, optional, Answer.NONE, sizes);
        }

        Disk with(BlockSizes other) {
            return new Disk(readOnly, optional, fastZero, other);
        }

        NbdExport export(long size) {
            return new NbdExport(
                    "disk",
                    () -> size,
                    readOnly,
                    new Capabilities(
                            readOnly,
                            Answer.NATIVE,
                            optional,
                            optional,
                            optional,
                            fastZero,
                            optional,
                            Answer.NATIVE,
                            true,
                            sizes));
        }
    }

    /**
     * One reply.
     *
     * @param type of a chunk; −1 for a simple reply
     * @param data of a read; null without
     * @param offset of a chunk that has one; −1 without
     * @param extents length, state, length, state ...; empty without
     */
    record Reply(int type, int error, byte[] data, String text, long offset, List<Integer> extents) {
        boolean simple() {
            return type < 0;
        }
    }

    final MemoryMedium medium;
    private final Store store;
    private final boolean structured;
    private final SlabPool pool = new SlabPool(OffHeap::map, Long.MAX_VALUE);
    private final InFlightLedger ledger = new InFlightLedger(128);
    private final NbdTransmission codec;
    private final ByteArrayOutputStream sent = new ByteArrayOutputStream();
    private final Map<Long, Integer> reads = new HashMap<>();
    private Consumer<Request> fate = request -> {};

    ServerInMemory(Disk disk, boolean structured, boolean allocation) {
        this(new MemoryMedium(SIZE, SIZE), disk, structured, allocation, false);
    }

    /** {@code lending}: large payloads lie in the medium's own memory. */
    ServerInMemory(MemoryMedium medium, Disk disk, boolean structured, boolean allocation, boolean lending) {
        this.medium = medium;
        this.structured = structured;
        this.store = medium.open();
        this.codec = new NbdTransmission(
                new NbdSession(disk.export(medium.size()), medium.size(), structured, allocation),
                34 << 20,
                ledger,
                pool,
                lending ? store::lend : (op, offset, length) -> null);
    }

    /** What becomes of each request that the store has served. */
    void fate(Consumer<Request> what) {
        fate = what;
    }

    NbdTransmission codec() {
        return codec;
    }

    // --- the client's side

    static byte[] request(int flags, int command, long cookie, long offset, int length, byte... payload) {
        var bytes = ByteBuffer.allocate(NbdRequestHeader.BYTES + payload.length);
        NbdRequestHeader.put(bytes, flags, command, cookie, offset, length);
        return bytes.put(payload).array();
    }

    /** The reply to one request. */
    Reply ask(int flags, int command, long offset, int length, byte... payload) throws NbdProtocolException {
        reads.put(1L, command == Nbd.CMD_READ ? length : 0);
        feed(request(flags, command, 1, offset, length, payload), 1 << 20);
        return reply();
    }

    Reply write(long offset, byte[] payload) throws NbdProtocolException {
        return ask(0, Nbd.CMD_WRITE, offset, payload.length, payload);
    }

    byte[] read(long offset, int length) throws NbdProtocolException {
        return ask(0, Nbd.CMD_READ, offset, length).data();
    }

    /** The only reply since the last one. */
    Reply reply() {
        var all = replies();
        if (all.size() != 1) {
            throw new AssertionError("one reply was expected: " + all);
        }
        return all.getFirst();
    }

    /** The replies since the last ones. */
    List<Reply> replies() {
        var in = ByteBuffer.wrap(sent.toByteArray());
        sent.reset();
        var replies = new ArrayList<Reply>();
        while (in.hasRemaining()) {
            replies.add(in.getInt(in.position()) == Nbd.SIMPLE_REPLY_MAGIC ? simple(in) : chunk(in));
        }
        return replies;
    }

    private Reply simple(ByteBuffer in) {
        var at = in.position();
        var error = NbdSimpleReply.error(in, at);
        var data = structured || error != 0 ? 0 : reads.getOrDefault(NbdSimpleReply.cookie(in, at), 0);
        var bytes = new byte[data];
        in.position(at + NbdSimpleReply.BYTES);
        in.get(bytes);
        return new Reply(-1, error, data > 0 ? bytes : null, "", -1, List.of());
    }

    private static Reply chunk(ByteBuffer in) {
        var at = in.position();
        if (in.getInt(at) != Nbd.STRUCTURED_REPLY_MAGIC || NbdChunk.flags(in, at) != Nbd.REPLY_FLAG_DONE) {
            throw new AssertionError("neither a simple reply nor a last chunk at " + at);
        }
        var type = NbdChunk.type(in, at);
        var end = at + NbdChunk.BYTES + (int) NbdChunk.length(in, at);
        in.position(end);
        return switch (type) {
            case Nbd.REPLY_TYPE_OFFSET_DATA -> {
                var data = new byte[end - at - NbdChunk.DATA_BYTES];
                in.get(at + NbdChunk.DATA_BYTES, data);
                yield new Reply(type, 0, data, "", NbdChunk.offset(in, at), List.of());
            }
            case Nbd.REPLY_TYPE_BLOCK_STATUS -> {
                var extents = new ArrayList<Integer>();
                for (var i = at + NbdChunk.STATUS_BYTES; i < end; i += 4) {
                    extents.add(in.getInt(i));
                }
                yield new Reply(type, 0, null, "", -1, extents);
            }
            case Nbd.REPLY_TYPE_ERROR, Nbd.REPLY_TYPE_ERROR_OFFSET -> {
                var text = new byte[NbdChunk.textLength(in, at)];
                in.get(at + NbdChunk.ERROR_BYTES, text);
                var offset = type == Nbd.REPLY_TYPE_ERROR ? -1 : NbdChunk.errorOffset(in, at);
                var said = new String(text, StandardCharsets.UTF_8);
                yield new Reply(type, NbdChunk.error(in, at), null, said, offset, List.of());
            }
            default -> throw new AssertionError("a chunk of type " + type);
        };
    }

    // --- the queue's side

    /** Everything is served and answered at once. */
    void feed(byte[] bytes, int chunk) throws NbdProtocolException {
        for (var at = 0; ; ) {
            serveAll();
            if (at == bytes.length || codec.disconnected()) {
                return;
            }
            at += put(bytes, at, chunk);
        }
    }

    private int put(byte[] bytes, int at, int chunk) {
        var room = codec.receiveBuffer();
        var n = Math.min(Math.min(chunk, room.remaining()), bytes.length - at);
        if (n <= 0) {
            throw new AssertionError("no room for more, with nothing in flight");
        }
        room.put(bytes, at, n);
        codec.received(n);
        return n;
    }

    private void serveAll() throws NbdProtocolException {
        while (true) {
            var chain = codec.decode(1);
            var refused = codec.refused();
            flushOut();
            if (chain == null && refused == 0) {
                return;
            }
            var done = chain == null ? null : WholeChain.serve(store, chain);
            while (done != null) {
                var following = done.unlink();
                fate.accept(done);
                ledger.answer(done, 1);
                codec.encode(done);
                done = following;
            }
            flushOut();
        }
    }

    void flushOut() {
        for (ByteBuffer bytes; (bytes = codec.pending()) != null; ) {
            var piece = new byte[bytes.remaining()];
            bytes.get(piece);
            sent.writeBytes(piece);
            codec.sent(piece.length);
        }
    }

    static Consumer<Request> failing(Errno error) {
        return request -> request.fail(error);
    }

    /** What a request of this range would read from the medium, past the protocol. */
    byte[] contents(long offset, int length) {
        var bytes = new byte[length];
        try (var arena = java.lang.foreign.Arena.ofConfined()) {
            var memory = arena.allocate(length);
            var own = new InFlightLedger(1);
            var request = own.open(io.sidecore.actors.block.BlockOp.READ, offset, length, 0, 0, 1);
            request.lend(memory);
            WholeChain.serve(store, request);
            java.lang.foreign.MemorySegment.copy(memory, JAVA_BYTE, 0, bytes, 0, length);
        }
        return bytes;
    }

    /** Whatever was done with it: no slot is in use then, and every slab is back in the pool. */
    @Override
    public void close() {
        detach();
        medium.close();
    }

    /** The same, but the medium stays. */
    void detach() {
        codec.close();
        for (var request : ledger.inUse()) {
            ledger.free(request);
        }
        store.close();
        var lost = pool.borrowedBytes();
        pool.close();
        if (lost != 0) {
            throw new AssertionError(lost + " bytes did not come back");
        }
    }
}
