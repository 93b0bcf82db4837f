package io.sidecore.runtime.guest.wasm;

import static io.sidecore.runtime.guest.wasm.ModuleText.call;
import static io.sidecore.runtime.guest.wasm.ModuleText.i32;
import static io.sidecore.runtime.guest.wasm.ModuleText.i64;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.sidecore.actors.vif.GuestPort;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class WasiProgramTest {
    private static final int PAGE = LinearMemory.PAGE;
    private static final String WASI = "wasi_snapshot_preview1";

    private final TestHost host = new TestHost(4L * PAGE, true).disk(1 << 20, 4);
    private final ArrayDisk disk = host.disks.getFirst();
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private final ByteArrayOutputStream error = new ByteArrayOutputStream();

    private WasiProgram program(ModuleText text, String input) {
        var streams =
                new WasiProgram.Streams(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)), out, error);
        return new WasiProgram(text.module(), host, streams, List.of("name", "one"), Map.of("B", "2", "A", "1"));
    }

    /** Calls an import once and exits with what it answers. */
    private int answer(String module, String name, String brief, String arguments) {
        var text = ModuleText.withMemory();
        var function = text.imported(module, name, brief);
        var exit = text.imported(WASI, "proc_exit", "i>");
        return program(text.exported("_start", ">", arguments + call(function) + call(exit)), "input")
                .run();
    }

    private String text(int at, int length) {
        return new String(host.memory.asSlice(at, length).toArray(JAVA_BYTE), StandardCharsets.UTF_8);
    }

    private void vector(int at, int pointer, int length) {
        host.memory.set(JAVA_INT_UNALIGNED, at, pointer);
        host.memory.set(JAVA_INT_UNALIGNED, at + 4, length);
    }

    @Test
    void theExampleGreetsNamesItsArgumentsAndReadsItsDisk() throws Exception {
        var module = GuestModule.read(Path.of("src/test/resources/io/sidecore/runtime/guest/wasm/hello.wasm"));
        var program = new WasiProgram(
                module,
                host,
                WasiProgram.Streams.console(host, InputStream.nullInputStream()),
                List.of("hello", "you"),
                Map.of());
        assertThat(program.run()).isZero();
        assertThat(host.console)
                .hasToString("hello from a program of WASI\nargument: you\nthe first block of the disk was read\n");
    }

    @Test
    void aProgramThatReturnsExitsWithZero() {
        assertThat(program(ModuleText.withMemory().exported("_start", ">", ""), "")
                        .run())
                .isZero();
    }

    @Test
    void theExitCodeIsTheProgramsOwn() {
        var text = ModuleText.withMemory();
        var exit = text.imported(WASI, "proc_exit", "i>");
        assertThat(program(text.exported("_start", ">", i32(42) + call(exit) + "00"), "")
                        .run())
                .isEqualTo(42);
    }

    @Test
    void theExitOfSidecoreEndsAProgramAtOnce() {
        var text = ModuleText.withMemory();
        var exit = text.imported("sidecore", "exit", "i>");
        assertThat(program(text.exported("_start", ">", i32(6) + call(exit) + "00"), "")
                        .run())
                .isEqualTo(6);
    }

    @Test
    void textIsWrittenToItsStream() {
        host.memory.asSlice(100, 5).copyFrom(MemorySegment.ofArray("hello".getBytes(StandardCharsets.UTF_8)));
        vector(0, 100, 2);
        vector(8, 102, 3);
        assertThat(answer(WASI, "fd_write", "iiii>i", i32(1) + i32(0) + i32(2) + i32(16)))
                .isZero();
        assertThat(out).hasToString("hello");
        assertThat(host.memory.get(JAVA_INT_UNALIGNED, 16)).isEqualTo(5);
        assertThat(answer(WASI, "fd_write", "iiii>i", i32(2) + i32(0) + i32(1) + i32(16)))
                .isZero();
        assertThat(error).hasToString("he");
    }

    @Test
    void inputIsRead() {
        vector(0, 100, 50);
        assertThat(answer(WASI, "fd_read", "iiii>i", i32(0) + i32(0) + i32(1) + i32(16)))
                .isZero();
        assertThat(host.memory.get(JAVA_INT_UNALIGNED, 16)).isEqualTo(5);
        assertThat(text(100, 5)).isEqualTo("input");
    }

    @Test
    void argumentsAndEnvironmentAreGiven() {
        assertThat(answer(WASI, "args_sizes_get", "ii>i", i32(0) + i32(4))).isZero();
        assertThat(host.memory.get(JAVA_INT_UNALIGNED, 0)).isEqualTo(2);
        assertThat(host.memory.get(JAVA_INT_UNALIGNED, 4)).isEqualTo(9);
        assertThat(answer(WASI, "args_get", "ii>i", i32(0) + i32(100))).isZero();
        assertThat(text(host.memory.get(JAVA_INT_UNALIGNED, 4), 4)).isEqualTo("one\0");
        assertThat(answer(WASI, "environ_get", "ii>i", i32(0) + i32(200))).isZero();
        assertThat(text(200, 8)).isEqualTo("A=1\0B=2\0");
    }

    @Test
    void clocksAndRandomBytesAreGiven() {
        assertThat(answer(WASI, "clock_time_get", "iIi>i", i32(0) + i64(0) + i32(8)))
                .isZero();
        assertThat(host.memory.get(JAVA_LONG_UNALIGNED, 8)).isEqualTo(host.wallNanos());
        assertThat(answer(WASI, "clock_time_get", "iIi>i", i32(3) + i64(0) + i32(8)))
                .isEqualTo(28);
        assertThat(answer(WASI, "random_get", "ii>i", i32(64) + i32(20_000))).isZero();
        assertThat(host.memory.asSlice(64 + 19_900, 100).toArray(JAVA_BYTE)).isNotEqualTo(new byte[100]);
        assertThat(host.memory.get(JAVA_LONG_UNALIGNED, 64 + 20_000)).isZero();
    }

    @Test
    void thereAreNoFilesAndNoNetwork() {
        assertThat(answer(
                        WASI,
                        "path_open",
                        "iiiiiIIii>i",
                        i32(3) + i32(0) + i32(0) + i32(0) + i32(0) + i64(0) + i64(0) + i32(0) + i32(0)))
                .isEqualTo(76);
        assertThat(answer(WASI, "fd_prestat_get", "ii>i", i32(3) + i32(0))).isEqualTo(8);
        assertThat(answer(WASI, "sock_accept", "iii>i", i32(3) + i32(0) + i32(0)))
                .isEqualTo(8);
        assertThat(answer(WASI, "fd_write", "iiii>i", i32(3) + i32(0) + i32(1) + i32(16)))
                .isEqualTo(8);
        assertThat(answer(WASI, "fd_seek", "iIii>i", i32(1) + i64(0) + i32(0) + i32(0)))
                .isEqualTo(70);
    }

    @Test
    void everyImportOfWasiSurvivesHostileArguments() {
        for (var name : WasiImports.TYPES.keySet()) {
            for (var value : new long[] {0, 1, 2, PAGE - 1, PAGE, Integer.MAX_VALUE, Integer.MIN_VALUE, -1}) {
                var type = WasiImports.TYPES.get(name);
                var text = ModuleText.withMemory();
                var brief = new StringBuilder();
                var arguments = new StringBuilder();
                for (var parameter : type.params()) {
                    var isLong = parameter.equals(run.endive.wasm.types.ValType.I64);
                    brief.append(isLong ? 'I' : 'i');
                    arguments.append(isLong ? i64(value) : i32(value));
                }
                brief.append(type.returns().isEmpty() ? ">" : ">i");
                var function = text.imported(WASI, name, brief.toString());
                var drop = type.returns().isEmpty() ? "" : "1A";
                program(text.exported("_start", ">", arguments + call(function) + drop), "")
                        .run();
            }
        }
    }

    @Test
    void aWaitEndsWhenAnAnswerComes() throws Exception {
        disk.held = true;
        assertThat(disk.send(io.sidecore.actors.block.BlockOp.FLUSH, 0, 0, 0, 0, 1))
                .isEqualTo(GuestPort.Sent.SENT);
        var text = ModuleText.withMemory();
        var wait = text.imported("sidecore", "vif_wait", "ii>i");
        var exit = text.imported(WASI, "proc_exit", "i>");
        var program = program(text.exported("_start", ">", i32(0) + i32(-1) + call(wait) + call(exit)), "");
        var code = new int[1];
        var thread = new Thread(() -> code[0] = program.run());
        thread.start();
        while (thread.getState() != Thread.State.TIMED_WAITING && thread.getState() != Thread.State.WAITING) {
            Thread.onSpinWait();
        }
        disk.release();
        program.onBlock(0);
        thread.join();
        assertThat(code[0]).isEqualTo(SidecoreImports.ANSWERS);
    }

    @Test
    void aWaitEndsWhenItsTimeHasPassed() {
        assertThat(answer("sidecore", "vif_wait", "ii>i", i32(0) + i32(1))).isZero();
        assertThat(answer("sidecore", "vif_wait", "ii>i", i32(0) + i32(0))).isZero();
    }

    @Test
    void aWaitForAVifThatIsNotHeldIsRefused() {
        assertThat(answer("sidecore", "vif_wait", "ii>i", i32(1) + i32(-1))).isEqualTo(-SidecoreImports.EBADF);
        assertThat(answer("sidecore", "vif_wait", "ii>i", i32(-1) + i32(-1))).isEqualTo(-SidecoreImports.EBADF);
    }

    @Test
    void aWaitSwitchesItsSignalsOn() {
        disk.answersOn = false;
        disk.roomOn = false;
        answer("sidecore", "vif_wait", "ii>i", i32(0) + i32(1));
        assertThat(disk.answersOn).isTrue();
        assertThat(disk.roomOn).isTrue();
    }

    @Test
    void sleepingTakesTheTimeThatIsAskedFor() {
        host.memory.set(JAVA_LONG_UNALIGNED, 0, 77L);
        host.memory.set(JAVA_INT_UNALIGNED, 16, 1);
        host.memory.set(JAVA_LONG_UNALIGNED, 24, 2_000_000L);
        var began = System.nanoTime();
        assertThat(answer(WASI, "poll_oneoff", "iiii>i", i32(0) + i32(200) + i32(1) + i32(300)))
                .isZero();
        assertThat(System.nanoTime() - began).isGreaterThanOrEqualTo(2_000_000L);
        assertThat(host.memory.get(JAVA_INT_UNALIGNED, 300)).isEqualTo(1);
        assertThat(host.memory.get(JAVA_LONG_UNALIGNED, 200)).isEqualTo(77);
    }

    private Throwable interrupted(WasiProgram program) throws Exception {
        var thrown = new Throwable[1];
        var running = new CountDownLatch(1);
        var thread = new Thread(() -> {
            running.countDown();
            thrown[0] = catchThrowable(program::run);
        });
        thread.start();
        running.await();
        thread.interrupt();
        thread.join();
        return thrown[0];
    }

    @Test
    void anInterruptStopsALoop() throws Exception {
        assertThat(interrupted(program(ModuleText.withMemory().exported("_start", ">", "03 40 0C 00 0B"), "")))
                .isInstanceOfSatisfying(
                        WasmTrap.class, t -> assertThat(t.reason()).isEqualTo(WasmTrap.Reason.INTERRUPTED));
    }

    @Test
    void anInterruptEndsAWait() throws Exception {
        var text = ModuleText.withMemory();
        var wait = text.imported("sidecore", "vif_wait", "ii>i");
        assertThat(interrupted(program(text.exported("_start", ">", i32(0) + i32(-1) + call(wait) + "1A"), "")))
                .isInstanceOfSatisfying(
                        WasmTrap.class, t -> assertThat(t.reason()).isEqualTo(WasmTrap.Reason.INTERRUPTED));
    }

    @Test
    void anInterruptEndsASleep() throws Exception {
        host.memory.set(JAVA_INT_UNALIGNED, 16, 1);
        host.memory.set(JAVA_LONG_UNALIGNED, 24, Long.MAX_VALUE);
        var text = ModuleText.withMemory();
        var poll = text.imported(WASI, "poll_oneoff", "iiii>i");
        assertThat(interrupted(program(
                        text.exported("_start", ">", i32(0) + i32(200) + i32(1) + i32(300) + call(poll) + "1A"), "")))
                .isInstanceOfSatisfying(
                        WasmTrap.class, t -> assertThat(t.reason()).isEqualTo(WasmTrap.Reason.INTERRUPTED));
    }

    @Test
    void aTrapIsTold() {
        assertThatThrownBy(() -> program(ModuleText.withMemory().exported("_start", ">", "00"), "")
                        .run())
                .isInstanceOf(WasmTrap.class)
                .hasMessageContaining("stopped in _start");
    }

    @Test
    void eventsAreNotTakenForAProgram() {
        assertThatThrownBy(() -> new WasiProgram(
                        ModuleText.withMemory().exported("on_start", ">", "").module(),
                        host,
                        new WasiProgram.Streams(InputStream.nullInputStream(), out, error),
                        List.of(),
                        Map.of()))
                .isInstanceOf(ModuleException.class);
    }
}
