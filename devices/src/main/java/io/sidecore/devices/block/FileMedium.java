package io.sidecore.devices.block;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Capabilities;
import io.sidecore.actors.block.Capabilities.BlockSizes;
import io.sidecore.actors.block.Chain;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Extents;
import io.sidecore.actors.block.Fence;
import io.sidecore.actors.block.Medium;
import io.sidecore.actors.block.MediumException;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Store;
import io.sidecore.devices.linux.IoVector;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A medium in an {@link Image}: a raw file, a block device. What can be done without waiting is done on the loop: reads of what is in memory, and all data of an image that lies in memory. All else goes to {@link IoThreads}, one
 * hand-off for what a chain holds of it:
 *
 * <ul>
 *   <li>Writes that go to the page cache, trims and zeroes stand in one line for the image, worked off by one thread at a time: the file system lets one at a time in anyhow, and neighbours are joined into one call.
 *   <li>Reads that wait for a device, and direct writes, are spread over the threads, each for itself.
 *   <li>Flushes gather: one {@code fdatasync} serves all that wait when it begins. A write with FUA is written, then gathers with them.
 * </ul>
 *
 * <p><b>Failures.</b> A failed flush, or an image that is not the one that was opened any more, makes contents unknown: {@link #watch} hears of it and all stores answer EIO from then on; nothing of that is tried again. No space is
 * ENOSPC, a medium that has become read-only EPERM, an I/O error EIO, each for its request alone; {@link #conditions} say so until that is over. A failed image is let go once nothing is under way to it, so that it can be repaired:
 * unmounted, checked, restored.
 */
public final class FileMedium implements Medium {
    private static final Logger LOG = LoggerFactory.getLogger(FileMedium.class);

    /** Neighbouring writes are joined up to so many bytes. */
    private static final long JOIN_BYTES = 1 << 20;

    /** Answers are given back after so many bytes at the latest, so that the loop sends them while the rest is being written. */
    private static final long ANSWER_BYTES = 256 << 10;

    private static final int ANSWER_REQUESTS = 16;

    /** One thread stays with the line for so many batches, then others have their turn. */
    private static final int LINE_TURN = 16;

    /** How often it is looked whether the image is still the one that was opened, while it is used. */
    private static final long CHECK_NANOS = 1_000_000_000;

    private static final int FENCE_SECONDS = 30;

    private static final ThreadLocal<IoVector> VECTOR = ThreadLocal.withInitial(IoVector::new);

    private final Supplier<? extends Image> opener;
    private final IoThreads threads;
    private final Line line = new Line();
    private final Flushes flushes = new Flushes();
    private final Set<FileStore> stores = ConcurrentHashMap.newKeySet();
    /** Who writes shares it; a change of size has it alone, so that nothing is written behind a new end. */
    private final ReentrantReadWriteLock sizing = new ReentrantReadWriteLock();

    private final Conditions conditions = new Conditions();
    /** For the watcher; also the lock of who tells it. */
    private final ConcurrentLinkedQueue<Runnable> news = new ConcurrentLinkedQueue<>();

    private final AtomicBoolean failing = new AtomicBoolean();
    private final AtomicLong checkedAt = new AtomicLong(System.nanoTime());
    private volatile Mask image;
    private boolean closed;
    private volatile @Nullable String failure;
    private volatile Watcher watcher = why -> {};

    /**
     * Opens the image.
     *
     * @param opener opens the image, now and after a repair; it throws {@link MediumException} where that cannot be
     * @param threads at most so many wait for it at a time
     */
    public FileMedium(Supplier<? extends Image> opener, int threads) {
        this.opener = opener;
        this.image = new Mask(opener.get());
        this.threads = new IoThreads("sidecore-file", threads);
    }

    /** A raw file or block device of Linux. */
    public static FileMedium of(LinuxImage.Options options, int threads) {
        // A size is for the first time: it may have been changed since when the image is opened again.
        var first = new AtomicBoolean(true);
        return new FileMedium(
                () -> LinuxImage.open(
                        first.getAndSet(false)
                                ? options
                                : new LinuxImage.Options(
                                        options.path(), 0, false, options.readOnly(), options.direct())),
                threads);
    }

    @Override
    public Store open() {
        var store = new FileStore(image);
        stores.add(store);
        return store;
    }

    @Override
    public long size() {
        return image.size();
    }

    @Override
    public List<String> conditions() {
        return conditions.sentences();
    }

    /** Why its contents are unknown, if they are. */
    public Optional<String> failure() {
        return Optional.ofNullable(failure);
    }

    @Override
    public void watch(Watcher watcher) {
        this.watcher = watcher;
    }

    @Override
    public synchronized void resize(long bytes) {
        if (failure != null) {
            throw new MediumException(image.name() + " has failed: " + failure + "; recover it first");
        }
        if (image.traits().readOnly()) {
            throw new MediumException(image.name() + " is read-only");
        }
        if (closed) {
            throw new MediumException(image.name() + " was let go by a recovery that failed; recover it first");
        }
        sizing.writeLock().lock();
        try {
            image.check();
            image.resize(bytes);
        } catch (ImageException e) {
            throw new MediumException(e.getMessage(), e);
        } finally {
            sizing.writeLock().unlock();
        }
    }

    /** Opens the image anew, once nothing of before can reach it, and reads from the medium from then on what it has, not what memory remembers of a write that failed. */
    @Override
    public synchronized void recover() {
        var fenced = List.copyOf(stores).stream()
                .map(store -> store.fence().toCompletableFuture())
                .toArray(CompletableFuture[]::new);
        try {
            CompletableFuture.allOf(fenced).get(FENCE_SECONDS, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new MediumException("interrupted while waiting for requests to " + image.name(), e);
        } catch (TimeoutException | java.util.concurrent.ExecutionException e) {
            throw new MediumException(
                    "requests to " + image.name() + " have been under way for more than " + FENCE_SECONDS + " s", e);
        }
        stores.clear();
        var size = image.size();
        closeImage();
        Image again = opener.get();
        try {
            if (again.size() != size) {
                throw new MediumException(again.name() + " had " + size + " bytes and now has " + again.size()
                        + "; restore the image, or its size");
            }
            again.sync();
            again.forget();
            again.check();
        } catch (ImageException e) {
            again.close();
            throw new MediumException(e.getMessage(), e);
        } catch (RuntimeException e) {
            again.close();
            throw e;
        }
        image = new Mask(again);
        closed = false;
        tell(() -> conditions.clear().forEach(this::tellWell));
        spread();
        failure = null;
        failing.set(false);
    }

    private void closeImage() {
        if (!closed) {
            closed = true;
            image.close();
        }
    }

    /** What was written is made durable before. */
    @Override
    public void close() {
        // Not under the lock: one of them may wait for it, to let go of the image.
        threads.close();
        end();
    }

    private synchronized void end() {
        if (!closed && failure == null && !image.traits().readOnly()) {
            try {
                image.sync();
            } catch (RuntimeException e) {
                LOG.error("image {}: what was written since the last flush may be lost", image.name(), e);
            }
        }
        closeImage();
    }

    // --- failures
    // -----------------------------------------------------------------------------------------------------

    private void fail(String why) {
        if (failing.compareAndSet(false, true)) {
            failure = why;
            watcher.failed(why);
            letGoOnceIdle();
        }
    }

    /** A store has gone, or the image has failed: if both, and it was the last one, nobody will need the image before it is opened anew. */
    private void letGoOnceIdle() {
        if (failure != null && stores.isEmpty()) {
            try {
                threads.execute(this::letGo);
            } catch (RejectedExecutionException closing) {
                LOG.debug("image {} is being closed anyhow", image.name());
            }
        }
    }

    private synchronized void letGo() {
        if (failure != null && stores.isEmpty()) {
            // Who looks whether it still is the same one holds the other half.
            sizing.writeLock().lock();
            try {
                closeImage();
            } finally {
                sizing.writeLock().unlock();
            }
        }
    }

    /** Gives a request that failed its error, after it has been told to whom else it concerns. */
    private void fail(Request r, RuntimeException thrown) {
        if (!(thrown instanceof ImageException e)) {
            LOG.error("image {}: {} failed in a way that nobody thought of", image.name(), r, thrown);
            r.fail(Errno.EIO);
            return;
        }
        r.fail(e.kind().errno());
        if (e.kind() == ImageException.Kind.LOST) {
            fail(e.getMessage());
        } else if (e.kind() != ImageException.Kind.BEHIND_END) {
            tell(() -> conditions.failed(e, r).ifPresent(condition -> news.add(() -> watcher.degraded(condition))));
        }
    }

    private void succeeded(Request r) {
        if (!conditions.isEmpty()) {
            tell(() -> conditions.succeeded(r).forEach(this::tellWell));
        }
    }

    private void lookForRoom() {
        var wanted = conditions.wanted();
        if (wanted > 0 && image.hasRoom(wanted)) {
            tell(() -> conditions.roomAgain().ifPresent(this::tellWell));
        }
    }

    private void tellWell(String condition) {
        news.add(() -> watcher.well(condition));
    }

    /** What changes conditions, in the order in which it happens; the watcher hears of it from another thread, as it may log and a loop must not wait. */
    private void tell(Runnable change) {
        synchronized (conditions) {
            change.run();
        }
        if (!news.isEmpty()) {
            try {
                threads.execute(this::spread);
            } catch (RejectedExecutionException closing) {
                spread();
            }
        }
    }

    private void spread() {
        synchronized (news) {
            for (Runnable piece; (piece = news.poll()) != null; ) {
                piece.run();
            }
        }
    }

    private void checkNowAndThen() {
        var now = System.nanoTime();
        var before = checkedAt.get();
        if (now - before > CHECK_NANOS && checkedAt.compareAndSet(before, now)) {
            threads.execute(this::check);
        }
    }

    private void check() {
        sizing.readLock().lock();
        try {
            if (failure == null) {
                image.check();
                lookForRoom();
            }
        } catch (ImageException e) {
            fail(e.getMessage());
        } catch (RuntimeException e) {
            LOG.error("image {}: looking after it failed in a way that nobody thought of", image.name(), e);
        } finally {
            sizing.readLock().unlock();
        }
    }

    // --- requests on their way
    // ----------------------------------------------------------------------------------------

    /** Requests of one chain, from one store; inside the store's fence until it is {@link #done}. */
    private record Batch(FileStore store, Request chain, Store.Completions later) {
        void done() {
            store.fence.exit();
        }
    }

    private static void answer(Chain finished, Store.@Nullable Completions later) {
        for (Request r; (r = finished.poll()) != null; ) {
            assert later != null : r;
            later.complete(r);
        }
    }

    /** Whether it may go on to the image; if not it has its answer. */
    private boolean admit(FileStore store, Request r) {
        if (store.fence.isClosed()) {
            r.fail(Errno.RETURNED);
        } else if (failure != null) {
            r.fail(Errno.EIO);
        } else if (r.offset() > store.image.size() - r.length()) {
            r.fail(r.op().changes() ? Errno.ENOSPC : Errno.EIO);
        } else {
            return true;
        }
        return false;
    }

    /** The line in which writes to the page cache stand. */
    private final class Line implements Runnable {
        private final ConcurrentLinkedQueue<Batch> batches = new ConcurrentLinkedQueue<>();
        private final AtomicInteger waiting = new AtomicInteger();

        void add(Batch batch) {
            batches.offer(batch);
            if (waiting.getAndIncrement() == 0) {
                threads.execute(this);
            }
        }

        @Override
        public void run() {
            var finished = new Chain();
            Store.Completions later = null;
            var left = 1;
            var served = 0;
            for (var i = 0; i < LINE_TURN && left > 0; i++) {
                var batch = batches.poll();
                if (later != batch.later()) {
                    // Answers of one queue go back together, whatever the number of its chains.
                    answer(finished, later);
                    later = batch.later();
                }
                try {
                    served += serve(batch, finished);
                } finally {
                    batch.done();
                    left = waiting.decrementAndGet();
                }
            }
            answer(finished, later);
            threads.served(served);
            if (left > 0) {
                threads.execute(this);
            }
        }

        /** How many they were. */
        private int serve(Batch batch, Chain finished) {
            var joined = new Chain();
            var bytes = 0L;
            var count = 0;
            for (var r = batch.chain(); r != null; count++) {
                var following = r.unlink();
                if (!admit(batch.store(), r)) {
                    finished.add(r);
                } else if (r.op() == BlockOp.WRITE) {
                    // Neighbours go together; the last one says whether the next one is its neighbour.
                    joined.add(r);
                    bytes += r.length();
                    if (!continues(r, following, joined, bytes)) {
                        writeJoined(batch, joined, finished);
                        bytes = 0;
                    }
                } else {
                    change(batch, r, finished);
                }
                if (bytes == 0 && (finished.count() >= ANSWER_REQUESTS || weighty(finished))) {
                    answer(finished, batch.later());
                }
                r = following;
            }
            return count;
        }

        private boolean weighty(Chain finished) {
            return finished.first() != null && finished.first().length() * finished.count() >= ANSWER_BYTES;
        }

        private boolean continues(Request r, @Nullable Request following, Chain joined, long bytes) {
            return following != null
                    && following.op() == BlockOp.WRITE
                    && following.offset() == r.offset() + r.length()
                    && joined.count() < IoVector.MAX
                    && bytes + following.length() <= JOIN_BYTES
                    && following.offset() <= image.size() - following.length();
        }
    }

    private void writeJoined(Batch batch, Chain joined, Chain finished) {
        var store = batch.store();
        if (joined.count() > 1) {
            var vector = VECTOR.get().clear();
            var first = joined.first();
            assert first != null;
            for (var r = first; r != null; r = r.next()) {
                vector.add(r.memory(), r.position(), r.payloadBytes());
            }
            try {
                write(store, first.offset(), vector);
                for (Request r; (r = joined.poll()) != null; ) {
                    written(batch, r, finished);
                }
                return;
            } catch (RuntimeException e) {
                // Which of them it was is found out one by one.
                LOG.debug("a joined write failed", e);
            } finally {
                vector.clear();
            }
        }
        for (Request r; (r = joined.poll()) != null; ) {
            change(batch, r, finished);
        }
    }

    /** Makes one change; it is finished, or waits for a flush. */
    private void change(Batch batch, Request r, Chain finished) {
        try {
            change(batch.store(), r);
            written(batch, r, finished);
        } catch (RuntimeException e) {
            fail(r, e);
            finished.add(r);
        }
    }

    private void written(Batch batch, Request r, Chain finished) {
        succeeded(r);
        if (r.has(Request.FUA)) {
            flushes.add(batch.store(), r, batch.later());
        } else {
            finished.add(r);
        }
    }

    private void change(FileStore store, Request r) {
        switch (r.op()) {
            case WRITE -> {
                var vector = VECTOR.get().clear().add(r.memory(), r.position(), r.payloadBytes());
                try {
                    write(store, r.offset(), vector);
                } finally {
                    vector.clear();
                }
            }
            case TRIM -> within(store, r.offset(), r.length(), () -> store.image.trim(r.offset(), r.length()));
            case WRITE_ZEROES ->
                within(store, r.offset(), r.length(), () -> {
                    if (r.has(Request.NO_HOLE)) {
                        store.image.zero(r.offset(), r.length());
                    } else {
                        store.image.punch(r.offset(), r.length());
                    }
                });
            default -> throw new IllegalArgumentException(r.toString());
        }
    }

    private void write(FileStore store, long offset, IoVector vector) {
        within(store, offset, vector.bytes(), () -> store.image.write(offset, vector));
    }

    /** Nothing is changed behind the end, whenever that moves. */
    private void within(FileStore store, long offset, long length, Runnable change) {
        sizing.readLock().lock();
        try {
            if (offset > store.image.size() - length) {
                throw new ImageException(
                        ImageException.Kind.BEHIND_END,
                        "a change at " + offset + " lies behind the end of " + image.name());
            }
            change.run();
        } finally {
            sizing.readLock().unlock();
        }
    }

    /** Requests that wait for a device, each for itself: whoever runs this takes one after the other, and calls another thread as long as some are left. */
    private final class Spread implements Runnable {
        private final FileStore store;
        private final Store.Completions later;
        private final Chain waiting = new Chain();
        private final AtomicInteger unfinished;

        Spread(FileStore store, Chain requests, Store.Completions later) {
            this.store = store;
            this.later = later;
            this.unfinished = new AtomicInteger(requests.count());
            waiting.append(requests.take());
        }

        private synchronized @Nullable Request poll() {
            return waiting.poll();
        }

        private synchronized boolean isEmpty() {
            return waiting.isEmpty();
        }

        @Override
        public void run() {
            for (Request r; (r = poll()) != null; ) {
                if (!isEmpty()) {
                    threads.execute(this);
                }
                try {
                    serve(r);
                } finally {
                    if (unfinished.decrementAndGet() == 0) {
                        store.fence.exit();
                    }
                }
            }
        }

        private void serve(Request r) {
            if (!admit(store, r)) {
                later.complete(r);
                return;
            }
            try {
                switch (r.op()) {
                    case READ -> {
                        var vector = VECTOR.get().clear().add(r.memory(), r.position(), r.payloadBytes());
                        try {
                            store.image.read(r.offset(), vector);
                        } finally {
                            vector.clear();
                        }
                        succeeded(r);
                    }
                    case STATUS -> {
                        var found = new Extents(r.has(Request.ONE_EXTENT) ? 1 : Extents.MAX);
                        store.image.extents(r.offset(), r.length(), found);
                        r.extents(found);
                        succeeded(r);
                    }
                    case CACHE -> store.image.readAhead(r.offset(), r.length());
                    default -> {
                        change(store, r);
                        succeeded(r);
                        if (r.has(Request.FUA)) {
                            flushes.add(store, r, later);
                            return;
                        }
                    }
                }
            } catch (RuntimeException e) {
                fail(r, e);
            }
            later.complete(r);
        }
    }

    /** Who waits for a flush: one after the other, each for all that wait when it begins. */
    private final class Flushes implements Runnable {
        private record Waiting(FileStore store, Request request, Store.Completions later) {}

        private final ConcurrentLinkedQueue<Waiting> waiting = new ConcurrentLinkedQueue<>();
        private final AtomicInteger count = new AtomicInteger();

        /** The caller is inside the store's fence. */
        void add(FileStore store, Request r, Store.Completions later) {
            store.fence.stay();
            // Counted before it stands there: what is served was counted, and what is counted is served.
            var first = count.getAndIncrement() == 0;
            waiting.offer(new Waiting(store, r, later));
            if (first) {
                threads.execute(this);
            }
        }

        @Override
        public void run() {
            var served = new ArrayList<Waiting>();
            for (Waiting w; (w = waiting.poll()) != null; ) {
                served.add(w);
            }
            threads.served(served.size());
            var error = served.isEmpty() ? Errno.OK : sync();
            for (var w : served) {
                if (error != Errno.OK) {
                    w.request().fail(error);
                }
                w.later().complete(w.request());
                w.store().fence.exit();
            }
            if (count.addAndGet(-served.size()) > 0) {
                threads.execute(this);
            }
        }

        private Errno sync() {
            if (failure != null) {
                return Errno.EIO;
            }
            sizing.readLock().lock();
            try {
                image.sync();
            } catch (RuntimeException e) {
                fail("a flush failed: " + e.getMessage());
                return Errno.EIO;
            } finally {
                sizing.readLock().unlock();
            }
            // What was made durable in a file that nobody will find again is not durable.
            check();
            return failure == null ? Errno.OK : Errno.EIO;
        }
    }

    /** A way to the image as it was opened when the store was. */
    private final class FileStore implements Store {
        private final Fence fence = new Fence();
        private final Mask image;
        private final boolean parallelWrites;
        private final boolean inMemory;
        private final boolean fastZero;

        FileStore(Mask image) {
            this.image = image;
            this.parallelWrites = image.traits().parallelWrites();
            this.inMemory = image.traits().inMemory() && image.traits().sector() == 1;
            this.fastZero = image.answers().fastZero() == Answer.NATIVE;
        }

        @Override
        public long size() {
            return image.size();
        }

        @Override
        public Capabilities capabilities() {
            var answers = image.answers();
            var readOnly = image.traits().readOnly();
            var sector = image.traits().sector();
            return new Capabilities(
                    readOnly,
                    Answer.NATIVE,
                    readOnly ? Answer.NONE : Answer.EMULATED,
                    answers.trim(),
                    answers.writeZeroes(),
                    answers.fastZero(),
                    answers.readAhead(),
                    answers.extents(),
                    true,
                    new BlockSizes(1, Math.max(sector, BlockSizes.ANY.preferred()), BlockSizes.ANY.maximum()));
        }

        @Override
        public @Nullable Request serve(Request chain, Completions later) {
            if (!fence.enter()) {
                for (var r = chain; r != null; r = r.next()) {
                    r.fail(Errno.RETURNED);
                }
                return chain;
            }
            try {
                checkNowAndThen();
                return sort(chain, later);
            } finally {
                fence.exit();
            }
        }

        /** What is done at once is returned; the rest goes where it belongs, with one hand-off each. */
        private @Nullable Request sort(Request chain, Completions later) {
            var done = new Chain();
            var inLine = new Chain();
            var spread = new Chain();
            while (chain != null) {
                var following = chain.unlink();
                var r = chain;
                if (!admit(this, r)) {
                    done.add(r);
                } else {
                    switch (r.op()) {
                        case READ -> (readNow(r) ? done : spread).add(r);
                        case CACHE, STATUS -> spread.add(r);
                        case FLUSH -> flushes.add(this, r, later);
                        case WRITE, TRIM, WRITE_ZEROES -> {
                            if (image.traits().readOnly()) {
                                r.fail(Errno.EPERM);
                                done.add(r);
                            } else if (r.op() == BlockOp.WRITE_ZEROES && r.has(Request.FAST_ZERO) && !fastZero) {
                                r.fail(Errno.ENOTSUP);
                                done.add(r);
                            } else if (inMemory && r.op() == BlockOp.WRITE && writeNow(r, later, done)) {
                                // Written, and answered or waiting for a flush.
                            } else {
                                (parallelWrites && r.op() == BlockOp.WRITE ? spread : inLine).add(r);
                            }
                        }
                    }
                }
                chain = following;
            }
            var lined = inLine.take();
            if (lined != null) {
                fence.stay();
                line.add(new Batch(this, lined, later));
            }
            if (!spread.isEmpty()) {
                fence.stay();
                // Each for itself.
                threads.served(1);
                threads.execute(new Spread(this, spread, later));
            }
            return done.take();
        }

        private boolean readNow(Request r) {
            var vector = VECTOR.get().clear().add(r.memory(), r.position(), r.payloadBytes());
            try {
                if (!image.tryRead(r.offset(), vector)) {
                    return false;
                }
                succeeded(r);
                return true;
            } catch (RuntimeException e) {
                fail(r, e);
                return true;
            } finally {
                vector.clear();
            }
        }

        /** Into an image in memory, unless its size is being changed just now. */
        private boolean writeNow(Request r, Completions later, Chain done) {
            if (!sizing.readLock().tryLock()) {
                return false;
            }
            try {
                change(this, r);
                succeeded(r);
                if (r.has(Request.FUA)) {
                    flushes.add(this, r, later);
                    return true;
                }
            } catch (RuntimeException e) {
                fail(r, e);
            } finally {
                sizing.readLock().unlock();
            }
            done.add(r);
            return true;
        }

        @Override
        public CompletionStage<Void> fence() {
            return fence.close();
        }

        @Override
        public void close() {
            fence.close().whenComplete((cleared, e) -> {
                stores.remove(this);
                letGoOnceIdle();
            });
        }
    }
}
