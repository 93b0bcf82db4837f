package io.sidecore.devices.block;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Capabilities;
import io.sidecore.actors.block.Chain;
import io.sidecore.actors.block.DaemonThread;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Extents;
import io.sidecore.actors.block.Fence;
import io.sidecore.actors.block.Medium;
import io.sidecore.actors.block.MediumException;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Store;
import io.sidecore.devices.linux.OffHeap;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * A medium in memory: sparse, off the heap, of any size the address space holds. An extent takes memory once it has been written, until it is trimmed or zeroed; without, it reads as zeroes and costs nothing. Used by any number of
 * loops at once; two that touch the same bytes at the same time see either's, as on any disk.
 *
 * <p>Once every extent of a region of 2 MiB has been written the region is moved into a huge page, off the loops: sparse stays sparse, and dense becomes fast (random reads of 4 KiB spend a third less time in the copy).
 *
 * <p>Contents live as long as the object and are gone with the process.
 */
public final class MemoryMedium implements Medium {
    /** Granularity in which memory is accounted, in bytes. */
    public static final int EXTENT = 64 << 10;

    /** What one map of extents can describe: 64 TiB, half of what a process can address. */
    private static final long MAX_SIZE = 64L << 40;

    /** Address space is set aside for growth: so many times the first size, and so many bytes at least. */
    private static final int GROWTH = 4;

    private static final long GROWTH_MIN = 16L << 30;

    private static final int EXTENT_BITS = 16;
    private static final int REGION_BITS = 21;
    private static final int DENSIFY_ATTEMPTS = 5;

    /** A loop is held for a copy of so many bytes, not for more. */
    private static final long AT_ONCE = 1 << 20;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment memory;
    private final long capacity;
    private volatile long size;
    private volatile long limit;
    private final AtomicIntegerArray written;
    private final AtomicLong allocated = new AtomicLong();
    private final Set<Integer> toDensify = ConcurrentHashMap.newKeySet();
    private final RegionPins pins;
    private final ExecutorService background;

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
        this.capacity = Math.min(MAX_SIZE, Math.max(GROWTH * size, GROWTH_MIN));
        var mapped =
                OffHeap.map(Math.ceilDiv(capacity, OffHeap.HUGE_PAGE) * OffHeap.HUGE_PAGE + OffHeap.HUGE_PAGE, arena);
        this.memory = mapped.asSlice(-mapped.address() & OffHeap.HUGE_PAGE - 1);
        // A huge page for every first small write would undo the sparseness.
        OffHeap.noHugePages(memory);
        this.written = new AtomicIntegerArray((int) Math.ceilDiv(capacity, OffHeap.HUGE_PAGE));
        this.pins = new RegionPins(written.length());
        // Last: there is no thread if there is no medium.
        this.background = DaemonThread.started("sidecore-memory");
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public OptionalLong allocated() {
        return OptionalLong.of(allocatedBytes());
    }

    @Override
    public OptionalLong limit() {
        return OptionalLong.of(limit);
    }

    /** Bytes of memory that written extents take. */
    public long allocatedBytes() {
        return allocated.get();
    }

    @Override
    public Store open() {
        return new MemoryStore();
    }

    /** The limit moves with it where it was the size. */
    @Override
    public synchronized void resize(long bytes) {
        if (bytes <= 0 || bytes > capacity) {
            throw new MediumException("a memory volume that began smaller can have 1 to " + capacity + " bytes, not "
                    + bytes + "; create another one and copy it");
        }
        var before = size;
        if (limit == before) {
            limit = bytes;
        }
        size = bytes;
        // When it grows, too: a write that was under way when it shrank may have reached beyond the end.
        clear(Math.min(bytes, before), Math.abs(before - bytes));
    }

    /** Memory does not fail. */
    @Override
    public void watch(Watcher watcher) {}

    @Override
    public void recover() {}

    @Override
    public void close() {
        background.shutdownNow();
        try {
            background.awaitTermination(1, TimeUnit.MINUTES);
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
        pin(offset, length);
        try {
            if (!allocate(offset, length)) {
                return false;
            }
            OffHeap.copy(from, position, memory, offset, length);
            return true;
        } finally {
            settle(offset, length);
        }
    }

    private void pin(long offset, long length) {
        pins.pin(region(offset), region(offset + length - 1));
    }

    @Override
    public void settle(long offset, long length) {
        pins.unpin(region(offset), region(offset + length - 1));
    }

    private static int region(long offset) {
        return (int) (offset >>> REGION_BITS);
    }

    private @Nullable MemorySegment lendForWriting(long offset, int length) {
        pin(offset, length);
        if (allocate(offset, length)) {
            return memory.asSlice(offset, length);
        }
        settle(offset, length);
        return null;
    }

    private boolean isWritten(long offset, long length) {
        for (var extent = offset >>> EXTENT_BITS; extent <= offset + length - 1 >>> EXTENT_BITS; extent++) {
            if (!isWritten(extent)) {
                return false;
            }
        }
        return true;
    }

    private boolean allocate(long offset, long length) {
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
            densifySoon(region);
        }
        return true;
    }

    /** Makes the range read as zeroes; extents that lie in it completely give their memory back, unless somebody is writing near. */
    private void clear(long offset, long length) {
        while (length > 0) {
            var run = Math.min(length, OffHeap.HUGE_PAGE - (offset & OffHeap.HUGE_PAGE - 1));
            var claimed = pins.claim(region(offset));
            try {
                clear(offset, run, claimed);
            } finally {
                if (claimed) {
                    pins.unclaim(region(offset));
                }
            }
            offset += run;
            length -= run;
        }
    }

    private void clear(long offset, long length, boolean giveBack) {
        while (length > 0) {
            var run = Math.min(length, EXTENT - (offset & EXTENT - 1));
            if (isWritten(offset >>> EXTENT_BITS)) {
                if (run == EXTENT && giveBack) {
                    while (run + EXTENT <= length && isWritten(offset + run >>> EXTENT_BITS)) {
                        run += EXTENT;
                    }
                    release(offset, run);
                } else {
                    memory.asSlice(offset, run).fill((byte) 0);
                }
            }
            offset += run;
            length -= run;
        }
    }

    private void release(long offset, long length) {
        OffHeap.release(memory.asSlice(offset, length));
        for (var extent = offset >>> EXTENT_BITS; extent < offset + length >>> EXTENT_BITS; extent++) {
            var bit = 1 << (extent & 31);
            written.getAndUpdate((int) (extent >>> 5), bits -> bits & ~bit);
            allocated.addAndGet(-EXTENT);
        }
    }

    private Extents extents(long offset, long length, int max) {
        var found = new Extents(max);
        while (length > 0) {
            var run = Math.min(length, EXTENT - (offset & EXTENT - 1));
            if (!found.add(run, isWritten(offset >>> EXTENT_BITS) ? 0 : Extents.HOLE | Extents.ZERO)) {
                break;
            }
            offset += run;
            length -= run;
        }
        return found;
    }

    private void densifySoon(int region) {
        if (toDensify.add(region)) {
            background.execute(() -> {
                toDensify.remove(region);
                densify(region);
            });
        }
    }

    private void densify(int region) {
        var range = memory.asSlice(region * OffHeap.HUGE_PAGE, OffHeap.HUGE_PAGE);
        for (var attempt = 0; attempt < DENSIFY_ATTEMPTS && !OffHeap.hugePages(range); attempt++) {
            // Refused while some page of it was in use; a busy volume has to be asked more than once.
            LockSupport.parkNanos(1_000_000L << attempt);
        }
    }

    /** Serves on the caller's thread, but for what would hold it too long. */
    private final class MemoryStore implements Store {
        private final Fence fence = new Fence();

        @Override
        public long size() {
            return size;
        }

        @Override
        public Capabilities capabilities() {
            return Capabilities.ALL;
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
                for (var r = chain; r != null; r = r.next()) {
                    if (takesLong(r)) {
                        return serveInPart(chain, later);
                    }
                }
                for (var r = chain; r != null; r = r.next()) {
                    serve(r);
                }
                return chain;
            } finally {
                fence.exit();
            }
        }

        private boolean takesLong(Request r) {
            return r.length() > AT_ONCE && r.op() != BlockOp.STATUS && r.op() != BlockOp.CACHE && !isInPlace(r);
        }

        private @Nullable Request serveInPart(Request chain, Completions later) {
            var now = new Chain();
            while (chain != null) {
                var following = chain.unlink();
                if (takesLong(chain)) {
                    var large = chain;
                    background.execute(() -> serveLater(large, later));
                } else {
                    serve(chain);
                    now.add(chain);
                }
                chain = following;
            }
            return now.take();
        }

        private void serveLater(Request large, Completions later) {
            if (fence.enter()) {
                try {
                    serve(large);
                } finally {
                    fence.exit();
                }
            } else {
                large.fail(Errno.RETURNED);
            }
            later.complete(large);
        }

        @Override
        public @Nullable MemorySegment lend(BlockOp op, long offset, int length) {
            if (offset > size - length || !fence.enter()) {
                return null;
            }
            try {
                return switch (op) {
                    case READ ->
                        isWritten(offset, length)
                                ? memory.asSlice(offset, length).asReadOnly()
                                : null;
                    case WRITE -> lendForWriting(offset, length);
                    default -> null;
                };
            } finally {
                fence.exit();
            }
        }

        private void serve(Request r) {
            if (r.op() == BlockOp.WRITE && isInPlace(r) && r.settle()) {
                settle(r.offset(), r.length());
            }
            if (r.offset() > size - r.length()) {
                r.fail(r.op().changes() ? Errno.ENOSPC : Errno.EIO);
                return;
            }
            if (isInPlace(r)) {
                return;
            }
            switch (r.op()) {
                case READ -> read(r.offset(), r.memory(), r.position(), r.payloadBytes());
                case WRITE -> {
                    if (!write(r.offset(), r.memory(), r.position(), r.payloadBytes())) {
                        r.fail(Errno.ENOSPC);
                    }
                }
                case TRIM -> clear(r.offset(), r.length());
                case WRITE_ZEROES -> {
                    clear(r.offset(), r.length());
                    if (r.has(Request.NO_HOLE) && !allocate(r.offset(), r.length())) {
                        r.fail(Errno.ENOSPC);
                    }
                }
                case STATUS -> r.extents(extents(r.offset(), r.length(), r.has(Request.ONE_EXTENT) ? 1 : Extents.MAX));
                // Whoever sees the answer sees every write before it: there is nothing behind the memory.
                case FLUSH, CACHE -> {}
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
