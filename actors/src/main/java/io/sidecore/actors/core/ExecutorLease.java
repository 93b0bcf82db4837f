package io.sidecore.actors.core;

import java.util.List;
import java.util.concurrent.AbstractExecutorService;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/** An executor that somebody else owns, lent as an executor service: shutting it down ends the lease, not the executor. */
public final class ExecutorLease extends AbstractExecutorService {
    private final Executor owned;
    private volatile boolean shutdown;

    /** Lends {@code owned}. */
    public ExecutorLease(Executor owned) {
        this.owned = owned;
    }

    @Override
    public void execute(Runnable command) {
        owned.execute(command);
    }

    @Override
    public void shutdown() {
        shutdown = true;
    }

    @Override
    public List<Runnable> shutdownNow() {
        shutdown = true;
        return List.of();
    }

    @Override
    public boolean isShutdown() {
        return shutdown;
    }

    @Override
    public boolean isTerminated() {
        return shutdown;
    }

    @Override
    public boolean awaitTermination(long timeout, TimeUnit unit) {
        return shutdown;
    }
}
