package io.sidecore.actors.block;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;

/**
 * A piece of off-heap memory from which a queue takes the payloads of its requests, one behind the other. It is empty again, and starts from its beginning,
 * when the last of them was given back: in steady state the same hot memory serves every batch. Used by one queue, on its loop.
 */
public final class Slab {
    private final MemorySegment memory;
    private final ByteBuffer buffer;
    private int used;
    private int live;
    private boolean kept;

    /** A slab over the whole of {@code memory}, at most 2 GiB − 1, accessible from every thread. */
    public Slab(MemorySegment memory) {
        this.memory = memory;
        this.buffer = memory.asByteBuffer();
    }

    /** Its memory. */
    public MemorySegment memory() {
        return memory;
    }

    /** The one view of it for channels; position and limit are the user's to set. Big-endian. */
    public ByteBuffer buffer() {
        return buffer;
    }

    /** Its size in bytes. */
    public int capacity() {
        return buffer.capacity();
    }

    /** Bytes left behind those taken. */
    public int room() {
        return buffer.capacity() - used;
    }

    /** Takes {@code bytes}, of which the caller knows that there is room; returns where they begin. They are held once. */
    public int take(int bytes) {
        var at = used;
        used += bytes;
        live++;
        return at;
    }

    /** Another holder for memory that was taken. */
    public void hold() {
        live++;
    }

    /** A holder gives back. Returns true if it was the last one; the slab is empty then. */
    public boolean release() {
        if (live <= 0) {
            throw new IllegalStateException("slab released more often than held");
        }
        if (--live == 0) {
            used = 0;
            return true;
        }
        return false;
    }

    /** Whether its user keeps it even while it is empty. */
    public boolean kept() {
        return kept;
    }

    /** Says so. */
    public void kept(boolean whether) {
        kept = whether;
    }

    /** Number of holders. */
    public int live() {
        return live;
    }
}
