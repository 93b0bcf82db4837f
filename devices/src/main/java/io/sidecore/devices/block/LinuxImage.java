package io.sidecore.devices.block;

import io.sidecore.actors.block.Extents;
import io.sidecore.actors.block.MediumException;
import io.sidecore.actors.block.Store.Answer;
import io.sidecore.devices.linux.IoVector;
import io.sidecore.devices.linux.OpenFile;
import io.sidecore.devices.linux.OpenFile.Access;
import io.sidecore.devices.linux.SystemCallException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A raw image file or a block device of Linux. While it is open nobody else writes it: it holds a lock that other hosts and QEMU's tools respect.
 *
 * <p>The lock of a writer is an exclusive one on the whole file. A reader takes the bytes by which QEMU's raw driver says "I read, and nobody shall write or resize" (block/file-posix.c, {@code RAW_LOCK_PERM_BASE} and
 * {@code RAW_LOCK_SHARED_BASE}), and looks whether somebody holds those that say "I write": so readers go together, with QEMU's too, and no writer goes with them.
 */
public final class LinuxImage implements Image {
    /**
     * How an image is opened.
     *
     * @param path the file or device
     * @param size bytes; 0: as large as it is. A file that is not there is created of this size
     * @param create whether one that is not there is created
     * @param readOnly whether nothing is written
     * @param direct whether reads and writes pass the page cache by
     */
    public record Options(Path path, long size, boolean create, boolean readOnly, boolean direct) {}

    /** Of memory and offsets for direct I/O, where the kernel does not tell. */
    private static final int DIRECT_ALIGNMENT = 4096;

    private static final int SECTOR = 512;

    private static final long QEMU_READS = 100;
    private static final long QEMU_WRITES = 101;
    private static final long QEMU_RESIZES = 103;
    private static final long QEMU_NOBODY_WRITES = 201;
    private static final long QEMU_NOBODY_RESIZES = 203;

    /** A punch or a zeroing is done in steps, so that others have their turn in between. */
    private static final long STEP = 1L << 30;

    private final OpenFile file;
    private final OpenFile.Status opened;
    private final boolean direct;
    private final Traits traits;
    private final int memoryAlignment;
    private final int deviceSector;
    private volatile boolean knowsNow;
    private volatile long size;

    private LinuxImage(OpenFile file, Options options) {
        this.file = file;
        this.opened = file.status();
        this.direct = options.direct();
        lock(options.readOnly());
        if (opened.isDevice() && !options.readOnly() && file.isDeviceReadOnly()) {
            throw new MediumException(file.path() + " is a write-protected device; say read-only = true");
        }
        this.size = opened.isDevice() ? file.deviceSize() : opened.size();
        this.memoryAlignment = opened.directMemory() > 0 ? opened.directMemory() : DIRECT_ALIGNMENT;
        this.deviceSector = opened.isDevice() ? file.deviceSector() : 1;
        var offsetAlignment = opened.isDevice()
                ? Math.max(deviceSector, opened.directOffset())
                : opened.directOffset() > 0 ? opened.directOffset() : DIRECT_ALIGNMENT;
        this.knowsNow = !direct;
        this.traits = new Traits(
                direct ? offsetAlignment : 1,
                options.readOnly(),
                opened.isDevice() ? Answer.NONE : known(!options.readOnly() && probePunch()),
                known(!options.readOnly()),
                known(!options.readOnly() && (opened.isDevice() ? file.isDeviceQuickToZero() : probeZero())),
                opened.isDevice() ? Answer.NONE : known(probeExtents()),
                known(!direct),
                !direct && file.isInMemory(),
                direct);
    }

    private static Answer known(boolean can) {
        return can ? Answer.NATIVE : Answer.NONE;
    }

    /**
     * Opens it, and creates it first where that is wanted.
     *
     * @throws MediumException with a sentence that names the file, and what is wrong with it
     */
    public static LinuxImage open(Options options) {
        if (!OpenFile.isSupported()) {
            throw new MediumException("volumes in files need Linux; use store { type = memory }");
        }
        var path = options.path();
        var created = false;
        if (!Files.exists(path) && options.create() && options.size() > 0 && !options.readOnly()) {
            create(options);
            created = true;
        }
        OpenFile file = null;
        try {
            file = OpenFile.open(path, options.readOnly() ? Access.READ_ONLY : Access.READ_WRITE, options.direct());
            var status = file.status();
            if (!status.isFile() && !status.isDevice()) {
                throw new MediumException(path + " is neither a file nor a block device");
            }
            var image = new LinuxImage(file, options);
            image.judgeSize(options);
            if (created) {
                file.sync();
            }
            return image;
        } catch (SystemCallException e) {
            close(file);
            throw new MediumException(e.getMessage() + advice(e.errno(), options), e);
        } catch (RuntimeException e) {
            close(file);
            throw e;
        }
    }

    private static void create(Options options) {
        var path = options.path();
        try (var file = OpenFile.open(path, Access.CREATE, false)) {
            file.truncate(options.size());
            file.sync();
        } catch (SystemCallException e) {
            throw new MediumException(
                    "Cannot create the image " + path + ": " + e.getMessage()
                            + (e.errno() == OpenFile.ENOENT ? "; its folder is not made, only the image" : ""),
                    e);
        }
    }

    private static void close(@Nullable OpenFile file) {
        if (file != null) {
            file.close();
        }
    }

    private static String advice(int errno, Options options) {
        return switch (errno) {
            case OpenFile.ENOENT ->
                options.readOnly() || !options.create() ? "" : ". Give the volume a size, and the image is created";
            case OpenFile.EACCES, OpenFile.EROFS ->
                options.readOnly() ? "" : ". If it need not be written, say read-only = true";
            case OpenFile.EBUSY ->
                ". It is in use by " + holder(options.path()).orElse("the system, mounted perhaps")
                        + "; end that first, or say read-only = true";
            case OpenFile.EINVAL ->
                options.direct() ? ". Its file system may know no direct I/O: say direct = false" : "";
            default -> "";
        };
    }

    private static Optional<String> holder(Path path) {
        try (var file = OpenFile.open(path, Access.READ_ONLY, false)) {
            return file.lockHolder();
        } catch (SystemCallException e) {
            return Optional.empty();
        }
    }

    private void judgeSize(Options options) {
        if (options.size() > 0 && options.size() != size) {
            throw new MediumException(file.path() + " has " + size + " bytes, but the volume is to have "
                    + options.size() + "; leave the size out to take the image as it is");
        }
        if (size == 0) {
            throw new MediumException(file.path() + " is empty; give the volume a size and remove the empty file");
        }
        var unit = direct ? Math.max(SECTOR, traits.sector()) : SECTOR;
        if (size % unit != 0) {
            throw new MediumException(file.path() + " has " + size + " bytes, which is no multiple of " + unit
                    + (direct && size % SECTOR == 0 ? ", as direct = true needs it" : ""));
        }
    }

    private void lock(boolean readOnly) {
        var got = readOnly
                ? file.lock(false, QEMU_READS, 1)
                        && file.lock(false, QEMU_NOBODY_WRITES, 1)
                        && file.lock(false, QEMU_NOBODY_RESIZES, 1)
                        && !file.isLockedByOther(QEMU_WRITES, 1)
                        && !file.isLockedByOther(QEMU_RESIZES, 1)
                : file.lock(true, 0, 0);
        if (!got) {
            throw new MediumException(file.path() + " is in use by "
                    + file.lockHolder().orElse("another process") + ", which "
                    + (readOnly ? "may write it" : "holds a lock on it")
                    + "; end that first, or give this volume another image");
        }
    }

    /** Behind the end there is nothing to lose. */
    private boolean probePunch() {
        return canAllocate(() -> file.punch(size + SECTOR, SECTOR));
    }

    /** Behind the end, and what space that took is given back. */
    private boolean probeZero() {
        var can = canAllocate(() -> file.zero(size, SECTOR));
        if (can) {
            file.truncate(size);
        }
        return can;
    }

    private static boolean canAllocate(java.util.function.BooleanSupplier call) {
        try {
            return call.getAsBoolean();
        } catch (SystemCallException e) {
            return e.errno() == OpenFile.ENOSPC || e.errno() == OpenFile.EDQUOT;
        }
    }

    private boolean probeExtents() {
        try {
            file.nextData(0);
            return true;
        } catch (SystemCallException e) {
            return false;
        }
    }

    @Override
    public String name() {
        return file.path().toString();
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public Traits traits() {
        return traits;
    }

    // --- data
    // ---------------------------------------------------------------------------------------------------------

    @Override
    public boolean tryRead(long offset, IoVector to) {
        if (traits.inMemory()) {
            read(offset, to);
            return true;
        }
        if (!knowsNow) {
            return false;
        }
        var got = file.readNow(to, offset);
        if (got == -OpenFile.EOPNOTSUPP) {
            knowsNow = false;
        }
        return got == to.bytes();
    }

    @Override
    public void read(long offset, IoVector to) {
        try {
            long got;
            if (direct && !to.isAligned(memoryAlignment)) {
                try (var bounce = Bounce.take(to.bytes())) {
                    got = file.read(bounce.vector(), offset);
                    to.copyFrom(bounce.memory(), 0);
                }
            } else {
                got = file.read(to, offset);
            }
            if (got < to.bytes()) {
                check();
                throw new ImageException(
                        ImageException.Kind.LOST,
                        name() + " ends at " + (offset + got) + ", within a read of " + to.bytes() + " bytes at "
                                + offset + ": it was truncated");
            }
        } catch (SystemCallException e) {
            throw ImageException.of(e);
        }
    }

    @Override
    public void write(long offset, IoVector from) {
        try {
            if (direct && !from.isAligned(memoryAlignment)) {
                try (var bounce = Bounce.take(from.bytes())) {
                    from.copyTo(bounce.memory(), 0);
                    file.write(bounce.vector(), offset);
                }
            } else {
                file.write(from, offset);
            }
        } catch (SystemCallException e) {
            if (opened.isDevice() && e.errno() == OpenFile.ENOSPC) {
                // What a device says of a place behind its end, too.
                check();
            }
            throw ImageException.of(e);
        }
    }

    @Override
    public void sync() {
        try {
            file.sync();
        } catch (SystemCallException e) {
            throw ImageException.of(e);
        }
    }

    @Override
    public void punch(long offset, long length) {
        inSteps(offset, length, file::punch);
    }

    @Override
    public void trim(long offset, long length) {
        if (!opened.isDevice()) {
            if (traits.punch() == Answer.NATIVE) {
                punch(offset, length);
            }
            return;
        }
        // A hint for whole sectors; a device that cannot is none the worse.
        var begin = firstSector(offset);
        var end = endOfSectors(offset + length);
        if (end > begin) {
            inSteps(begin, end - begin, (at, bytes) -> {
                file.discard(at, bytes);
                return true;
            });
        }
    }

    @Override
    public void zero(long offset, long length) {
        if (!opened.isDevice()) {
            inSteps(offset, length, file::zero);
            return;
        }
        // Whole sectors; what is left of others goes through the page cache.
        var end = offset + length;
        var begin = Math.min(end, firstSector(offset));
        var until = Math.max(begin, endOfSectors(end));
        writeZeroes(offset, begin - offset);
        inSteps(begin, until - begin, file::zeroOut);
        writeZeroes(until, end - until);
    }

    private void writeZeroes(long offset, long length) {
        if (length > 0) {
            try (var zeroes = Bounce.take(length)) {
                zeroes.memory().fill((byte) 0);
                write(offset, zeroes.vector());
            }
        }
    }

    private long firstSector(long offset) {
        return Math.ceilDiv(offset, deviceSector) * deviceSector;
    }

    private long endOfSectors(long offset) {
        return offset / deviceSector * deviceSector;
    }

    private interface Step {
        boolean apply(long offset, long length);
    }

    private void inSteps(long offset, long length, Step step) {
        try {
            for (var at = offset; at < offset + length; at += STEP) {
                var bytes = Math.min(STEP, offset + length - at);
                if (!step.apply(at, bytes)) {
                    throw new ImageException(
                            ImageException.Kind.IO, name() + " cannot punch or zero any more, as it could before");
                }
            }
        } catch (SystemCallException e) {
            throw ImageException.of(e);
        }
    }

    @Override
    public void extents(long offset, long length, Extents found) {
        try {
            var end = offset + length;
            for (var at = offset; at < end; ) {
                var data = file.nextData(at);
                if (data < 0 || data >= end) {
                    found.add(end - at, Extents.HOLE | Extents.ZERO);
                    return;
                }
                if (data > at && !found.add(data - at, Extents.HOLE | Extents.ZERO)) {
                    return;
                }
                var hole = file.nextHole(data);
                var until = hole < 0 ? end : Math.min(end, hole);
                if (!found.add(until - data, 0)) {
                    return;
                }
                at = until;
            }
        } catch (SystemCallException e) {
            throw ImageException.of(e);
        }
    }

    @Override
    public void readAhead(long offset, long length) {
        file.willNeed(offset, length);
    }

    // --- the image as a whole
    // ------------------------------------------------------------------------------------------

    @Override
    public void resize(long bytes) {
        try {
            if (opened.isDevice()) {
                var present = file.deviceSize();
                if (present != bytes) {
                    throw new MediumException(name() + " is a device of " + present + " bytes, which cannot be made "
                            + bytes + "; change the device first");
                }
            } else {
                var unit = direct ? Math.max(SECTOR, traits.sector()) : SECTOR;
                if (bytes <= 0 || bytes % unit != 0) {
                    throw new MediumException("an image has a multiple of " + unit + " bytes, not " + bytes);
                }
                file.truncate(bytes);
                file.sync();
            }
            size = bytes;
        } catch (SystemCallException e) {
            throw new MediumException(e.getMessage(), e);
        }
    }

    @Override
    public void check() {
        OpenFile.Status named;
        try {
            named = OpenFile.status(file.path());
        } catch (SystemCallException e) {
            throw lost(
                    e.errno() == OpenFile.ENOENT
                            ? " has vanished: it was deleted, renamed or unmounted"
                            : " cannot be found any more: " + e.getMessage());
        }
        if (!named.isSameFile(opened)) {
            throw lost(" was replaced by another file");
        }
        if (opened.isFile() && named.size() < size) {
            throw lost(" was truncated by somebody else, from " + size + " to " + named.size() + " bytes");
        }
        if (opened.isDevice()) {
            checkDevice();
        }
    }

    private void checkDevice() {
        long present;
        try {
            present = file.deviceSize();
        } catch (SystemCallException e) {
            throw lost(" is gone: " + e.getMessage());
        }
        if (present < size) {
            throw lost(" has shrunk, from " + size + " to " + present + " bytes");
        }
    }

    private ImageException lost(String how) {
        return new ImageException(ImageException.Kind.LOST, "the image " + name() + how);
    }

    /** Not of a device: it may be full though it has its size. */
    @Override
    public boolean hasRoom(long bytes) {
        try {
            return !opened.isDevice() && file.available() > bytes;
        } catch (SystemCallException e) {
            return false;
        }
    }

    /** After a failed flush the page cache shows what did not get to the medium, until it drops it. */
    @Override
    public void forget() {
        file.forget();
    }

    @Override
    public void close() {
        file.close();
    }

    @Override
    public String toString() {
        return name();
    }
}
