package io.sidecore.example;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import io.sidecore.actors.block.PlainMedium;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;

/** A disk in the Java heap that remembers what each write has overwritten, and can take the last ones back. */
public final class UndoMedium extends PlainMedium {
    private record Overwritten(long offset, MemorySegment bytes) {}

    private final MemorySegment disk;
    private final ArrayDeque<Overwritten> before = new ArrayDeque<>();

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
        before.push(new Overwritten(offset, MemorySegment.ofArray(range.toArray(JAVA_BYTE))));
        range.copyFrom(from);
    }

    public synchronized void undo() {
        var last = before.pop();
        disk.asSlice(last.offset(), last.bytes().byteSize()).copyFrom(last.bytes());
    }
}
