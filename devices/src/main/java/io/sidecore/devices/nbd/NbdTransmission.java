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
import java.util.ArrayDeque;

/**
 * The transmission phase with simple replies (proto.md, "Transmission"). Pure: bytes in, requests out; completions in, bytes out. Payloads are not copied: a write's stays where it was received, a read's is
 * filled in right behind the place of its reply header, so that replies in order are one contiguous run of bytes.
 *
 * <p>All memory comes from slabs and is bounded by {@code inFlightBytes}; when it or the ledger's slots are used up, {@link #decode} answers null and {@link #starved()} is true until something is given back.
 */
public final class NbdTransmission {
    /** A contiguous stretch of bytes to send. */
    private static final class Run {
        Slab slab;
        int from;
        int to;
        int holds;
    }

    private static final int SMALL = 4 << 10;
    private static final int MAX_BATCH_BYTES = 1 << 20;

    private final long size;
    private final long inFlightBytes;
    private final InFlightLedger ledger;
    private final SlabPool pool;
    private final Chain batch = new Chain();
    private final Chain refused = new Chain();
    private final ArrayDeque<Run> runs = new ArrayDeque<>();
    private final ArrayDeque<Run> spareRuns = new ArrayDeque<>();
    private long heldBytes;
    private Slab in;
    private int parsed;
    private int filled;
    private int needed = NbdRequestHeader.BYTES;
    private long drop;
    private Slab out;
    private boolean starved;
    private boolean disconnected;

    /** For an export of {@code size} bytes, with slots from {@code ledger} and memory from {@code pool}. */
    public NbdTransmission(long size, long inFlightBytes, InFlightLedger ledger, SlabPool pool) {
        this.size = size;
        this.inFlightBytes = inFlightBytes;
        this.ledger = ledger;
        this.pool = pool;
        this.in = borrow(SlabPool.STANDARD);
        this.out = borrow(SlabPool.STANDARD);
    }

    // --- bytes in
    // -----------------------------------------------------------------------------------------------------

    /** Where the next bytes from the client belong, or null while there is no memory for them. Tell {@link #received} how many came. */
    public ByteBuffer receiveBuffer() {
        if (in.live() == 0
                && in.capacity() > SlabPool.STANDARD
                && needed <= SlabPool.STANDARD
                && filled - parsed <= SMALL) {
            // A large request is over: its large slab goes back.
            if (!moveTo(SlabPool.STANDARD)) {
                return null;
            }
        }
        if (in.live() == 0 && parsed > 0 && filled - parsed <= SMALL) {
            compact();
        }
        if (parsed + needed > in.capacity()) {
            if (in.live() == 0 && needed <= in.capacity()) {
                compact();
            } else if (!moveTo(Math.max(needed, SlabPool.STANDARD))) {
                return null;
            }
        }
        return in.buffer().limit(in.capacity()).position(filled);
    }

    /** So many bytes were put into the {@link #receiveBuffer()}. */
    public void received(int bytes) {
        filled += bytes;
    }

    private void compact() {
        MemorySegment.copy(in.memory(), parsed, in.memory(), 0, filled - parsed);
        filled -= parsed;
        parsed = 0;
    }

    private boolean moveTo(int capacity) {
        var next = borrow(capacity);
        if (next == null) {
            starved = true;
            return false;
        }
        MemorySegment.copy(in.memory(), parsed, next.memory(), 0, filled - parsed);
        filled -= parsed;
        parsed = 0;
        var former = in;
        in = next;
        if (former.live() == 0) {
            giveBack(former);
        }
        return true;
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
            needed = NbdRequestHeader.BYTES;
            if (filled - parsed < needed) {
                break;
            }
            if (!ledger.hasRoom()) {
                starved = true;
                break;
            }
            var request = decodeOne(generation);
            if (request == null) {
                break;
            }
            bytes += request.length();
        }
        return batch.take();
    }

    private Request decodeOne(int generation) throws NbdProtocolException {
        var b = in.buffer();
        b.limit(in.capacity());
        if (NbdRequestHeader.magic(b, parsed) != Nbd.REQUEST_MAGIC) {
            throw new NbdProtocolException(
                    "request does not begin with its magic number: 0x%x".formatted(NbdRequestHeader.magic(b, parsed)));
        }
        var type = NbdRequestHeader.type(b, parsed);
        if (type == Nbd.CMD_DISC) {
            disconnected = true;
            return null;
        }
        var offset = NbdRequestHeader.offset(b, parsed);
        var length = NbdRequestHeader.length(b, parsed);
        var cookie = NbdRequestHeader.cookie(b, parsed);
        var error = refusal(type, NbdRequestHeader.flags(b, parsed), offset, length);
        if (error != Errno.OK) {
            parsed += NbdRequestHeader.BYTES;
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
                parsed += NbdRequestHeader.BYTES;
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

    private Request read(long offset, int length, long cookie, int generation) {
        var slab = replySlab(NbdSimpleReply.BYTES + length);
        if (slab == null) {
            starved = true;
            return null;
        }
        parsed += NbdRequestHeader.BYTES;
        var request = ledger.open(BlockOp.READ, offset, length, cookie, generation);
        request.payload(slab, slab.take(NbdSimpleReply.BYTES + length) + NbdSimpleReply.BYTES);
        return opened(request);
    }

    private Request write(long offset, int length, long cookie, int generation) {
        needed = NbdRequestHeader.BYTES + length;
        if (filled - parsed < needed) {
            return null;
        }
        var request = ledger.open(BlockOp.WRITE, offset, length, cookie, generation);
        in.hold();
        request.payload(in, parsed + NbdRequestHeader.BYTES);
        parsed += needed;
        needed = NbdRequestHeader.BYTES;
        return opened(request);
    }

    private Request opened(Request request) {
        batch.add(request);
        return request;
    }

    private boolean dropped() {
        var n = (int) Math.min(drop, filled - parsed);
        parsed += n;
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
        if (request.op() == BlockOp.READ) {
            var at = request.position() - NbdSimpleReply.BYTES;
            NbdSimpleReply.put(request.slab().buffer().clear(), at, wire(request.error()), request.cookie());
            send(request.slab(), at, NbdSimpleReply.BYTES + (ok ? request.length() : 0));
        } else {
            var slab = replySlab(NbdSimpleReply.BYTES);
            if (slab == null) {
                // The bound is for payloads; an answer of 16 bytes must not fail.
                slab = retireFor(SlabPool.STANDARD);
            }
            var at = slab.take(NbdSimpleReply.BYTES);
            NbdSimpleReply.put(slab.buffer().clear(), at, wire(request.error()), request.cookie());
            send(slab, at, NbdSimpleReply.BYTES);
            if (request.slab() != null) {
                release(request.slab());
            }
        }
        ledger.free(request);
    }

    private static int wire(Errno error) {
        return error.number();
    }

    private void send(Slab slab, int from, int bytes) {
        var last = runs.peekLast();
        if (last != null && last.slab == slab && last.to == from) {
            last.to += bytes;
            last.holds++;
            return;
        }
        var run = spareRuns.isEmpty() ? new Run() : spareRuns.poll();
        run.slab = slab;
        run.from = from;
        run.to = from + bytes;
        run.holds = 1;
        runs.add(run);
    }

    /** The next bytes to send, null if there are none. Tell {@link #sent} how many went. */
    public ByteBuffer pending() {
        var run = runs.peek();
        return run == null ? null : run.slab.buffer().limit(run.to).position(run.from);
    }

    /** So many bytes of {@link #pending()} were sent. */
    public void sent(int bytes) {
        var run = runs.peek();
        run.from += bytes;
        if (run.from == run.to) {
            runs.poll();
            for (var i = 0; i < run.holds; i++) {
                release(run.slab);
            }
            run.slab = null;
            spareRuns.push(run);
        }
    }

    // --- memory
    // -------------------------------------------------------------------------------------------------------

    /** New memory for a read that is issued again while a store may still write into the old. */
    public void renew(Request read) {
        var bytes = NbdSimpleReply.BYTES + read.length();
        var slab = replySlab(bytes);
        if (slab == null) {
            slab = retireFor(bytes);
        }
        read.payload(slab, slab.take(bytes) + NbdSimpleReply.BYTES);
    }

    /** One holder less. */
    public void release(Slab slab) {
        if (slab.release() && slab != in && slab != out) {
            giveBack(slab);
        }
    }

    /** Lets go of all memory but what stores still hold; the last of them gives it back by {@link #release}. */
    public void close() {
        for (Run run; (run = runs.poll()) != null; ) {
            for (var i = 0; i < run.holds; i++) {
                release(run.slab);
            }
        }
        for (var request : ledger.inUse()) {
            if (request.slab() != null) {
                release(request.slab());
            }
        }
        var first = in;
        var second = out;
        in = null;
        out = null;
        for (var slab : new Slab[] {first, second}) {
            if (slab.live() == 0) {
                giveBack(slab);
            }
        }
    }

    private Slab replySlab(int bytes) {
        if (bytes > SlabPool.STANDARD) {
            return borrow(bytes);
        }
        if (out.room() < bytes) {
            var next = borrow(SlabPool.STANDARD);
            if (next == null) {
                return null;
            }
            out = next;
        }
        return out;
    }

    private Slab retireFor(int bytes) {
        var slab = pool.borrow(bytes);
        heldBytes += slab.capacity();
        if (slab.capacity() == SlabPool.STANDARD) {
            out = slab;
        }
        return slab;
    }

    private Slab borrow(int bytes) {
        var rounded = Math.ceilDiv(bytes, SlabPool.STANDARD) * (long) SlabPool.STANDARD;
        // One request always fits, or it could never be served.
        if (heldBytes + rounded > inFlightBytes && ledger.used() > 0) {
            return null;
        }
        var slab = pool.borrow(bytes);
        heldBytes += slab.capacity();
        return slab;
    }

    private void giveBack(Slab slab) {
        heldBytes -= slab.capacity();
        pool.giveBack(slab);
    }
}
