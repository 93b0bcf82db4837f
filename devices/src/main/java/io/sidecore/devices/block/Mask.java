package io.sidecore.devices.block;

import io.sidecore.actors.block.Extents;
import io.sidecore.actors.block.Store.Answer;
import io.sidecore.devices.linux.IoVector;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * Hides what an image lacks: any alignment on sectors of any size, zeroes where it can neither punch nor zero, an answer about extents where it knows none. What it hides is told by {@link #answers}, not hidden in the answers.
 *
 * <p>A write that covers a part of a sector reads the sector, changes it and writes it back. Nobody else changes it meanwhile: such a write holds its region of the image alone, other writes share it. A region is chosen by the
 * offset out of {@value #REGIONS}; regions are locked in their order.
 */
final class Mask implements Image {
    private static final int REGIONS = 64;
    private static final int REGION_BITS = 20;
    private static final int ZEROES = 1 << 20;

    private final Image inner;
    private final int sector;
    private final ReentrantReadWriteLock[] regions = new ReentrantReadWriteLock[REGIONS];

    Mask(Image inner) {
        this.inner = inner;
        this.sector = inner.traits().sector();
        for (var i = 0; i < REGIONS; i++) {
            regions[i] = new ReentrantReadWriteLock();
        }
    }

    /** What the masked image does itself, what is emulated here, and what is not there at all. */
    record Answers(Answer trim, Answer writeZeroes, Answer fastZero, Answer extents, Answer readAhead) {}

    Answers answers() {
        var t = inner.traits();
        var quick = t.punch() == Answer.NATIVE || t.zero() == Answer.NATIVE;
        return new Answers(
                t.readOnly() ? Answer.NONE : t.trim(),
                t.readOnly() ? Answer.NONE : quick ? Answer.NATIVE : Answer.EMULATED,
                quick && !t.readOnly() ? Answer.NATIVE : Answer.NONE,
                t.extents(),
                t.readAhead());
    }

    Image inner() {
        return inner;
    }

    @Override
    public String name() {
        return inner.name();
    }

    @Override
    public long size() {
        return inner.size();
    }

    /** Those of the masked image. */
    @Override
    public Traits traits() {
        return inner.traits();
    }

    private boolean isAligned(long offset, long length) {
        return sector == 1 || (offset | length) % sector == 0;
    }

    private long down(long offset) {
        return offset - offset % sector;
    }

    private long up(long offset) {
        return down(offset + sector - 1);
    }

    // --- reading
    // ---------------------------------------------------------------------------------------------------------

    @Override
    public boolean tryRead(long offset, IoVector to) {
        return isAligned(offset, to.bytes()) && inner.tryRead(offset, to);
    }

    @Override
    public void read(long offset, IoVector to) {
        if (isAligned(offset, to.bytes())) {
            inner.read(offset, to);
            return;
        }
        var begin = down(offset);
        try (var bounce = Bounce.take(up(offset + to.bytes()) - begin)) {
            inner.read(begin, bounce.vector());
            to.copyFrom(bounce.memory(), offset - begin);
        }
    }

    // --- writing
    // ---------------------------------------------------------------------------------------------------------

    @Override
    public void write(long offset, IoVector from) {
        if (sector == 1) {
            inner.write(offset, from);
            return;
        }
        var length = from.bytes();
        if (isAligned(offset, length)) {
            var held = lock(offset, length, false);
            try {
                inner.write(offset, from);
            } finally {
                unlock(held, false);
            }
            return;
        }
        var begin = down(offset);
        var end = up(offset + length);
        var held = lock(begin, end - begin, true);
        try (var bounce = Bounce.take(end - begin)) {
            if (begin < offset || end - begin == sector) {
                inner.read(begin, bounce.vector(0, sector));
            }
            if (end - begin > sector && end > offset + length) {
                inner.read(end - sector, bounce.vector(end - sector - begin, sector));
            }
            from.copyTo(bounce.memory(), offset - begin);
            inner.write(begin, bounce.vector(0, (int) (end - begin)));
        } finally {
            unlock(held, true);
        }
    }

    @Override
    public void punch(long offset, long length) {
        clear(offset, length, true);
    }

    @Override
    public void zero(long offset, long length) {
        clear(offset, length, false);
    }

    /** A hint: what is no whole sector is left alone. */
    @Override
    public void trim(long offset, long length) {
        var begin = up(offset);
        var end = down(offset + length);
        if (inner.traits().trim() == Answer.NATIVE && end > begin) {
            var held = lock(begin, end - begin, false);
            try {
                inner.trim(begin, end - begin);
            } finally {
                unlock(held, false);
            }
        }
    }

    /** Zeroes, by whatever the image has; unaligned edges by writing them. */
    private void clear(long offset, long length, boolean holes) {
        var begin = Math.min(up(offset), offset + length);
        var end = Math.max(begin, down(offset + length));
        if (offset < begin) {
            writeZeroes(offset, begin - offset);
        }
        if (begin < end) {
            clearSectors(begin, end - begin, holes);
        }
        if (end < offset + length) {
            writeZeroes(end, offset + length - end);
        }
    }

    private void clearSectors(long offset, long length, boolean holes) {
        var t = inner.traits();
        var punches = t.punch() == Answer.NATIVE;
        var zeroes = t.zero() == Answer.NATIVE;
        if (holes && punches || zeroes) {
            var held = lock(offset, length, false);
            try {
                if (holes && punches) {
                    inner.punch(offset, length);
                } else {
                    inner.zero(offset, length);
                }
            } finally {
                unlock(held, false);
            }
        } else {
            writeZeroes(offset, length);
        }
    }

    private void writeZeroes(long offset, long length) {
        try (var zeroes = Bounce.take(Math.min(length, ZEROES))) {
            zeroes.memory().fill((byte) 0);
            // Not the bounce's own vector: an unaligned write takes a bounce of its own.
            for (var left = length; left > 0; ) {
                var bytes = (int) Math.min(left, ZEROES);
                write(offset + length - left, zeroes.vector(0, bytes));
                left -= bytes;
            }
        }
    }

    private long lock(long offset, long length, boolean alone) {
        if (sector == 1) {
            return 0;
        }
        var first = offset >>> REGION_BITS;
        var last = offset + length - 1 >>> REGION_BITS;
        var mask = 0L;
        for (var i = 0L; i < REGIONS && first + i <= last; i++) {
            mask |= 1L << (first + i) % REGIONS;
        }
        for (var rest = mask; rest != 0; rest &= rest - 1) {
            var region = regions[Long.numberOfTrailingZeros(rest)];
            if (alone) {
                region.writeLock().lock();
            } else {
                region.readLock().lock();
            }
        }
        return mask;
    }

    private void unlock(long mask, boolean alone) {
        for (var rest = mask; rest != 0; rest &= rest - 1) {
            var region = regions[Long.numberOfTrailingZeros(rest)];
            if (alone) {
                region.writeLock().unlock();
            } else {
                region.readLock().unlock();
            }
        }
    }

    // --- the rest
    // --------------------------------------------------------------------------------------------------------

    @Override
    public void sync() {
        inner.sync();
    }

    @Override
    public void extents(long offset, long length, Extents found) {
        if (inner.traits().extents() != Answer.NATIVE) {
            found.add(length, 0);
            return;
        }
        inner.extents(offset, length, found);
    }

    @Override
    public void readAhead(long offset, long length) {
        if (inner.traits().readAhead() == Answer.NATIVE) {
            inner.readAhead(offset, length);
        }
    }

    @Override
    public void resize(long bytes) {
        inner.resize(bytes);
    }

    @Override
    public void check() {
        inner.check();
    }

    @Override
    public boolean hasRoom(long bytes) {
        return inner.hasRoom(bytes);
    }

    @Override
    public void close() {
        inner.close();
    }
}
