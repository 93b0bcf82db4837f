package io.sidecore.devices.block;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Fence;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Store;
import io.sidecore.devices.linux.OffHeap;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;

/**
 * A medium in memory: sparse, off the heap, of any size the address space holds. An extent takes memory once it has been written; until then it reads as zeroes and costs nothing. Used by any number of
 * loops at once; two that touch the same bytes at the same time see either's, as on any disk.
 *
 * <p>Once every extent of a region of 2 MiB has been written the region is moved into a huge page, off the loops: sparse stays sparse, and dense becomes fast (random reads of 4 KiB spend a third less time in the copy).
 *
 * <p>Contents live as long as the object and are gone with the process.
 */
public final class MemoryMedium implements Supplier<Store>, AutoCloseable {
    /** Granularity in which memory is accounted, in bytes. */
    public static final int EXTENT = 64 << 10;

    /** What one map of extents can describe: 64 TiB, half of what a process can address. */
    private static final long MAX_SIZE = 64L << 40;

    private static final int EXTENT_BITS = 16;
    private static final int DENSIFY_ATTEMPTS = 5;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment memory;
    private final long size;
    private final long limit;
    private final AtomicIntegerArray written;
    private final AtomicLong allocated = new AtomicLong();
    private final ExecutorService densifier = densifier();

    /**
     * A medium that reads as zeroes.
     *
     * @param size bytes
     * @param limit bytes of memory that written extents may take; a write beyond fails with ENOSPC
     */
    public MemoryMedium(long size, long limit) {
        if (size <= 0 || limit <= 0) {
            throw new IllegalArgumentException("size " + size + " and limit " + limit + " must be positive");
        }
        if (size > MAX_SIZE) {
            throw new IllegalArgumentException(
                    "a memory volume of " + size + " bytes; at most " + MAX_SIZE + " are supported");
        }
        this.size = size;
        this.limit = limit;
        var mapped = OffHeap.map(Math.ceilDiv(size, OffHeap.HUGE_PAGE) * OffHeap.HUGE_PAGE + OffHeap.HUGE_PAGE, arena);
        this.memory = mapped.asSlice(-mapped.address() & OffHeap.HUGE_PAGE - 1);
        // A huge page for every first small write would undo the sparseness.
        OffHeap.noHugePages(memory);
        this.written = new AtomicIntegerArray((int) Math.ceilDiv(size, OffHeap.HUGE_PAGE));
    }

    /** One thread that comes when a region of {@link OffHeap#HUGE_PAGE} has been written throughout, and goes again. */
    private static ExecutorService densifier() {
        var executor = new ThreadPoolExecutor(
                1,
                1,
                1,
                TimeUnit.SECONDS,
                new LinkedBlockingQueue<>(),
                Thread.ofPlatform().daemon().name("sidecore-memory").factory());
        executor.allowCoreThreadTimeOut(true);
        return executor;
    }

    /** Bytes. */
    public long size() {
        return size;
    }

    /** Bytes of memory that written extents take. */
    public long allocatedBytes() {
        return allocated.get();
    }

    /** A new store on this medium. */
    @Override
    public Store get() {
        return new MemoryStore();
    }

    /** Lets the memory go. Every store must have been fenced or have ended. */
    @Override
    public void close() {
        densifier.shutdownNow();
        try {
            densifier.awaitTermination(1, TimeUnit.MINUTES);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        arena.close();
    }

    private boolean isWritten(long extent) {
        return (written.get((int) (extent >>> 5)) & 1 << (extent & 31)) != 0;
    }

    private void read(long offset, MemorySegment to, long position, long length) {
        while (length > 0) {
            var present = isWritten(offset >>> EXTENT_BITS);
            var run = Math.min(length, EXTENT - (offset & EXTENT - 1));
            while (run < length && isWritten(offset + run >>> EXTENT_BITS) == present) {
                run = Math.min(length, run + EXTENT);
            }
            if (present) {
                OffHeap.copy(memory, offset, to, position, run);
            } else {
                to.asSlice(position, run).fill((byte) 0);
            }
            offset += run;
            position += run;
            length -= run;
        }
    }

    private boolean write(long offset, MemorySegment from, long position, int length) {
        if (!allocate(offset, length)) {
            return false;
        }
        OffHeap.copy(from, position, memory, offset, length);
        return true;
    }

    private boolean isWritten(long offset, int length) {
        for (var extent = offset >>> EXTENT_BITS; extent <= offset + length - 1 >>> EXTENT_BITS; extent++) {
            if (!isWritten(extent)) {
                return false;
            }
        }
        return true;
    }

    private boolean allocate(long offset, int length) {
        for (var extent = offset >>> EXTENT_BITS; extent <= offset + length - 1 >>> EXTENT_BITS; extent++) {
            if (!isWritten(extent) && !allocate(extent)) {
                return false;
            }
        }
        return true;
    }

    /** Whether a payload lies where it belongs: lent, and filled in or about to be sent from there. */
    private boolean isInPlace(Request r) {
        return r.isLent() && r.memory().address() == memory.address() + r.offset();
    }

    private boolean allocate(long extent) {
        if (allocated.addAndGet(EXTENT) - EXTENT >= limit) {
            allocated.addAndGet(-EXTENT);
            return false;
        }
        var bit = 1 << (extent & 31);
        var region = (int) (extent >>> 5);
        var before = written.getAndUpdate(region, bits -> bits | bit);
        if ((before & bit) != 0) {
            allocated.addAndGet(-EXTENT);
        } else if ((before | bit) == -1) {
            densifier.execute(() -> densify(region));
        }
        return true;
    }

    private void densify(int region) {
        var range = memory.asSlice(region * OffHeap.HUGE_PAGE, OffHeap.HUGE_PAGE);
        for (var attempt = 0; attempt < DENSIFY_ATTEMPTS && !OffHeap.hugePages(range); attempt++) {
            // Refused while some page of it was in use; a busy volume has to be asked more than once.
            LockSupport.parkNanos(1_000_000L << attempt);
        }
    }

    /** Serves on the caller's thread; nothing is ever left for later. */
    private final class MemoryStore implements Store {
        private final Fence fence = new Fence();

        @Override
        public long size() {
            return size;
        }

        @Override
        public Capabilities capabilities() {
            return new Capabilities(Answer.NATIVE, true);
        }

        @Override
        public Request serve(Request chain, Completions later) {
            if (!fence.enter()) {
                for (var r = chain; r != null; r = r.next()) {
                    r.fail(Errno.RETURNED);
                }
                return chain;
            }
            try {
                for (var r = chain; r != null; r = r.next()) {
                    serve(r);
                }
                return chain;
            } finally {
                fence.exit();
            }
        }

        @Override
        public MemorySegment lend(BlockOp op, long offset, int length) {
            if (!fence.enter()) {
                return null;
            }
            try {
                return switch (op) {
                    case READ ->
                        isWritten(offset, length)
                                ? memory.asSlice(offset, length).asReadOnly()
                                : null;
                    case WRITE -> allocate(offset, length) ? memory.asSlice(offset, length) : null;
                    case FLUSH -> null;
                };
            } finally {
                fence.exit();
            }
        }

        private void serve(Request r) {
            if (isInPlace(r)) {
                return;
            }
            switch (r.op()) {
                case READ -> read(r.offset(), r.memory(), r.position(), r.length());
                case WRITE -> {
                    if (!write(r.offset(), r.memory(), r.position(), r.length())) {
                        r.fail(Errno.ENOSPC);
                    }
                }
                // Whoever sees the answer sees every write before it: there is nothing behind the memory.
                case FLUSH -> {}
            }
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
