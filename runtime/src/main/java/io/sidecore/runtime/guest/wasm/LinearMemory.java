package io.sidecore.runtime.guest.wasm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import run.endive.runtime.ConstantEvaluators;
import run.endive.runtime.Instance;
import run.endive.runtime.Memory;
import run.endive.wasm.types.ActiveDataSegment;
import run.endive.wasm.types.DataSegment;
import run.endive.wasm.types.MemoryLimits;
import run.endive.wasm.types.PassiveDataSegment;

/**
 * A guest's linear memory, which is the memory of its VM: pages of 64 KiB from its beginning, as many as the guest has grown it to. What lies beyond is neither read nor written, so what was not used costs nothing.
 *
 * <p>The checks are the segment's own: one of its size at present, replaced when it grows. As fast as Endive's memory on the heap, or faster. For one thread; atomic operations are plain ones, since no other thread runs the guest.
 */
final class LinearMemory implements Memory {
    /** Bytes of a page. */
    static final int PAGE = Memory.PAGE_SIZE;

    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfDouble DOUBLE =
            ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final MemorySegment whole;
    private final MemoryLimits limits;
    private final boolean restored;
    private MemorySegment used;
    private DataSegment[] segments = {};

    /**
     * @param whole the memory of the VM: zero at first, or as it was saved
     * @param limits what the module declares
     * @param restored whether the contents are there already: then no data segment is written
     */
    LinearMemory(MemorySegment whole, MemoryLimits limits, boolean restored) {
        this.whole = whole;
        this.limits = limits;
        this.restored = restored;
        this.used = whole.asSlice(0, (long) limits.initialPages() * PAGE);
    }

    /** Bytes that the guest has at present. */
    long bytes() {
        return used.byteSize();
    }

    /** Whether so many bytes from this address on are the guest's. */
    boolean holds(int address, long length) {
        return length >= 0 && Integer.toUnsignedLong(address) <= bytes() - length;
    }

    /** Copies out of the guest what {@link #holds}. */
    byte[] take(int address, int length) {
        return used.asSlice(address, length).toArray(JAVA_BYTE);
    }

    /** Whether a data segment has nothing more to give. */
    boolean isDropped(int segment) {
        return segments[segment] == PassiveDataSegment.EMPTY;
    }

    int segments() {
        return segments.length;
    }

    private WasmTrap outside(int address, long length) {
        return new WasmTrap(
                WasmTrap.Reason.OUT_OF_BOUNDS,
                "it accessed " + length + " bytes at address " + Integer.toUnsignedLong(address)
                        + ", but its memory has " + bytes());
    }

    private void check(int address, int length) {
        if (address < 0 || length < 0 || address > bytes() - length) {
            throw outside(address, Integer.toUnsignedLong(length));
        }
    }

    // --- size

    @Override
    public int pages() {
        return (int) (bytes() / PAGE);
    }

    @Override
    public int grow(int more) {
        var pages = pages();
        if (more < 0 || more > maximumPages() - pages) {
            return -1;
        }
        used = whole.asSlice(0, (long) (pages + more) * PAGE);
        return pages;
    }

    @Override
    public int initialPages() {
        return limits.initialPages();
    }

    /** What the module declares, or what its VM has, or what the engine can address: the least of them. */
    @Override
    public int maximumPages() {
        return (int) Math.min(Math.min(limits.maximumPages(), Memory.RUNTIME_MAX_PAGES), whole.byteSize() / PAGE);
    }

    // --- data segments

    @Override
    public void initialize(Instance instance, DataSegment[] dataSegments) {
        initialize(instance, dataSegments, 0);
    }

    @Override
    public void initialize(Instance instance, DataSegment[] dataSegments, int memoryIndex) {
        segments = dataSegments;
        for (var segment : dataSegments) {
            if (!restored && segment instanceof ActiveDataSegment active) {
                var at = (int) ConstantEvaluators.computeConstantValue(instance, active.offsetInstructions())[0];
                write(at, active.data(), 0, active.data().length);
            }
        }
    }

    @Override
    public void initPassiveSegment(int segment, int to, int from, int length) {
        // An active segment is dropped once it was written.
        var data = segments[segment] instanceof PassiveDataSegment passive ? passive.data() : new byte[0];
        if (from < 0 || length < 0 || from > data.length - length) {
            throw new WasmTrap(WasmTrap.Reason.OUT_OF_BOUNDS, "it copied from beyond data segment " + segment);
        }
        write(to, data, from, length);
    }

    @Override
    public void drop(int segment) {
        segments[segment] = PassiveDataSegment.EMPTY;
    }

    // --- ranges

    @Override
    public void write(int address, byte[] data, int offset, int length) {
        check(address, length);
        MemorySegment.copy(data, offset, used, JAVA_BYTE, address, length);
    }

    @Override
    public byte[] readBytes(int address, int length) {
        check(address, length);
        return take(address, length);
    }

    /** Nothing: a VM's memory is zero at first, and what was not touched is not to be touched. */
    @Override
    public void zero() {}

    @Override
    public void fill(byte value, int from, int to) {
        check(from, to - from);
        used.asSlice(from, to - from).fill(value);
    }

    @Override
    public void copy(int to, int from, int length) {
        check(to, length);
        check(from, length);
        MemorySegment.copy(used, from, used, to, length);
    }

    // --- single values

    @Override
    public byte read(int address) {
        try {
            return used.get(JAVA_BYTE, address);
        } catch (IndexOutOfBoundsException e) {
            throw outside(address, 1);
        }
    }

    @Override
    public short readShort(int address) {
        try {
            return used.get(SHORT, address);
        } catch (IndexOutOfBoundsException e) {
            throw outside(address, 2);
        }
    }

    @Override
    public int readInt(int address) {
        try {
            return used.get(INT, address);
        } catch (IndexOutOfBoundsException e) {
            throw outside(address, 4);
        }
    }

    @Override
    public long readLong(int address) {
        try {
            return used.get(LONG, address);
        } catch (IndexOutOfBoundsException e) {
            throw outside(address, 8);
        }
    }

    @Override
    public float readFloat(int address) {
        try {
            return used.get(FLOAT, address);
        } catch (IndexOutOfBoundsException e) {
            throw outside(address, 4);
        }
    }

    @Override
    public double readDouble(int address) {
        try {
            return used.get(DOUBLE, address);
        } catch (IndexOutOfBoundsException e) {
            throw outside(address, 8);
        }
    }

    @Override
    public void writeByte(int address, byte value) {
        try {
            used.set(JAVA_BYTE, address, value);
        } catch (IndexOutOfBoundsException e) {
            throw outside(address, 1);
        }
    }

    @Override
    public void writeShort(int address, short value) {
        try {
            used.set(SHORT, address, value);
        } catch (IndexOutOfBoundsException e) {
            throw outside(address, 2);
        }
    }

    @Override
    public void writeI32(int address, int value) {
        try {
            used.set(INT, address, value);
        } catch (IndexOutOfBoundsException e) {
            throw outside(address, 4);
        }
    }

    @Override
    public void writeLong(int address, long value) {
        try {
            used.set(LONG, address, value);
        } catch (IndexOutOfBoundsException e) {
            throw outside(address, 8);
        }
    }

    @Override
    public void writeF32(int address, float value) {
        try {
            used.set(FLOAT, address, value);
        } catch (IndexOutOfBoundsException e) {
            throw outside(address, 4);
        }
    }

    @Override
    public void writeF64(int address, double value) {
        try {
            used.set(DOUBLE, address, value);
        } catch (IndexOutOfBoundsException e) {
            throw outside(address, 8);
        }
    }

    @Override
    public long readU16(int address) {
        return Short.toUnsignedLong(readShort(address));
    }

    @Override
    public long readF32(int address) {
        return readInt(address);
    }

    @Override
    public long readF64(int address) {
        return readLong(address);
    }

    // --- atomics, on a memory that is not shared

    @Override
    public boolean shared() {
        return false;
    }

    @Override
    @SuppressWarnings("removal")
    public Object lock(int address) {
        return this;
    }

    private static WasmTrap waits() {
        return new WasmTrap(WasmTrap.Reason.OTHER, "it waited for an atomic, which nobody else can change");
    }

    @Override
    @SuppressWarnings("removal")
    public int waitOn(int address, int expected, long timeout) {
        throw waits();
    }

    @Override
    @SuppressWarnings("removal")
    public int waitOn(int address, long expected, long timeout) {
        throw waits();
    }

    @Override
    @SuppressWarnings("removal")
    public int notify(int address, int maxThreads) {
        check(address, Integer.BYTES);
        return 0;
    }
}
