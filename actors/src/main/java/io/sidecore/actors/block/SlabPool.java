package io.sidecore.actors.block;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;

/**
 * Slabs for the queues of a host, in two sizes: {@link #STANDARD} ones, and larger ones for single large requests, in multiples of it. Memory is mapped when first needed, touched when first used,
 * and returned to the machine when the pool is closed. Safe for all threads; asked only when a queue grows or shrinks, not per request.
 */
public final class SlabPool implements AutoCloseable {
    /** Bytes of a standard slab: as much as a batch may hold. */
    public static final int STANDARD = 1 << 20;

    /** Gives {@code bytes} of zeroed off-heap memory that lives as long as the arena. */
    @FunctionalInterface
    public interface Mapping {
        MemorySegment map(long bytes, Arena arena);
    }

    private final Arena arena = Arena.ofShared();
    private final Mapping mapping;
    private final ArrayDeque<Slab> standard = new ArrayDeque<>();
    private long mappedBytes;
    private boolean closed;

    /** A pool over the platform's way to map memory. */
    public SlabPool(Mapping mapping) {
        this.mapping = mapping;
    }

    /** An empty slab of at least so many bytes. */
    public synchronized Slab borrow(int bytes) {
        if (bytes <= STANDARD && !standard.isEmpty()) {
            return standard.pop();
        }
        var size = Math.ceilDiv(bytes, STANDARD) * STANDARD;
        // Large ones are rare and large: each goes back to the machine at once, so it has an arena of its own.
        var slab = size == STANDARD ? new Slab(mapping.map(size, arena)) : new Slab(mapping.map(size, Arena.ofAuto()));
        mappedBytes += size;
        return slab;
    }

    /** Takes an empty slab back. */
    public synchronized void giveBack(Slab slab) {
        if (slab.live() != 0) {
            throw new IllegalStateException("slab given back while " + slab.live() + " requests hold it");
        }
        if (slab.capacity() == STANDARD && !closed) {
            standard.push(slab);
        } else {
            mappedBytes -= slab.capacity();
        }
    }

    /** Bytes mapped at present. */
    public synchronized long mappedBytes() {
        return mappedBytes;
    }

    @Override
    public synchronized void close() {
        closed = true;
        standard.clear();
        arena.close();
    }
}
