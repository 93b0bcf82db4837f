package io.sidecore.actors.block;

import java.util.concurrent.CompletionStage;

/**
 * One way to reach a medium. Batch-wise and asynchronous: a chain goes in; what is done at once comes back from the call, the rest later. Used by several
 * loops at the same time. A medium may be reached by several stores in turn; a {@link #fence() fenced} one does not reach it again.
 */
public interface Store extends AutoCloseable {
    /** How well a store does something: natively, by emulation, or not at all. */
    enum Answer {
        NONE,
        EMULATED,
        NATIVE
    }

    /**
     * What a store can do; asked once an attachment.
     *
     * @param flush whether a flush makes earlier writes durable (a memory store: against nothing less than the loss of the process)
     * @param sharedFlush whether a flush through one connection covers the writes completed through all (NBD's MULTI_CONN)
     */
    record Capabilities(Answer flush, boolean sharedFlush) {}

    /** Where a store gives back what it finished later. */
    @FunctionalInterface
    interface Completions {
        /** Gives back one request, unlinked, exactly once. Any thread. */
        void complete(Request request);
    }

    /** Size of the medium in bytes. */
    long size();

    /** What it can do. */
    Capabilities capabilities();

    /**
     * Serves a chain. Must not wait. Requests lie within the medium; the caller has seen to that.
     *
     * @param chain the requests, now the store's
     * @param later takes those finished after this call returned
     * @return those finished already, as a chain in order; null if none. Success or failure stands in each request
     */
    Request serve(Request chain, Completions later);

    /**
     * Cuts the store off from its medium. Requests that it is given afterwards come back as {@link Errno#RETURNED}. May be called again.
     *
     * @return completed once nothing issued through this store can reach the medium any more
     */
    CompletionStage<Void> fence();

    /** Lets go of what it holds. The medium stays. */
    @Override
    void close();
}
