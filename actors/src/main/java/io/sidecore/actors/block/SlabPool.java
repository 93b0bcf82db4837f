package io.sidecore.actors.block;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.IdentityHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Slabs for the queues of a host, in two sizes: {@link #STANDARD} ones, which are kept, and larger ones for single large requests, in multiples of it, of which some are kept and the others go back to the machine when they are given back.
 * Memory is mapped when first needed and touched when first used, and bounded for all queues together. Safe for all threads; asked only when a queue grows or shrinks, not per request.
 */
public final class SlabPool implements AutoCloseable {
    /**
     * How far in its first page a slab begins. Copying large blocks takes twice as long on some processors (AMD's Zen 3 and 4; glibc's bug 30994) when the destination lies 1 to 31 bytes further in its page than the source: just where
     * a payload lies behind a protocol's header at the beginning of a page, and its other end at the beginning of one.
     */
    static final int START = 48;

    /** Bytes of a standard slab: as much as a batch may hold, 1 MiB, and the headers of its requests. */
    public static final int STANDARD = (1 << 20) + (4 << 10) - START;

    /** Bytes of larger slabs that are kept for the next large request. */
    static final long KEPT = 64L << 20;

    /** Gives {@code bytes} of zeroed off-heap memory that lives as long as the arena. */
    @FunctionalInterface
    public interface Mapping {
        MemorySegment map(long bytes, Arena arena);
    }

    private final ExecutorService closer = DaemonThread.started("sidecore-slabs");
    private final Mapping mapping;
    private final long limit;
    private final ArrayDeque<Slab> standard = new ArrayDeque<>();
    private final ArrayDeque<Slab> large = new ArrayDeque<>();
    /** Each slab has an arena of its own, by which it goes back alone. */
    private final IdentityHashMap<Slab, Arena> arenas = new IdentityHashMap<>();

    private long mappedBytes;
    private long closingBytes;
    private long keptBytes;
    private long borrowedBytes;
    private boolean closed;

    /**
     * A pool over the platform's way to map memory.
     *
     * @param limit bytes that may be mapped, but for what is borrowed beyond it
     */
    public SlabPool(Mapping mapping, long limit) {
        this.mapping = mapping;
        this.limit = limit;
    }

    /** An empty slab of at least so many bytes, or null if the limit does not allow another now. */
    public synchronized @Nullable Slab borrow(int bytes) {
        var slab = kept(bytes);
        if (slab == null) {
            var size = size(bytes);
            // Nobody loses what is kept for a request that would not fit even so.
            if (mappedBytes + size - (long) standard.size() * STANDARD - keptBytes <= limit) {
                makeRoom(size);
            }
            if (mappedBytes + closingBytes + size > limit) {
                return null;
            }
            slab = map(size);
        }
        return lend(slab);
    }

    /** An empty slab of at least so many bytes, whatever the limit: for what must not fail, and is bounded by its user. */
    public synchronized Slab borrowBeyond(int bytes) {
        var slab = kept(bytes);
        if (slab == null) {
            var size = size(bytes);
            makeRoom(size);
            slab = map(size);
        }
        return lend(slab);
    }

    private Slab lend(Slab slab) {
        borrowedBytes += slab.capacity();
        return slab;
    }

    private static int size(int bytes) {
        return Math.max(1, Math.ceilDiv(bytes, STANDARD)) * STANDARD;
    }

    private @Nullable Slab kept(int bytes) {
        if (bytes <= STANDARD) {
            return standard.poll();
        }
        var size = size(bytes);
        for (var slab : large) {
            // A slab far too large would hold more of its queue's bound than the request needs.
            if (slab.capacity() >= size && slab.capacity() <= 2L * size) {
                large.remove(slab);
                keptBytes -= slab.capacity();
                return slab;
            }
        }
        return null;
    }

    private Slab map(int size) {
        var arena = Arena.ofShared();
        var slab = new Slab(mapping.map(START + size, arena).asSlice(START));
        arenas.put(slab, arena);
        mappedBytes += size;
        return slab;
    }

    /** What is kept, and of another size than is wanted, goes before somebody is refused. */
    private void makeRoom(int size) {
        while (mappedBytes + size > limit && !(large.isEmpty() && standard.isEmpty())) {
            if (large.isEmpty()) {
                unmap(standard.remove());
            } else {
                var slab = large.remove();
                keptBytes -= slab.capacity();
                unmap(slab);
            }
        }
    }

    private void unmap(Slab slab) {
        mappedBytes -= slab.capacity();
        closingBytes += slab.capacity();
        var arena = arenas.remove(slab);
        assert arena != null : slab;
        closer.execute(() -> unmap(arena, slab.capacity()));
    }

    /** Closing a shared arena waits for every thread of the JVM to pass a safe point, and then for the pages: not for a loop to wait for. */
    private void unmap(Arena arena, long bytes) {
        arena.close();
        synchronized (this) {
            closingBytes -= bytes;
        }
    }

    /** Takes an empty slab back. */
    public synchronized void giveBack(Slab slab) {
        if (slab.live() != 0) {
            throw new IllegalStateException("slab given back while " + slab.live() + " requests hold it");
        }
        borrowedBytes -= slab.capacity();
        if (closed) {
            return;
        }
        if (mappedBytes > limit) {
            unmap(slab);
        } else if (slab.capacity() == STANDARD) {
            standard.push(slab);
        } else if (keptBytes + slab.capacity() <= KEPT) {
            keptBytes += slab.capacity();
            large.push(slab);
        } else {
            unmap(slab);
        }
    }

    /** Bytes mapped at present, kept ones included, but for those that are on their way back to the machine. */
    public synchronized long mappedBytes() {
        return mappedBytes;
    }

    /** Bytes in the hands of queues. */
    public synchronized long borrowedBytes() {
        return borrowedBytes;
    }

    /** Returns when its thread has ended. */
    @Override
    public void close() {
        closeAll();
        try {
            // Not with the lock held, which the last arenas to close need.
            closer.awaitTermination(1, TimeUnit.MINUTES);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private synchronized void closeAll() {
        if (closed) {
            return;
        }
        closed = true;
        closer.shutdown();
        standard.clear();
        large.clear();
        arenas.values().forEach(Arena::close);
        arenas.clear();
        mappedBytes = 0;
    }
}
