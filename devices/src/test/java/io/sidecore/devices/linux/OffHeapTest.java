package io.sidecore.devices.linux;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class OffHeapTest {
    private static final long MIB = 1 << 20;
    private static final long GIB = 1 << 30;
    private static final byte X = 0x5a;

    @BeforeEach
    void onLinuxOnly() throws IOException {
        assumeTrue(Libc.LINUX, "sparse memory needs Linux");
        assumeTrue(
                !Files.readString(Path.of("/proc/sys/vm/overcommit_memory")).startsWith("2"),
                "this kernel promises no memory that it does not have");
    }

    @Test
    void aMapOf64GibCostsWhatIsTouched() throws IOException {
        try (var arena = Arena.ofConfined()) {
            long before = residentBytes();

            MemorySegment memory = OffHeap.map(64 * GIB, arena);
            OffHeap.noHugePages(memory);
            for (long offset : new long[] {0, 2 * GIB - 4, 3 * GIB, 40 * GIB + 1, 64 * GIB - 8}) {
                assertThat(memory.get(JAVA_LONG.withByteAlignment(1), offset)).isZero();
                memory.set(JAVA_LONG.withByteAlignment(1), offset, offset + 1);
                assertThat(memory.get(JAVA_LONG.withByteAlignment(1), offset)).isEqualTo(offset + 1);
            }

            // The JVM itself takes a few MiB now and then.
            assertThat(residentBytes() - before).isLessThan(16 * MIB);
        }
    }

    @Test
    void aReleasedRangeIsZeroAndItsPagesAreGone() throws IOException {
        try (var arena = Arena.ofShared()) {
            MemorySegment memory = OffHeap.map(128 * MIB, arena);
            memory.fill(X);
            long before = residentBytes();

            OffHeap.release(memory.asSlice(MIB, 126 * MIB));

            assertThat(before - residentBytes()).isGreaterThan(100 * MIB);
            assertThat(memory.asSlice(MIB, 126 * MIB).mismatch(OffHeap.map(126 * MIB, arena)))
                    .isEqualTo(-1);
            assertThat(memory.get(JAVA_BYTE, MIB - 1)).isEqualTo(X);
            assertThat(memory.get(JAVA_BYTE, 127 * MIB)).isEqualTo(X);
        }
    }

    @Test
    void releaseClearsExactlyItsRangeWhateverItsAlignment() {
        long page = Libc.pageSize();
        long size = 4 * page;
        long[] edges = {0, 1, page - 1, page, page + 1, 2 * page, 3 * page - 1, 3 * page, size - 1, size};
        try (var arena = Arena.ofConfined()) {
            MemorySegment memory = OffHeap.map(size, arena);
            for (long from : edges) {
                for (long to : edges) {
                    if (from <= to) {
                        memory.fill(X);
                        OffHeap.release(memory.asSlice(from, to - from));
                        for (long offset = 0; offset < size; offset++) {
                            boolean released = from <= offset && offset < to;
                            if (memory.get(JAVA_BYTE, offset) != (released ? 0 : X)) {
                                throw new AssertionError("[" + from + ", " + to + ") is wrong at " + offset);
                            }
                        }
                    }
                }
            }
        }
    }

    @Test
    void memoryIsUnmappedWhenItsArenaCloses() throws IOException {
        MemorySegment memory;
        try (var arena = Arena.ofShared()) {
            memory = OffHeap.map(GIB + 1, arena);
            assertThat(isMapped(memory)).isTrue();
        }

        assertThat(isMapped(memory)).isFalse();
        assertThatThrownBy(() -> memory.get(JAVA_BYTE, 0)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> OffHeap.release(memory)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void aClosedArenaMapsNothing() {
        var arena = Arena.ofShared();
        arena.close();

        assertThatThrownBy(() -> OffHeap.map(GIB, arena)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void memoryThatCannotBeMappedIsAnErrorThatSaysWhatToDo() {
        try (var arena = Arena.ofConfined()) {
            assertThatThrownBy(() -> OffHeap.map(1L << 60, arena))
                    .isInstanceOfSatisfying(
                            SystemCallException.class,
                            e -> assertThat(e.errno()).isEqualTo(Libc.ENOMEM))
                    .hasMessageStartingWith("Cannot map 1152921504606846976 bytes of memory: ")
                    .hasMessageContaining("(errno 12)")
                    .hasMessageContaining("vm.overcommit_memory");
            assertThatThrownBy(() -> OffHeap.map(0, arena)).hasMessageContaining("at least 1 byte");
        }
    }

    @Test
    void memoryOfAnotherOriginIsNotReleased(@TempDir Path directory) throws IOException {
        Path file = Files.write(directory.resolve("file"), new byte[] {X});
        try (var arena = Arena.ofConfined();
                var channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            MemorySegment mapped = channel.map(MapMode.READ_WRITE, 0, 1, arena);
            MemorySegment readOnly = OffHeap.map(1, arena).asReadOnly();

            assertThatThrownBy(() -> OffHeap.release(mapped)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> OffHeap.release(readOnly)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> OffHeap.release(MemorySegment.ofArray(new byte[1])))
                    .isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> OffHeap.noHugePages(MemorySegment.ofArray(new byte[1])))
                    .isInstanceOf(IllegalArgumentException.class);
            assertThat(mapped.get(JAVA_BYTE, 0)).isEqualTo(X);
        }
    }

    @Test
    void anyPartOfAMapMayBeAdvisedOn() {
        try (var arena = Arena.ofConfined()) {
            MemorySegment memory = OffHeap.map(8 * MIB + 3, arena);

            OffHeap.noHugePages(memory);
            OffHeap.noHugePages(memory.asSlice(5, 0));
            OffHeap.noHugePages(memory.asSlice(5, 10));
            OffHeap.noHugePages(memory.asSlice(MIB + 1));

            assertThat(memory.get(JAVA_BYTE, 8 * MIB)).isZero();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 16 << 10, 100_000})
    void aCopyMovesTheseBytesAndNoOthers(int bytes) {
        try (var arena = Arena.ofConfined()) {
            MemorySegment from = OffHeap.map(bytes + 20, arena);
            MemorySegment to = OffHeap.map(bytes + 20, arena);
            from.fill(X);

            OffHeap.copy(from, 3, to, 5, bytes);

            assertThat(to.asSlice(5, bytes).mismatch(from.asSlice(0, bytes))).isEqualTo(-1);
            assertThat(to.get(JAVA_BYTE, 4)).isZero();
            assertThat(to.get(JAVA_BYTE, 5 + bytes)).isZero();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 100_000})
    void memoryThatIsReadOnlyOrTooShortIsNotCopiedTo(int bytes) {
        try (var arena = Arena.ofConfined()) {
            MemorySegment from = OffHeap.map(bytes, arena).fill(X);
            MemorySegment to = OffHeap.map(bytes, arena);

            assertThatThrownBy(() -> OffHeap.copy(from, 0, to.asReadOnly(), 0, bytes))
                    .isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> OffHeap.copy(from, 0, to, 1, bytes)).isInstanceOf(IndexOutOfBoundsException.class);
            assertThatThrownBy(() -> OffHeap.copy(from, 1, to, 0, bytes)).isInstanceOf(IndexOutOfBoundsException.class);
            assertThat(to.get(JAVA_BYTE, 0)).isZero();
        }
    }

    private static long residentBytes() throws IOException {
        String[] pages = Files.readString(Path.of("/proc/self/statm")).split(" ");
        return Long.parseLong(pages[1]) * Libc.pageSize();
    }

    /** Whether the first address of a segment belongs to any map of this process. */
    private static boolean isMapped(MemorySegment memory) throws IOException {
        try (var maps = Files.lines(Path.of("/proc/self/maps"))) {
            return maps.map(line -> line.split("[- ]", 3))
                    .anyMatch(ends -> Long.compareUnsigned(Long.parseUnsignedLong(ends[0], 16), memory.address()) <= 0
                            && Long.compareUnsigned(memory.address(), Long.parseUnsignedLong(ends[1], 16)) < 0);
        }
    }
}
