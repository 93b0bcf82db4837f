package io.sidecore.example;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import io.sidecore.actors.block.PlainMedium;
import java.lang.foreign.MemorySegment;

/** A disk in the Java heap that remembers what the last write has overwritten, and can take it back. */
public final class UndoMedium extends PlainMedium {
    private record Overwritten(long offset, MemorySegment bytes) {}

    private final MemorySegment disk;
    private Overwritten last = new Overwritten(0, MemorySegment.ofArray(new byte[0]));

    public UndoMedium(int bytes) {
        super(bytes);
        disk = MemorySegment.ofArray(new byte[bytes]);
    }

    @Override
    protected synchronized void read(long offset, MemorySegment into) {
        into.copyFrom(disk.asSlice(offset, into.byteSize()));
    }

    @Override
    protected synchronized void write(long offset, MemorySegment from) {
        var range = disk.asSlice(offset, from.byteSize());
        last = new Overwritten(offset, MemorySegment.ofArray(range.toArray(JAVA_BYTE)));
        range.copyFrom(from);
    }

    public synchronized void undo() {
        disk.asSlice(last.offset(), last.bytes().byteSize()).copyFrom(last.bytes());
    }
}
