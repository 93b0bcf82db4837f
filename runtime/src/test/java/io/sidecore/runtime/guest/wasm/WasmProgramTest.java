package io.sidecore.runtime.guest.wasm;

import static io.sidecore.runtime.guest.wasm.ModuleText.call;
import static io.sidecore.runtime.guest.wasm.ModuleText.i32;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

class WasmProgramTest {
    private static final int PAGE = LinearMemory.PAGE;

    private final TestHost host = new TestHost(4L * PAGE);

    private WasmProgram started(ModuleText text) {
        var guest = new WasmProgram(text.module());
        guest.onStart(host);
        return guest;
    }

    private static ModuleText events() {
        return ModuleText.withMemory().exported("on_start", ">", "");
    }

    private WasmTrap trapOf(String body) {
        var guest = started(events().exported("on_timer", "i>", body));
        var thrown = catchThrowable(() -> guest.onTimer(host, 0));
        assertThat(thrown).isInstanceOf(WasmTrap.class);
        return (WasmTrap) thrown;
    }

    /** A module whose every handler sends one byte of its own. */
    private static ModuleText telling() {
        var text = ModuleText.withMemory();
        var send = text.imported("sidecore", "message_send", "ii>i");
        text.active(0, "isBTSMx".getBytes(StandardCharsets.US_ASCII));
        String[] handlers = {"_initialize", "on_start", "on_block", "on_timer", "on_stop"};
        for (var i = 0; i < handlers.length; i++) {
            var brief = i == 2 || i == 3 ? "i>" : ">";
            text.exported(handlers[i], brief, i32(i) + i32(1) + call(send) + "1A");
        }
        return text.exported("message_buffer", "i>i", i32(256))
                .exported("on_message", "ii>", "20 00 20 01" + call(send) + "1A");
    }

    @Test
    void eventsReachTheirHandlers() {
        var guest = started(telling());
        guest.onBlock(host, 0);
        guest.onTimer(host, 0);
        guest.onStop(host);
        guest.onMessage(host, "hello".getBytes(StandardCharsets.UTF_8));
        assertThat(host.messages)
                .extracting(m -> new String(m, StandardCharsets.UTF_8))
                .containsExactly("i", "s", "B", "T", "S", "hello");
    }

    @Test
    void handlersMayBeMissing() {
        var guest = started(events());
        guest.onBlock(host, 0);
        guest.onTimer(host, 0);
        guest.onMessage(host, new byte[10]);
        assertThat(host.exit).isNull();
        guest.onStop(host);
        assertThat(host.exit).isZero();
    }

    @Test
    void aHandlerIsGivenItsNumber() {
        var text = ModuleText.withMemory();
        var exit = text.imported("sidecore", "exit", "i>");
        var guest = started(text.exported("on_start", ">", "").exported("on_block", "i>", "20 00" + call(exit)));
        guest.onBlock(host, 42);
        assertThat(host.exit).isEqualTo(42);
    }

    @Test
    void theStartFunctionOfAModuleIsCalledFirst() {
        var text = ModuleText.withMemory();
        var exit = text.imported("sidecore", "exit", "i>");
        var start = text.function(">", i32(3) + call(exit));
        started(text.exported("on_start", ">", "").start(start));
        assertThat(host.exit).isEqualTo(3);
    }

    @Test
    void aMessageThatIsNotTakenIsDropped() {
        var guest = started(events().exported("message_buffer", "i>i", i32(0)).exported("on_message", "ii>", "00"));
        guest.onMessage(host, new byte[10]);
        assertThat(guest.save()).isPresent();
    }

    @Test
    void aMessageBufferOutsideLinearMemoryIsATrap() {
        for (var at : new long[] {PAGE - 9, PAGE, Integer.MAX_VALUE, Integer.MIN_VALUE, -1}) {
            var guest =
                    started(events().exported("message_buffer", "i>i", i32(at)).exported("on_message", "ii>", ""));
            assertThatThrownBy(() -> guest.onMessage(host, new byte[10]))
                    .isInstanceOf(WasmTrap.class)
                    .hasMessageContaining("message_buffer has given");
        }
    }

    @Test
    void anUnreachableInstructionIsATrap() {
        var trap = trapOf("00");
        assertThat(trap.reason()).isEqualTo(WasmTrap.Reason.UNREACHABLE);
        assertThat(trap).hasMessageContaining("stopped in on_timer").hasMessageContaining("unreachable");
    }

    @Test
    void anAccessOutsideLinearMemoryIsATrapThatTellsWhere() {
        var trap = trapOf(i32(PAGE - 3) + "28 02 00 1A");
        assertThat(trap.reason()).isEqualTo(WasmTrap.Reason.OUT_OF_BOUNDS);
        assertThat(trap).hasMessageContaining("4 bytes at address 65533, but its memory has 65536");
    }

    @Test
    void whatTheGuestHasNotGrownToIsNotItsMemoryThoughItIsItsVms() {
        assertThat(trapOf(i32(2L * PAGE) + "2D 00 00 1A").reason()).isEqualTo(WasmTrap.Reason.OUT_OF_BOUNDS);
    }

    @Test
    void aNegativeAddressIsATrap() {
        assertThat(trapOf(i32(-4) + "28 02 00 1A").reason()).isEqualTo(WasmTrap.Reason.OUT_OF_BOUNDS);
        assertThat(trapOf(i32(-4) + i32(1) + "36 02 00").reason()).isEqualTo(WasmTrap.Reason.OUT_OF_BOUNDS);
    }

    @Test
    void fillingAndCopyingBeyondTheEndAreTraps() {
        for (var length : new long[] {PAGE + 1, -1, Integer.MIN_VALUE}) {
            assertThat(trapOf(i32(1) + i32(0) + i32(length) + "FC 0B 00").reason())
                    .isEqualTo(WasmTrap.Reason.OUT_OF_BOUNDS);
            assertThat(trapOf(i32(1) + i32(0) + i32(length) + "FC 0A 00 00").reason())
                    .isEqualTo(WasmTrap.Reason.OUT_OF_BOUNDS);
            assertThat(trapOf(i32(0) + i32(1) + i32(length) + "FC 0A 00 00").reason())
                    .isEqualTo(WasmTrap.Reason.OUT_OF_BOUNDS);
        }
    }

    @Test
    void aDivisionByZeroIsATrap() {
        assertThat(trapOf(i32(1) + i32(0) + "6D 1A").reason()).isEqualTo(WasmTrap.Reason.OTHER);
    }

    /** What the host does on top of the guest is begun only if it can be ended. */
    @Test
    void aGuestThatCallsTheHostFromEveryDepthIsTrappedOutsideOfTheHost() throws Exception {
        var begun = new AtomicInteger();
        var ended = new AtomicInteger();
        var deep = new TestHost(1 << 20) {
            @Override
            public void print(byte[] text, int offset, int length) {
                begun.incrementAndGet();
                CallStack.called(500);
                ended.incrementAndGet();
            }
        };
        var text = ModuleText.withMemory();
        var print = text.imported("sidecore", "print", "ii>i");
        text.function(">", i32(0) + i32(0) + call(print) + "1A" + call(1));
        text.exported("on_start", ">", call(1));
        var failure = new AtomicReference<Throwable>();
        var thread = new Thread(null, () -> new WasmProgram(text.module()).onStart(deep), "guest", 1 << 20);
        thread.setUncaughtExceptionHandler((of, e) -> failure.set(e));
        thread.start();
        thread.join();
        assertThat(failure.get())
                .isInstanceOfSatisfying(
                        WasmTrap.class, t -> assertThat(t.reason()).isEqualTo(WasmTrap.Reason.STACK))
                .hasMessageContaining("nested too deeply");
        assertThat(begun.get()).isEqualTo(ended.get()).isGreaterThan(1_000);
    }

    @Test
    void endlessCallsAreATrap() {
        var text = events();
        text.function(">", call(1));
        var guest = started(text.exported("on_timer", "i>", call(1)));
        assertThatThrownBy(() -> guest.onTimer(host, 0))
                .isInstanceOfSatisfying(
                        WasmTrap.class, t -> assertThat(t.reason()).isEqualTo(WasmTrap.Reason.STACK))
                .hasMessageContaining("nested too deeply");
    }

    @Test
    void aCallThroughAnEmptyTableEntryIsATrap() {
        var guest = started(events().table(1, 1).exported("on_timer", "i>", i32(0) + "11 00 00"));
        assertThatThrownBy(() -> guest.onTimer(host, 0)).isInstanceOf(WasmTrap.class);
    }

    @Test
    void dataThatDoesNotFitIsATrapAtTheStart() {
        assertThatThrownBy(() -> started(events().active(PAGE - 1, new byte[2])))
                .isInstanceOf(WasmTrap.class);
    }

    @Test
    void afterATrapNoEventIsTaken() {
        var guest = started(events().exported("on_timer", "i>", "00").exported("on_block", "i>", ""));
        assertThatThrownBy(() -> guest.onTimer(host, 0)).isInstanceOf(WasmTrap.class);
        assertThatThrownBy(() -> guest.onBlock(host, 0)).isInstanceOf(IllegalStateException.class);
        assertThat(guest.save()).isEmpty();
    }

    @Test
    void growthBeyondTheLimitIsAnsweredMinusOne() {
        var text = new ModuleText().memory(1, 100).export("memory", 2, 0);
        var exit = text.imported("sidecore", "exit", "i>");
        var guest = started(text.exported("on_start", ">", "").exported("on_timer", "i>", "20 00 40 00" + call(exit)));
        guest.onTimer(host, 4);
        assertThat(host.exit).isEqualTo(-1);
        guest.onTimer(host, -1);
        assertThat(host.exit).isEqualTo(-1);
        guest.onTimer(host, 3);
        assertThat(host.exit).isEqualTo(1);
        guest.onTimer(host, 1);
        assertThat(host.exit).isEqualTo(-1);
    }

    @Test
    void aModuleThatNeedsMoreMemoryThanTheVmHasIsRefused() {
        var text = new ModuleText().memory(5, 5).export("memory", 2, 0).exported("on_start", ">", "");
        assertThatThrownBy(() -> started(text))
                .isInstanceOf(ModuleException.class)
                .hasMessageContaining("set guest.memory to at least as much");
    }

    @Test
    void aProgramIsNotTakenForEvents() {
        assertThatThrownBy(() -> new WasmProgram(
                        ModuleText.withMemory().exported("_start", ">", "").module()))
                .isInstanceOf(ModuleException.class)
                .hasMessageContaining("on_start");
    }

    @Test
    void oneGuestsTableDoesNotGrowAnothers() {
        var text = ModuleText.withMemory().table(1, 100);
        var exit = text.imported("sidecore", "exit", "i>");
        text.exported("on_start", ">", "D0 70" + i32(9) + "FC 0F 00 1A")
                .exported("on_timer", "i>", "FC 10 00" + call(exit));
        for (var i = 0; i < 3; i++) {
            started(text).onTimer(host, 0);
            assertThat(host.exit).isEqualTo(10);
        }
    }

    @Test
    void oneGuestsGlobalsAreItsOwn() {
        var text = ModuleText.withMemory().global(true, 5);
        var exit = text.imported("sidecore", "exit", "i>");
        text.exported("on_start", ">", "").exported("on_timer", "i>", "23 00" + i32(1) + "6A 24 00 23 00" + call(exit));
        var one = started(text);
        var other = started(text);
        one.onTimer(host, 0);
        one.onTimer(host, 0);
        other.onTimer(host, 0);
        assertThat(host.exit).isEqualTo(6);
    }

    @Test
    void aTableDoesNotGrowBeyondItsBound() {
        var text = ModuleText.withMemory().table(1, 10_000_000);
        var exit = text.imported("sidecore", "exit", "i>");
        started(text.exported("on_start", ">", "D0 70" + i32(9_000_000) + "FC 0F 00" + call(exit)));
        assertThat(host.exit).isEqualTo(-1);
    }

    @Test
    void twoTablesGrowWithinOneBound() {
        var text = ModuleText.withMemory().table(1, 10_000_000).table(1, 10_000_000);
        var exit = text.imported("sidecore", "exit", "i>");
        var full = text.exported(
                "on_start",
                ">",
                "D0 70" + i32(60_000) + "FC 0F 00 1A" + "D0 70" + i32(10_000) + "FC 0F 01" + call(exit));
        started(full);
        assertThat(host.exit).isEqualTo(-1);
    }

    // --- interrupts

    private void runsUntilInterrupted(ModuleText text) throws Exception {
        var guest = started(text);
        var thrown = new Throwable[1];
        var running = new CountDownLatch(1);
        var thread = new Thread(() -> {
            running.countDown();
            thrown[0] = catchThrowable(() -> guest.onTimer(host, 0));
            // The host's to clear.
            if (!Thread.interrupted()) {
                thrown[0] = new AssertionError("the interrupt was taken away", thrown[0]);
            }
        });
        thread.start();
        running.await();
        thread.interrupt();
        thread.join();
        assertThat(thrown[0])
                .isInstanceOfSatisfying(
                        WasmTrap.class, t -> assertThat(t.reason()).isEqualTo(WasmTrap.Reason.INTERRUPTED))
                .hasMessageContaining("stopped in on_timer: it was interrupted");
    }

    @Test
    @Timeout(60)
    void anInterruptStopsAnEndlessLoop() throws Exception {
        runsUntilInterrupted(events().exported("on_timer", "i>", "03 40 0C 00 0B"));
    }

    @Test
    @Timeout(60)
    void anInterruptStopsAnEndlessLoopWithACondition() throws Exception {
        runsUntilInterrupted(events().exported("on_timer", "i>", "03 40 41 01 0D 00 0B"));
    }

    @Test
    @Timeout(60)
    void anInterruptStopsAnEndlessLoopThroughATable() throws Exception {
        runsUntilInterrupted(events().exported("on_timer", "i>", "03 40 41 05 0E 01 00 00 0B"));
    }

    @Test
    @Timeout(60)
    void anInterruptStopsCallsWithoutEnd() throws Exception {
        // Two calls in each: never deep, never done.
        var text = events();
        var first = 1;
        text.function("i>", "20 00 04 40 20 00 41 01 6B" + call(first) + "20 00 41 01 6B" + call(first) + "0B");
        runsUntilInterrupted(text.exported("on_timer", "i>", i32(60) + call(first)));
    }

    @Test
    @Timeout(60)
    void anInterruptStopsALoopThatOnlyCallsTheHost() throws Exception {
        var text = ModuleText.withMemory();
        var clock = text.imported("sidecore", "clock_nanos", ">I");
        runsUntilInterrupted(
                text.exported("on_start", ">", "").exported("on_timer", "i>", "03 40" + call(clock) + "1A 0C 00 0B"));
    }
}
