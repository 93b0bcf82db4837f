package io.sidecore.runtime.guest;

import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;

/** Work that may wait, aside from an actor or a loop: on a virtual thread of its own. */
public final class Aside {
    private Aside() {}

    /** Does it; the stage fails with whatever it throws. */
    public static <T> CompletableFuture<T> run(String thread, Callable<T> work) {
        var done = new CompletableFuture<T>();
        Thread.ofVirtual().name(thread).start(() -> {
            try {
                done.complete(work.call());
            } catch (Throwable e) {
                done.completeExceptionally(e);
            }
        });
        return done;
    }
}
