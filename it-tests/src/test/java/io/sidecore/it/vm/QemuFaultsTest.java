package io.sidecore.it.vm;

import static io.sidecore.it.vm.VmHost.await;
import static io.sidecore.it.vm.VmHost.qemu;
import static io.sidecore.it.vm.VmHost.signal;
import static io.sidecore.it.vm.VmHost.status;
import static io.sidecore.it.vm.VmHost.told;
import static io.sidecore.it.vm.VmHost.until;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.actors.core.PhysicalCore.Role;
import io.sidecore.actors.vm.VirtualMachine.State;
import io.sidecore.it.HostProcess;
import io.sidecore.it.Peers;
import io.sidecore.it.Peers.ShortDirectory;
import io.sidecore.runtime.VmHandle;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** GU-1, RS-7: whatever becomes of QEMU, of the guest or of the host, the VM ends in the right state, its history says why, nothing of it is left, and another VM of the same host goes on. */
class QemuFaultsTest {
    private static final AtomicInteger NUMBER = new AtomicInteger();

    private static VmHost vms;
    private static VmHandle bystander;
    private static Screen bystanders;

    private VmHandle vm;

    @BeforeAll
    static void startBystander() {
        LinuxGuest.need();
        vms = new VmHost("cores { guest = 0 }");
        bystander = vms.define("bystander", "", LinuxGuest.section("count") + "autostart = false");
        bystanders = new Screen(bystander);
        LinuxGuest.boot(bystander, bystanders);
        bystanders.until("COUNT 1\r");
    }

    @AfterAll
    static void stop() {
        if (vms != null) {
            vms.close();
        }
    }

    @AfterEach
    void theBystanderIsUndisturbed() {
        if (vm != null) {
            await(vm.kill("the test is over"));
            vms.leavesNothing(vm);
            vms.host().vms().delete(vm.name());
        }
        var first = count(bystanders);
        assertThat(count(bystanders)).isEqualTo(first + 1);
        assertThat(status(bystander).state()).isEqualTo(State.RUNNING);
        assertThat(told(bystander))
                .filteredOn(entry -> entry.startsWith("paused"))
                .isEmpty();
    }

    private static int count(Screen screen) {
        return Integer.parseInt(screen.until("COUNT (\\d+)[ \r]").group(1));
    }

    private VmHandle define(String volumes, String settings) {
        vm = vms.define("vm" + NUMBER.incrementAndGet(), volumes, settings + "\nautostart = false");
        return vm;
    }

    /** A machine whose firmware finds nothing to start, and stays there for ever: all that it takes where the guest does not matter. */
    private VmHandle idle(String guest, String more) {
        return define("", """
                guest { type = qemu, memory = 64 MiB, accelerator = tcg
                  %s
                }
                %s""".formatted(guest, more));
    }

    private void start() {
        assertThat(await(vm.start("the test wants it")).state()).isEqualTo(State.RUNNING);
    }

    /** What the one who starts it is told; the VM has failed then, for the same reason. */
    private String refusal() {
        var asked = vm.start("the test wants it").toCompletableFuture();
        assertThatThrownBy(asked::join).hasMessageContaining("VM " + vm.name() + ": ");
        assertThat(status(vm).state()).isEqualTo(State.FAILED);
        vms.leavesNothing(vm);
        assertThat(told(vm)).contains("failed: " + status(vm).cause());
        return status(vm).cause();
    }

    private static Path program(String text) {
        try {
            var file = Files.createTempFile(vms.directory(), "qemu", ".sh");
            Files.writeString(file, "#!/bin/sh\n" + text + "\n");
            return Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwx------"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    // --- QEMU

    @Test
    void aQemuThatIsKilledHasFailedAndTheHistoryNamesTheSignal() {
        idle("", "");
        start();

        signal("KILL", vms.qemu(vm));

        assertThat(until(vm, State.FAILED).cause()).startsWith("QEMU was killed (signal 9)");
        assertThat(told(vm)).last().asString().startsWith("failed: QEMU was killed (signal 9)");
        vms.leavesNothing(vm);
        start();
        assertThat(status(vm).starts()).isEqualTo(2);
    }

    @Test
    void aQemuThatEndsByAnotherSignalHasFailedToo() {
        idle("", "");
        start();

        signal("SEGV", vms.qemu(vm));

        assertThat(until(vm, State.FAILED).cause()).startsWith("QEMU died of signal 11");
    }

    @Test
    void aQemuThatIsSuspendedIsKilledAfterTheHangTimeout() {
        idle("hang-timeout = 1 s", "");
        start();
        var process = vms.qemu(vm);

        signal("STOP", process);

        assertThat(until(vm, State.FAILED).cause())
                .isEqualTo("QEMU did not answer for 1 s (stopped from outside, or hung) and was killed");
        assertThat(process.isAlive()).isFalse();
    }

    @Test
    void aSuspendedQemuIsStoppedAllTheSame() {
        idle("hang-timeout = 1 h", "stop-timeout = 200 ms");
        start();
        var process = vms.qemu(vm);
        signal("STOP", process);

        var stopped = await(vm.stop("asked by the test"));

        assertThat(stopped.state()).isEqualTo(State.STOPPED);
        assertThat(stopped.cause()).isEqualTo("asked by the test; the guest did not end within 200 ms and was killed");
        assertThat(process.isAlive()).isFalse();
    }

    @Test
    void aProgramThatIsNotInstalledIsNamedWithWhatToInstall() {
        idle("program = qemu-system-nowhere", "");
        assertThat(refusal())
                .isEqualTo(
                        "qemu-system-nowhere is not installed: install QEMU (Debian: apt install qemu-system-x86), or set guest.program to where it is");
        vms.host().vms().delete(vm.name());

        idle("program = /nonexistent", "");
        assertThat(refusal()).startsWith("/nonexistent is no program: install QEMU");
    }

    @Test
    void aKernelThatIsNotThereAnyMoreIsNamed() throws Exception {
        var kernel = Files.createTempFile(vms.directory(), "vmlinuz", "");
        idle("kernel = \"" + kernel + "\"", "");
        Files.delete(kernel);

        assertThat(refusal()).isEqualTo("kernel " + kernel + ": there is no such file");
    }

    @Test
    void aFileThatIsNoKernelIsRefusedInQemusWords() throws Exception {
        var kernel = Files.createTempFile(vms.directory(), "vmlinuz", "");
        Files.writeString(kernel, "no kernel");
        idle("kernel = \"" + kernel + "\"", "");

        assertThat(refusal()).startsWith("QEMU did not start: ").contains("kernel");
    }

    @Test
    void anArgumentThatQemuRefusesIsTold() {
        idle("arguments = [\"-device\", \"flux-capacitor\"]", "");
        assertThat(refusal()).startsWith("QEMU did not start: ").contains("flux-capacitor");
        vms.host().vms().delete(vm.name());

        idle("arguments = [\"-nonsense\"]", "");
        assertThat(refusal()).isEqualTo("QEMU did not start: -nonsense: invalid option");
    }

    @Test
    void aProgramThatNeverCallsIsKilledAfterTheStartTimeout() {
        idle("program = \"" + program("exec sleep 1000") + "\"", "start-timeout = 300 ms");

        assertThat(refusal()).isEqualTo("it did not start within 300 ms");
    }

    @Test
    void aProgramThatSaysSomethingElseIsNotWaitedFor() {
        idle("program = \"" + program("echo I am no QEMU >&2; exit 7") + "\"", "");

        assertThat(refusal()).isEqualTo("QEMU did not start: I am no QEMU");
    }

    @Test
    void aStartThatTakesLongerThanTheLongestDelayIsNoLongRun() {
        idle(
                "program = \"" + program("exec sleep 1000") + "\"",
                "start-timeout = 100 ms, restart { policy = on-failure, delay = 1 ms, max-delay = 1 ms, limit = 2 }");

        vm.start("the test wants it");

        Peers.until(
                "it is given up", VmHost.PATIENCE, () -> told(vm).stream().anyMatch(it -> it.startsWith("given-up")));
        assertThat(status(vm).starts()).isEqualTo(3);
    }

    /** What calls as QEMU does, answers every command, and then does something else. */
    private static String talker(String greeting, String atCommand) {
        return talker(greeting, "", atCommand);
    }

    private static String talker(String greeting, String cpus, String atCommand) {
        return "program = \"" + program("""
                exec /usr/bin/python3 -c '
                import json, os, socket, time
                q = socket.socket(socket.AF_UNIX); q.connect("qmp.sock")
                c = socket.socket(socket.AF_UNIX); c.connect("console.sock")
                q.sendall(b"%s\\n")
                for line in q.makefile():
                    asked = json.loads(line)
                    value = [%s] if asked["execute"] == "query-cpus-fast" else {"running": True}
                    q.sendall((json.dumps({"return": value, "id": asked["id"]}) + "\\n").encode())
                    %s
                time.sleep(1000)'""".formatted(greeting, cpus, atCommand)) + "\"";
    }

    private static final String GREETING = "{\\\"QMP\\\": {}}";

    @Test
    void aMonitorThatSpeaksNoJsonIsRefusedWithItsWords() {
        idle(talker("hello", "pass"), "");

        assertThat(refusal())
                .startsWith("QEMU said something that is no JSON: ")
                .contains("hello");
    }

    @Test
    void aMonitorThatHangsUpWhileItsProcessLivesIsKilled() {
        idle("hang-timeout = 1 s\n" + talker(GREETING, "if asked[\"execute\"] == \"cont\": q.shutdown(2); break"), "");
        start();

        assertThat(until(vm, State.FAILED).cause())
                .startsWith("QEMU cannot be told anything any more and was killed: ");
    }

    @Test
    void aSnapshotEndsWithAQemuThatDiesInTheMiddleOfIt() {
        idle(talker(GREETING, "pass"), "");
        start();
        var asked = vm.snapshot(vms.directory(), "asked by the test").toCompletableFuture();
        Peers.until(
                "QEMU is expected to send its state",
                VmHost.PATIENCE,
                () -> Files.exists(vms.folder(vm).resolve("state.sock")));

        signal("KILL", vms.qemu(vm));

        assertThatThrownBy(() -> await(asked)).hasMessageContaining("signal 9");
        until(vm, State.FAILED);
    }

    @Test
    void aStartCanBeGivenUp() {
        idle("program = \"" + program("exec sleep 1000") + "\"", "");
        var asked = vm.start("the test wants it").toCompletableFuture();
        Peers.until(
                "it is under way",
                VmHost.PATIENCE,
                () -> Files.exists(vms.folder(vm).resolve("qemu.pid")));

        var stopped = await(vm.stop("the test has changed its mind"));

        assertThat(stopped.state()).isEqualTo(State.STOPPED);
        assertThatThrownBy(asked::join).hasMessageContaining("the test has changed its mind");
        vms.leavesNothing(vm);
    }

    @Test
    void aSnapshotOfAMachineThatDoesNotGetOnIsGivenUp() {
        idle("hang-timeout = 1 s\n" + talker(GREETING, "pass"), "");
        start();

        assertThatThrownBy(() -> vms.host().vms().snapshot(vm.name(), "none", "asked by the test"))
                .hasMessageContaining("QEMU has not got on with saving or loading the machine for 1 s");

        assertThat(status(vm).state()).isEqualTo(State.RUNNING);
        assertThat(vms.folder(vm).resolve("state.sock")).doesNotExist();
        assertThat(vms.host().vms().snapshots(vm.name())).isEmpty();
    }

    @Test
    void whatAScriptHasStartedEndsWithIt() {
        var script = program("qemu-system-x86_64 \"$@\"\nexit $?");
        idle("program = \"" + script + "\"", "");
        start();
        var machine = machine();
        await(vm.kill("asked by the test"));
        Peers.until("QEMU has ended", VmHost.PATIENCE, () -> !machine.isAlive());
        vms.leavesNothing(vm);

        start();
        var orphan = machine();
        signal("KILL", vms.qemu(vm));
        until(vm, State.FAILED);
        Peers.until("the orphan has ended", VmHost.PATIENCE, () -> !orphan.isAlive());
    }

    private ProcessHandle machine() {
        return vms.qemu(vm).children().findFirst().orElseThrow();
    }

    @Test
    void theSocketOfItsScreenIsGoneWithAQemuThatIsKilled() {
        var socket = vms.directory().resolve("vnc.sock");
        idle("vnc = \"unix:" + socket + "\"", "");
        start();
        assertThat(socket).exists();

        signal("KILL", vms.qemu(vm));

        until(vm, State.FAILED);
        assertThat(socket).doesNotExist();
    }

    @Test
    void whatItLeavesInItsFolderIsInNobodysWay() {
        idle("program = \"" + program("mkdir -p logs/old && touch logs/old/log; exit 7") + "\"", "");

        assertThat(refusal()).isEqualTo("QEMU did not start: exit code 7");
    }

    @Test
    void oneThatDoesNotRunHasNoScreen() {
        idle("screen = true", "");
        start();
        await(vm.kill("asked by the test"));

        assertThatThrownBy(() -> await(
                        vms.host().vms().screenshot(vm.name(), vms.directory().resolve("screen.png"))))
                .hasMessage("it is not running");
    }

    @Test
    void aProgramMayBeNamedRelativeToTheFileOrDirectoryThatItsSettingsComeFrom() {
        var script = program("echo I am the one >&2; exit 7");
        idle("program = \"./" + script.getFileName() + "\"", "");

        assertThat(refusal()).isEqualTo("QEMU did not start: I am the one");
    }

    // --- restarts

    @Test
    void oneThatFailsIsStartedAgainLaterAndLaterUntilTheLimit() {
        idle(
                "program = \"" + program("exit 7") + "\"",
                "restart { policy = on-failure, delay = 10 ms, max-delay = 25 ms, limit = 3 }");

        vm.start("the test wants it");

        Peers.until(
                "it is given up", VmHost.PATIENCE, () -> told(vm).stream().anyMatch(it -> it.startsWith("given-up")));
        assertThat(told(vm))
                .filteredOn(it -> it.startsWith("restarting") || it.startsWith("given-up"))
                .containsExactly(
                        "restarting: it is started again in 10 ms",
                        "restarting: it is started again in 20 ms",
                        "restarting: it is started again in 25 ms",
                        "given-up: it was started again 3 times in a row; it stays as it is until it is started by command");
        assertThat(status(vm).starts()).isEqualTo(4);
        assertThat(told(vm)).contains("failed: QEMU did not start: exit code 7", "starting: restart policy on-failure");
    }

    @Test
    void oneThatIsKilledIsStartedAgainAndOneThatIsStoppedIsNot() {
        idle("", "restart { policy = on-failure, delay = 10 ms }, stop-timeout = 100 ms");
        start();
        signal("KILL", vms.qemu(vm));
        Peers.until(
                "it runs again",
                VmHost.PATIENCE,
                () -> status(vm).starts() == 2 && status(vm).state() == State.RUNNING);

        await(vm.stop("asked by the test"));

        assertThat(told(vm)).last().asString().startsWith("stopped: asked by the test");
        assertThat(status(vm).restartAt()).isEmpty();
    }

    // --- guests

    @Test
    void aGuestThatDoesNotObeyIsKilledAfterTheStopTimeout() {
        idle("", "stop-timeout = 300 ms");
        start();
        var process = vms.qemu(vm);

        var stopped = await(vm.stop("asked by the test"));

        assertThat(stopped.state()).isEqualTo(State.STOPPED);
        assertThat(told(vm))
                .contains("asked: the guest was asked to end", "killed: the guest did not end within 300 ms")
                .last()
                .isEqualTo("stopped: asked by the test; the guest did not end within 300 ms and was killed");
        assertThat(process.isAlive()).isFalse();
    }

    @Test
    void aKernelThatPanicsHasFailedAndTheHistorySaysWhereToLook() {
        define("", LinuxGuest.section("panic"));
        try (var screen = new Screen(vm)) {
            LinuxGuest.boot(vm, screen);

            assertThat(until(vm, State.FAILED).cause()).isEqualTo("the guest's kernel panicked; its console says why");
            assertThat(screen.shows("Kernel panic - not syncing", VmHost.PATIENCE))
                    .isTrue();
            assertThat(told(vm)).contains("panicked: the guest's kernel panicked");
        }
    }

    @Test
    void aGuestWithoutMemoryHasFailed() {
        define("", LinuxGuest.section("memory").replace("512 MiB", "256 MiB"));
        try (var screen = new Screen(vm)) {
            LinuxGuest.boot(vm, screen);

            assertThat(until(vm, State.FAILED).cause()).isEqualTo("the guest's kernel panicked; its console says why");
            assertThat(screen.shows("System is deadlocked on memory", VmHost.PATIENCE))
                    .as(screen.text())
                    .isTrue();
        }
    }

    @Test
    void aGuestThatStartsAnewGoesOnRunning() {
        define(
                "%s { size = 1 MiB, store { type = memory } }".formatted("marks"),
                LinuxGuest.section("again") + "disks = [marks]");
        try (var screen = new Screen(vm)) {
            LinuxGuest.boot(vm, screen);
            var process = vms.qemu(vm);
            screen.until("REBOOT\r");

            screen.until("AGAIN\r");

            assertThat(status(vm).state()).isEqualTo(State.RUNNING);
            assertThat(status(vm).starts()).isEqualTo(1);
            assertThat(vms.qemu(vm)).isEqualTo(process);
            assertThat(told(vm)).contains("reset: the guest has started anew");

            // It obeys the power button, too, once it looks at it.
            screen.until("COUNT 5 ");
            await(vm.stop("asked by the test"));
            screen.until("BUTTON\r");
            assertThat(told(vm)).last().isEqualTo("stopped: asked by the test");
        }
    }

    @Test
    void aGuestThatDoesNothingButStartAnewDoesNotFillItsHistory() throws Exception {
        var image = vms.directory().resolve("reset.img");
        // mov al, 0xfe; out 0x64, al: the keyboard's controller resets the machine; jmp back
        var disk = Arrays.copyOf(
                new byte[] {(byte) 0xb0, (byte) 0xfe, (byte) 0xe6, 0x64, (byte) 0xeb, (byte) 0xfa}, 1 << 20);
        disk[510] = 0x55;
        disk[511] = (byte) 0xaa;
        Files.write(image, disk);
        define(
                "boot { store { type = file, path = \"%s\" } }".formatted(image),
                "guest { type = qemu, memory = 64 MiB, accelerator = tcg }, disks = [boot]");

        start();

        Peers.until("it has started anew eight times", VmHost.PATIENCE, () -> resets().size() == 4);
        assertThat(resets())
                .containsExactly(
                        "reset: the guest has started anew",
                        "reset: the guest has started anew, 2 times by now",
                        "reset: the guest has started anew, 4 times by now",
                        "reset: the guest has started anew, 8 times by now");
    }

    private List<String> resets() {
        return told(vm).stream().filter(it -> it.startsWith("reset")).toList();
    }

    @Test
    void aFullDiskPausesTheVmAndItGoesOnOnceThereIsRoom() {
        define(
                "small { size = 4 MiB, store { type = memory, limit = 2 MiB } }",
                LinuxGuest.section("fill") + "disks = [small]");
        try (var screen = new Screen(vm)) {
            LinuxGuest.boot(vm, screen);

            assertThat(until(vm, State.PAUSED).cause())
                    .isEqualTo("disk small: write failed: no space; give it some and resume the VM");

            // Without room it is where it was.
            await(vm.resume("the test is too early"));
            assertThat(until(vm, State.PAUSED).cause()).contains("disk small: write failed: no space");

            // A limit that is the size moves with it.
            vms.host().storage().resize("small", 2 << 20);
            vms.host().storage().resize("small", 4 << 20);
            await(vm.resume("there is room now"));

            screen.until("FULL\r");
            screen.until("READ\r");
            assertThat(screen.text()).doesNotContain("LOST");
            until(vm, State.STOPPED);
            assertThat(told(vm))
                    .as("the guest's requests that were under way are one entry, and so is the command to go on")
                    .filteredOn(it -> it.startsWith("disk-error") || it.startsWith("running"))
                    // A command's entry is written when QEMU has answered it, and by then the disk may have failed
                    // again.
                    .containsExactlyInAnyOrder(
                            "running: ",
                            "disk-error: disk small: write failed: no space; give it some and resume the VM",
                            "running: the test is too early",
                            "disk-error: disk small: write failed: no space; give it some and resume the VM",
                            "running: there is room now");
        }
    }

    @Test
    void aSnapshotGoesOnFromWhereItWasWithItsDisk() {
        define("state { size = 1 MiB, store { type = memory } }", LinuxGuest.section("count") + "disks = [state]");
        try (var screen = new Screen(vm)) {
            LinuxGuest.boot(vm, screen);
            screen.until("COUNT 3 after 2, on disk 2, ahead 0\r");

            await(vm.pause("asked by the test"));
            vms.host().vms().snapshot(vm.name(), "before", "asked by the test");
            // Of a machine that has not moved since, which QEMU does not save again.
            vms.host().vms().snapshot(vm.name(), "again", "asked by the test");
            vms.host().vms().deleteSnapshot(vm.name(), "before");
            vms.host().vms().snapshot(vm.name(), "third", "asked by the test");
            assertThat(status(vm).state()).isEqualTo(State.PAUSED);
            screen.skip();
            var paused = Integer.parseInt(screen.last("COUNT (\\d+) after"));
            await(vm.resume("asked by the test"));
            goesOn(screen, paused);
            screen.until("COUNT %d after %d, on disk %d, ahead 0\r".formatted(paused + 5, paused + 4, paused + 4));
            assertThatThrownBy(() -> vms.host().vms().restore(vm.name(), "third", "asked by the test"))
                    .hasMessageContaining("it is running already");
            await(vm.kill("asked by the test"));
            vms.leavesNothing(vm);

            vms.host().vms().restore(vm.name(), "third", "asked by the test");

            goesOn(screen, paused);
            assertThat(told(vm)).contains("starting: asked by the test, snapshot third");
            await(vm.stop("asked by the test"));
            screen.until("BUTTON\r");
        }
    }

    /** The first whole line is the next one, or the one after it if it was paused while it wrote; the disk is as old as the memory. */
    private static void goesOn(Screen screen, int paused) {
        var line = screen.until(
                "COUNT (%d|%d) after (\\d+), on disk (\\d+), ahead (\\d+)\r".formatted(paused + 1, paused + 2));
        assertThat(line.group(3)).as(line.group()).isEqualTo(line.group(2));
        assertThat(line.group(4)).as(line.group()).isEqualTo("0");
    }

    // --- cores

    @Test
    void virtualCpusRunOnTheCoresForGuestsAndFollowThem() {
        var cores = vms.host().topology().allowed();
        Assumptions.assumeTrue(cores.size() > 1, "one core only: nowhere else to go");
        var first = cores.getFirst().id();
        var last = cores.getLast().id();
        idle("vcpus = 2", "");
        start();

        try {
            vms.host().assign(last, Role.GUEST);
            Peers.until(
                    "they are on core " + last, VmHost.PATIENCE, () -> vcpus().equals(List.of("" + last, "" + last)));

            vms.host().assign(first, Role.GUEST);
            vms.host().assign(last, Role.SHARED);
            Peers.until(
                    "they are on core " + first,
                    VmHost.PATIENCE,
                    () -> vcpus().equals(List.of("" + first, "" + first)));
            assertThat(await(vm.statistics()).cores()).containsExactly(first);
            assertThat(told(vm)).noneMatch(it -> it.startsWith("warning"));

            // Also those of a run that begins later.
            await(vm.kill("asked by the test"));
            start();
            assertThat(vcpus()).isEqualTo(List.of("" + first, "" + first));
        } finally {
            vms.host().assign(first, Role.SHARED);
            vms.host().assign(last, Role.SHARED);
        }
    }

    @Test
    void aChangeOfTheCoresForGuestsDuringAStartCounts() throws Exception {
        var cores = vms.host().topology().allowed();
        Assumptions.assumeTrue(cores.size() > 1, "one core only: nowhere else to go");
        var last = cores.getLast().id();
        // It is its own virtual CPU, and tells of it when it is let.
        idle(
                talker(
                        GREETING,
                        "{\"thread-id\": os.getpid()}",
                        "if asked[\"execute\"] == \"qmp_capabilities\": open(\"asked\", \"w\"); "
                                + "[time.sleep(0.01) for _ in iter(lambda: os.path.exists(\"go\"), True)]"),
                "");
        var started = vm.start("the test wants it");
        try {
            Peers.until(
                    "it is asked for its virtual CPUs",
                    VmHost.PATIENCE,
                    () -> Files.exists(vms.folder(vm).resolve("asked")));
            vms.host().assign(last, Role.GUEST);
            assertThat(status(vm).state()).isEqualTo(State.STARTING);

            Files.createFile(vms.folder(vm).resolve("go"));
            await(started);

            assertThat(allowed(text(Path.of("/proc/" + vms.qemu(vm).pid() + "/status"))))
                    .isEqualTo("" + last);
        } finally {
            vms.host().assign(last, Role.SHARED);
        }
    }

    @Test
    void itsVirtualCpusAreWeighedByTheKernel() {
        idle("", "weight = 50");
        start();
        assertThat(niceness()).containsExactly(3);
        await(vm.kill("asked by the test"));
        vms.host().vms().delete(vm.name());

        // More than others have needs a right.
        idle("", "weight = 200");
        start();
        if (told(vm).stream().noneMatch(it -> it.startsWith("warning: its weight of 200 has no effect"))) {
            assertThat(niceness()).containsExactly(-3);
        }
    }

    private List<Integer> niceness() {
        return tasks("stat")
                .map(stat -> Integer.parseInt(stat.replaceFirst(".*\\) ", "").split(" ")[16]))
                .toList();
    }

    /** On which cores the kernel lets its virtual CPUs run. */
    private List<String> vcpus() {
        return tasks("status").map(QemuFaultsTest::allowed).toList();
    }

    private static String allowed(String status) {
        return status.lines()
                .filter(line -> line.startsWith("Cpus_allowed_list:"))
                .findFirst()
                .orElseThrow()
                .replaceFirst(".*:\\s*", "");
    }

    /** What the kernel has in a file for each of the threads that are its virtual CPUs. */
    private Stream<String> tasks(String file) {
        try (var tasks = Files.list(Path.of("/proc/" + vms.qemu(vm).pid() + "/task"))) {
            return tasks
                    .filter(task -> text(task.resolve("comm")).startsWith("CPU "))
                    .map(task -> text(task.resolve(file)))
                    .toList()
                    .stream();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String text(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException gone) {
            return "";
        }
    }

    // --- the host

    @Test
    void aQemuEndsWithAHostThatIsKilledAndTheNextOneClearsWhatIsLeft() throws Exception {
        var settings = """
                volumes { disk { size = 1 MiB, store { type = memory } } }
                vms.one { guest { type = qemu, memory = 64 MiB, accelerator = tcg }, disks = [disk], stop-timeout = 0 s }
                vms.other { guest { type = qemu, memory = 64 MiB, accelerator = tcg }, stop-timeout = 0 s }
                """;
        try (var directory = new ShortDirectory()) {
            var folder = VmHost.folder(directory.path(), "one");
            ProcessHandle left;
            try (var host = new HostProcess(directory.path(), settings)) {
                runs(directory.path(), 1);
                left = qemu(folder);
                assertThat(left.isAlive()).isTrue();
                // The host alone: the kernel is to end its QEMU.
                signal("KILL", ProcessHandle.of(host.pid()).orElseThrow());
                Peers.until("QEMU has ended with the host", VmHost.PATIENCE, () -> !left.isAlive());
            }
            assertThat(folder).isNotEmptyDirectory();

            try (var host = new HostProcess(directory.path(), settings)) {
                runs(directory.path(), 2);
                assertThat(qemu(folder)).isNotEqualTo(left);
                assertThat(folder.resolve("qmp.sock")).doesNotExist();
                signal("TERM", ProcessHandle.of(host.pid()).orElseThrow());
                Peers.until("the host has ended", VmHost.PATIENCE, () -> !host.alive());
            }
            assertThat(folder).doesNotExist();
            assertThat(VmHost.folder(directory.path(), "other")).doesNotExist();
        }
    }

    /** Ctrl-C at a terminal is for all that stands in the foreground. */
    @Test
    void anInterruptOfTheHostsGroupLetsItAskItsGuests() throws Exception {
        var settings = "vms.one { guest { type = qemu, memory = 64 MiB, accelerator = tcg }, stop-timeout = 1 s }";
        try (var directory = new ShortDirectory()) {
            var command = new ArrayList<>(List.of("env", "--default-signal=INT", "setsid"));
            command.addAll(HostProcess.command(directory.path(), settings));
            try (var host = new HostProcess(command)) {
                runs(directory.path(), 1);

                interrupt(host.pid());

                Peers.until("the host has ended", VmHost.PATIENCE, () -> !host.alive());
            }
            assertThat(text(directory.path().resolve("vms/one/one.history")))
                    .contains("the guest was asked to end", "the guest did not end within 1 s and was killed")
                    .doesNotContain("signal");
        }
    }

    private static void interrupt(long group) {
        try (var kill = Peers.start(List.of("kill", "-INT", "--", "-" + group))) {
            kill.await(VmHost.PATIENCE).ok();
        }
    }

    /** Waits until VM one runs for so many-th time in the life of its data directory. */
    private static void runs(Path directory, int times) {
        var history = directory.resolve("vms/one/one.history");
        Peers.until(
                "it runs: " + text(history),
                VmHost.PATIENCE,
                () -> text(history)
                                .lines()
                                .filter(line -> line.contains("\"running\"") && line.contains("\"starting\""))
                                .count()
                        == times);
    }
}
