package io.sidecore.actors.vif;

import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Store;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A block resource: a medium, and the store through which it is reached at present. Entered from several loops. Safe for all threads; not touched per request, but
 * once a generation.
 */
public final class Volume {
    private static final Logger LOG = LoggerFactory.getLogger(Volume.class);

    private final String name;
    private final Supplier<Store> medium;
    private final Set<Queue> queues = new LinkedHashSet<>();
    private final long size;
    private final Store.Capabilities capabilities;
    private volatile Store store;
    private volatile String failure;

    /** A volume of this name; {@code medium} opens a new store on it whenever one is needed. */
    public Volume(String name, Supplier<Store> medium) {
        this.name = name;
        this.medium = medium;
        this.store = medium.get();
        this.size = store.size();
        this.capabilities = store.capabilities();
    }

    /** Its name, valid everywhere. */
    public String name() {
        return name;
    }

    /** Bytes. */
    public long size() {
        return size;
    }

    /** What its store can do. */
    public Store.Capabilities capabilities() {
        return capabilities;
    }

    /** Why it failed, if it did: its contents are unknown and every request is answered EIO. */
    public Optional<String> failure() {
        return Optional.ofNullable(failure);
    }

    Store store() {
        return store;
    }

    synchronized void attach(Queue queue) {
        queues.add(queue);
    }

    synchronized void detach(Queue queue) {
        queues.remove(queue);
    }

    /**
     * Replaces the store: a new one is opened on the medium, the old one is fenced, every queue moves over and issues again what the old one did not answer. For a store that hangs.
     *
     * @return completed once the old store can no longer reach the medium and every queue serves through the new one
     */
    public CompletionStage<Void> replace() {
        return replace(store);
    }

    synchronized CompletionStage<Void> replace(Store hung) {
        if (store != hung || failure != null) {
            return CompletableFuture.completedFuture(null);
        }
        LOG.info("volume {}: its store is being replaced", name);
        store = medium.get();
        var all = new ArrayList<CompletableFuture<Void>>();
        all.add(hung.fence().toCompletableFuture());
        for (var queue : queues) {
            all.add(queue.reopen().toCompletableFuture());
        }
        return CompletableFuture.allOf(all.toArray(CompletableFuture[]::new)).whenComplete((done, e) -> hung.close());
    }

    /** Gives it up: from now on every request is answered EIO. */
    public synchronized void fail(String why) {
        if (failure == null) {
            LOG.error("volume {} has failed: {}", name, why);
            failure = why;
            var given = store;
            store = new Failed();
            given.fence().whenComplete((cleared, e) -> given.close());
            queues.forEach(Queue::reopen);
        }
    }

    /** Lets go of the store. Queues must have ended. */
    public void close() {
        store.close();
    }

    @Override
    public String toString() {
        return "Volume(" + name + ")";
    }

    /** What a failed volume is reached through. */
    private final class Failed implements Store {
        @Override
        public long size() {
            return size;
        }

        @Override
        public Capabilities capabilities() {
            return capabilities;
        }

        @Override
        public Request serve(Request chain, Completions later) {
            for (var r = chain; r != null; r = r.next()) {
                r.fail(Errno.EIO);
            }
            return chain;
        }

        @Override
        public CompletionStage<Void> fence() {
            return CompletableFuture.completedFuture(null);
        }

        @Override
        public void close() {}
    }
}
