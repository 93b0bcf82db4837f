package io.sidecore.devices.nbd;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Chain;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.InFlightLedger;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Slab;
import io.sidecore.actors.block.SlabPool;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/**
 * The transmission phase (proto.md, "Transmission"), with simple or structured replies. Pure: bytes in, requests out; completions in, bytes out. Payloads are not copied: a write's stays where it was received, a read's is
 * filled in right behind the place of its reply header, so that replies in order are one contiguous run of bytes. Large ones lie in the medium's own memory if a {@link Lender} has it.
 *
 * <p>All memory comes from slabs and is bounded by {@code inFlightBytes}; when it or the ledger's slots are used up, {@link #decode} answers null and {@link #starved()} is true until something is given back.
 */
public final class NbdTransmission {
    /** Who may lend the memory of a medium as a payload. */
    @FunctionalInterface
    public interface Lender {
        /** The memory of this range as {@link io.sidecore.actors.block.Store#lend} gives it; null for none. */
        @Nullable
        MemorySegment lend(BlockOp op, long offset, int length);

        /** A write that was lent memory will not be served any more. */
        default void settle(long offset, long length) {}
    }

    /** From so many bytes on a copy costs more than the detour around it. */
    static final int LEND_MIN = 64 << 10;

    private static final int MAX_BATCH_BYTES = 1 << 20;

    private final NbdAdmission admission;
    private final InFlightLedger ledger;
    private final Lender lender;
    private final QueueMemory memory;
    private final NbdInbox inbox;
    private final NbdReplies replies;
    private final NbdAnswers answers;
    private final Chain batch = new Chain();
    private long batchBytes;
    private int refused;
    private long drop;
    private Runnable afterDrop = () -> {};
    private long landingOffset;
    private long landingCookie;
    private int landingFlags;
    private boolean starved;
    private boolean disconnected;

    /** For what was agreed on in the handshake, with slots from {@code ledger}, memory from {@code pool}, and that of the medium where {@code lender} has it. */
    public NbdTransmission(
            NbdSession session, long inFlightBytes, InFlightLedger ledger, SlabPool pool, Lender lender) {
        this.admission = new NbdAdmission(session);
        this.ledger = ledger;
        this.lender = lender;
        this.memory = new QueueMemory(inFlightBytes, ledger, pool);
        this.inbox = new NbdInbox(memory);
        this.replies = new NbdReplies(memory);
        this.answers = new NbdAnswers(replies, session.structured());
    }

    // --- bytes in
    // -----------------------------------------------------------------------------------------------------

    /** Where the next bytes from the client belong, or null while there is no memory for them. Tell {@link #received} how many came. */
    public @Nullable ByteBuffer receiveBuffer() {
        var room = inbox.room();
        if (room == null) {
            starved = true;
        }
        return room;
    }

    /** Where bytes that come behind those of the {@link #receiveBuffer()} in the same read belong; null if it is enough. */
    public @Nullable ByteBuffer receiveBehind() {
        return inbox.behind();
    }

    /** So many bytes were put into the {@link #receiveBuffer()} and behind it. */
    public void received(int bytes) {
        inbox.received(bytes);
    }

    // --- requests out
    // -------------------------------------------------------------------------------------------------

    /**
     * The requests that have come in completely, at most a batch; null if there is none. Those that cannot be served are answered already: {@link #refused()} counts them.
     *
     * @throws NbdProtocolException if the client is out of step
     */
    public @Nullable Request decode(int generation) throws NbdProtocolException {
        batchBytes = 0;
        starved = false;
        var refusedBefore = refused;
        while (!disconnected
                && batch.count() + refused - refusedBefore < InFlightLedger.BATCH
                && batchBytes < MAX_BATCH_BYTES) {
            if (drop > 0 && !dropped()) {
                break;
            }
            if (!inbox.landing() && !inbox.has(NbdRequestHeader.BYTES)) {
                break;
            }
            if (!ledger.hasRoom()) {
                starved = true;
                break;
            }
            if (!(inbox.landing() ? landed(generation) : decodeOne(generation))) {
                break;
            }
        }
        return batch.take();
    }

    /** Whether there was one. */
    private boolean decodeOne(int generation) throws NbdProtocolException {
        var b = inbox.slab().buffer().clear();
        var at = inbox.at();
        if (NbdRequestHeader.magic(b, at) != Nbd.REQUEST_MAGIC) {
            throw new NbdProtocolException(
                    "request does not begin with its magic number: 0x%x".formatted(NbdRequestHeader.magic(b, at)));
        }
        var command = NbdRequestHeader.type(b, at);
        if (command == Nbd.CMD_DISC) {
            disconnected = true;
            return false;
        }
        var flags = NbdRequestHeader.flags(b, at);
        var offset = NbdRequestHeader.offset(b, at);
        var length = NbdRequestHeader.length(b, at);
        var cookie = NbdRequestHeader.cookie(b, at);
        var verdict = admission.of(command, flags, offset, length);
        if (verdict != NbdAdmission.Verdict.SERVED) {
            consumeHeader();
            if (command == Nbd.CMD_WRITE && length > 0) {
                // What follows must not be taken for the next header; and no client expects an answer before it has
                // sent all of it (libnbd ends the connection then).
                drop = length;
                afterDrop = () -> refuse(verdict, command, flags, offset, length, cookie);
                return dropped();
            }
            refuse(verdict, command, flags, offset, length, cookie);
            return true;
        }
        return switch (command) {
            case Nbd.CMD_READ -> read(offset, (int) length, cookie, generation);
            case Nbd.CMD_WRITE -> write(offset, (int) length, requestFlags(flags), cookie, generation);
            default -> {
                consumeHeader();
                var op = NbdAdmission.op(command);
                yield opened(ledger.open(op, offset, length, requestFlags(flags), cookie, generation));
            }
        };
    }

    private void refuse(NbdAdmission.Verdict verdict, int command, int flags, long offset, long length, long cookie) {
        refused++;
        var text = answers.texts() ? admission.text(verdict, command, flags, offset, length) : "";
        answers.error(cookie, admission.errno(verdict, command), text, admission.offset(verdict, offset));
    }

    /** What a store is told of a command's flags. DF needs nothing: a read is one chunk in any case. */
    private static int requestFlags(int flags) {
        return ((flags & Nbd.CMD_FLAG_FUA) != 0 ? Request.FUA : 0)
                | ((flags & Nbd.CMD_FLAG_NO_HOLE) != 0 ? Request.NO_HOLE : 0)
                | ((flags & Nbd.CMD_FLAG_FAST_ZERO) != 0 ? Request.FAST_ZERO : 0)
                | ((flags & Nbd.CMD_FLAG_REQ_ONE) != 0 ? Request.ONE_EXTENT : 0);
    }

    private void consumeHeader() {
        inbox.consume(NbdRequestHeader.BYTES);
        inbox.readAhead();
    }

    private boolean read(long offset, int length, long cookie, int generation) {
        var lent = length >= LEND_MIN ? lender.lend(BlockOp.READ, offset, length) : null;
        if (lent != null) {
            consumeHeader();
            var request = ledger.open(BlockOp.READ, offset, length, 0, cookie, generation);
            request.lend(lent);
            return opened(request);
        }
        var header = answers.readHeader();
        var slab = replies.slab(header + length);
        if (slab == null) {
            starved = true;
            return false;
        }
        consumeHeader();
        var request = ledger.open(BlockOp.READ, offset, length, 0, cookie, generation);
        request.payload(slab, slab.take(header + length) + header);
        return opened(request);
    }

    private boolean write(long offset, int length, int flags, long cookie, int generation) {
        if (!inbox.has(NbdRequestHeader.BYTES + length)) {
            if (length >= LEND_MIN) {
                land(offset, length, flags, cookie);
            }
            return false;
        }
        var request = ledger.open(BlockOp.WRITE, offset, length, flags, cookie, generation);
        inbox.slab().hold();
        request.payload(inbox.slab(), inbox.at() + NbdRequestHeader.BYTES);
        inbox.consume(NbdRequestHeader.BYTES + length);
        inbox.readAhead();
        return opened(request);
    }

    /** Has the rest of a payload received where it is to go. */
    private void land(long offset, int length, int flags, long cookie) {
        var lent = lender.lend(BlockOp.WRITE, offset, length);
        if (lent == null) {
            inbox.readAhead();
            return;
        }
        inbox.consume(NbdRequestHeader.BYTES);
        inbox.land(lent);
        landingOffset = offset;
        landingCookie = cookie;
        landingFlags = flags;
    }

    private boolean landed(int generation) {
        var lent = inbox.landed();
        if (lent == null) {
            return false;
        }
        var verdict = admission.of(Nbd.CMD_WRITE, 0, landingOffset, lent.byteSize());
        if (verdict != NbdAdmission.Verdict.SERVED) {
            // It was admitted when it began, and the host has begun to stop since.
            lender.settle(landingOffset, lent.byteSize());
            refuse(verdict, Nbd.CMD_WRITE, 0, landingOffset, lent.byteSize(), landingCookie);
            return true;
        }
        var request =
                ledger.open(BlockOp.WRITE, landingOffset, lent.byteSize(), landingFlags, landingCookie, generation);
        request.lend(lent);
        return opened(request);
    }

    private boolean opened(Request request) {
        batch.add(request);
        batchBytes += request.payloadBytes();
        return true;
    }

    private boolean dropped() {
        var n = (int) Math.min(drop, inbox.available());
        inbox.consume(n);
        drop -= n;
        if (drop > 0) {
            return false;
        }
        afterDrop.run();
        return true;
    }

    /** How many requests were refused, and answered, since the last call. */
    public int refused() {
        var count = refused;
        refused = 0;
        return count;
    }

    /** From now on every request is refused with ESHUTDOWN (proto.md, "Terminating the transmission phase"). */
    public void shutDown() {
        admission.shutDown();
    }

    /** Forgets what was decoded and not handed out: its requests stay open in the ledger and end with it. */
    void dropDecoded() {
        batch.take();
    }

    /** Whether a request has come in part, and its rest is to come. */
    boolean halfReceived() {
        return inbox.landing() || inbox.available() > 0 || drop > 0;
    }

    /** Whether that is little so far, a header say: the rest is on its way. */
    boolean expectsRest() {
        var came = inbox.available();
        return came > 0 && came < LEND_MIN && !inbox.landing() && !starved;
    }

    /** Whether decoding stopped for want of slots or memory. */
    public boolean starved() {
        return starved;
    }

    /** Whether the client said goodbye. */
    public boolean disconnected() {
        return disconnected;
    }

    // --- completions in, bytes out
    // ------------------------------------------------------------------------------------

    /** Appends the reply to what is to be sent, and frees the request's slot. */
    public void encode(Request request) {
        if (request.error() != Errno.OK) {
            answers.error(request.cookie(), request.error(), answers.texts() ? text(request) : "", -1);
            giveBackPayload(request);
        } else if (request.op() == BlockOp.READ) {
            // Its payload is held until it has left.
            answers.data(request);
        } else if (request.op() == BlockOp.STATUS) {
            answers.status(request);
        } else {
            answers.done(request.cookie());
            giveBackPayload(request);
        }
        ledger.free(request);
    }

    private static String text(Request request) {
        return NbdAdmission.text(request.op(), request.offset(), request.length(), request.error());
    }

    private void giveBackPayload(Request request) {
        if (request.slab() != null) {
            release(request.slab());
        }
        if (request.isLent() && request.settle()) {
            lender.settle(request.offset(), request.length());
        }
    }

    /** Whether there is something to send. */
    public boolean hasPending() {
        return !replies.isEmpty();
    }

    /** Bytes to send. */
    public long pendingBytes() {
        return replies.bytes();
    }

    /** The next bytes to send, null if there are none. Tell {@link #sent} how many went. */
    public @Nullable ByteBuffer pending() {
        return replies.isEmpty() ? null : replies.first();
    }

    /** Whether what is to be sent begins with pieces that had better go at once: {@link #gather}. */
    public boolean scattered() {
        return replies.scattered();
    }

    /** Fills {@code views} with the next pieces to send; returns how many. */
    public int gather(ByteBuffer[] views) {
        return replies.gather(views);
    }

    /** So many bytes were sent. */
    public void sent(long bytes) {
        replies.sent(bytes);
    }

    // --- memory
    // -------------------------------------------------------------------------------------------------------

    /**
     * Memory for a read that is issued again without any; where {@code alone} beyond the bound if need be.
     *
     * @return false if there is none; {@link #starved()} is true then
     */
    public boolean renew(Request read, boolean alone) {
        var length = read.payloadBytes();
        var lent = length >= LEND_MIN ? lender.lend(BlockOp.READ, read.offset(), length) : null;
        if (lent != null) {
            read.lend(lent);
            return true;
        }
        var header = answers.readHeader();
        var slab = alone ? replies.slabBeyond(header + length) : replies.slab(header + length);
        if (slab == null) {
            starved = true;
            return false;
        }
        read.payload(slab, slab.take(header + length) + header);
        return true;
    }

    /** One holder less. */
    public void release(Slab slab) {
        memory.release(slab);
    }

    /** Lets go of all memory but what stores still hold; the last of them gives it back by {@link #release}. */
    public void close() {
        ledger.inUse().forEach(this::giveBackPayload);
        if (inbox.landing()) {
            lender.settle(landingOffset, inbox.landingBytes());
        }
        replies.close();
        inbox.close();
    }
}
