package io.sidecore.devices.nbd;

import io.sidecore.actors.block.Slab;
import io.sidecore.actors.block.SlabPool;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/**
 * The bytes that have come from the client and were not consumed yet, in a slab: payloads stay where they were received. A large payload for which a store lends the memory is received there instead; then nothing but its header is read
 * ahead, so that the next one can be received likewise.
 */
final class NbdInbox {
    private static final int SMALL = 4 << 10;

    private final QueueMemory memory;
    private Slab in;
    private int parsed;
    private int filled;
    private int needed;
    private @Nullable MemorySegment landing;
    private int landed;
    private boolean headersOnly;

    NbdInbox(QueueMemory memory) {
        this.memory = memory;
        this.in = memory.keep(memory.borrowBeyond(SlabPool.STANDARD));
        this.needed = NbdRequestHeader.BYTES;
    }

    // --- filling

    /** Where the next bytes belong, or null while there is no memory for them. */
    @Nullable
    ByteBuffer room() {
        if (landing != null) {
            return landing.asSlice(landed).asByteBuffer();
        }
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
        return in.buffer().limit(headersOnly ? parsed + needed : in.capacity()).position(filled);
    }

    /** Where bytes that come in the same read as the end of a {@link #room()} belong; null if they would have come there anyway. */
    @Nullable
    ByteBuffer behind() {
        if (landing == null || filled != parsed || in.capacity() - filled < NbdRequestHeader.BYTES) {
            return null;
        }
        return in.buffer().limit(filled + NbdRequestHeader.BYTES).position(filled);
    }

    /** So many bytes came, into the room first. */
    void received(int bytes) {
        if (landing != null) {
            var here = (int) Math.min(bytes, landing.byteSize() - landed);
            landed += here;
            bytes -= here;
        }
        filled += bytes;
    }

    private void compact() {
        MemorySegment.copy(in.memory(), parsed, in.memory(), 0, filled - parsed);
        filled -= parsed;
        parsed = 0;
    }

    private boolean moveTo(int capacity) {
        var next = memory.borrow(capacity);
        if (next == null) {
            return false;
        }
        MemorySegment.copy(in.memory(), parsed, next.memory(), 0, filled - parsed);
        filled -= parsed;
        parsed = 0;
        memory.drop(in);
        in = memory.keep(next);
        return true;
    }

    // --- consuming

    /** Whether so many unconsumed bytes are there; if not, {@link #room()} will be large enough for them. */
    boolean has(int bytes) {
        needed = bytes;
        return filled - parsed >= bytes;
    }

    /** Unconsumed bytes. */
    int available() {
        return filled - parsed;
    }

    /** The slab in which the unconsumed bytes lie, beginning at {@link #at()}. */
    Slab slab() {
        return in;
    }

    int at() {
        return parsed;
    }

    void consume(int bytes) {
        parsed += bytes;
        needed = NbdRequestHeader.BYTES;
    }

    /** Receives a payload into {@code into}, beginning with what is there already. */
    void land(MemorySegment into) {
        landed = (int) Math.min(available(), into.byteSize());
        MemorySegment.copy(in.memory(), parsed, into, 0, landed);
        consume(landed);
        landing = into;
        headersOnly = true;
    }

    /** Whether a payload is being received into lent memory. */
    boolean landing() {
        return landing != null;
    }

    /** Bytes of the payload that is being received into lent memory. */
    long landingBytes() {
        assert landing != null;
        return landing.byteSize();
    }

    /** The memory that was filled completely; null while it is not. */
    @Nullable
    MemorySegment landed() {
        var whole = landing;
        assert whole != null;
        if (landed < whole.byteSize()) {
            return null;
        }
        landing = null;
        return whole;
    }

    /** What comes next need not be received one by one. */
    void readAhead() {
        headersOnly = false;
    }

    void close() {
        memory.drop(in);
        landing = null;
    }
}
