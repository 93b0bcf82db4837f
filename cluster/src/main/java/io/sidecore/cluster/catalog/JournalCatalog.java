package io.sidecore.cluster.catalog;

import io.sidecore.actors.catalog.Catalog;
import io.sidecore.actors.catalog.CatalogChange;
import io.sidecore.actors.catalog.CatalogCommand;
import io.sidecore.actors.catalog.CatalogEntry;
import io.sidecore.actors.catalog.CatalogException;
import io.sidecore.actors.catalog.CatalogKey;
import io.sidecore.actors.catalog.CatalogResult;
import io.sidecore.actors.catalog.CatalogState;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A catalog in a journal file: what a single host has created at run time is there again when it starts. Opens in milliseconds; one thread of its own writes, and changes that come while it forces the
 * disk share the next force.
 *
 * <p>Of a data directory it uses {@code catalog.journal}, {@code catalog.journal.new} and {@code catalog.lock}, readable by their owner only.
 */
public final class JournalCatalog implements Catalog {
    private static final Logger LOG = LoggerFactory.getLogger(JournalCatalog.class);

    /**
     * What a journal is bounded by.
     *
     * @param waiting how many changes may wait for the disk before further ones are refused
     * @param garbageBytes the journal is compacted when it has this many bytes that are not needed any more, and at least half of it is not needed
     */
    public record Bounds(int waiting, long garbageBytes) {
        /** 1,024 changes; 1 MiB. */
        public static final Bounds DEFAULT = new Bounds(1024, 1 << 20);

        /**
         * Checks them.
         *
         * @throws IllegalArgumentException if one is not positive
         */
        public Bounds {
            if (waiting < 1 || garbageBytes < 1) {
                throw new IllegalArgumentException("the bounds of a journal are positive, not " + waiting
                        + " changes and " + garbageBytes + " bytes");
            }
        }
    }

    private final JournalStorage storage;
    private final Journal journal;
    private final Bounds bounds;
    private final Thread thread;
    private final CopyOnWriteArrayList<Watcher> watchers = new CopyOnWriteArrayList<>();

    /** Guards what is durable; held for moments, never over I/O. */
    private final ReentrantLock stateLock = new ReentrantLock();

    private final CatalogState durable;

    /** Guards what waits, and how the keeper ends. */
    private final ReentrantLock queueLock = new ReentrantLock();

    private final Condition queueChanged = queueLock.newCondition();
    private final ArrayDeque<Pending> queue = new ArrayDeque<>();
    private @Nullable Supplier<CatalogException> ended;
    private boolean stop;

    // The keeper thread's own.
    private CatalogState working;
    private long compactAt;

    /** A command on its way. */
    private record Pending(CatalogCommand command, CompletableFuture<CatalogEntry> answer) {}

    /** A batch that was decided: what to append, and what each command is answered when that is durable. */
    private record Decided(List<Pending> batch, List<CatalogResult> results, List<CatalogCommand> accepted) {}

    private JournalCatalog(JournalStorage storage, LongSupplier salts, Bounds bounds) throws IOException {
        this.storage = storage;
        this.bounds = bounds;
        var opened = Journal.open(storage, salts);
        journal = opened.journal();
        durable = opened.state();
        working = durable.copy();
        compactAt = bounds.garbageBytes();
        thread = Thread.ofPlatform().name("sidecore-catalog").daemon(true).unstarted(this::keep);
    }

    /**
     * Opens the catalog of a data directory; creates what is missing.
     *
     * @throws CatalogException.Unreadable if the journal is damaged or of a newer version: the sentence names file and offset, and says what to do
     * @throws CatalogException.Unavailable if another host uses the directory, or it cannot be read or written
     */
    public static JournalCatalog open(Path directory) {
        return open(directory, Bounds.DEFAULT);
    }

    /** Opens the catalog of a data directory with bounds of one's own; see {@link #open(Path)}. */
    public static JournalCatalog open(Path directory, Bounds bounds) {
        try {
            return open(DirectoryStorage.lock(directory), new SecureRandom()::nextLong, bounds);
        } catch (IOException e) {
            throw new CatalogException.Unavailable(
                    "the catalog in " + directory.toAbsolutePath() + " cannot be opened: " + Journal.reason(e), e);
        }
    }

    /** Opens the catalog in a storage, which it closes. */
    static JournalCatalog open(JournalStorage storage, LongSupplier salts, Bounds bounds) throws IOException {
        try {
            var catalog = unkept(storage, salts, bounds);
            catalog.thread.start();
            return catalog;
        } catch (IOException | RuntimeException e) {
            try {
                storage.close();
            } catch (IOException atClosing) {
                e.addSuppressed(atClosing);
            }
            throw e;
        }
    }

    /** A catalog without a thread: whoever calls {@link #turn} is its keeper. */
    static JournalCatalog unkept(JournalStorage storage, LongSupplier salts, Bounds bounds) throws IOException {
        return new JournalCatalog(storage, salts, bounds);
    }

    // ---- what is asked, on any thread ----

    @Override
    public CompletionStage<Optional<CatalogEntry>> get(CatalogKey key) {
        return read(state -> state.get(key));
    }

    @Override
    public CompletionStage<List<CatalogEntry>> list(String kind) {
        return read(state -> state.list(kind));
    }

    @Override
    public CompletionStage<Watch> watch(String kind, Consumer<CatalogChange> watcher) {
        return read(state -> {
            // Under the lock under which changes become durable: each of them is in the entries or will be told.
            var watch = new Watcher(kind, watcher, state.list(kind), state.revision());
            watchers.add(watch);
            return watch;
        });
    }

    private <T> CompletionStage<T> read(Function<CatalogState, T> question) {
        queueLock.lock();
        try {
            if (ended != null) {
                return CompletableFuture.failedStage(ended.get());
            }
        } finally {
            queueLock.unlock();
        }
        stateLock.lock();
        try {
            return CompletableFuture.completedStage(question.apply(durable));
        } finally {
            stateLock.unlock();
        }
    }

    @Override
    public CompletionStage<CatalogEntry> put(CatalogKey key, String value, long expected) {
        return submit(new CatalogCommand.Put(key, expected, value));
    }

    @Override
    public CompletionStage<CatalogEntry> delete(CatalogKey key, long expected) {
        return submit(new CatalogCommand.Delete(key, expected));
    }

    private CompletionStage<CatalogEntry> submit(CatalogCommand command) {
        queueLock.lock();
        try {
            if (ended != null) {
                return CompletableFuture.failedStage(ended.get());
            }
            if (queue.size() >= bounds.waiting()) {
                return CompletableFuture.failedStage(
                        new CatalogException.Unavailable("the catalog does not take the change of " + command.key()
                                + ": " + queue.size() + " changes wait for " + storage.path(Journal.NAME)
                                + "; try again when the disk has caught up"));
            }
            var pending = new Pending(command, new CompletableFuture<>());
            queue.add(pending);
            queueChanged.signal();
            return pending.answer.minimalCompletionStage();
        } finally {
            queueLock.unlock();
        }
    }

    @Override
    public void close() {
        queueLock.lock();
        try {
            stop = true;
            end(() -> new CatalogException.Unavailable("the catalog in " + storage.path(Journal.NAME) + " is closed"));
            queueChanged.signal();
        } finally {
            queueLock.unlock();
        }
        awaitEnd();
    }

    private void end(Supplier<CatalogException> sentence) {
        if (ended == null) {
            ended = sentence;
        }
    }

    private void awaitEnd() {
        // A watcher may close the catalog that calls it; the thread ends after that call.
        if (Thread.currentThread() == thread) {
            return;
        }
        var interrupted = false;
        while (true) {
            try {
                thread.join();
                break;
            } catch (InterruptedException _) {
                // Whoever closes relies on the directory being free afterwards; the interrupt is handed on below.
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    // ---- the keeper's thread ----

    private void keep() {
        try {
            while (turn()) {
                // Each turn serves a batch.
            }
        } catch (Throwable e) {
            // A defect of ours, or no memory: what waits is answered below, and the cause is not lost.
            LOG.error("The catalog in {} has failed; it takes no more changes", storage.path(Journal.NAME), e);
            fail(e);
        } finally {
            release(journal);
            release(storage);
        }
    }

    /** Waits for something to do and does it. Returns false at the end. */
    boolean turn() {
        var batch = next();
        if (!batch.isEmpty()) {
            serve(batch);
        }
        return !batch.isEmpty();
    }

    /** Whether nobody knows what a crash would leave on the disk. */
    boolean inDoubt() {
        return journal.inDoubt();
    }

    private void fail(Throwable cause) {
        var waiting = new ArrayList<Pending>();
        CatalogException sentence;
        queueLock.lock();
        try {
            end(() -> new CatalogException.Unavailable(
                    "the catalog in " + storage.path(Journal.NAME) + " has failed (" + cause + "); restart the host",
                    cause));
            waiting.addAll(queue);
            queue.clear();
            assert ended != null;
            sentence = ended.get();
        } finally {
            queueLock.unlock();
        }
        waiting.forEach(pending -> pending.answer.completeExceptionally(sentence));
    }

    private void release(Closeable closeable) {
        Thread.interrupted();
        try {
            closeable.close();
        } catch (IOException e) {
            LOG.warn("The catalog in {} cannot be closed properly: {}", storage.path(Journal.NAME), Journal.reason(e));
        }
    }

    /** What is to be written next, at most a frame's worth; empty at the end. */
    private List<Pending> next() {
        queueLock.lock();
        try {
            while (queue.isEmpty() && !stop) {
                queueChanged.awaitUninterruptibly();
            }
            var batch = new ArrayList<Pending>();
            long bytes = 0;
            while (!queue.isEmpty() && bytes < Journal.FULL_FRAME_BYTES) {
                var pending = queue.remove();
                bytes += CommandCodec.FIXED_BYTES + chars(pending.command);
                batch.add(pending);
            }
            return batch;
        } finally {
            queueLock.unlock();
        }
    }

    private static int chars(CatalogCommand command) {
        var key = command.key().kind().length() + command.key().name().length();
        return key + (command instanceof CatalogCommand.Put put ? put.value().length() : 0);
    }

    private void serve(List<Pending> batch) {
        // What depends on an answer runs on this thread and may have interrupted it; an interrupt closes a channel.
        Thread.interrupted();
        try {
            var decided = decide(batch);
            try {
                store(decided);
            } catch (IOException e) {
                working = durable.copy();
                refuse(batch, e);
                return;
            }
            publish(decided);
            answer(decided);
        } catch (Throwable e) {
            batch.forEach(pending -> pending.answer.completeExceptionally(
                    new CatalogException.Unavailable("the catalog has failed (" + e + "); restart the host", e)));
            throw e;
        }
        Thread.interrupted();
        compact();
    }

    private Decided decide(List<Pending> batch) {
        var results = new ArrayList<CatalogResult>();
        var accepted = new ArrayList<CatalogCommand>();
        for (var pending : batch) {
            var result = working.apply(pending.command);
            results.add(result);
            if (result instanceof CatalogResult.Changed) {
                accepted.add(pending.command);
            }
        }
        return new Decided(batch, results, accepted);
    }

    private void store(Decided decided) throws IOException {
        if (decided.accepted.isEmpty()) {
            return;
        }
        if (journal.inDoubt()) {
            journal.replace(durable);
            LOG.info("The catalog's journal {} has been written anew and is sound again", storage.path(Journal.NAME));
        }
        journal.append(decided.accepted, durable.revision() + 1);
    }

    private void refuse(List<Pending> batch, IOException cause) {
        LOG.warn("{} changes of the catalog cannot be stored: {}", batch.size(), Journal.reason(cause));
        for (var pending : batch) {
            pending.answer.completeExceptionally(new CatalogException.Unavailable(
                    pending.command.key() + " was not changed: " + storage.path(Journal.NAME) + " cannot be written ("
                            + Journal.reason(cause) + "); see to the disk and try again",
                    cause));
        }
    }

    /** Makes visible what is durable, and tells it. */
    private void publish(Decided decided) {
        if (decided.accepted.isEmpty()) {
            return;
        }
        stateLock.lock();
        try {
            decided.accepted.forEach(durable::apply);
        } finally {
            stateLock.unlock();
        }
        for (var result : decided.results) {
            if (result instanceof CatalogResult.Changed(var change)) {
                watchers.forEach(watcher -> watcher.tell(change));
            }
        }
    }

    private static void answer(Decided decided) {
        for (int i = 0; i < decided.batch.size(); i++) {
            var answer = decided.batch.get(i).answer;
            switch (decided.results.get(i)) {
                case CatalogResult.Changed(var change) ->
                    answer.complete(change.after().or(change::before).orElseThrow());
                case CatalogResult.Conflict conflict ->
                    answer.completeExceptionally(new CatalogException.Conflict(conflict));
                case CatalogResult.Full full -> answer.completeExceptionally(new CatalogException.Full(full));
            }
        }
    }

    private void compact() {
        var garbage = journal.garbageBytes(durable);
        if (journal.inDoubt() || garbage < compactAt || garbage < journal.bytes() / 2) {
            return;
        }
        try {
            var before = journal.bytes();
            journal.replace(durable);
            compactAt = bounds.garbageBytes();
            LOG.debug("Compacted {} from {} to {} bytes", storage.path(Journal.NAME), before, journal.bytes());
        } catch (IOException e) {
            // The old file serves on. Not at every change again: a full disk would be written full each time.
            compactAt = garbage + bounds.garbageBytes();
            LOG.warn("The catalog's journal {} cannot be compacted: {}", storage.path(Journal.NAME), Journal.reason(e));
        }
    }

    private final class Watcher implements Watch {
        private final String kind;
        private final Consumer<CatalogChange> consumer;
        private final List<CatalogEntry> entries;
        private final long since;

        Watcher(String kind, Consumer<CatalogChange> consumer, List<CatalogEntry> entries, long since) {
            this.kind = kind;
            this.consumer = consumer;
            this.entries = entries;
            this.since = since;
        }

        void tell(CatalogChange change) {
            if (change.revision() <= since || !change.key().kind().equals(kind)) {
                return;
            }
            try {
                consumer.accept(change);
            } catch (RuntimeException e) {
                watchers.remove(this);
                LOG.error("A watcher of the catalog's {}s failed at {} and is not called again", kind, change, e);
            }
        }

        @Override
        public List<CatalogEntry> entries() {
            return entries;
        }

        @Override
        public void close() {
            watchers.remove(this);
        }
    }
}
