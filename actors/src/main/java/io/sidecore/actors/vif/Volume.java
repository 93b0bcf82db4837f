package io.sidecore.actors.vif;

import io.sidecore.actors.block.Capabilities;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Medium;
import io.sidecore.actors.block.MediumException;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Store;
import io.sidecore.conf.Amounts;
import io.sidecore.conf.AttachMode;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.spi.LoggingEventBuilder;

/**
 * A block resource: a medium, and the store through which it is reached at present. Entered from several loops. Safe for all threads; not touched per request, but
 * once a generation.
 */
public final class Volume {
    private static final Logger LOG = LoggerFactory.getLogger(Volume.class);

    private final String name;
    private final Medium medium;
    private final Set<Queue> queues = new LinkedHashSet<>();
    private final Set<Attachment> attachments = new LinkedHashSet<>();
    private final Set<Store> givenUp = ConcurrentHashMap.newKeySet();
    private volatile Store store;
    private volatile @Nullable String failure;
    private volatile Medium.Watcher watcher = why -> {};

    /** A volume of this name on {@code medium}, which it does not close. */
    public Volume(String name, Medium medium) {
        this.name = name;
        this.medium = medium;
        this.store = medium.open();
        medium.watch(new MediumWatch());
    }

    /** Its name, valid everywhere. */
    public String name() {
        return name;
    }

    /** Bytes, at present. */
    public long size() {
        return medium.size();
    }

    /** Bytes that its contents take where they are kept; empty where that is not known. */
    public OptionalLong allocated() {
        return medium.allocated();
    }

    /** How much {@link #allocated()} may become; empty where nothing is said of it. */
    public OptionalLong limit() {
        return medium.limit();
    }

    /** What its store can do. */
    public Capabilities capabilities() {
        return store.capabilities();
    }

    /** Why it failed, if it did: its contents are unknown and every request is answered EIO until {@link #recover()}. */
    public Optional<String> failure() {
        return Optional.ofNullable(failure);
    }

    /** What is wrong with its medium at present though it serves, a sentence each: no space, read-only, I/O errors. */
    public List<String> conditions() {
        return medium.conditions();
    }

    /** Who holds it. */
    public synchronized List<Attachment> attachments() {
        return List.copyOf(attachments);
    }

    /**
     * Takes hold of it.
     *
     * @param holder the id of the VIF
     * @throws AttachmentRefusedException if another holds it in a way that does not go with {@code mode}
     */
    public synchronized Attachment attach(String holder, AttachMode mode) {
        var capabilities = capabilities();
        if (mode != AttachMode.READ_ONLY) {
            if (capabilities.readOnly()) {
                throw new AttachmentRefusedException(
                        "volume " + name + " cannot be written: its medium is read-only",
                        "attach it with mode = read-only");
            }
            for (var other : attachments) {
                if (other.mode() == AttachMode.EXCLUSIVE
                        || other.mode() == AttachMode.SHARED && mode == AttachMode.EXCLUSIVE) {
                    throw new AttachmentRefusedException(
                            "volume " + name + " is held by " + other,
                            "end that, attach this one with mode = read-only, or both with mode = shared");
                }
            }
        }
        var attachment = new Attachment(this, holder, mode, capabilities);
        attachments.add(attachment);
        return attachment;
    }

    void settle(long offset, long length) {
        medium.settle(offset, length);
    }

    synchronized void detach(Attachment attachment) {
        attachments.remove(attachment);
    }

    /**
     * Makes it larger or smaller while it is used: who attaches or connects from now on sees the new size. May block.
     *
     * @throws io.sidecore.actors.block.MediumException if it cannot be; nothing is changed then
     */
    public void resize(long bytes) {
        var before = size();
        medium.resize(bytes);
        about(LOG.atInfo()).log("volume {}: resized from {} to {}", name, Amounts.size(before), Amounts.size(bytes));
    }

    /**
     * After a repair: looks at the medium anew, and serves again if it is sound. May block.
     *
     * @throws io.sidecore.actors.block.MediumException if it still is not
     */
    public void recover() {
        if (failure == null) {
            return;
        }
        if (!givenUp.isEmpty()) {
            throw new MediumException(
                    "a store that was given up can still reach the medium, and might undo what is written now; "
                            + "recover the volume once it has answered, or start the host anew");
        }
        medium.recover();
        servesAgain();
    }

    private synchronized void servesAgain() {
        about(LOG.atInfo()).log("volume {} serves again; it had failed: {}", name, failure);
        store = medium.open();
        failure = null;
        queues.forEach(Queue::reopen);
    }

    /** Cuts a store off; until that is done, {@link #recover()} is refused. */
    private CompletableFuture<Void> giveUp(Store former) {
        givenUp.add(former);
        return former.fence().toCompletableFuture().thenRun(() -> {
            givenUp.remove(former);
            former.close();
        });
    }

    Store store() {
        return store;
    }

    /** The present store; not before a replacement that is under way has been made. */
    synchronized Store storeAfterChange() {
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
        about(LOG.atInfo()).log("volume {}: its store is being replaced", name);
        var all = new ArrayList<CompletableFuture<Void>>();
        all.add(giveUp(hung));
        store = medium.open();
        for (var queue : queues) {
            all.add(queue.reopen().toCompletableFuture());
        }
        return CompletableFuture.allOf(all.toArray(CompletableFuture[]::new));
    }

    /** Gives it up: from now on every request is answered EIO. */
    public synchronized void fail(String why) {
        if (failure == null) {
            about(LOG.atError()).log("volume {} has failed: {}", name, why);
            failure = why;
            var given = store;
            store = new Failed(given);
            var _ = giveUp(given);
            queues.forEach(Queue::reopen);
            watcher.failed(why);
        }
    }

    /** Tells {@code watcher} whenever it fails, and what its medium has to say; on any thread, and it must not wait. */
    public void watch(Medium.Watcher watcher) {
        this.watcher = watcher;
    }

    private LoggingEventBuilder about(LoggingEventBuilder line) {
        return line.addKeyValue("volume", name);
    }

    private final class MediumWatch implements Medium.Watcher {
        @Override
        public void failed(String why) {
            fail(why);
        }

        @Override
        public void degraded(String condition) {
            about(LOG.atWarn()).log("volume {}: {}", name, condition);
            watcher.degraded(condition);
        }

        @Override
        public void well(String condition) {
            about(LOG.atInfo()).log("volume {} is well again; it had been: {}", name, condition);
            watcher.well(condition);
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
    private static final class Failed implements Store {
        private final Store former;

        Failed(Store former) {
            this.former = former;
        }

        @Override
        public long size() {
            return former.size();
        }

        @Override
        public Capabilities capabilities() {
            return former.capabilities();
        }

        @Override
        public @Nullable Request serve(Request chain, Completions later) {
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
