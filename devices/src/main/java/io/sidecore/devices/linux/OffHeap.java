package io.sidecore.devices.linux;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Memory outside of the heap that is as large as wanted and as dear as used: the medium of a memory volume. The kernel provides a page when it is first touched,
 * and takes it back when it is released. Nothing is promised in advance: who touches more than the machine has is killed by the kernel, so bound what you map.
 *
 * <p>All methods may be called from any thread that may access the segment (its arena decides), at the same time too. On systems other than Linux memory comes
 * from the arena, all at once, and a release clears it without giving it back.
 */
public final class OffHeap {
    /** Bytes of a huge page. */
    public static final long HUGE_PAGE = 2 << 20;

    /** From so many bytes on a call into the C library pays for itself. */
    private static final long LARGE = 16 << 10;

    private OffHeap() {}

    /**
     * Maps memory: zeros, beginning at a page, not backed until it is touched and without a reservation in advance. It is unmapped when the arena closes, never
     * before; like all of the arena's segments it then refuses access rather than crash. Closing a shared arena is dear: one for a device, not for a request.
     *
     * @param bytes how many, at least 1
     * @param arena who may access it, and for how long
     * @throws SystemCallException when there is no room for it; the message says what can be done
     * @throws IllegalStateException when the arena is closed
     */
    public static MemorySegment map(long bytes, Arena arena) {
        if (bytes < 1) {
            throw new IllegalArgumentException("A map needs at least 1 byte, but " + bytes + " were asked for");
        }
        if (!Libc.LINUX) {
            return arena.allocate(bytes, Long.BYTES);
        }
        MemorySegment address = Libc.map(bytes);
        try {
            return address.reinterpret(bytes, arena, OffHeap::unmap);
        } catch (RuntimeException e) {
            Libc.unmap(address, bytes); // the arena is closed, or belongs to another thread
            throw e;
        }
    }

    /**
     * Makes a range read as zeros and gives its pages back to the kernel: whole pages are dropped, the rest at either end is cleared. Pages that the kernel keeps
     * because they are locked in memory are cleared as well. Who accesses the range at the same time sees old bytes or zeros, in no order.
     *
     * @param range a part of what {@link #map} returned, of any length and alignment; not memory of another origin, where dropping a page may bring back the
     *     content of a file
     */
    public static void release(MemorySegment range) {
        if (range.isReadOnly() || !range.isNative() || range.isMapped()) {
            throw new IllegalArgumentException(
                    "Only writable memory that OffHeap mapped can be released, not " + range);
        }
        if (!Libc.LINUX) {
            range.fill((byte) 0);
            return;
        }
        long head = Math.min(toNextPage(range), range.byteSize());
        long whole = (range.byteSize() - head) & -Page.BYTES;
        range.asSlice(0, head).fill((byte) 0);
        range.asSlice(head + whole).fill((byte) 0);
        if (whole > 0) {
            MemorySegment pages = range.asSlice(head, whole);
            if (Libc.advise(pages, Libc.MADV_DONTNEED) != 0) {
                pages.fill((byte) 0);
            }
        }
    }

    /**
     * Asks the kernel not to back a range by huge pages, so that touching a byte costs 4 KiB and not 2 MiB: for sparse memory. Counts for the whole pages of the
     * range that are touched from now on. Without effect where the kernel has no huge pages.
     *
     * @param range what {@link #map} returned, or a part of it
     */
    public static void noHugePages(MemorySegment range) {
        if (!range.isNative()) {
            throw new IllegalArgumentException("Only memory that OffHeap mapped can be advised on, not " + range);
        }
        if (!Libc.LINUX || !Page.HUGE_UNASKED) {
            return;
        }
        long head = toNextPage(range);
        if (head >= range.byteSize()) {
            return;
        }
        int errno = Libc.advise(range.asSlice(head), Libc.MADV_NOHUGEPAGE);
        if (errno != 0 && errno != Libc.EINVAL) {
            throw new SystemCallException(
                    "Cannot keep huge pages out of " + range.byteSize() + " bytes of memory",
                    errno,
                    errno == Libc.ENOMEM
                            ? "Raise the number of maps a process may have (sysctl vm.max_map_count)"
                            : "");
        }
    }

    /**
     * Copies between two pieces of off-heap memory that do not overlap. Large ones by the C library, which knows how to fill whole cache lines without reading them first: a quarter more 256 KiB writes a second into memory that is not cached.
     */
    public static void copy(MemorySegment from, long fromOffset, MemorySegment to, long toOffset, long bytes) {
        if (to.isReadOnly()) {
            // The C library would not ask.
            throw new IllegalArgumentException("Memory that is read-only cannot be copied to: " + to);
        }
        if (bytes < LARGE || !Libc.LINUX) {
            MemorySegment.copy(from, fromOffset, to, toOffset, bytes);
        } else {
            Libc.copy(to.asSlice(toOffset, bytes), from.asSlice(fromOffset, bytes));
        }
    }

    /**
     * Backs a range by huge pages, now: what random access to a large, densely written range saves in address translation is a good part of its cost. The kernel copies the range to do so, which takes some hundred
     * microseconds for 2 MiB, in which other threads that access it may wait: not for a thread that may not.
     *
     * @param range aligned to {@link #HUGE_PAGE}, in address and size
     * @return whether the kernel did so; it may be unable to, or too old (before 6.1)
     */
    public static boolean hugePages(MemorySegment range) {
        if (!Libc.LINUX) {
            return false;
        }
        if (Page.HUGE_UNASKED) {
            // Undoes noHugePages, without which the kernel would not do it.
            Libc.advise(range, Libc.MADV_HUGEPAGE);
        }
        var done = Libc.advise(range, Libc.MADV_COLLAPSE) == 0;
        if (Page.HUGE_UNASKED) {
            // One mapping for all again, however many regions: their number is limited. Huge pages that are there stay.
            Libc.advise(range, Libc.MADV_NOHUGEPAGE);
        }
        return done;
    }

    private static void unmap(MemorySegment whole) {
        int errno = Libc.unmap(whole, whole.byteSize());
        if (errno != 0) {
            throw new SystemCallException("Cannot unmap " + whole.byteSize() + " bytes of memory", errno, "");
        }
    }

    private static long toNextPage(MemorySegment range) {
        return -range.address() & (Page.BYTES - 1);
    }

    /** Looked up when first needed: elsewhere than on Linux there is nothing to look up. */
    private static final class Page {
        static final long BYTES = Libc.pageSize();

        /** Whether the kernel takes huge pages for everything, or only where it is asked to. */
        static final boolean HUGE_UNASKED = hugeUnasked();

        private static boolean hugeUnasked() {
            try {
                return Files.readString(Path.of("/sys/kernel/mm/transparent_hugepage/enabled"))
                        .contains("[always]");
            } catch (IOException unknown) {
                return true;
            }
        }
    }
}
