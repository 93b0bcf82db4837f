package io.sidecore.devices.linux;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * A file or block device, opened and used by system calls: reads that do not wait, holes, zeroes, locks and synchronisation that the JDK has no name for. Unlike a {@code FileChannel} it does not mind interrupts: none
 * closes it, and none ends a call early. May be used by any number of threads; who closes it sees to it that nobody uses it any more.
 *
 * <p>Methods throw {@link SystemCallException} with the kernel's errno, unless they say otherwise.
 */
public final class OpenFile implements AutoCloseable {
    /** The errors that a caller tells apart, as in {@code errno(3)}. */
    public static final int ENOENT = 2;

    public static final int EAGAIN = 11;
    public static final int EACCES = 13;
    public static final int EBUSY = 16;
    public static final int ENODEV = 19;
    public static final int EINVAL = 22;
    public static final int ENOSPC = 28;
    public static final int EROFS = 30;
    public static final int EPERM = 1;
    public static final int EIO = 5;
    public static final int ENOTTY = 25;
    public static final int ENXIO = 6;
    public static final int EFBIG = 27;
    public static final int EOPNOTSUPP = 95;
    public static final int EDQUOT = 122;

    /** How it is opened. */
    public enum Access {
        READ_ONLY,
        /** A block device that is in use, as a mounted one is, is refused with EBUSY. */
        READ_WRITE,
        /** A new file, mode 0600; one that is there is refused with EEXIST. */
        CREATE
    }

    /**
     * What {@code statx(2)} tells.
     *
     * @param device number of the device it lies on
     * @param inode its number there
     * @param size bytes; zero for a block device
     * @param links names it has; zero once it was deleted
     * @param isFile whether it is a regular file
     * @param isDevice whether it is a block device
     * @param deviceNumber of a block device, as {@code /sys/dev/block} has it: {@code MAJOR:MINOR}
     * @param directMemory alignment of memory for direct I/O; zero where that is not possible, or not told (before Linux 6.1)
     * @param directOffset alignment of offsets and lengths for direct I/O
     */
    public record Status(
            long device,
            long inode,
            long size,
            long links,
            boolean isFile,
            boolean isDevice,
            String deviceNumber,
            int directMemory,
            int directOffset) {
        /** Whether it is one file at two times, whatever has become of its size. */
        public boolean isSameFile(Status other) {
            return device == other.device && inode == other.inode;
        }
    }

    private static final int AT_FDCWD = -100;
    private static final int AT_EMPTY_PATH = 0x1000;
    private static final int STATX_BASIC = 0x7ff;
    private static final int STATX_DIOALIGN = 0x2000;
    private static final long STATX_BYTES = 256;
    private static final int S_IFMT = 0xf000;
    private static final int S_IFREG = 0x8000;
    private static final int S_IFBLK = 0x6000;
    private static final long TMPFS_MAGIC = 0x01021994;

    private static final short F_RDLCK = 0;
    private static final short F_WRLCK = 1;
    private static final short F_UNLCK = 2;

    private final Path path;
    private final int fd;

    private OpenFile(Path path, int fd) {
        this.path = path;
        this.fd = fd;
    }

    /** Whether there is such a thing on this system. */
    public static boolean isSupported() {
        return Libc.LINUX;
    }

    /**
     * Opens a file.
     *
     * @param direct whether reads and writes pass the page cache by: they must then be aligned
     */
    public static OpenFile open(Path path, Access access, boolean direct) {
        var flags = LibcFiles.O_CLOEXEC
                | (direct ? LibcFiles.O_DIRECT : 0)
                | switch (access) {
                    case READ_ONLY -> LibcFiles.O_RDONLY;
                    // Without O_CREAT it has a meaning for block devices only.
                    case READ_WRITE -> LibcFiles.O_RDWR | LibcFiles.O_EXCL;
                    case CREATE -> LibcFiles.O_RDWR | LibcFiles.O_CREAT | LibcFiles.O_EXCL;
                };
        try (var arena = Arena.ofConfined()) {
            var fd = LibcFiles.open(arena.allocateFrom(path.toString()), flags, 0600);
            if (fd < 0) {
                throw new SystemCallException("Cannot open " + path, -fd, "");
            }
            return new OpenFile(path, fd);
        }
    }

    /** Where it was opened. */
    public Path path() {
        return path;
    }

    /** What is known of it now. */
    public Status status() {
        return status(fd, "", AT_EMPTY_PATH, path);
    }

    /** What is known of the file of this name now, the target of a symbolic link. */
    public static Status status(Path path) {
        return status(AT_FDCWD, path.toString(), 0, path);
    }

    private static Status status(int fd, String name, int flags, Path path) {
        try (var arena = Arena.ofConfined()) {
            var stat = arena.allocate(STATX_BYTES, Long.BYTES);
            check(
                    "Cannot look at " + path,
                    LibcFiles.status(fd, arena.allocateFrom(name), flags, STATX_BASIC | STATX_DIOALIGN, stat));
            var type = stat.get(JAVA_SHORT, 28) & S_IFMT;
            var aligned = (stat.get(JAVA_INT, 0) & STATX_DIOALIGN) != 0;
            return new Status(
                    (long) stat.get(JAVA_INT, 136) << 32 | Integer.toUnsignedLong(stat.get(JAVA_INT, 140)),
                    stat.get(JAVA_LONG, 32),
                    stat.get(JAVA_LONG, 40),
                    Integer.toUnsignedLong(stat.get(JAVA_INT, 16)),
                    type == S_IFREG,
                    type == S_IFBLK,
                    Integer.toUnsignedString(stat.get(JAVA_INT, 128)) + ":"
                            + Integer.toUnsignedString(stat.get(JAVA_INT, 132)),
                    aligned ? stat.get(JAVA_INT, 152) : 0,
                    aligned ? stat.get(JAVA_INT, 156) : 0);
        }
    }

    /** Whether it lies in memory and nowhere else: a tmpfs, and nothing that its pages could be swapped to. Reading and writing it then waits for no device. */
    public boolean isInMemory() {
        try (var arena = Arena.ofConfined()) {
            var stat = arena.allocate(STATX_BYTES, Long.BYTES);
            check("Cannot look at the file system of " + path, LibcFiles.fileSystem(fd, stat));
            return stat.get(JAVA_LONG, 0) == TMPFS_MAGIC && !hasSwap();
        }
    }

    /** Bytes that its file system has left for anybody; an estimate, quotas aside. */
    public long available() {
        try (var arena = Arena.ofConfined()) {
            var stat = arena.allocate(STATX_BYTES, Long.BYTES);
            check("Cannot look at the file system of " + path, LibcFiles.fileSystem(fd, stat));
            // struct statfs: f_bsize, f_bavail.
            return stat.get(JAVA_LONG, 8) * stat.get(JAVA_LONG, 32);
        }
    }

    private static boolean hasSwap() {
        try (var lines = Files.lines(Path.of("/proc/swaps"))) {
            return lines.count() > 1;
        } catch (IOException unknown) {
            return true;
        }
    }

    // --- data
    // ---------------------------------------------------------------------------------------------------------

    /** What there is in memory of the range, without waiting for a device; bytes read, or the negative errno: EAGAIN if there is nothing, EOPNOTSUPP if the file system does not know how. */
    public long readNow(IoVector to, long offset) {
        try {
            return LibcFiles.read(fd, to.address(), to.count(), offset, LibcFiles.RWF_NOWAIT);
        } finally {
            Reference.reachabilityFence(to);
        }
    }

    /** Reads until the vector is full or the file ends; returns the bytes read. */
    public long read(IoVector to, long offset) {
        var done = 0L;
        while (done < to.bytes()) {
            var moved = LibcFiles.read(fd, to.address(), to.left(), offset + done, 0);
            if (moved < 0) {
                to.rewind();
                throw new SystemCallException(
                        "Cannot read " + to.bytes() + " bytes at " + offset + " of " + path, (int) -moved, "");
            }
            if (moved == 0) {
                break;
            }
            done += moved;
            if (done < to.bytes()) {
                to.advance(moved);
            }
        }
        to.rewind();
        return done;
    }

    /** Writes the whole vector. */
    public void write(IoVector from, long offset) {
        var done = 0L;
        while (done < from.bytes()) {
            var moved = LibcFiles.write(fd, from.address(), from.left(), offset + done, 0);
            if (moved <= 0) {
                from.rewind();
                throw new SystemCallException(
                        "Cannot write " + from.bytes() + " bytes at " + offset + " of " + path,
                        moved == 0 ? EIO : (int) -moved,
                        "");
            }
            done += moved;
            if (done < from.bytes()) {
                from.advance(moved);
            }
        }
        from.rewind();
    }

    /** Returns when everything written so far, and the size it needs to be found, is on the medium: {@code fdatasync(2)}. After a failure contents are unknown, and another call proves nothing. */
    public void sync() {
        check("Cannot make durable what was written to " + path, LibcFiles.sync(fd));
    }

    /** Gives the range's space back; it reads as zeroes. False if the file system cannot. */
    public boolean punch(long offset, long length) {
        return allocate(LibcFiles.FALLOC_PUNCH_HOLE | LibcFiles.FALLOC_KEEP_SIZE, offset, length);
    }

    /** Makes the range read as zeroes and keeps or takes the space for it. False if the file system cannot. */
    public boolean zero(long offset, long length) {
        return allocate(LibcFiles.FALLOC_ZERO_RANGE | LibcFiles.FALLOC_KEEP_SIZE, offset, length);
    }

    /** Takes space for what has none in the range. False if the file system cannot. */
    public boolean reserve(long offset, long length) {
        return allocate(LibcFiles.FALLOC_KEEP_SIZE, offset, length);
    }

    private boolean allocate(int mode, long offset, long length) {
        var result = LibcFiles.allocate(fd, mode, offset, length);
        if (result == -EOPNOTSUPP || result == -ENODEV) {
            return false;
        }
        check("Cannot punch, zero or reserve " + length + " bytes at " + offset + " of " + path, result);
        return true;
    }

    /** The first byte at or behind {@code offset} that is data; -1 if there is only hole. */
    public long nextData(long offset) {
        return seek(offset, LibcFiles.SEEK_DATA);
    }

    /** The first byte at or behind {@code offset} that is hole, the end of the file at the latest; -1 if the offset lies behind the end. */
    public long nextHole(long offset) {
        return seek(offset, LibcFiles.SEEK_HOLE);
    }

    private long seek(long offset, int whence) {
        var result = LibcFiles.seek(fd, offset, whence);
        if (result == -ENXIO) {
            return -1;
        }
        check("Cannot look for holes in " + path, result);
        return result;
    }

    /** Makes it longer, by a hole, or shorter. */
    public void truncate(long size) {
        check("Cannot make " + path + " " + size + " bytes long", LibcFiles.truncate(fd, size));
    }

    /** Begins to read the range into memory; only advice. */
    public void willNeed(long offset, long length) {
        LibcFiles.advise(fd, offset, length, LibcFiles.FADV_WILLNEED);
    }

    /** Drops what memory keeps of the file and is not waiting to be written, so that it is read from the medium again; only advice. */
    public void forget() {
        LibcFiles.advise(fd, 0, 0, LibcFiles.FADV_DONTNEED);
    }

    // --- block devices
    // -------------------------------------------------------------------------------------------------

    /** Bytes of a block device. */
    public long deviceSize() {
        try (var arena = Arena.ofConfined()) {
            var size = arena.allocate(JAVA_LONG);
            check("Cannot ask the size of " + path, LibcFiles.device(fd, LibcFiles.BLKGETSIZE64, size));
            return size.get(JAVA_LONG, 0);
        }
    }

    /** Bytes of a logical sector of a block device. */
    public int deviceSector() {
        return deviceNumber(LibcFiles.BLKSSZGET);
    }

    /** Whether a block device zeroes a range faster than by writing it, as far as the kernel knows. */
    public boolean isDeviceQuickToZero() {
        var device = Path.of("/sys/dev/block", status().deviceNumber());
        // A partition has no queue of its own, its disk has: the folder above the one that this links to.
        for (var queue : List.of(device.resolve("queue"), device.resolve("../queue"))) {
            try {
                return Long.parseLong(Files.readString(queue.resolve("write_zeroes_max_bytes"))
                                .strip())
                        > 0;
            } catch (IOException notThere) {
                // The disk's is looked at next.
            }
        }
        return false;
    }

    /** Whether a block device refuses writes. */
    public boolean isDeviceReadOnly() {
        return deviceNumber(LibcFiles.BLKROGET) != 0;
    }

    private int deviceNumber(int request) {
        try (var arena = Arena.ofConfined()) {
            var number = arena.allocate(JAVA_INT);
            check("Cannot ask for the properties of " + path, LibcFiles.device(fd, request, number));
            return number.get(JAVA_INT, 0);
        }
    }

    /** Tells a block device that the range, of whole sectors, is not needed; what it reads as is unknown. False if it cannot. */
    public boolean discard(long offset, long length) {
        return device("discard", LibcFiles.BLKDISCARD, offset, length);
    }

    /** Makes a range of whole sectors of a block device read as zeroes, its space kept; by writing them where it has no quicker way. False if it cannot. */
    public boolean zeroOut(long offset, long length) {
        return device("zero", LibcFiles.BLKZEROOUT, offset, length);
    }

    private boolean device(String what, int request, long offset, long length) {
        try (var arena = Arena.ofConfined()) {
            var range = arena.allocate(JAVA_LONG, 2);
            range.setAtIndex(JAVA_LONG, 0, offset);
            range.setAtIndex(JAVA_LONG, 1, length);
            var result = LibcFiles.device(fd, request, range);
            if (result == -EOPNOTSUPP || result == -ENOTTY) {
                return false;
            }
            check("Cannot " + what + " " + length + " bytes at " + offset + " of " + path, result);
            return true;
        }
    }

    // --- locks
    // ---------------------------------------------------------------------------------------------------------

    /**
     * Locks the bytes from {@code first} on against every other open file description ({@code F_OFD_SETLK} of {@code fcntl(2)}). The lock goes with this object.
     *
     * @param length bytes; 0: to the end of all ends
     * @return false if another one holds a lock that does not go with it
     */
    public boolean lock(boolean exclusive, long first, long length) {
        try (var arena = Arena.ofConfined()) {
            var result = LibcFiles.control(fd, LibcFiles.F_OFD_SETLK, range(arena, exclusive, first, length));
            if (result == -EAGAIN || result == -EACCES) {
                return false;
            }
            check("Cannot lock " + path, result);
            return true;
        }
    }

    /** Whether another open file description holds a lock of any kind there. */
    public boolean isLockedByOther(long first, long length) {
        try (var arena = Arena.ofConfined()) {
            var lock = range(arena, true, first, length);
            check("Cannot ask for the locks of " + path, LibcFiles.control(fd, LibcFiles.F_OFD_GETLK, lock));
            return lock.get(JAVA_SHORT, 0) != F_UNLCK;
        }
    }

    private static MemorySegment range(Arena arena, boolean exclusive, long first, long length) {
        var lock = arena.allocate(32, Long.BYTES);
        lock.set(JAVA_SHORT, 0, exclusive ? F_WRLCK : F_RDLCK);
        lock.set(JAVA_LONG, 8, first);
        lock.set(JAVA_LONG, 16, length);
        return lock;
    }

    /** The process that holds a lock on it, as "name (pid N)", other than through this object; empty where that cannot be seen. Looks through all of {@code /proc}: for an error message. */
    public Optional<String> lockHolder() {
        // A lock of an open file description has no owner in /proc/locks; it stands in the fdinfo of whoever has that
        // open.
        var status = status();
        var mark = ":%d ".formatted(status.inode());
        for (var process : numbered(Path.of("/proc"))) {
            for (var info : numbered(process.resolve("fdinfo"))) {
                if (isOwn(process, info)) {
                    continue;
                }
                try (var lines = Files.lines(info)) {
                    if (lines.anyMatch(line -> line.startsWith("lock:") && line.contains(mark))) {
                        return Optional.of(nameOf(process) + " (pid " + process.getFileName() + ")");
                    }
                } catch (IOException | java.io.UncheckedIOException goneOrForbidden) {
                    // Then it is another one, or nobody may know.
                }
            }
        }
        return Optional.empty();
    }

    private boolean isOwn(Path process, Path info) {
        return info.getFileName().toString().equals(Integer.toString(fd))
                && process.getFileName()
                        .toString()
                        .equals(Long.toString(ProcessHandle.current().pid()));
    }

    private static String nameOf(Path process) {
        try {
            return Files.readString(process.resolve("comm")).strip();
        } catch (IOException gone) {
            return "a process";
        }
    }

    private static List<Path> numbered(Path directory) {
        var found = new ArrayList<Path>();
        try (var all = Files.newDirectoryStream(directory, "[0-9]*")) {
            all.forEach(found::add);
        } catch (IOException | java.nio.file.DirectoryIteratorException goneOrForbidden) {
            return found;
        }
        return found;
    }

    /** Lets it go, its locks with it. */
    @Override
    public void close() {
        check("Cannot close " + path, LibcFiles.close(fd));
    }

    private static void check(String what, long result) {
        if (result < 0) {
            throw new SystemCallException(what, (int) -result, "");
        }
    }

    @Override
    public String toString() {
        return path + " (fd " + fd + ")";
    }
}
