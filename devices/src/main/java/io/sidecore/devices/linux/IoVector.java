package io.sidecore.devices.linux;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Pieces of off-heap memory that one call reads into or writes from, one behind the other: {@code struct iovec} of {@code readv(2)}. Used again and again by one thread.
 *
 * <p>It keeps its segments reachable, not open: who closes their arena waits for those who use it.
 */
public final class IoVector {
    /** Pieces, at most. */
    public static final int MAX = 64;

    private static final long ENTRY = 16;

    private final MemorySegment[] memory = new MemorySegment[MAX];
    private final long[] positions = new long[MAX];
    private final int[] lengths = new int[MAX];
    private final MemorySegment entries = Arena.ofAuto().allocate(ENTRY * MAX, Long.BYTES);
    private int count;
    private int first;
    private long bytes;
    private boolean advanced;

    /** An empty one. */
    public IoVector() {}

    /** Empties it. */
    public IoVector clear() {
        for (var i = 0; i < count; i++) {
            memory[i] = null;
        }
        count = 0;
        first = 0;
        bytes = 0;
        advanced = false;
        return this;
    }

    /**
     * Appends a piece.
     *
     * @param segment off-heap memory
     * @param position its first byte in {@code segment}
     * @param length bytes of it, all within the segment
     */
    public IoVector add(MemorySegment segment, long position, int length) {
        if (position < 0 || length < 0 || position > segment.byteSize() - length || !segment.isNative()) {
            throw new IndexOutOfBoundsException(position + "+" + length + " of " + segment);
        }
        memory[count] = segment;
        positions[count] = position;
        lengths[count] = length;
        entries.set(JAVA_LONG, count * ENTRY, segment.address() + position);
        entries.set(JAVA_LONG, count * ENTRY + 8, length);
        count++;
        bytes += length;
        return this;
    }

    /** Number of pieces. */
    public int count() {
        return count;
    }

    /** Bytes of all of them. */
    public long bytes() {
        return bytes;
    }

    /** Where a piece lies. */
    public MemorySegment memory(int i) {
        return memory[i];
    }

    /** The first byte of a piece in its memory. */
    public long position(int i) {
        return positions[i];
    }

    /** Bytes of a piece. */
    public int length(int i) {
        return lengths[i];
    }

    /** Whether every piece begins and ends at a multiple of {@code alignment}, in memory. */
    public boolean isAligned(int alignment) {
        for (var i = 0; i < count; i++) {
            if ((memory[i].address() + positions[i] | lengths[i]) % alignment != 0) {
                return false;
            }
        }
        return true;
    }

    /** Copies all pieces, one behind the other, to the beginning of {@code to}. */
    public void copyTo(MemorySegment to, long position) {
        for (var i = 0; i < count; i++) {
            OffHeap.copy(memory[i], positions[i], to, position, lengths[i]);
            position += lengths[i];
        }
    }

    /** Fills all pieces, one behind the other, from {@code from}. */
    public void copyFrom(MemorySegment from, long position) {
        for (var i = 0; i < count; i++) {
            OffHeap.copy(from, position, memory[i], positions[i], lengths[i]);
            position += lengths[i];
        }
    }

    /** Address of the entries that are left. */
    long address() {
        return entries.address() + first * ENTRY;
    }

    /** Number of entries that are left. */
    int left() {
        return count - first;
    }

    /** The kernel has moved so many bytes: what is left begins behind them. */
    void advance(long moved) {
        advanced = true;
        while (moved > 0) {
            var at = first * ENTRY;
            var length = entries.get(JAVA_LONG, at + 8);
            var step = Math.min(length, moved);
            entries.set(JAVA_LONG, at, entries.get(JAVA_LONG, at) + step);
            entries.set(JAVA_LONG, at + 8, length - step);
            moved -= step;
            if (step == length) {
                first++;
            }
        }
    }

    /** As if nothing had been moved. */
    void rewind() {
        if (!advanced) {
            return;
        }
        advanced = false;
        first = 0;
        for (var i = 0; i < count; i++) {
            entries.set(JAVA_LONG, i * ENTRY, memory[i].address() + positions[i]);
            entries.set(JAVA_LONG, i * ENTRY + 8, lengths[i]);
        }
    }
}
