package io.sidecore.devices.nbd;

import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Slab;
import io.sidecore.actors.block.SlabPool;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Iterator;
import org.jspecify.annotations.Nullable;

/**
 * What is to be sent, as runs of bytes: in slabs, where replies in order lie one behind the other, and in memory that a store has lent. A slab is held as long as a byte of it is unsent.
 */
final class NbdReplies {
    /** A contiguous stretch of bytes to send; {@code slab} is null for lent memory. */
    private static final class Run {
        @Nullable
        Slab slab;

        @Nullable
        MemorySegment lent;

        int from;
        int to;
        int holds;

        /** Its unsent bytes. A view of its own: several runs may lie in one slab. */
        ByteBuffer view() {
            if (slab != null) {
                return slab.buffer().clear().slice(from, to - from);
            }
            assert lent != null;
            return lent.asSlice(from, to - from).asByteBuffer();
        }
    }

    private final QueueMemory memory;
    private final ArrayDeque<Run> runs = new ArrayDeque<>();
    private final ArrayDeque<Run> spare = new ArrayDeque<>();
    private int lentRuns;
    private long unsent;
    private Slab out;

    NbdReplies(QueueMemory memory) {
        this.memory = memory;
        this.out = memory.keep(memory.borrowBeyond(SlabPool.STANDARD));
    }

    /** A slab with room for {@code bytes} more, or null while there is no memory. */
    @Nullable
    Slab slab(int bytes) {
        if (bytes > SlabPool.STANDARD) {
            return memory.borrow(bytes);
        }
        if (out.room() < bytes) {
            var next = memory.borrow(SlabPool.STANDARD);
            if (next == null) {
                return null;
            }
            use(next);
        }
        return out;
    }

    private void use(Slab next) {
        memory.drop(out);
        out = memory.keep(next);
    }

    /** The same, beyond the bound if need be. */
    Slab slabBeyond(int bytes) {
        var within = slab(bytes);
        if (within != null) {
            return within;
        }
        var slab = memory.borrowBeyond(bytes);
        if (slab.capacity() == SlabPool.STANDARD) {
            use(slab);
        }
        return slab;
    }

    /** Appends bytes of a slab that are held once for it. */
    void append(Slab slab, int from, int bytes) {
        unsent += bytes;
        var last = runs.peekLast();
        if (last != null && last.slab == slab && last.to == from) {
            last.to += bytes;
            last.holds++;
            return;
        }
        add(slab, null, from, bytes);
    }

    /** Appends the payload of a read that a store has lent. */
    void append(Request read) {
        unsent += read.payloadBytes();
        add(null, read.memory(), read.position(), read.payloadBytes());
        lentRuns++;
    }

    private void add(@Nullable Slab slab, @Nullable MemorySegment lent, int from, int bytes) {
        var run = spare.isEmpty() ? new Run() : spare.remove();
        run.slab = slab;
        run.lent = lent;
        run.from = from;
        run.to = from + bytes;
        run.holds = 1;
        runs.add(run);
    }

    /** Whether there is nothing to send. */
    boolean isEmpty() {
        return runs.isEmpty();
    }

    /** Bytes to send. */
    long bytes() {
        return unsent;
    }

    /** The first bytes to send. */
    ByteBuffer first() {
        var run = runs.element();
        return run.slab == null ? run.view() : run.slab.buffer().limit(run.to).position(run.from);
    }

    /** Whether it is worth sending several runs at once. */
    boolean scattered() {
        return lentRuns > 0 && runs.size() > 1;
    }

    /** Fills {@code views} with the first runs; returns how many. */
    int gather(ByteBuffer[] views) {
        var n = 0;
        for (Iterator<Run> i = runs.iterator(); n < views.length && i.hasNext(); n++) {
            views[n] = i.next().view();
        }
        return n;
    }

    /** So many bytes were sent. */
    void sent(long bytes) {
        unsent -= bytes;
        while (bytes > 0) {
            var run = runs.element();
            var n = (int) Math.min(bytes, run.to - run.from);
            run.from += n;
            bytes -= n;
            if (run.from == run.to) {
                runs.poll();
                end(run);
            }
        }
    }

    private void end(Run run) {
        if (run.slab == null) {
            lentRuns--;
        } else {
            for (var i = 0; i < run.holds; i++) {
                memory.release(run.slab);
            }
        }
        run.slab = null;
        run.lent = null;
        spare.push(run);
    }

    /** Drops what is unsent and lets go of the present slab. */
    void close() {
        for (Run run; (run = runs.poll()) != null; ) {
            end(run);
        }
        memory.drop(out);
    }
}
