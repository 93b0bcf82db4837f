package io.sidecore.runtime.guest.wasm;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.devices.linux.OffHeap;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What a guest costs beside its linear memory; figures are printed, and held against a bound that only a mistake in kind would pass. */
class DensityTest {
    private static final int GUESTS = 1_000;
    private static final long MEMORY = 2 << 20;

    private static long heap() {
        for (var i = 0; i < 3; i++) {
            System.gc();
        }
        return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
    }

    /** Kibibytes of a mapping that are in memory; −1 where the system does not tell. */
    private static long residentKib(MemorySegment mapping) throws Exception {
        var maps = Path.of("/proc/self/smaps");
        if (!Files.exists(maps)) {
            return -1;
        }
        var begin = Long.toHexString(mapping.address()) + "-";
        return Files.readAllLines(maps).stream()
                .dropWhile(l -> !l.startsWith(begin))
                .filter(l -> l.startsWith("Rss:"))
                .map(l -> Long.parseLong(l.replaceAll("\\D", "")))
                .findFirst()
                .orElse(-1L);
    }

    @Test
    void aThousandGuestsOfOneModuleShareIt() throws Exception {
        var began = System.nanoTime();
        var module = GuestModule.of(DemoGuestTest.demo());
        module.machines();
        var compiled = System.nanoTime() - began;
        try (var arena = Arena.ofShared()) {
            // Pages that are not touched are not there.
            var memory = OffHeap.map(2L * GUESTS * MEMORY, arena);
            OffHeap.noHugePages(memory);
            var hosts = new ArrayList<TestHost>();
            for (var i = 0; i < 2 * GUESTS; i++) {
                hosts.add(new TestHost(memory.asSlice(i * MEMORY, MEMORY)));
            }
            var guests = new ArrayList<WasmProgram>();
            for (var i = 0; i < GUESTS; i++) {
                start(module, hosts.get(i), guests);
            }
            var heapBefore = heap();
            var residentBefore = residentKib(memory);
            began = System.nanoTime();
            for (var i = GUESTS; i < 2 * GUESTS; i++) {
                start(module, hosts.get(i), guests);
            }
            var started = System.nanoTime() - began;
            var heapEach = (heap() - heapBefore) / GUESTS;
            var residentEach = (residentKib(memory) - residentBefore) / GUESTS;
            System.out.printf(
                    "demo guest: parsed and compiled in %d ms; started in %.1f us each; %d bytes of heap each, and %d KiB of memory%n",
                    compiled / 1_000_000, started / 1e3 / GUESTS, heapEach, residentEach);
            assertThat(residentEach).isLessThan(100);
            assertThat(heapEach).isLessThan(64 << 10);
        }
    }

    private static void start(GuestModule module, TestHost host, List<WasmProgram> guests) {
        var guest = new WasmProgram(module);
        guest.onStart(host);
        guests.add(guest);
    }
}
