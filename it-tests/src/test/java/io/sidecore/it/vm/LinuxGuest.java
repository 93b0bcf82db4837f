package io.sidecore.it.vm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import io.sidecore.actors.vm.VirtualMachine.State;
import io.sidecore.it.Peers;
import io.sidecore.it.Peers.Tool;
import io.sidecore.runtime.VmHandle;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/** Debian's kernel with an initial RAM disk that does one job and powers off, made by {@code it-tests/guest/mkguest} for the first test that wants it. */
final class LinuxGuest {
    private static final Path IT_TESTS =
            Path.of(System.getProperty("basedir", ".")).toAbsolutePath();
    private static final Path FOLDER = IT_TESTS.resolve("target/guest");
    private static final int LACKING = 3;
    private static final Duration PATIENCE = Duration.ofMinutes(5);

    /** Within which a guest says its first word, unless it is one of those that never do. */
    private static final Duration FIRST_WORD = Duration.ofMinutes(1);

    private LinuxGuest() {}

    /** Makes it; skips the test, or fails it with {@code -Dit.ci=true}, where that cannot be. */
    static synchronized void need() {
        Peers.need(Tool.QEMU_X86);
        try (var making =
                Peers.start(List.of("bash", IT_TESTS.resolve("guest/mkguest").toString(), FOLDER.toString()))) {
            var made = making.await(PATIENCE);
            if (made.exit() == LACKING) {
                Peers.missing("no Linux guest can be made: " + made.err().strip());
            }
            made.ok();
        }
    }

    /** Settings of a guest that does a job of {@code guest/init}; more settings, such as {@code vcpus = 2}, may follow. */
    static String section(String job, String... more) {
        return section(job, "guest.cpio", more);
    }

    /** The same, with fio inside. */
    static String sectionWithFio(String job, String... more) {
        return section(job, "fio.cpio", more);
    }

    private static String section(String job, String initrd, String... more) {
        return """
                guest {
                  type = qemu
                  accelerator = tcg
                  memory = 512 MiB
                  kernel = "%s"
                  initrd = "%s"
                  cmdline = "console=ttyS0 quiet job=%s"
                  %s
                }
                """.formatted(FOLDER.resolve("vmlinuz"), FOLDER.resolve(initrd), job, String.join("\n  ", more));
    }

    /** Starts it and waits until Linux is up. Translated, a machine now and then hangs before its kernel says a word: then it is started once more, and that is printed. */
    static void boot(VmHandle vm, Screen screen) {
        for (var attempt = 1; attempt <= 2; attempt++) {
            var running = VmHost.await(vm.start("the test wants it"));
            assertThat(running.state()).isEqualTo(State.RUNNING);
            if (screen.shows("GUEST up\r", FIRST_WORD)) {
                return;
            }
            System.out.printf("VM %s said nothing within %s: it hangs; attempt %d%n", vm.name(), FIRST_WORD, attempt);
            VmHost.await(vm.kill("it hangs"));
        }
        fail("VM " + vm.name() + " does not boot; its console: " + screen.text());
    }
}
