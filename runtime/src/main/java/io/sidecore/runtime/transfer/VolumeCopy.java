package io.sidecore.runtime.transfer;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Capabilities;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Extents;
import io.sidecore.actors.block.Slab;
import io.sidecore.actors.block.Store.Answer;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.ArrayDeque;
import java.util.Deque;

/** Copies a whole volume from or to a file, through an {@link InProcessEnd}. Runs on a thread that may wait. One object, one copy. */
public final class VolumeCopy {
    /** Requests in flight: enough that neither the file nor the volume waits for the other. */
    private static final int DEPTH = 8;

    /** Zeroes of a request, at most: on a loop, where others wait meanwhile. */
    private static final long ZEROES = 32L << 20;

    /** What one question for extents covers, at most. */
    private static final long ASKED = 1L << 30;

    private static final long TELL_NANOS = 200_000_000;
    private static final int CHUNK = InProcessEnd.CHUNK;
    private static final int SECTOR = 512;
    private static final MemorySegment NOTHING = MemorySegment.ofArray(new byte[CHUNK]);

    /**
     * What was done.
     *
     * @param bytes of the whole
     * @param copied bytes of it that were not known to be zeroes
     */
    public record Copied(long bytes, long copied) {}

    /** A part of the volume that is to be read. */
    private record Part(long offset, long length) {}

    private final InProcessEnd end;
    private final Capabilities capabilities;
    private final long size;
    private final Progress progress;
    private int inFlight;
    private long done;
    private long copied;
    private long told;
    private boolean everTold;

    /**
     * A copy that has not begun.
     *
     * @param capabilities of the volume
     * @param size of the volume, in bytes
     */
    public VolumeCopy(InProcessEnd end, Capabilities capabilities, long size, Progress progress) {
        this.end = end;
        this.capabilities = capabilities;
        this.size = size;
        this.progress = progress;
    }

    // --- into the volume

    /**
     * Makes the volume read as the file does, and as zeroes behind the file's end; returns when that is durable.
     *
     * @throws TransferException if the volume refuses something
     * @throws IOException if the file cannot be read, or whoever wanted the copy has gone
     */
    public Copied in(FileChannel file) throws IOException, InterruptedException {
        var length = file.size();
        var zeroesFrom = 0L;
        for (var offset = 0L; offset < length; offset += CHUNK) {
            var bytes = (int) Math.min(CHUNK, length - offset);
            var slab = end.borrow();
            var handedOver = false;
            try {
                readFully(file, slab.buffer().clear(), offset, bytes);
                if (!isZero(slab, bytes)) {
                    putZeroes(zeroesFrom, offset);
                    // The volume ends on a sector, a file need not.
                    var whole = Math.min(size - offset, Math.ceilDiv(bytes, SECTOR) * (long) SECTOR);
                    slab.memory().asSlice(bytes, whole - bytes).fill((byte) 0);
                    await(DEPTH - 1);
                    inFlight++;
                    copied += bytes;
                    handedOver = true;
                    end.write(offset, (int) whole, slab);
                    zeroesFrom = offset + whole;
                }
            } finally {
                if (!handedOver) {
                    end.giveBack(slab);
                }
            }
            tell();
        }
        putZeroes(zeroesFrom, size);
        await(0);
        if (capabilities.flush() != Answer.NONE) {
            inFlight++;
            end.ask(BlockOp.FLUSH, 0, 0);
            await(0);
        }
        progress.at(size, size);
        return new Copied(size, copied);
    }

    private void putZeroes(long from, long to) throws IOException, InterruptedException {
        var natively = capabilities.writeZeroes() != Answer.NONE;
        for (var offset = from; offset < to; ) {
            var bytes = Math.min(natively ? ZEROES : CHUNK, to - offset);
            await(DEPTH - 1);
            inFlight++;
            if (natively) {
                end.ask(BlockOp.WRITE_ZEROES, offset, bytes);
            } else {
                var slab = end.borrow();
                slab.memory().asSlice(0, bytes).fill((byte) 0);
                end.write(offset, (int) bytes, slab);
            }
            offset += bytes;
            tell();
        }
    }

    private static void readFully(FileChannel file, ByteBuffer into, long offset, int bytes) throws IOException {
        into.limit(bytes);
        while (into.hasRemaining()) {
            if (file.read(into, offset + into.position()) < 0) {
                throw new IOException("the file ended at byte " + (offset + into.position()) + " while it was read");
            }
        }
    }

    private static boolean isZero(Slab slab, int bytes) {
        return MemorySegment.mismatch(slab.memory(), 0, bytes, NOTHING, 0, bytes) < 0;
    }

    // --- out of the volume

    /**
     * Makes the file, which must be empty, as large as the volume and copies everything but zeroes; returns when that is durable.
     *
     * @throws TransferException if the volume refuses something
     * @throws IOException if the file cannot be written, or whoever wanted the copy has gone
     */
    public Copied out(FileChannel file) throws IOException, InterruptedException {
        var extents = capabilities.extents() != Answer.NONE;
        var parts = new ArrayDeque<Part>();
        var planned = 0L;
        while (planned < size || !parts.isEmpty() || inFlight > 0) {
            if (parts.isEmpty() && planned < size) {
                planned = extents ? plan(planned, parts, file) : planAll(parts);
            } else if (!parts.isEmpty() && inFlight < DEPTH) {
                var part = parts.poll();
                var bytes = (int) Math.min(CHUNK, part.length());
                if (bytes < part.length()) {
                    parts.push(new Part(part.offset() + bytes, part.length() - bytes));
                }
                inFlight++;
                end.read(part.offset(), bytes);
            } else if (inFlight > 0) {
                save(file, taken());
            }
            tell();
        }
        // The last byte says how long the file is, also where zeroes were left out.
        if (file.size() < size) {
            file.write(ByteBuffer.wrap(new byte[1]), size - 1);
        }
        file.force(true);
        progress.at(size, size);
        return new Copied(size, copied);
    }

    private long planAll(Deque<Part> parts) {
        parts.add(new Part(0, size));
        return size;
    }

    /** Asks which parts of the next piece hold data; what comes back meanwhile is saved. Returns up to where is known. */
    private long plan(long from, Deque<Part> parts, FileChannel file) throws IOException, InterruptedException {
        end.ask(BlockOp.STATUS, from, Math.min(ASKED, size - from));
        inFlight++;
        InProcessEnd.Answer answer;
        while ((answer = taken()).op() != BlockOp.STATUS) {
            save(file, answer);
        }
        var at = from;
        var found = answer.extents();
        assert found != null : answer;
        for (var i = 0; i < found.count(); i++) {
            if ((found.state(i) & Extents.ZERO) == 0) {
                parts.add(new Part(at, found.length(i)));
            } else {
                done += found.length(i);
            }
            at += found.length(i);
        }
        if (at == from) {
            throw new TransferException("the volume does not say what is at byte " + from);
        }
        return at;
    }

    private void save(FileChannel file, InProcessEnd.Answer read) throws IOException {
        var bytes = (int) read.length();
        var slab = read.slab();
        assert slab != null : read;
        try {
            if (!isZero(slab, bytes)) {
                var from = slab.buffer().clear().limit(bytes);
                while (from.hasRemaining()) {
                    file.write(from, read.offset() + from.position());
                }
                copied += bytes;
            }
        } finally {
            end.giveBack(slab);
        }
    }

    // --- both

    /** Waits until so many requests are in flight at most. */
    private void await(int most) throws IOException, InterruptedException {
        while (inFlight > most) {
            taken();
            tell();
        }
    }

    private InProcessEnd.Answer taken() throws InterruptedException {
        var answer = end.take();
        inFlight--;
        if (answer.op() != BlockOp.STATUS) {
            done += answer.length();
        }
        if (answer.error() != Errno.OK) {
            if (answer.slab() != null) {
                end.giveBack(answer.slab());
            }
            if (answer.error() == Errno.ESHUTDOWN) {
                throw new TransferException("the volume was taken away, after %d of %d bytes".formatted(done, size));
            }
            throw new TransferException("the volume answered %s to %s of %d bytes at %d, after %d of %d bytes"
                    .formatted(answer.error(), answer.op(), answer.length(), answer.offset(), done, size));
        }
        return answer;
    }

    private void tell() throws IOException {
        var now = System.nanoTime();
        if (!everTold || now - told > TELL_NANOS) {
            everTold = true;
            told = now;
            progress.at(done, size);
        }
    }
}
