package io.sidecore.actors.block;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.CompletionStage;
import org.jspecify.annotations.Nullable;

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

    /** Where a store gives back what it finished later. */
    @FunctionalInterface
    interface Completions {
        /** Gives back one request, unlinked, exactly once. Any thread. */
        void complete(Request request);
    }

    /** Size of the medium in bytes, at present. */
    long size();

    /** What it can do. */
    Capabilities capabilities();

    /**
     * Lends the medium's own memory as the payload of a large request, so that nothing is copied. A read's is read-only and shows the medium at the time it is looked at, between the request and its answer. What is put into a write's is on the
     * medium at once, before the request is served: allowed, since a write that was asked for and not answered may be there, not there, or there in part. So it is also if the store is fenced in between: each payload is put there once, before its request is first served, and never over what was written later. If the request is not going to be served, {@link Medium#settle} says so.
     *
     * @return exactly this range, valid as long as the volume has queues; null if it has none to lend, or the range is not all there
     */
    default @Nullable MemorySegment lend(BlockOp op, long offset, int length) {
        return null;
    }

    /**
     * Serves a chain. Must not wait. Requests lay within the medium when they were asked for; if it has become smaller since, what lies beyond its end is answered {@link Errno#EIO} (reads) or {@link Errno#ENOSPC}. A request with {@link Request#FUA} is
     * answered when it is durable.
     *
     * @param chain the requests, now the store's
     * @param later takes those finished after this call returned
     * @return those finished already, as a chain in order; null if none. Success or failure stands in each request
     */
    @Nullable
    Request serve(Request chain, Completions later);

    /**
     * Cuts the store off from its medium. Requests that it is given afterwards come back as {@link Errno#RETURNED}. May be called again.
     *
     * @return completed once nothing issued through this store can reach the medium any more, nor the payload of a request
     */
    CompletionStage<Void> fence();

    /** Lets go of what it holds. The medium stays. */
    @Override
    void close();
}
