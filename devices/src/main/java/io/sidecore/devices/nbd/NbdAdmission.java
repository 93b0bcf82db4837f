package io.sidecore.devices.nbd;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Store.Answer;
import java.util.Arrays;

/** Which requests are served in a session, and why others are not (proto.md, "Command flags", "Request types", "Size constraints" and "Error values"). Pure, and allocates nothing but the text of a refusal. */
final class NbdAdmission {
    /** Whether a request is served. */
    enum Verdict {
        SERVED,
        UNKNOWN_COMMAND,
        NOT_OFFERED,
        WRONG_FLAGS,
        FLUSH_OF_A_RANGE,
        READ_ONLY,
        EMPTY,
        UNALIGNED,
        TOO_LARGE,
        OUTSIDE,
        SHUTTING_DOWN
    }

    private static final BlockOp[] OPS = {
        BlockOp.READ,
        BlockOp.WRITE,
        null,
        BlockOp.FLUSH,
        BlockOp.TRIM,
        BlockOp.CACHE,
        BlockOp.WRITE_ZEROES,
        BlockOp.STATUS
    };

    private static final int NOT_OFFERED = -1;

    private final long size;
    private final boolean readOnly;
    private final boolean structured;
    private final int minimum;
    private final int maximum;
    /** The flags that each command may have. */
    private final int[] flags = new int[OPS.length];

    private boolean shuttingDown;

    NbdAdmission(NbdSession session) {
        var can = session.export().capabilities();
        size = session.size();
        readOnly = session.export().readOnly();
        structured = session.structured();
        minimum = can.sizes().minimum();
        maximum = session.export().maxPayload();
        // FUA: on any command, where it was offered.
        Arrays.fill(flags, can.fua() == Answer.NONE ? 0 : Nbd.CMD_FLAG_FUA);
        flags[Nbd.CMD_READ] |= structured ? Nbd.CMD_FLAG_DF : 0;
        flags[Nbd.CMD_WRITE_ZEROES] |=
                Nbd.CMD_FLAG_NO_HOLE | (can.fastZero() == Answer.NONE ? 0 : Nbd.CMD_FLAG_FAST_ZERO);
        flags[Nbd.CMD_BLOCK_STATUS] |= Nbd.CMD_FLAG_REQ_ONE;
        offer(Nbd.CMD_FLUSH, can.flush() != Answer.NONE);
        offer(Nbd.CMD_TRIM, can.trim() != Answer.NONE);
        offer(Nbd.CMD_CACHE, can.cache() != Answer.NONE);
        offer(Nbd.CMD_WRITE_ZEROES, can.writeZeroes() != Answer.NONE);
        offer(Nbd.CMD_BLOCK_STATUS, session.allocation());
    }

    private void offer(int command, boolean whether) {
        if (!whether) {
            flags[command] = NOT_OFFERED;
        }
    }

    /** From now on nothing is served. */
    void shutDown() {
        shuttingDown = true;
    }

    /** The operation of a command that is {@linkplain Verdict#SERVED served}. */
    static BlockOp op(int command) {
        return OPS[command];
    }

    Verdict of(int command, int withFlags, long offset, long length) {
        if (shuttingDown) {
            return Verdict.SHUTTING_DOWN;
        }
        if (command >= OPS.length || OPS[command] == null) {
            return Verdict.UNKNOWN_COMMAND;
        }
        if (readOnly && OPS[command].changes()) {
            return Verdict.READ_ONLY;
        }
        if (flags[command] == NOT_OFFERED) {
            return Verdict.NOT_OFFERED;
        }
        if ((withFlags & ~flags[command]) != 0) {
            return Verdict.WRONG_FLAGS;
        }
        if (command == Nbd.CMD_FLUSH) {
            return offset == 0 && length == 0 ? Verdict.SERVED : Verdict.FLUSH_OF_A_RANGE;
        }
        return range(command, offset, length);
    }

    private Verdict range(int command, long offset, long length) {
        if (length == 0) {
            return Verdict.EMPTY;
        }
        if (length > maximum && OPS[command].hasPayload()) {
            return Verdict.TOO_LARGE;
        }
        if (((offset | length) & minimum - 1) != 0) {
            return Verdict.UNALIGNED;
        }
        return offset < 0 || offset > size - length ? Verdict.OUTSIDE : Verdict.SERVED;
    }

    /** The error for a request that is not served. */
    Errno errno(Verdict verdict, int command) {
        return switch (verdict) {
            case SERVED -> Errno.OK;
            case READ_ONLY -> Errno.EPERM;
            case SHUTTING_DOWN -> Errno.ESHUTDOWN;
            // proto.md has EOVERFLOW for reads only, and only where a smaller one may be tried instead.
            case TOO_LARGE -> command == Nbd.CMD_READ && structured ? Errno.EOVERFLOW : Errno.EINVAL;
            case OUTSIDE -> command == Nbd.CMD_WRITE || command == Nbd.CMD_WRITE_ZEROES ? Errno.ENOSPC : Errno.EINVAL;
            case UNKNOWN_COMMAND, NOT_OFFERED, WRONG_FLAGS, FLUSH_OF_A_RANGE, EMPTY, UNALIGNED -> Errno.EINVAL;
        };
    }

    /** Where the trouble begins, if that is a place within the request; −1 if not. */
    long offset(Verdict verdict, long offset) {
        return verdict == Verdict.OUTSIDE && offset >= 0 ? Math.max(offset, size) : -1;
    }

    /** What the client did, for a person to read. */
    String text(Verdict verdict, int command, int withFlags, long offset, long length) {
        return switch (verdict) {
            case SERVED -> "";
            case UNKNOWN_COMMAND -> "command " + command + " is unknown";
            case NOT_OFFERED ->
                command == Nbd.CMD_BLOCK_STATUS
                        ? "STATUS needs the context " + NbdMetaContexts.ALLOCATION
                                + ", which was not selected for this export"
                        : OPS[command] + " was not offered for this export";
            case WRONG_FLAGS ->
                "%s with the flags 0x%x; this export allows 0x%x".formatted(OPS[command], withFlags, flags[command]);
            case FLUSH_OF_A_RANGE -> "FLUSH takes no offset and no length";
            case READ_ONLY -> "the export is read-only";
            case EMPTY -> OPS[command] + " of nothing";
            case UNALIGNED -> range(OPS[command], offset, length) + ": both must be multiples of " + minimum + " bytes";
            case TOO_LARGE -> range(OPS[command], offset, length) + ": at most " + maximum + " bytes at a time";
            case OUTSIDE -> range(OPS[command], offset, length) + ": the export has " + size + " bytes";
            case SHUTTING_DOWN -> "the host is stopping";
        };
    }

    /** Why a store failed a request, for a person to read. */
    static String text(BlockOp op, long offset, long length, Errno error) {
        var what = op == BlockOp.FLUSH ? "FLUSH" : range(op, offset, length);
        return what
                + switch (error) {
                    case EPERM -> " is not permitted";
                    case ENOSPC -> ": no space is left";
                    case ENOTSUP -> " would be no faster than writing";
                    case ESHUTDOWN -> ": the host is stopping";
                    default -> " failed";
                };
    }

    private static String range(BlockOp op, long offset, long length) {
        return op + " of " + length + " bytes at " + Long.toUnsignedString(offset);
    }
}
