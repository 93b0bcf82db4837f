package io.sidecore.runtime.guest.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import org.junit.jupiter.api.Test;

class StderrTailTest {
    private static StderrTail of(String script) throws IOException {
        var tail = new StderrTail();
        tail.read(new ProcessBuilder("sh", "-c", script).start());
        tail.finish();
        return tail;
    }

    private static StderrTail said(String... lines) throws IOException {
        return of("cat >&2 <<'END'\n" + String.join("\n", lines) + "\nEND");
    }

    @Test
    void whatWasSaidLastIsKeptWithoutTheProgramsName() throws Exception {
        assertThat(said("qemu-system-x86_64: one thing", "qemu-system-x86_64: -foo: invalid option")
                        .lastOr("nothing"))
                .isEqualTo("-foo: invalid option");
        assertThat(said("qemu: could not load kernel").last(": ")).isEqualTo(": could not load kernel");
    }

    @Test
    void warningsAndWhatFollowsAnErrorDoNotHideIt() throws Exception {
        assertThat(said("it is broken", "qemu-system-x86_64: warning: it is old", "")
                        .lastOr("nothing"))
                .isEqualTo("it is broken");
        assertThat(said("qemu-system-x86_64: error: no such vCPU", "qemu-system-x86_64: Assertion failed")
                        .lastOr("nothing"))
                .isEqualTo("error: no such vCPU");
    }

    @Test
    void aProcessThatSaidNothingHasNoLastWord() throws Exception {
        var silent = of("exit 1");

        assertThat(silent.lastOr("exit code 1")).isEqualTo("exit code 1");
        assertThat(silent.last("; it had said: ")).isEmpty();
    }

    @Test
    void aLongLineIsCutOff() throws Exception {
        assertThat(said("x".repeat(1_000)).lastOr("nothing")).isEqualTo("x".repeat(400) + "...");
    }

    @Test
    void bytesThatAreNoTextAreHarmless() throws Exception {
        assertThat(of("printf '\\377\\376bad\\n' >&2").lastOr("nothing")).endsWith("bad");
    }

    /** A line without an end is held in part only. */
    @Test
    void aLineWithoutAnEndIsBounded() throws Exception {
        var tail = of("head -c 50000000 /dev/zero | tr '\\0' x >&2");

        assertThat(tail.lastOr("nothing")).isEqualTo("x".repeat(400) + "...");
    }

    /** Or as many silent ones as there are carriers would stop all that is virtual. */
    @Test
    void itsThreadIsAPlatformThread() throws Exception {
        var silent = new ProcessBuilder("sleep", "1000").start();
        try {
            new StderrTail().read(silent);

            assertThat(Thread.getAllStackTraces().keySet())
                    .extracting(Thread::getName)
                    .contains("sidecore-qemu-stderr");
        } finally {
            silent.destroyForcibly();
        }
    }
}
