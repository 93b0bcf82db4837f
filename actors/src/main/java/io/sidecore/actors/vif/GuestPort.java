package io.sidecore.actors.vif;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;

/**
 * A VIF as held by a guest inside this process: two bounded queues and four calls, none of which waits. What manages the VIF cannot be reached from here, by type. For one thread at a time, the guest's.
 *
 * <p>Payloads lie in the guest's memory, and are the service's from {@link #send} until the answer was received. There is one answer to each request that was sent, in any order; once the VIF has ended what it had not served is answered {@link Errno#ESHUTDOWN}, and there is never room again.
 *
 * <p>A signal comes once, after the guest was told that nothing is there: that {@link #isEmpty()}, that {@link #recv} had no answer, that {@link #isFull()} or that {@link Sent#FULL there was no room}. So the guest drains what there is, and waits. A signal may come in vain.
 *
 * <p>Source: Raj, Virtualization services, section 2.2: a VIF's queues.
 */
public interface GuestPort {
    /** What became of a request that was sent. */
    enum Sent {
        /** The service has it. */
        SENT,
        /** There is no room: once there is, {@link #signalRoom the signal} tells. After the end of the VIF there is none any more. */
        FULL,
        /** Its payload does not lie in the guest's memory, its range not on the device, it would write where that is not allowed, or it makes no sense: counted and reported, not served and not answered. */
        REFUSED
    }

    /** An answer; overwritten by each {@link #recv}. */
    final class Answer {
        /** What the guest called its request. */
        public long tag;
        /** How it ended. */
        public Errno error = Errno.OK;
    }

    /** Bytes of the device, at present. */
    long size();

    /** Whether nothing can be written through it. */
    boolean readOnly();

    /** Whether a request that is sent now would find no room. */
    boolean isFull();

    /**
     * Sends a request.
     *
     * <p>A guest that gives the service bad values gets {@link Sent#REFUSED} whether there is room or not.
     *
     * @param op READ, WRITE, FLUSH, TRIM or WRITE_ZEROES
     * @param flags of {@link io.sidecore.actors.block.Request}: FUA, NO_HOLE, FAST_ZERO; 0 for none
     * @param offset first byte on the device
     * @param length bytes of the range; 0 for a flush
     * @param address where the payload lies in the guest's memory; of no meaning to an operation without one
     * @param tag what the guest calls it
     */
    Sent send(BlockOp op, int flags, long offset, long length, long address, long tag);

    /** Whether no answer is there. */
    boolean isEmpty();

    /** Takes the next answer; false if there is none. */
    boolean recv(Answer into);

    /** Switches the signal that answers have come: {@code onBlock} or what else wakes the guest. Off: it has to look. On at first; switched on while answers are there, it comes. */
    void signalAnswers(boolean on);

    /** Switches the signal that there is room again. On at first; switched on while there is room, it comes. */
    void signalRoom(boolean on);
}
