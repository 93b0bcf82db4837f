package io.sidecore.devices.linux;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.BitSet;
import java.util.Collection;
import java.util.List;
import java.util.Optional;

/**
 * Which cores the calling thread runs on, and how undisturbed it is there. Unless it says otherwise a method is about the platform thread that calls it. A thread's mask is inherited
 * by the threads it creates, so pin a thread from within, last of all, and never the thread that sets up a host.
 *
 * <p>An affinity has no state: one instance may be used by all threads and needs no closing. On systems other than Linux it does nothing and says so.
 */
public final class Affinity {
    /** Size of the kernel's mask, a bit for each CPU in words of 64: as many CPUs as a kernel can be built for. */
    private static final int MAX_CORES = 8192;

    private final String os;
    private final boolean linux;

    Affinity(String os, boolean linux) {
        this.os = os;
        this.linux = linux;
    }

    /** What this machine's kernel offers. */
    public static Affinity ofThisMachine() {
        return new Affinity(Libc.OS, Libc.LINUX);
    }

    /**
     * Lets the calling thread run on one core only, until it is pinned again. The kernel grants any core of the process's cpuset, also one that {@code taskset} had
     * excluded: it is for the caller to ask for allowed cores only.
     *
     * @param core the kernel's number of the core
     * @return empty when it is done, otherwise a sentence that says why not; the thread then runs where it ran before
     */
    public Optional<String> pinCurrentThread(int core) {
        if (!linux) {
            return Optional.of("not supported on " + os + ": pinning needs Linux");
        }
        if (Thread.currentThread().isVirtual()) {
            return Optional.of("a virtual thread has no core of its own: pin a platform thread");
        }
        if (core < 0 || core >= MAX_CORES) {
            return Optional.of("core " + core + " does not exist: cores are numbered from 0 to " + (MAX_CORES - 1));
        }
        int errno = set(0, List.of(core));
        return switch (errno) {
            case 0 -> Optional.empty();
            case Libc.EINVAL ->
                Optional.of("core " + core + " is not online or not in the cpuset of this process; this thread may use "
                        + currentThreadCores());
            default -> Optional.of("the kernel refuses core " + core + ": " + Libc.errorText(errno));
        };
    }

    /**
     * Lets a thread, of this process or of another one of the same user, run on these cores only.
     *
     * @param thread the kernel's number of it
     * @param cores the kernel's numbers of them, one at least
     * @return empty when it is done, otherwise a sentence that says why not; the thread then runs where it ran before
     */
    public Optional<String> pinThread(int thread, Collection<Integer> cores) {
        if (!linux) {
            return Optional.of("not supported on " + os + ": pinning needs Linux");
        }
        if (cores.isEmpty() || cores.stream().anyMatch(core -> core < 0 || core >= MAX_CORES)) {
            return Optional.of("expected cores from 0 to " + (MAX_CORES - 1) + ", found " + cores);
        }
        int errno = set(thread, cores);
        return errno == 0
                ? Optional.empty()
                : Optional.of("the kernel refuses the cores " + cores + " to thread " + thread + ": "
                        + Libc.errorText(errno));
    }

    /**
     * Lets a thread, of this process or of another one of the same user, yield to others, or come before them: setpriority(2), which Linux does thread by thread.
     *
     * @param thread the kernel's number of it; 0 is the calling one
     * @param niceness -20 to 19; below what it has needs a right (CAP_SYS_NICE, or ulimit -e)
     * @return empty when it is done, otherwise a sentence that says why not
     */
    public Optional<String> nice(int thread, int niceness) {
        if (!linux) {
            return Optional.of("not supported on " + os + ": the niceness of a thread needs Linux");
        }
        int errno = Libc.setPriority(thread, niceness);
        return errno == 0
                ? Optional.empty()
                : Optional.of("the kernel refuses niceness " + niceness + ": " + Libc.errorText(errno));
    }

    private static int set(int thread, Collection<Integer> cores) {
        try (var arena = Arena.ofConfined()) {
            MemorySegment mask = arena.allocate(MAX_CORES / Byte.SIZE, Long.BYTES);
            for (int core : cores) {
                long word = mask.getAtIndex(JAVA_LONG, core / Long.SIZE);
                mask.setAtIndex(JAVA_LONG, core / Long.SIZE, word | 1L << core);
            }
            return Libc.setAffinity(thread, mask);
        }
    }

    /** The cores that the calling thread may run on, by ascending number; empty when that cannot be known. */
    public List<Integer> currentThreadCores() {
        if (!linux) {
            return List.of();
        }
        try (var arena = Arena.ofConfined()) {
            MemorySegment mask = arena.allocate(MAX_CORES / Byte.SIZE, Long.BYTES);
            if (Libc.getAffinity(mask) != 0) {
                return List.of();
            }
            return BitSet.valueOf(mask.toArray(JAVA_LONG)).stream().boxed().toList();
        }
    }

    /** The kernel's number of the calling thread, as {@code top -H} and {@code /proc/self/task} show it; -1 when that cannot be known. */
    public int currentThreadId() {
        return linux ? Libc.threadId() : -1;
    }
}
