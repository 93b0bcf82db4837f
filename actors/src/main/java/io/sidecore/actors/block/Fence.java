package io.sidecore.actors.block;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A gate before a medium: passed by any number of threads until it is closed; closing it completes when the last of those inside has left. What a store does to its
 * medium it does between {@link #enter} and {@link #exit}.
 */
public final class Fence {
    private static final int CLOSED = 1 << 31;

    private final AtomicInteger state = new AtomicInteger();
    private final CompletableFuture<Void> cleared = new CompletableFuture<>();

    /** Goes in; false if the gate is closed, then {@link #exit} must not be called. */
    public boolean enter() {
        if (state.incrementAndGet() < 0) {
            exit();
            return false;
        }
        return true;
    }

    /** One more is inside, let in by somebody who is: work that he hands on. Also while the gate is being closed; {@link #exit} once more. */
    public void stay() {
        state.incrementAndGet();
    }

    /** Comes out. */
    public void exit() {
        if (state.decrementAndGet() == CLOSED) {
            cleared.complete(null);
        }
    }

    /** Whether it was closed. */
    public boolean isClosed() {
        return state.get() < 0;
    }

    /** Closes the gate; completed when nobody is inside any more. */
    public CompletionStage<Void> close() {
        if (state.getAndUpdate(s -> s | CLOSED) == 0) {
            cleared.complete(null);
        }
        return cleared;
    }
}
