package io.sidecore.runtime.guest.wasm;

import static io.sidecore.runtime.guest.wasm.ModuleText.call;
import static io.sidecore.runtime.guest.wasm.ModuleText.i32;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class WasmSaveTest {
    private static final int PAGE = LinearMemory.PAGE;

    private final TestHost host = new TestHost(8L * PAGE);

    /**
     * Keeps something of each kind: on_timer(n) adds n to a global and to memory, grows memory and table by one, and puts a function into the table's last entry; on_block(n) tells global + memory + pages + table size by calling through the last entry, then exits with the sum.
     */
    private static ModuleText keeper() {
        var text = new ModuleText()
                .memory(1, 8)
                .export("memory", 2, 0)
                .table(2, 50)
                .global(true, 100)
                .global(false, 7);
        var exit = text.imported("sidecore", "exit", "i>");
        var type = text.type(">i");
        var thousand = text.function(">i", i32(1000));
        var none = text.function(">i", i32(0));
        text.element(none, none);
        text.passive(new byte[] {5});
        text.active(32, new byte[] {50});
        text.exported("on_start", ">", i32(32) + i32(60) + "3A 00 00" + "FC 09 00");
        text.exported(
                "on_timer",
                "i>",
                "23 00 20 00 6A 24 00" // global 0 += n
                        + i32(32) + i32(32) + "2D 00 00 20 00 6A 3A 00 00" // byte at 32 += n
                        + i32(1) + "40 00 1A" // memory.grow
                        + "D0 70" + i32(1) + "FC 0F 00 1A" // table.grow
                        + "FC 10 00" + i32(1) + "6B D2" + String.format("%02x", thousand) + "26 00"); // table.set last
        return text.exported(
                        "on_block",
                        "i>",
                        "23 00" + i32(32) + "2D 00 00 6A 3F 00 6A FC 10 00 6A" // global + byte + pages + entries
                                + "FC 10 00" + i32(1) + "6B 11" + String.format("%02x", type) + "00 6A" + call(exit))
                .exported("drops", ">", i32(0) + i32(0) + i32(1) + "FC 08 00 00")
                .exported("on_stop", ">", i32(0) + i32(0) + i32(1) + "FC 08 00 00");
    }

    private WasmProgram working() {
        var guest = new WasmProgram(keeper().module());
        guest.onStart(host);
        guest.onTimer(host, 3);
        guest.onTimer(host, 4);
        return guest;
    }

    /** A host whose memory is as it was saved, so many bytes of it. */
    private TestHost moved(long bytes) {
        var to = new TestHost(8L * PAGE);
        MemorySegment.copy(host.memory, 0, to.memory, 0, bytes);
        return to;
    }

    private static final int EXPECTED = 107 + 67 + 3 + 4 + 1000;

    @Test
    void whatIsRestoredGoesOnAsItWas() {
        var guest = working();
        var saved = guest.save().orElseThrow();
        var there = moved(host.memory.byteSize());
        var other = new WasmProgram(keeper().module());
        other.onRestore(there, saved);
        other.onBlock(there, 0);
        assertThat(there.exit).isEqualTo(EXPECTED);
        guest.onBlock(host, 0);
        assertThat(host.exit).isEqualTo(EXPECTED);
    }

    @Test
    void whatIsRestoredCanBeSavedAgain() {
        var guest = working();
        var saved = guest.save().orElseThrow();
        var there = moved(host.memory.byteSize());
        var other = new WasmProgram(keeper().module());
        other.onRestore(there, saved);
        assertThat(other.save()).hasValueSatisfying(again -> assertThat(again).isEqualTo(saved));
        other.onTimer(there, 1);
        other.onBlock(there, 0);
        assertThat(there.exit).isEqualTo(EXPECTED + 1 + 1 + 1 + 1);
    }

    @Test
    void restoringDoesNotWriteTheMemoryAgain() {
        // The data segment says 50 at 32, on_start 60, two timers 67.
        var guest = working();
        var there = moved(host.memory.byteSize());
        new WasmProgram(keeper().module()).onRestore(there, guest.save().orElseThrow());
        assertThat(there.memory.get(java.lang.foreign.ValueLayout.JAVA_BYTE, 32))
                .isEqualTo((byte) 67);
    }

    @Test
    void aDroppedSegmentStaysDropped() {
        var guest = working();
        var there = moved(host.memory.byteSize());
        var other = new WasmProgram(keeper().module());
        other.onRestore(there, guest.save().orElseThrow());
        assertThatThrownBy(() -> other.onStop(there))
                .isInstanceOf(WasmTrap.class)
                .hasMessageContaining("data segment 0");
    }

    @Test
    void aStartFunctionIsNotCalledAgain() {
        var text = ModuleText.withMemory();
        var exit = text.imported("sidecore", "exit", "i>");
        var start = text.function(">", i32(3) + call(exit));
        text.exported("on_start", ">", "").start(start);
        var guest = new WasmProgram(text.module());
        guest.onStart(host);
        assertThat(host.exit).isEqualTo(3);
        host.exit = null;
        new WasmProgram(text.module()).onRestore(host, guest.save().orElseThrow());
        assertThat(host.exit).isNull();
    }

    @Test
    void theStateOfAnotherModuleIsRefused() {
        var saved = working().save().orElseThrow();
        var other = new WasmProgram(
                ModuleText.withMemory().exported("on_start", ">", "").module());
        assertThatThrownBy(() -> other.onRestore(host, saved))
                .isInstanceOf(ModuleException.class)
                .hasMessageContaining("the state of another module");
    }

    @Test
    void aVmWithTooLittleMemoryIsRefused() {
        var saved = working().save().orElseThrow();
        assertThatThrownBy(() -> new WasmProgram(keeper().module()).onRestore(new TestHost(2L * PAGE), saved))
                .isInstanceOf(ModuleException.class)
                .hasMessageContaining("had 3 pages");
    }

    @Test
    void anotherVersionIsRefused() {
        var saved = working().save().orElseThrow();
        saved[3] = '2';
        assertThatThrownBy(() -> new WasmProgram(keeper().module()).onRestore(host, saved))
                .isInstanceOf(ModuleException.class)
                .hasMessageContaining("another version");
    }

    @Test
    void everyTruncationAndEveryAdditionIsRefused() {
        var saved = working().save().orElseThrow();
        for (var length = 0; length < saved.length; length++) {
            var cut = Arrays.copyOf(saved, length);
            assertThatThrownBy(() -> new WasmProgram(keeper().module()).onRestore(host, cut))
                    .isInstanceOf(ModuleException.class);
        }
        assertThatThrownBy(() ->
                        new WasmProgram(keeper().module()).onRestore(host, Arrays.copyOf(saved, saved.length + 1)))
                .isInstanceOf(ModuleException.class)
                .hasMessageContaining("too long");
    }

    @Test
    void aFunctionThatDoesNotExistIsRefused() {
        var saved = working().save().orElseThrow();
        // Table 0 begins after magic, hash, pages, one global, and its own counts.
        var entries = 4 + 32 + 4 + 4 + 8 + 4 + 4;
        for (var function : new int[] {1000, -2, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
            var hostile = saved.clone();
            ByteBuffer.wrap(hostile).putInt(entries, function);
            assertThatThrownBy(() -> new WasmProgram(keeper().module()).onRestore(host, hostile))
                    .isInstanceOf(ModuleException.class)
                    .hasMessageContaining("there is no function " + function);
        }
    }

    @Test
    void hostileStatesAreRefusedOrRunInBounds() {
        var saved = working().save().orElseThrow();
        var random = new Random(4711);
        for (var i = 0; i < 5_000; i++) {
            var hostile = saved.clone();
            for (var n = 1 + random.nextInt(4); n > 0; n--) {
                hostile[36 + random.nextInt(hostile.length - 36)] = (byte) random.nextInt(256);
            }
            var there = moved(3L * PAGE);
            var guest = new WasmProgram(keeper().module());
            var thrown = catchThrowable(() -> {
                guest.onRestore(there, hostile);
                guest.onBlock(there, 0);
                guest.onTimer(there, 1);
            });
            if (thrown != null) {
                assertThat(thrown).isInstanceOfAny(ModuleException.class, WasmTrap.class);
            }
        }
    }

    @Test
    void aGuestThatWasNotStartedHasNothingToSave() {
        var guest = new WasmProgram(keeper().module());
        assertThat(guest.save()).isEmpty();
        assertThatCode(guest::close).doesNotThrowAnyException();
    }
}
