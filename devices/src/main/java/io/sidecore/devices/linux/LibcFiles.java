package io.sidecore.devices.linux;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * The file functions of the C library. Each answers what the C function does, or the negative errno; those that a signal may interrupt are called again. Offsets have 64 bits: {@code off_t} of a 64-bit Linux.
 *
 * <p>Memory is given by its address where a call is made for each request: who calls keeps it alive.
 */
final class LibcFiles {
    static final int O_RDONLY = 0;
    static final int O_RDWR = 2;
    static final int O_CREAT = 0x40;
    static final int O_EXCL = 0x80;
    static final int O_CLOEXEC = 0x80000;
    static final int O_DIRECT = directFlag();

    static final int RWF_NOWAIT = 0x8;
    static final int SEEK_DATA = 3;
    static final int SEEK_HOLE = 4;
    static final int FALLOC_KEEP_SIZE = 0x01;
    static final int FALLOC_PUNCH_HOLE = 0x02;
    static final int FALLOC_ZERO_RANGE = 0x10;
    static final int FADV_WILLNEED = 3;
    static final int FADV_DONTNEED = 4;
    static final int F_OFD_GETLK = 36;
    static final int F_OFD_SETLK = 37;

    static final int BLKROGET = 0x125e;
    static final int BLKSSZGET = 0x1268;
    static final int BLKDISCARD = 0x1277;
    static final int BLKZEROOUT = 0x127f;
    static final int BLKGETSIZE64 = 0x80081272;

    private static final int EINTR = 4;

    private static final MethodHandle OPEN = Libc.function(
            "open",
            FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT),
            Libc.ERRNO,
            Linker.Option.firstVariadicArg(2));
    private static final MethodHandle CLOSE =
            Libc.function("close", FunctionDescriptor.of(JAVA_INT, JAVA_INT), Libc.ERRNO);
    private static final MethodHandle PREADV2 = Libc.function(
            "preadv2",
            FunctionDescriptor.of(JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_INT),
            Libc.ERRNO);
    private static final MethodHandle PWRITEV2 = Libc.function(
            "pwritev2",
            FunctionDescriptor.of(JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_INT),
            Libc.ERRNO);
    private static final MethodHandle FDATASYNC =
            Libc.function("fdatasync", FunctionDescriptor.of(JAVA_INT, JAVA_INT), Libc.ERRNO);
    private static final MethodHandle FALLOCATE = Libc.function(
            "fallocate", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG), Libc.ERRNO);
    private static final MethodHandle LSEEK =
            Libc.function("lseek", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_INT), Libc.ERRNO);
    private static final MethodHandle FTRUNCATE =
            Libc.function("ftruncate", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG), Libc.ERRNO);
    private static final MethodHandle STATX = Libc.function(
            "statx", FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT, ADDRESS), Libc.ERRNO);
    private static final MethodHandle FSTATFS =
            Libc.function("fstatfs", FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS), Libc.ERRNO);
    private static final MethodHandle FCNTL = Libc.function(
            "fcntl",
            FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS),
            Libc.ERRNO,
            Linker.Option.firstVariadicArg(2));
    private static final MethodHandle IOCTL = Libc.function(
            "ioctl",
            FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS),
            Libc.ERRNO,
            Linker.Option.firstVariadicArg(2));
    /** Returns its errno rather than set it. */
    private static final MethodHandle POSIX_FADVISE =
            Libc.function("posix_fadvise", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT));

    private LibcFiles() {}

    private static int directFlag() {
        return switch (System.getProperty("os.arch")) {
            case "aarch64", "arm", "ppc64le", "ppc64" -> 0x10000;
            default -> 0x4000;
        };
    }

    static int open(MemorySegment path, int flags, int mode) {
        MemorySegment state = Libc.state();
        try {
            int result;
            do {
                result = or((int) OPEN.invokeExact(state, path, flags, mode), state);
            } while (result == -EINTR);
            return result;
        } catch (Throwable t) {
            throw Libc.unchecked(t);
        }
    }

    /** Never again after an interruption: on Linux the descriptor is gone then. */
    static int close(int fd) {
        MemorySegment state = Libc.state();
        try {
            return or((int) CLOSE.invokeExact(state, fd), state);
        } catch (Throwable t) {
            throw Libc.unchecked(t);
        }
    }

    static long read(int fd, long vector, int count, long offset, int flags) {
        MemorySegment state = Libc.state();
        try {
            long result;
            do {
                result = or((long) PREADV2.invokeExact(state, fd, vector, count, offset, flags), state);
            } while (result == -EINTR);
            return result;
        } catch (Throwable t) {
            throw Libc.unchecked(t);
        }
    }

    static long write(int fd, long vector, int count, long offset, int flags) {
        MemorySegment state = Libc.state();
        try {
            long result;
            do {
                result = or((long) PWRITEV2.invokeExact(state, fd, vector, count, offset, flags), state);
            } while (result == -EINTR);
            return result;
        } catch (Throwable t) {
            throw Libc.unchecked(t);
        }
    }

    /** Never again after a failure, an interruption included: the second call may succeed although the first one lost data. */
    static int sync(int fd) {
        MemorySegment state = Libc.state();
        try {
            return or((int) FDATASYNC.invokeExact(state, fd), state);
        } catch (Throwable t) {
            throw Libc.unchecked(t);
        }
    }

    static int allocate(int fd, int mode, long offset, long length) {
        MemorySegment state = Libc.state();
        try {
            int result;
            do {
                result = or((int) FALLOCATE.invokeExact(state, fd, mode, offset, length), state);
            } while (result == -EINTR);
            return result;
        } catch (Throwable t) {
            throw Libc.unchecked(t);
        }
    }

    static long seek(int fd, long offset, int whence) {
        MemorySegment state = Libc.state();
        try {
            return or((long) LSEEK.invokeExact(state, fd, offset, whence), state);
        } catch (Throwable t) {
            throw Libc.unchecked(t);
        }
    }

    static int truncate(int fd, long size) {
        MemorySegment state = Libc.state();
        try {
            int result;
            do {
                result = or((int) FTRUNCATE.invokeExact(state, fd, size), state);
            } while (result == -EINTR);
            return result;
        } catch (Throwable t) {
            throw Libc.unchecked(t);
        }
    }

    static int status(int fd, MemorySegment path, int flags, int mask, MemorySegment into) {
        MemorySegment state = Libc.state();
        try {
            return or((int) STATX.invokeExact(state, fd, path, flags, mask, into), state);
        } catch (Throwable t) {
            throw Libc.unchecked(t);
        }
    }

    static int fileSystem(int fd, MemorySegment into) {
        MemorySegment state = Libc.state();
        try {
            return or((int) FSTATFS.invokeExact(state, fd, into), state);
        } catch (Throwable t) {
            throw Libc.unchecked(t);
        }
    }

    static int control(int fd, int command, MemorySegment argument) {
        MemorySegment state = Libc.state();
        try {
            return or((int) FCNTL.invokeExact(state, fd, command, argument), state);
        } catch (Throwable t) {
            throw Libc.unchecked(t);
        }
    }

    static int device(int fd, int request, MemorySegment argument) {
        MemorySegment state = Libc.state();
        try {
            return or((int) IOCTL.invokeExact(state, fd, Integer.toUnsignedLong(request), argument), state);
        } catch (Throwable t) {
            throw Libc.unchecked(t);
        }
    }

    static int advise(int fd, long offset, long length, int advice) {
        try {
            return -(int) POSIX_FADVISE.invokeExact(fd, offset, length, advice);
        } catch (Throwable t) {
            throw Libc.unchecked(t);
        }
    }

    private static int or(int result, MemorySegment state) {
        return result == -1 ? -Libc.captured(state) : result;
    }

    private static long or(long result, MemorySegment state) {
        return result == -1 ? -Libc.captured(state) : result;
    }
}
