package io.sidecore.actors.vif;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.core.Count;
import org.jspecify.annotations.Nullable;

/**
 * Which requests of a guest inside this process are served. A guest is hostile: what it sends may be anything, and is judged here, on the guest's thread, by values that are read once. What is refused goes nowhere: it is counted, and the listener is told. One for each queue; for the
 * guest's thread, but for the count.
 */
public final class GuestAdmission {
    /** Bytes of a range without a payload, at most. */
    public static final int MAX_RANGE = 1 << 30;

    /** Why a request is refused. */
    public enum Refusal {
        /** An operation that guests do not have, flags that the operation does not have, or a length that it cannot have. */
        MALFORMED,
        /** A change through an attachment that is read-only. */
        READ_ONLY,
        /** Offset or length are no multiple of what the device needs. */
        UNALIGNED,
        /** More bytes than one request may have. */
        TOO_LARGE,
        /** Its range is not on the device. */
        OUTSIDE_DEVICE,
        /** Its payload is not in the guest's memory. */
        OUTSIDE_MEMORY
    }

    /** Hears of refused requests: evidence against the guest. On the guest's thread, as often as the guest likes; it must not wait, and bounds what it keeps. */
    @FunctionalInterface
    public interface Listener {
        /** A request was refused; the rest is what the guest said. */
        void refused(Refusal why, @Nullable BlockOp op, int flags, long offset, long length, long address);
    }

    private static final int CHANGE_FLAGS = Request.FUA;
    private static final int ZERO_FLAGS = Request.FUA | Request.NO_HOLE | Request.FAST_ZERO;

    private final Attachment attachment;
    private final GuestMemory memory;
    private final Listener listener;
    private final boolean readOnly;
    private final int alignment;
    private final int maxPayload;
    private final Count refused = new Count();

    /** For a guest with this memory that reaches a volume by {@code attachment}. */
    public GuestAdmission(Attachment attachment, GuestMemory memory, Listener listener) {
        this.attachment = attachment;
        this.memory = memory;
        this.listener = listener;
        this.readOnly = attachment.readOnly();
        var sizes = attachment.capabilities().sizes();
        this.alignment = sizes.minimum();
        this.maxPayload = sizes.maximum();
    }

    /** Whether it is served; if not it has been counted and reported. A request that is admitted has an address below 2 GiB. */
    public boolean admits(@Nullable BlockOp op, int flags, long offset, long length, long address) {
        var why = refusal(op, flags, offset, length, address);
        if (why == null) {
            return true;
        }
        refused.add(1);
        listener.refused(why, op, flags, offset, length, address);
        return false;
    }

    private @Nullable Refusal refusal(@Nullable BlockOp op, int flags, long offset, long length, long address) {
        if (op == null) {
            return Refusal.MALFORMED;
        }
        return switch (op) {
            case READ -> flags != 0 ? Refusal.MALFORMED : payload(op, offset, length, address);
            case WRITE -> (flags & ~CHANGE_FLAGS) != 0 ? Refusal.MALFORMED : payload(op, offset, length, address);
            case TRIM -> (flags & ~CHANGE_FLAGS) != 0 ? Refusal.MALFORMED : range(op, offset, length, MAX_RANGE);
            case WRITE_ZEROES -> (flags & ~ZERO_FLAGS) != 0 ? Refusal.MALFORMED : range(op, offset, length, MAX_RANGE);
            case FLUSH -> flags != 0 || offset != 0 || length != 0 ? Refusal.MALFORMED : null;
            case CACHE, STATUS -> Refusal.MALFORMED;
        };
    }

    private @Nullable Refusal payload(BlockOp op, long offset, long length, long address) {
        var why = range(op, offset, length, maxPayload);
        if (why != null) {
            return why;
        }
        return address < 0 || address > memory.bytes() - length ? Refusal.OUTSIDE_MEMORY : null;
    }

    private @Nullable Refusal range(BlockOp op, long offset, long length, int max) {
        if (length <= 0) {
            return Refusal.MALFORMED;
        }
        if (readOnly && op.changes()) {
            return Refusal.READ_ONLY;
        }
        if (length > max) {
            return Refusal.TOO_LARGE;
        }
        if (((offset | length) & alignment - 1) != 0) {
            return Refusal.UNALIGNED;
        }
        return offset < 0 || offset > attachment.size() - length ? Refusal.OUTSIDE_DEVICE : null;
    }

    /** Requests refused so far. Any thread. */
    public long refused() {
        return refused.get();
    }

    /** Bytes that the guest can reach at present: whole blocks. */
    public long size() {
        var bytes = attachment.size();
        return bytes - bytes % alignment;
    }

    /** Whether nothing can be written. */
    public boolean readOnly() {
        return readOnly;
    }
}
