package io.sidecore.devices.block;

import io.sidecore.actors.block.Extents;
import io.sidecore.actors.block.Store.Answer;
import io.sidecore.devices.linux.IoVector;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/** An image in an array that is as poor as a test wants it, and complains of what a poor one must not be asked. */
class ArrayImage implements Image {
    private final Traits traits;
    private byte[] bytes;

    ArrayImage(byte[] bytes, Traits traits) {
        this.bytes = bytes;
        this.traits = traits;
    }

    static Traits traits(int sector, Answer punch, Answer zero, Answer extents) {
        return new Traits(sector, false, punch, punch, zero, extents, Answer.NONE, false, false);
    }

    byte[] bytes() {
        return bytes;
    }

    @Override
    public String name() {
        return "array";
    }

    @Override
    public long size() {
        return bytes.length;
    }

    @Override
    public Traits traits() {
        return traits;
    }

    private void whole(long offset, long length) {
        if (offset % traits.sector() != 0 || length % traits.sector() != 0) {
            throw new AssertionError(offset + "+" + length + " is not made of sectors of " + traits.sector());
        }
    }

    @Override
    public synchronized void read(long offset, IoVector to) {
        whole(offset, to.bytes());
        to.copyFrom(offHeap(offset, to.bytes()), 0);
    }

    private MemorySegment offHeap(long offset, long length) {
        var copy = java.lang.foreign.Arena.ofAuto().allocate(length);
        MemorySegment.copy(MemorySegment.ofArray(bytes), offset, copy, 0, length);
        return copy;
    }

    static byte[] bytes(IoVector from) {
        var copy = java.lang.foreign.Arena.ofAuto().allocate(from.bytes());
        from.copyTo(copy, 0);
        return copy.toArray(java.lang.foreign.ValueLayout.JAVA_BYTE);
    }

    @Override
    public synchronized void write(long offset, IoVector from) {
        whole(offset, from.bytes());
        System.arraycopy(bytes(from), 0, bytes, (int) offset, (int) from.bytes());
    }

    @Override
    public void sync() {}

    @Override
    public synchronized void punch(long offset, long length) {
        can(traits.punch());
        whole(offset, length);
        Arrays.fill(bytes, (int) offset, (int) (offset + length), (byte) 0);
    }

    @Override
    public synchronized void trim(long offset, long length) {
        can(traits.trim());
        whole(offset, length);
        Arrays.fill(bytes, (int) offset, (int) (offset + length), (byte) 0xee);
    }

    @Override
    public synchronized void zero(long offset, long length) {
        can(traits.zero());
        whole(offset, length);
        Arrays.fill(bytes, (int) offset, (int) (offset + length), (byte) 0);
    }

    @Override
    public void extents(long offset, long length, Extents found) {
        can(traits.extents());
        found.add(length, 0);
    }

    private static void can(Answer answer) {
        if (answer != Answer.NATIVE) {
            throw new AssertionError("it cannot do that, and says so");
        }
    }

    @Override
    public void readAhead(long offset, long length) {
        can(traits.readAhead());
    }

    @Override
    public void resize(long size) {
        bytes = Arrays.copyOf(bytes, (int) size);
    }

    @Override
    public void check() {}

    @Override
    public void close() {}
}
