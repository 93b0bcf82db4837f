package io.sidecore.devices.linux;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * The C library: each function with the types of Java, and an errno (0 is success) in place of -1. All of it may be called from any thread. It loads on every
 * system; a function that the C library does not have throws {@link UnsupportedOperationException} when it is called, so ask {@link #LINUX} first.
 *
 * <p>Numbers are those of 64-bit Linux, where they do not depend on the processor except for what is said here.
 */
final class Libc {
    static final String OS = System.getProperty("os.name");
    static final boolean LINUX = OS.equals("Linux") && ADDRESS.byteSize() == Long.BYTES;

    static final int EINVAL = 22;
    static final int ENOMEM = 12;
    static final int MADV_DONTNEED = 4;
    static final int MADV_HUGEPAGE = 14;
    static final int MADV_NOHUGEPAGE = 15;
    static final int MADV_COLLAPSE = 25;

    private static final int PROT_READ_WRITE = 1 | 2;
    private static final int MAP_PRIVATE_ANONYMOUS = 0x02 | 0x20;
    private static final int MAP_NORESERVE = System.getProperty("os.arch").startsWith("ppc") ? 0x40 : 0x4000;

    private static final Linker LINKER = Linker.nativeLinker();
    static final Linker.Option ERRNO = Linker.Option.captureCallState("errno");
    private static final VarHandle CAPTURED_ERRNO =
            Linker.Option.captureStateLayout().varHandle(PathElement.groupElement("errno"));

    private static final MethodHandle SCHED_SETAFFINITY =
            function("sched_setaffinity", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS), ERRNO);
    private static final MethodHandle SETPRIORITY =
            function("setpriority", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT), ERRNO);
    private static final MethodHandle KILL =
            function("kill", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT), ERRNO);
    private static final MethodHandle SCHED_GETAFFINITY =
            function("sched_getaffinity", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS), ERRNO);
    private static final MethodHandle GETTID = function("gettid", FunctionDescriptor.of(JAVA_INT));
    private static final MethodHandle GETPAGESIZE = function("getpagesize", FunctionDescriptor.of(JAVA_INT));
    private static final MethodHandle MMAP = function(
            "mmap", FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG), ERRNO);
    private static final MethodHandle MUNMAP =
            function("munmap", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG), ERRNO);
    private static final MethodHandle MADVISE =
            function("madvise", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT), ERRNO);
    private static final MethodHandle MEMCPY =
            function("memcpy", FunctionDescriptor.of(ADDRESS, ADDRESS, ADDRESS, JAVA_LONG));
    private static final MethodHandle STRERROR = function("strerror", FunctionDescriptor.of(ADDRESS, JAVA_INT));

    /** Where calls of a thread put their errno; it lives as long as the thread, and nothing is allocated for a call. */
    private static final ThreadLocal<MemorySegment> STATE =
            ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(Linker.Option.captureStateLayout()));

    private Libc() {}

    /** Sets the mask of a thread, 0 being the calling one. */
    static int setAffinity(int thread, MemorySegment mask) {
        MemorySegment state = state();
        try {
            return errno((int) SCHED_SETAFFINITY.invokeExact(state, thread, mask.byteSize(), mask), state);
        } catch (Throwable t) {
            throw unchecked(t);
        }
    }

    /** Reads the mask of the calling thread. */
    static int getAffinity(MemorySegment mask) {
        MemorySegment state = state();
        try {
            return errno((int) SCHED_GETAFFINITY.invokeExact(state, 0, mask.byteSize(), mask), state);
        } catch (Throwable t) {
            throw unchecked(t);
        }
    }

    /** Sets the niceness of a thread, 0 being the calling one. */
    static int setPriority(int thread, int niceness) {
        MemorySegment state = state();
        try {
            return errno((int) SETPRIORITY.invokeExact(state, 0, thread, niceness), state);
        } catch (Throwable t) {
            throw unchecked(t);
        }
    }

    /** Sends a signal to a process, or to all of a group where the number is negative. */
    static int kill(int process, int signal) {
        MemorySegment state = state();
        try {
            return errno((int) KILL.invokeExact(state, process, signal), state);
        } catch (Throwable t) {
            throw unchecked(t);
        }
    }

    /** The kernel's number of the calling thread; -1 where the C library does not tell (glibc before 2.30). */
    static int threadId() {
        try {
            return (int) GETTID.invokeExact();
        } catch (UnsupportedOperationException e) {
            return -1;
        } catch (Throwable t) {
            throw unchecked(t);
        }
    }

    static int pageSize() {
        try {
            return (int) GETPAGESIZE.invokeExact();
        } catch (Throwable t) {
            throw unchecked(t);
        }
    }

    /** New private memory that is all zeros and has no pages yet, or the exception that says why not; the segment has no bounds and no life cycle. */
    static MemorySegment map(long bytes) {
        MemorySegment state = state();
        MemorySegment address;
        try {
            address = (MemorySegment) MMAP.invokeExact(
                    state, MemorySegment.NULL, bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS | MAP_NORESERVE, -1, 0L);
        } catch (Throwable t) {
            throw unchecked(t);
        }
        if (address.address() != -1) {
            return address;
        }
        int errno = captured(state);
        throw new SystemCallException(
                "Cannot map " + bytes + " bytes of memory",
                errno,
                errno == ENOMEM
                        ? "Ask for less, raise the limit of the address space (ulimit -v) or of the number of maps (sysctl vm.max_map_count), or let memory be"
                                + " promised before it is used (sysctl vm.overcommit_memory=0 or 1, not 2)"
                        : "");
    }

    static int unmap(MemorySegment address, long bytes) {
        MemorySegment state = state();
        try {
            return errno((int) MUNMAP.invokeExact(state, address, bytes), state);
        } catch (Throwable t) {
            throw unchecked(t);
        }
    }

    /** Advises on a whole segment, which must begin at a page; its arena cannot be closed meanwhile. */
    static int advise(MemorySegment range, int advice) {
        MemorySegment state = state();
        try {
            return errno((int) MADVISE.invokeExact(state, range, range.byteSize(), advice), state);
        } catch (Throwable t) {
            throw unchecked(t);
        }
    }

    /** Copies the whole of one segment into another of the same size that does not overlap. */
    static void copy(MemorySegment to, MemorySegment from) {
        try {
            MemorySegment ignored = (MemorySegment) MEMCPY.invokeExact(to, from, from.byteSize());
        } catch (Throwable t) {
            throw unchecked(t);
        }
    }

    /** What an errno means, as in "Cannot allocate memory (errno 12)". */
    static String errorText(int errno) {
        try {
            MemorySegment text = (MemorySegment) STRERROR.invokeExact(errno);
            return text.reinterpret(Integer.MAX_VALUE).getString(0) + " (errno " + errno + ")";
        } catch (Throwable t) {
            throw unchecked(t);
        }
    }

    /** Of the calling thread. */
    static MemorySegment state() {
        return STATE.get();
    }

    private static int errno(int result, MemorySegment state) {
        return result == -1 ? captured(state) : 0;
    }

    static int captured(MemorySegment state) {
        return (int) CAPTURED_ERRNO.get(state, 0L);
    }

    static MethodHandle function(String name, FunctionDescriptor type, Linker.Option... options) {
        MethodHandle anywhere = LINKER.downcallHandle(type, options);
        return LINKER.defaultLookup().find(name).map(anywhere::bindTo).orElseGet(() -> missing(name, anywhere));
    }

    private static MethodHandle missing(String name, MethodHandle anywhere) {
        var type = anywhere.type().dropParameterTypes(0, 1);
        var complaint = new UnsupportedOperationException("The C library of this system has no function " + name);
        return MethodHandles.dropArguments(
                MethodHandles.throwException(type.returnType(), UnsupportedOperationException.class)
                        .bindTo(complaint),
                0,
                type.parameterList());
    }

    /** A downcall throws nothing checked. */
    static RuntimeException unchecked(Throwable t) {
        if (t instanceof Error error) {
            throw error;
        }
        return (RuntimeException) t;
    }
}
