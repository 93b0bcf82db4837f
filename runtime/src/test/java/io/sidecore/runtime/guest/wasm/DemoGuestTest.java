package io.sidecore.runtime.guest.wasm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.sidecore.actors.block.Errno;
import java.io.File;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DemoGuestTest {
    private static final long MEMORY = 2 << 20;

    private final TestHost host = new TestHost(MEMORY);
    private final WasmProgram guest = new WasmProgram(GuestModule.of(demo()));

    static byte[] demo() {
        try (var in = GuestModule.class.getResourceAsStream("demo.wasm")) {
            return in.readAllBytes();
        } catch (java.io.IOException e) {
            throw new AssertionError(e);
        }
    }

    private void start() {
        guest.onStart(host);
        host.pump(guest);
    }

    private String told(String message) {
        guest.onMessage(host, message.getBytes(StandardCharsets.UTF_8));
        return host.lastMessage();
    }

    @Test
    void itSaysWhatItIsAndChecksItsDisk() {
        host.disk(5 << 20, 32);
        start();
        assertThat(host.console.toString().lines())
                .satisfiesExactly(
                        line -> assertThat(line).startsWith("demo: a guest in WebAssembly"),
                        line -> assertThat(line).isEqualTo("demo: 1 disk: 5 MiB"),
                        line -> assertThat(line).startsWith("demo: check passed: wrote, flushed and read back 5 MiB"));
        assertThat(host.exit).isNull();
        assertThat(told("stats")).isEqualTo("80 reads, 80 writes, 0 errors, 0 s");
    }

    @Test
    void ofALargeDiskItChecksTheBeginning() {
        host.disk(9 << 20, 32);
        start();
        assertThat(host.console).contains("1 disk: 9 MiB", "wrote, flushed and read back 8 MiB");
        assertThat(host.disks.getFirst().bytes[(8 << 20) - 1]).isNotZero();
        assertThat(Arrays.copyOfRange(host.disks.getFirst().bytes, 8 << 20, 9 << 20))
                .containsOnly(0);
    }

    @Test
    void aDiskThatIsOftenFullIsCheckedAllTheSame() {
        host.disk((3 << 20) + 4104, 3);
        start();
        assertThat(host.console).contains("check passed");
        assertThat(told("stats")).startsWith("49 reads, 49 writes, 0 errors");
    }

    @Test
    void aDiskThatGivesBackSomethingElseFailsTheVm() {
        host.disk(1 << 20, 32);
        var disk = host.disks.getFirst();
        guest.onStart(host);
        // All writes are there once the flush is sent; then something changes.
        while (host.exit == null && !host.console.toString().contains("demo: check")) {
            guest.onBlock(host, 0);
            disk.bytes[777_777]++;
        }
        assertThat(host.console).contains("check FAILED: 1 blocks are not what was written");
        assertThat(host.exit).isEqualTo(1);
    }

    @Test
    void aReadOnlyDiskIsReadOnly() {
        host.disk(1 << 20, 32);
        host.disks.getFirst().readOnly = true;
        start();
        assertThat(host.console)
                .contains("1 disk: 1 MiB (read-only)", "demo: read 1 MiB")
                .doesNotContain("FAILED");
        assertThat(told("stats")).startsWith("16 reads, 0 writes, 0 errors");
    }

    @Test
    void anErrorOfTheDiskIsTold() {
        host.disk(1 << 20, 32);
        host.disks.getFirst().error = Errno.EIO;
        start();
        assertThat(host.console).contains("the disk answered with errors: 16");
        assertThat(host.exit).isNull();
    }

    @Test
    void withoutADiskItTicks() {
        start();
        host.nextTimer(guest);
        assertThat(host.console).contains("0 disks", "demo: 0 reads, 0 writes, 0 errors, 1 s");
        assertThat(told("check")).isEqualTo("there is no disk");
    }

    @Test
    void itDoesALittleEachSecondAndSaysSoNowAndThen() {
        host.disk(1 << 20, 32);
        start();
        for (var second = 1; second <= 20; second++) {
            host.nextTimer(guest);
        }
        assertThat(told("stats")).isEqualTo("36 reads, 16 writes, 0 errors, 20 s");
        assertThat(host.console.toString().lines().filter(l -> l.matches("demo: .* s")))
                .hasSize(3);
    }

    @Test
    void itAnswersMessages() {
        host.disk(1 << 20, 32);
        start();
        assertThat(told("what?")).isEqualTo("demo understands: stats, check, stop");
        assertThat(told("check\n")).isEqualTo("checking");
        host.pump(guest);
        assertThat(told("stats")).startsWith("32 reads, 32 writes");
        assertThat(told("stop")).isEqualTo("stopping");
        assertThat(host.exit).isZero();
    }

    @Test
    void whoTypesAtItsConsoleReadsTheAnswerThere() {
        start();
        for (var line : List.of("what?", "check", "stats", "stop")) {
            host.console.setLength(0);
            assertThat(told(line) + "\n").isEqualTo(host.console.toString());
        }
    }

    @Test
    void aLongMessageIsNotTaken() {
        start();
        var before = host.messages.size();
        guest.onMessage(host, new byte[257]);
        assertThat(host.messages).hasSize(before);
    }

    @Test
    void askedToStopItEndsItsCheckFirst() {
        host.disk(8 << 20, 16);
        guest.onStart(host);
        guest.onBlock(host, 0);
        guest.onStop(host);
        assertThat(host.exit).isNull();
        host.pump(guest);
        assertThat(host.console).contains("check passed");
        assertThat(host.exit).isZero();
    }

    @Test
    void itGoesOnElsewhereInTheMiddleOfItsCheck() {
        host.disk(8 << 20, 64);
        guest.onStart(host);
        for (var i = 0; i < 5; i++) {
            guest.onBlock(host, 0);
        }
        // What is in flight is answered first, as a host does before it saves.
        var there = new TestHost(MEMORY);
        there.disk(8 << 20, 64);
        var saved = guest.save().orElseThrow();
        MemorySegment.copy(host.memory, 0, there.memory, 0, MEMORY);
        System.arraycopy(host.disks.getFirst().bytes, 0, there.disks.getFirst().bytes, 0, 8 << 20);
        var answer = new io.sidecore.actors.vif.GuestPort.Answer();
        while (host.disks.getFirst().recv(answer)) {
            there.disks.getFirst().answered(answer.tag, answer.error);
        }
        var other = new WasmProgram(GuestModule.of(demo()));
        other.onRestore(there, saved);
        there.pump(other);
        assertThat(there.console).contains("check passed: wrote, flushed and read back 8 MiB");
    }

    @Test
    void theSourcesBuildToWhatIsBundled(@TempDir Path folder) throws Exception {
        assumeTrue(isThere("clang") && isThere("wasm-ld"), "needs clang and wasm-ld");
        var build = new ProcessBuilder("../runtime/sdk/build", "-o", folder.toString())
                .redirectErrorStream(true)
                .redirectOutput(folder.resolve("log").toFile())
                .start();
        assertThat(build.waitFor()).as(() -> read(folder.resolve("log"))).isZero();
        var built = Files.readAllBytes(folder.resolve("demo.wasm"));
        if (!Arrays.equals(built, demo())) {
            // Another compiler writes other bytes; it has to do the same.
            var here = new TestHost(MEMORY).disk(1 << 20, 32);
            var program = new WasmProgram(GuestModule.of(built));
            program.onStart(here);
            here.pump(program);
            assertThat(here.console).contains("check passed: wrote, flushed and read back 1 MiB");
        }
        assertThat(GuestModule.read(folder.resolve("hello.wasm")).kind()).isEqualTo(GuestModule.Kind.PROGRAM);
    }

    private static boolean isThere(String tool) {
        return Stream.of(System.getenv("PATH").split(File.pathSeparator))
                .anyMatch(f -> Files.isExecutable(Path.of(f, tool)));
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (java.io.IOException e) {
            return e.toString();
        }
    }
}
