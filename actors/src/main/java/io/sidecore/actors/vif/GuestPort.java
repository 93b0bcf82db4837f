package io.sidecore.actors.vif;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;

/**
 * A VIF as held by a guest inside this process: two bounded queues and four calls, none of which waits. What manages the VIF cannot be reached from here, by type. For one thread at a time, the guest's.
 *
 * <p>Payloads lie in the guest's memory, and are the service's from {@link #send} until the answer was received.
 *
 * <p>Source: Raj, Virtualization services, section 2.2: a VIF's queues.
 */
public interface GuestPort {
    /** What became of a request that was sent. */
    enum Sent {
        /** The service has it. */
        SENT,
        /** There is no room: once there is, {@link #signalRoom} tells. */
        FULL,
        /** Its payload does not lie in the guest's memory, or its range not on the device: counted and reported, not served and not answered. */
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

    /** Switches the signal that answers have come: {@code onBlock} or what else wakes the guest. Off: it has to look. On at first. */
    void signalAnswers(boolean on);

    /** Switches the signal that there is room again after {@link Sent#FULL}. On at first. */
    void signalRoom(boolean on);
}
