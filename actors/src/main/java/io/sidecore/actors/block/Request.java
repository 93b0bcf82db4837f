package io.sidecore.actors.block;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * A request to a block device, and a slot of its queue's {@link InFlightLedger}: made once, used again and again. The element of a block stream is a
 * <em>chain</em> of requests, linked by {@link #next()}: what arrived in one poll, at most {@link InFlightLedger#BATCH}. A chain belongs to whoever was handed it; who
 * hands it on must not look at it again.
 *
 * <p>Fields are plain: a request is owned by one thread at a time and handed over through queues.
 */
public final class Request {
    /** The change is durable before it is answered (WRITE, WRITE_ZEROES, TRIM). */
    public static final int FUA = 1;
    /** The zeroed range keeps its space (WRITE_ZEROES). */
    public static final int NO_HOLE = 1 << 1;
    /** Refused with {@link Errno#ENOTSUP} unless it is faster than writing zeroes (WRITE_ZEROES). */
    public static final int FAST_ZERO = 1 << 2;
    /** One extent is enough, which ends within the range (STATUS). */
    public static final int ONE_EXTENT = 1 << 3;
    /** Flags from here on are the guest end's own. */
    public static final int GUESTS_OWN = 1 << 8;

    /** What {@link #arrivedAt()} is of a request that was decoded and never handed to its queue. */
    public static final long NOT_ARRIVED = Long.MIN_VALUE;

    /** What {@link #servedAt()} is until a store has been handed it. */
    public static final long NOT_SERVED = Long.MIN_VALUE;

    enum State {
        FREE,
        OPEN,
        ANSWERED,
        ORPHAN
    }

    private final int slot;
    private @Nullable Request next;
    /** Said when it is opened, before anybody has it. */
    @SuppressWarnings("NullAway.Init")
    private BlockOp op;

    private long offset;
    private long length;
    private int flags;
    private long cookie;
    private @Nullable Slab slab;
    private int position;
    private @Nullable MemorySegment lent;
    private boolean unsettled;
    private @Nullable Extents extents;
    private Errno error = Errno.OK;
    private long arrivedAt = NOT_ARRIVED;
    private long servedAt = NOT_SERVED;

    State state = State.FREE;
    long sequence;
    int generation;
    int replays;

    @Nullable
    Request freeNext;
    /** The store has it and has not given it back. */
    boolean inStore;

    Request(int slot) {
        this.slot = slot;
    }

    void open(BlockOp op, long offset, long length, int flags, long cookie) {
        this.op = op;
        this.offset = offset;
        this.length = length;
        this.flags = flags;
        this.extents = null;
        this.cookie = cookie;
        this.error = Errno.OK;
        this.next = null;
        this.replays = 0;
        this.inStore = false;
        this.arrivedAt = NOT_ARRIVED;
        this.servedAt = NOT_SERVED;
    }

    /** The same request once more, in another slot object: its predecessor may still be in a store's hands. */
    void takeOver(Request predecessor) {
        open(predecessor.op, predecessor.offset, predecessor.length, predecessor.flags, predecessor.cookie);
        slab = predecessor.slab;
        position = predecessor.position;
        lent = predecessor.lent;
        unsettled = predecessor.unsettled;
        arrivedAt = predecessor.arrivedAt;
        sequence = predecessor.sequence;
        replays = predecessor.replays;
    }

    /** Where its payload lies, null for nowhere yet; set by the queue's guest end when the request arrives. */
    public void payload(@Nullable Slab slab, int position) {
        this.slab = slab;
        this.position = position;
        this.lent = null;
    }

    /** Its payload is memory that a store has {@linkplain Store#lend lent}. */
    public void lend(MemorySegment memory) {
        this.slab = null;
        this.position = 0;
        this.lent = memory;
        this.unsettled = op == BlockOp.WRITE;
    }

    /** Ends the loan of a write; true the first time. */
    public boolean settle() {
        var first = unsettled;
        unsettled = false;
        return first;
    }

    /** Whether its payload is memory that a store has lent. */
    public boolean isLent() {
        return lent != null;
    }

    /** Its number in the ledger. */
    public int slot() {
        return slot;
    }

    /** What is asked. */
    public BlockOp op() {
        return op;
    }

    /** First byte on the device. */
    public long offset() {
        return offset;
    }

    /** Bytes of the range; zero for a flush. */
    public long length() {
        return length;
    }

    /** Bytes of the payload; zero for an operation without. */
    public int payloadBytes() {
        return op.hasPayload() ? (int) length : 0;
    }

    /** Whether a flag such as {@link #FUA} is set. */
    public boolean has(int flag) {
        return (flags & flag) != 0;
    }

    /** The answer to a {@link BlockOp#STATUS}; null until there is one. */
    public @Nullable Extents extents() {
        return extents;
    }

    /** Answers a {@link BlockOp#STATUS}. */
    public void extents(Extents found) {
        extents = found;
    }

    /** What the guest calls it; meaningful to the guest end only. */
    public long cookie() {
        return cookie;
    }

    /** The order of arrival at its queue. */
    public long sequence() {
        return sequence;
    }

    /** Says when it arrived: all of it was there. On the clock of its queue's loop. */
    public void arrived(long nanos) {
        arrivedAt = nanos;
    }

    /** When it arrived, whatever has been done to it since; {@link #NOT_ARRIVED} if it has not. */
    public long arrivedAt() {
        return arrivedAt;
    }

    /** Says when a store was handed it. */
    public void served(long nanos) {
        servedAt = nanos;
    }

    /** When a store was handed it last; {@link #NOT_SERVED} if none was. */
    public long servedAt() {
        return servedAt;
    }

    /** Memory in which the payload lies, beginning at {@link #position()}, {@link #payloadBytes()} bytes. */
    public MemorySegment memory() {
        if (lent != null) {
            return lent;
        }
        assert slab != null : this;
        return slab.memory();
    }

    /** The slab of the payload; null for a request without one, and for lent memory. */
    public @Nullable Slab slab() {
        return slab;
    }

    /** First byte of the payload in {@link #memory()}. */
    public int position() {
        return position;
    }

    /** How it ended; {@link Errno#OK} until it failed. */
    public Errno error() {
        return error;
    }

    /** Says that it failed. */
    public void fail(Errno why) {
        error = why;
    }

    /** The one behind it in its chain, null at the end. */
    public @Nullable Request next() {
        return next;
    }

    /** Links {@code following} behind it; returns this. */
    public Request link(@Nullable Request following) {
        next = following;
        return this;
    }

    /** Takes it out of its chain: returns what followed. */
    public @Nullable Request unlink() {
        var following = next;
        next = null;
        return following;
    }

    @Override
    public String toString() {
        return op + " " + offset + "+" + length + " #" + sequence + (error == Errno.OK ? "" : " " + error);
    }
}
