package io.sidecore.actors.vif;

import io.sidecore.actors.block.Request;
import org.jspecify.annotations.Nullable;

/**
 * The guest's side of a queue: a connection, a virtqueue, a ring. It turns what the guest sends into requests and answers into what the guest receives; it keeps the
 * socket, the codec's state and the payload memory, all of which outlive the streams. Everything is called on the queue's loop and must not wait.
 */
public interface GuestEnd {
    /** Begins to listen on the queue's present loop; tells the queue by {@link ServiceEnd#ready()} when there is something to {@link #receive()}. Called again after a move. */
    void attach(ServiceEnd queue);

    /** Stops listening: nothing of it stays on the loop. */
    void detach();

    /**
     * The next requests, opened in the queue's ledger: a chain of at most {@link io.sidecore.actors.block.InFlightLedger#BATCH}, or null when the guest has not sent any or no room is left for more. After a
     * null {@link ServiceEnd#ready()} is called once that changes.
     */
    @Nullable
    Request receive();

    /** Answers a chain of requests, in this order; frees each in the ledger once its answer has left. */
    void answer(Request chain);

    /**
     * Gives memory to a read that is issued again without: a store may still write into its old one, or has lent it and may be another store now.
     *
     * @param alone whether nothing else of the queue is being served; then there is memory for it, whatever the bounds
     * @return false if there is none now; {@link ServiceEnd#ready()} is called once that changes
     */
    boolean renew(Request read, boolean alone);

    /** A store gave back a request that was replaced meanwhile: its memory is no longer held by it. */
    void release(Request orphan);

    /** {@link ServiceEnd#fenced()} has become true; also after {@link #close}. For an end whose payloads are not its own. */
    default void fenced() {}

    /** The queue ends and serves nothing more: what the guest has asked already, and was not received, is refused where the protocol has words for it. */
    void refuseRest();

    /** Requests that were refused and not even answered, so far. Any thread. */
    default long refused() {
        return 0;
    }

    /** Whether every answer has left and the guest, if it was refused the rest, has seen that; or none can leave any more. {@link ServiceEnd#ready()} is called when that becomes so. */
    boolean flushed();

    /** The queue has ended: let go of the guest. {@code reason} for the log. */
    void close(String reason);
}
