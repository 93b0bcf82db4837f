package io.sidecore.it.simulation;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Capabilities;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Store;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.CompletionStage;

/** A store as another is; who extends it changes one thing. */
public class ForwardingStore implements Store {
    private final Store store;

    /** As {@code store} is. */
    public ForwardingStore(Store store) {
        this.store = store;
    }

    @Override
    public long size() {
        return store.size();
    }

    @Override
    public Capabilities capabilities() {
        return store.capabilities();
    }

    @Override
    public MemorySegment lend(BlockOp op, long offset, int length) {
        return store.lend(op, offset, length);
    }

    @Override
    public Request serve(Request chain, Completions later) {
        return store.serve(chain, later);
    }

    @Override
    public CompletionStage<Void> fence() {
        return store.fence();
    }

    @Override
    public void close() {
        store.close();
    }
}
