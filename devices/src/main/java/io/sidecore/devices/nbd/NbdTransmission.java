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

/**
 * The transmission phase with simple replies (proto.md, "Transmission"). Pure: bytes in, requests out; completions in, bytes out. Payloads are not copied: a write's stays where it was received, a read's is
 * filled in right behind the place of its reply header, so that replies in order are one contiguous run of bytes. Large ones lie in the medium's own memory if a {@link Lender} has it.
 *
 * <p>All memory comes from slabs and is bounded by {@code inFlightBytes}; when it or the ledger's slots are used up, {@link #decode} answers null and {@link #starved()} is true until something is given back.
 */
public final class NbdTransmission {
    /** Who may lend the memory of a medium as a payload. */
    @FunctionalInterface
    public interface Lender {
        /** The memory of this range as {@link io.sidecore.actors.block.Store#lend} gives it; null for none. */
        MemorySegment lend(BlockOp op, long offset, int length);
    }

    /** From so many bytes on a copy costs more than the detour around it. */
    static final int LEND_MIN = 64 << 10;

    private static final int MAX_BATCH_BYTES = 1 << 20;

    private final long size;
    private final InFlightLedger ledger;
    private final Lender lender;
    private final QueueMemory memory;
    private final NbdInbox inbox;
    private final NbdReplies replies;
    private final Chain batch = new Chain();
    private final Chain refused = new Chain();
    private long drop;
    private long landingOffset;
    private long landingCookie;
    private boolean starved;
    private boolean disconnected;

    /** For an export of {@code size} bytes, with slots from {@code ledger}, memory from {@code pool}, and that of the medium where {@code lender} has it. */
    public NbdTransmission(long size, long inFlightBytes, InFlightLedger ledger, SlabPool pool, Lender lender) {
        this.size = size;
        this.ledger = ledger;
        this.lender = lender;
        this.memory = new QueueMemory(inFlightBytes, ledger, pool);
        this.inbox = new NbdInbox(memory);
        this.replies = new NbdReplies(memory);
    }

    // --- bytes in
    // -----------------------------------------------------------------------------------------------------

    /** Where the next bytes from the client belong, or null while there is no memory for them. Tell {@link #received} how many came. */
    public ByteBuffer receiveBuffer() {
        var room = inbox.room();
        if (room == null) {
            starved = true;
        }
        return room;
    }

    /** Where bytes that come behind those of the {@link #receiveBuffer()} in the same read belong; null if it is enough. */
    public ByteBuffer receiveBehind() {
        return inbox.behind();
    }

    /** So many bytes were put into the {@link #receiveBuffer()} and behind it. */
    public void received(int bytes) {
        inbox.received(bytes);
    }

    // --- requests out
    // -------------------------------------------------------------------------------------------------

    /**
     * The requests that have come in completely, at most a batch; null if there is none. Those that cannot be served are in {@link #refused()} instead.
     *
     * @throws NbdProtocolException if the client is out of step
     */
    public Request decode(int generation) throws NbdProtocolException {
        var bytes = 0L;
        starved = false;
        while (!disconnected && batch.count() + refused.count() < InFlightLedger.BATCH && bytes < MAX_BATCH_BYTES) {
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
            var request = inbox.landing() ? landed(generation) : decodeOne(generation);
            if (request == null) {
                break;
            }
            bytes += request.length();
        }
        return batch.take();
    }

    private Request decodeOne(int generation) throws NbdProtocolException {
        var b = inbox.slab().buffer().clear();
        var at = inbox.at();
        if (NbdRequestHeader.magic(b, at) != Nbd.REQUEST_MAGIC) {
            throw new NbdProtocolException(
                    "request does not begin with its magic number: 0x%x".formatted(NbdRequestHeader.magic(b, at)));
        }
        var type = NbdRequestHeader.type(b, at);
        if (type == Nbd.CMD_DISC) {
            disconnected = true;
            return null;
        }
        var offset = NbdRequestHeader.offset(b, at);
        var length = NbdRequestHeader.length(b, at);
        var cookie = NbdRequestHeader.cookie(b, at);
        var error = refusal(type, NbdRequestHeader.flags(b, at), offset, length);
        if (error != Errno.OK) {
            consumeHeader();
            drop = type == Nbd.CMD_WRITE ? length : 0;
            var request = ledger.open(BlockOp.FLUSH, 0, 0, cookie, generation);
            request.fail(error);
            refused.add(request);
            return request;
        }
        return switch (type) {
            case Nbd.CMD_READ -> read(offset, (int) length, cookie, generation);
            case Nbd.CMD_WRITE -> write(offset, (int) length, cookie, generation);
            default -> {
                consumeHeader();
                yield opened(ledger.open(BlockOp.FLUSH, 0, 0, cookie, generation));
            }
        };
    }

    private Errno refusal(int type, int flags, long offset, long length) {
        if (type > Nbd.CMD_FLUSH || flags != 0) {
            return Errno.EINVAL;
        }
        if (type == Nbd.CMD_FLUSH) {
            return Errno.OK;
        }
        if (length == 0 || length > Nbd.MAX_PAYLOAD) {
            return Errno.EINVAL;
        }
        if (offset < 0 || offset > size - length) {
            return type == Nbd.CMD_WRITE ? Errno.ENOSPC : Errno.EINVAL;
        }
        return Errno.OK;
    }

    private void consumeHeader() {
        inbox.consume(NbdRequestHeader.BYTES);
        inbox.readAhead();
    }

    private Request read(long offset, int length, long cookie, int generation) {
        var lent = length >= LEND_MIN ? lender.lend(BlockOp.READ, offset, length) : null;
        if (lent != null) {
            consumeHeader();
            var request = ledger.open(BlockOp.READ, offset, length, cookie, generation);
            request.lend(lent);
            return opened(request);
        }
        var slab = replies.slab(NbdSimpleReply.BYTES + length);
        if (slab == null) {
            starved = true;
            return null;
        }
        consumeHeader();
        var request = ledger.open(BlockOp.READ, offset, length, cookie, generation);
        request.payload(slab, slab.take(NbdSimpleReply.BYTES + length) + NbdSimpleReply.BYTES);
        return opened(request);
    }

    private Request write(long offset, int length, long cookie, int generation) {
        if (!inbox.has(NbdRequestHeader.BYTES + length)) {
            return length >= LEND_MIN ? land(offset, length, cookie, generation) : null;
        }
        var request = ledger.open(BlockOp.WRITE, offset, length, cookie, generation);
        inbox.slab().hold();
        request.payload(inbox.slab(), inbox.at() + NbdRequestHeader.BYTES);
        inbox.consume(NbdRequestHeader.BYTES + length);
        inbox.readAhead();
        return opened(request);
    }

    /** Has the rest of a payload received where it is to go. */
    private Request land(long offset, int length, long cookie, int generation) {
        var lent = lender.lend(BlockOp.WRITE, offset, length);
        if (lent == null) {
            inbox.readAhead();
            return null;
        }
        inbox.consume(NbdRequestHeader.BYTES);
        inbox.land(lent);
        landingOffset = offset;
        landingCookie = cookie;
        return null;
    }

    private Request landed(int generation) {
        var lent = inbox.landed();
        if (lent == null) {
            return null;
        }
        var request = ledger.open(BlockOp.WRITE, landingOffset, (int) lent.byteSize(), landingCookie, generation);
        request.lend(lent);
        return opened(request);
    }

    private Request opened(Request request) {
        batch.add(request);
        return request;
    }

    private boolean dropped() {
        var n = (int) Math.min(drop, inbox.available());
        inbox.consume(n);
        drop -= n;
        return drop == 0;
    }

    /** Requests that were refused since the last call, to be answered at once; null if none. */
    public Request refused() {
        return refused.take();
    }

    /** Forgets what was decoded and not handed out: its requests stay open in the ledger and end with it. */
    void dropDecoded() {
        batch.take();
        refused.take();
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
        var ok = request.error() == Errno.OK;
        var read = request.op() == BlockOp.READ;
        if (read && request.slab() != null) {
            // Its place was left free before the payload.
            var at = request.position() - NbdSimpleReply.BYTES;
            NbdSimpleReply.put(request.slab().buffer().clear(), at, wire(request.error()), request.cookie());
            replies.append(request.slab(), at, NbdSimpleReply.BYTES + (ok ? request.length() : 0));
        } else {
            // The bound is for payloads; an answer of 16 bytes must not fail.
            var slab = replies.slabBeyond(NbdSimpleReply.BYTES);
            var at = slab.take(NbdSimpleReply.BYTES);
            NbdSimpleReply.put(slab.buffer().clear(), at, wire(request.error()), request.cookie());
            replies.append(slab, at, NbdSimpleReply.BYTES);
            if (read && ok) {
                replies.append(request);
            }
            if (request.slab() != null) {
                release(request.slab());
            }
        }
        ledger.free(request);
    }

    private static int wire(Errno error) {
        return error.number();
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
    public ByteBuffer pending() {
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
        var lent = read.length() >= LEND_MIN ? lender.lend(BlockOp.READ, read.offset(), read.length()) : null;
        if (lent != null) {
            read.lend(lent);
            return true;
        }
        var bytes = NbdSimpleReply.BYTES + read.length();
        var slab = alone ? replies.slabBeyond(bytes) : replies.slab(bytes);
        if (slab == null) {
            starved = true;
            return false;
        }
        read.payload(slab, slab.take(bytes) + NbdSimpleReply.BYTES);
        return true;
    }

    /** One holder less. */
    public void release(Slab slab) {
        memory.release(slab);
    }

    /** Lets go of all memory but what stores still hold; the last of them gives it back by {@link #release}. */
    public void close() {
        for (var request : ledger.inUse()) {
            if (request.slab() != null) {
                release(request.slab());
            }
        }
        replies.close();
        inbox.close();
    }
}
