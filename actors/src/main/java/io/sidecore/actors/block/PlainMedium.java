package io.sidecore.actors.block;

import io.sidecore.actors.block.Capabilities.BlockSizes;
import io.sidecore.actors.block.Store.Answer;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import org.jspecify.annotations.Nullable;

/**
 * A medium of one's own that knows how to read and how to write; everything else that is asked of a medium and its stores is done here. Its methods are called on the thread of a loop, where nothing may wait; or on an executor's, where they may.
 *
 * <pre>{@code
 * final class HeapMedium extends PlainMedium {
 *     private final MemorySegment bytes;
 *
 *     HeapMedium(int size) {
 *         super(size);
 *         bytes = MemorySegment.ofArray(new byte[size]);
 *     }
 *
 *     protected void read(long offset, MemorySegment into) {
 *         into.copyFrom(bytes.asSlice(offset, into.byteSize()));
 *     }
 *
 *     protected void write(long offset, MemorySegment from) {
 *         bytes.asSlice(offset, from.byteSize()).copyFrom(from);
 *     }
 * }
 * }</pre>
 *
 * <p>Several threads may call at a time: connections that are served by different loops, requests on an executor. A method that throws fails its request with {@link Errno#EIO}; the medium then counts as degraded until requests have succeeded for a
 * second.
 */
public abstract class PlainMedium implements Medium {
    private static final Executor AT_ONCE = Runnable::run;
    private static final long WELL_AFTER_NANOS = 1_000_000_000;

    private final long size;
    private final Executor executor;
    private volatile Watcher watcher = why -> {};
    private volatile String condition = "";
    private volatile long failedAt;

    /**
     * One whose methods never wait: they are called on loops.
     *
     * @param size bytes; a multiple of 512
     */
    protected PlainMedium(long size) {
        this(size, AT_ONCE);
    }

    /**
     * One whose methods may wait.
     *
     * @param size bytes; a multiple of 512
     * @param executor calls them, off the loops; as many requests are under way as it has threads. It belongs to the caller. Its threads should be there already: one that a sidecore's loop starts stays on the sidecore's core
     */
    protected PlainMedium(long size, Executor executor) {
        if (size <= 0 || size % 512 != 0) {
            throw new IllegalArgumentException("a medium of " + size + " bytes; expected a positive multiple of 512");
        }
        this.size = size;
        this.executor = executor;
    }

    /**
     * Fills {@code into}, which is a request's payload and must not be kept, with what stands at {@code offset}. The range lies within the medium.
     *
     * @throws IOException if it cannot: the request fails
     */
    protected abstract void read(long offset, MemorySegment into) throws IOException;

    /**
     * Puts {@code from}, which is a request's payload and must not be kept, at {@code offset}. The range lies within the medium.
     *
     * @throws IOException if it cannot: the request fails, and the range may have been written in part
     */
    protected abstract void write(long offset, MemorySegment from) throws IOException;

    /**
     * Makes durable what was written before. Nothing to do by default.
     *
     * @throws IOException if it cannot: the request fails
     */
    protected void flush() throws IOException {}

    /** Gives the medium up: its contents are unknown. Until {@link #recover()} its volume answers EIO. */
    protected final void fail(String why) {
        watcher.failed(why);
    }

    /** What its stores can do: reads, writes and flushes of any alignment. */
    protected Capabilities capabilities() {
        return new Capabilities(
                false,
                Answer.NATIVE,
                Answer.EMULATED,
                Answer.NONE,
                Answer.NONE,
                Answer.NONE,
                Answer.NONE,
                Answer.NONE,
                true,
                BlockSizes.ANY);
    }

    @Override
    public final long size() {
        return size;
    }

    /** Refused. */
    @Override
    public final void resize(long bytes) {
        throw new MediumException("a " + getClass().getSimpleName() + " cannot be given another size");
    }

    @Override
    public final void watch(Watcher watcher) {
        this.watcher = watcher;
    }

    @Override
    public final List<String> conditions() {
        var present = condition;
        return present.isEmpty() ? List.of() : List.of(present);
    }

    /** Sound again, unless overridden. */
    @Override
    public void recover() {}

    /** Nothing to let go of, unless overridden. */
    @Override
    public void close() {}

    @Override
    public final Store open() {
        return new PlainStore();
    }

    private void troubled(Throwable e) {
        failedAt = System.nanoTime();
        String told;
        synchronized (this) {
            if (!condition.isEmpty()) {
                return;
            }
            told = "I/O errors: " + (e instanceof IOException ? e.getMessage() : e.toString());
            condition = told;
        }
        watcher.degraded(told);
    }

    private void succeeded() {
        if (condition.isEmpty() || System.nanoTime() - failedAt < WELL_AFTER_NANOS) {
            return;
        }
        String over;
        synchronized (this) {
            over = condition;
            condition = "";
        }
        if (!over.isEmpty()) {
            watcher.well(over);
        }
    }

    private final class PlainStore implements Store {
        private final Fence fence = new Fence();

        @Override
        public long size() {
            return size;
        }

        @Override
        public Capabilities capabilities() {
            return PlainMedium.this.capabilities();
        }

        @Override
        public @Nullable Request serve(Request chain, Completions later) {
            if (executor == AT_ONCE) {
                for (var r = chain; r != null; r = r.next()) {
                    serve(r);
                }
                return chain;
            }
            var refused = new Chain();
            while (chain != null) {
                var request = chain;
                chain = request.unlink();
                try {
                    executor.execute(() -> {
                        serve(request);
                        later.complete(request);
                    });
                } catch (RuntimeException e) {
                    request.fail(Errno.EIO);
                    troubled(
                            e instanceof RejectedExecutionException
                                    ? new IOException("its executor takes no more", e)
                                    : e);
                    refused.add(request);
                }
            }
            return refused.take();
        }

        private void serve(Request request) {
            if (!fence.enter()) {
                request.fail(Errno.RETURNED);
                return;
            }
            try {
                perform(request);
                succeeded();
            } catch (IOException | RuntimeException | Error e) {
                request.fail(Errno.EIO);
                troubled(e);
            } finally {
                fence.exit();
            }
        }

        private void perform(Request request) throws IOException {
            switch (request.op()) {
                case READ -> read(request.offset(), payload(request));
                case WRITE -> {
                    write(request.offset(), payload(request).asReadOnly());
                    if (request.has(Request.FUA)) {
                        flush();
                    }
                }
                case FLUSH -> flush();
                case STATUS -> {
                    var data = new Extents(1);
                    data.add(request.length(), 0);
                    request.extents(data);
                }
                // Not among the capabilities; but a hint that is not followed is no error.
                case TRIM, CACHE -> {}
                case WRITE_ZEROES -> request.fail(Errno.ENOTSUP);
            }
        }

        private static MemorySegment payload(Request request) {
            return request.memory().asSlice(request.position(), request.payloadBytes());
        }

        @Override
        public CompletionStage<Void> fence() {
            return fence.close();
        }

        @Override
        public void close() {
            fence.close();
        }
    }
}
