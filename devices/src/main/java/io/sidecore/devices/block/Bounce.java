package io.sidecore.devices.block;

import io.sidecore.devices.linux.IoVector;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;

/** Aligned memory for a payload that is not, or for the sectors around one. Kept by its thread for the next time, unless it is large. */
final class Bounce implements AutoCloseable {
    private static final int ALIGNMENT = 4096;
    private static final long KEPT_BYTES = 1 << 20;
    private static final int KEPT = 2;

    private static final ThreadLocal<ArrayDeque<Bounce>> IDLE = ThreadLocal.withInitial(ArrayDeque::new);

    private final Arena arena;
    private final MemorySegment whole;
    private final IoVector vector = new IoVector();
    /** Said when it is taken. */
    @SuppressWarnings("NullAway.Init")
    private MemorySegment memory;

    private Bounce(Arena arena, long bytes) {
        this.arena = arena;
        this.whole = arena.allocate(bytes, ALIGNMENT);
    }

    /** So many bytes, of any content. Given back by {@link #close}, on the same thread. */
    static Bounce take(long bytes) {
        var bounce = bytes <= KEPT_BYTES ? IDLE.get().poll() : new Bounce(Arena.ofConfined(), bytes);
        if (bounce == null) {
            bounce = new Bounce(Arena.ofAuto(), KEPT_BYTES);
        }
        bounce.memory = bounce.whole.asSlice(0, bytes);
        bounce.vector.clear().add(bounce.memory, 0, (int) bytes);
        return bounce;
    }

    /** The bytes asked for. */
    MemorySegment memory() {
        return memory;
    }

    /** Them as a vector of one piece. */
    IoVector vector() {
        return vector;
    }

    /** Another part of them as that vector. */
    IoVector vector(long position, int length) {
        return vector.clear().add(memory, position, length);
    }

    @Override
    public void close() {
        if (whole.byteSize() > KEPT_BYTES) {
            vector.clear();
            arena.close();
        } else if (IDLE.get().size() < KEPT) {
            IDLE.get().push(this);
        }
    }
}
