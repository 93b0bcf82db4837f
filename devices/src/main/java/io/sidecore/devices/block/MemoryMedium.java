package io.sidecore.devices.block;

import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Fence;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Store;
import io.sidecore.devices.linux.OffHeap;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;

/**
 * A medium in memory: sparse, off the heap, of any size the address space holds. An extent takes memory once it has been written; until then it reads as zeroes and costs nothing. Used by any number of
 * loops at once; two that touch the same bytes at the same time see either's, as on any disk.
 *
 * <p>Contents live as long as the object and are gone with the process.
 */
public final class MemoryMedium implements Supplier<Store>, AutoCloseable {
    /** Granularity in which memory is accounted, in bytes. */
    public static final int EXTENT = 64 << 10;

    private static final int EXTENT_BITS = 16;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment memory;
    private final long size;
    private final long limit;
    private final AtomicIntegerArray written;
    private final AtomicLong allocated = new AtomicLong();

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
        this.size = size;
        this.limit = limit;
        this.memory = OffHeap.map(size, arena);
        // A large page for every first small write would undo the sparseness.
        OffHeap.noHugePages(memory);
        this.written = new AtomicIntegerArray((int) (((size + EXTENT - 1) >>> EXTENT_BITS) + 31 >>> 5));
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
                MemorySegment.copy(memory, offset, to, position, run);
            } else {
                to.asSlice(position, run).fill((byte) 0);
            }
            offset += run;
            position += run;
            length -= run;
        }
    }

    private boolean write(long offset, MemorySegment from, long position, int length) {
        for (var extent = offset >>> EXTENT_BITS; extent <= offset + length - 1 >>> EXTENT_BITS; extent++) {
            if (!isWritten(extent) && !allocate(extent)) {
                return false;
            }
        }
        MemorySegment.copy(from, position, memory, offset, length);
        return true;
    }

    private boolean allocate(long extent) {
        if (allocated.addAndGet(EXTENT) - EXTENT >= limit) {
            allocated.addAndGet(-EXTENT);
            return false;
        }
        var bit = 1 << (extent & 31);
        if ((written.getAndUpdate((int) (extent >>> 5), bits -> bits | bit) & bit) != 0) {
            allocated.addAndGet(-EXTENT);
        }
        return true;
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

        private void serve(Request r) {
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
