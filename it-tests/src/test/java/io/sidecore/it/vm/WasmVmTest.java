package io.sidecore.it.vm;

import static io.sidecore.it.vm.VmPlace.cause;
import static io.sidecore.it.vm.VmPlace.console;
import static io.sidecore.it.vm.VmPlace.disk;
import static io.sidecore.it.vm.VmPlace.done;
import static io.sidecore.it.vm.VmPlace.failure;
import static io.sidecore.it.vm.VmPlace.heard;
import static io.sidecore.it.vm.VmPlace.history;
import static io.sidecore.it.vm.VmPlace.next;
import static io.sidecore.it.vm.VmPlace.say;
import static io.sidecore.it.vm.VmPlace.settings;
import static io.sidecore.it.vm.VmPlace.state;
import static io.sidecore.it.vm.VmPlace.type;
import static io.sidecore.it.vm.VmPlace.until;
import static io.sidecore.it.vm.VmPlace.untilConsole;
import static io.sidecore.it.vm.VmPlace.untilHistory;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.actors.vm.VirtualMachine.State;
import io.sidecore.conf.GuestSettings;
import io.sidecore.conf.Placement;
import io.sidecore.conf.VmSettings.Disk;
import io.sidecore.conf.VmSettings.Restart;
import io.sidecore.conf.VmSettings.RestartPolicy;
import io.sidecore.it.Peers;
import io.sidecore.runtime.VmHandle;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class WasmVmTest {
    private static final long MIB = 1 << 20;
    private static final Duration LONG = Duration.ofSeconds(30);

    @AutoClose
    private final VmPlace place = new VmPlace("cores { service = 1 }");

    private static GuestSettings wasm(Path module, long memory, Duration deadline) {
        return new GuestSettings.Wasm(module, memory, List.of(), deadline);
    }

    private VmHandle demo(String name, Disk... disks) {
        return place.host.vms().create(name, settings(wasm(GuestSettings.Wasm.DEMO, 16 * MIB, LONG), disks));
    }

    /** One that does what no good guest does. */
    private VmHandle bad(Duration deadline, Disk... disks) {
        var module = TestModule.file(place.directory(), "bad.wasm", TestModule.events());
        var vm = place.host.vms().create("bad", settings(wasm(module, 128 << 10, deadline), disks));
        done(vm.start("wanted"));
        return vm;
    }

    private static void assertServed(VmHandle demo) throws InterruptedException {
        var heard = heard(demo);
        assertThat(say(demo, "stats")).isTrue();
        assertThat(next(heard)).endsWith(" s");
    }

    private VmHandle bystander() {
        var vm = demo("bystander", disk("b", Placement.SHARED));
        done(vm.start("wanted"));
        untilConsole(vm, "check passed");
        return vm;
    }

    // --- the demo guest

    @ParameterizedTest
    @EnumSource
    void theDemoGuestChecksItsDiskAndTicksAndAnswersInEachPlacement(Placement placement) throws Exception {
        var vm = demo("web", disk("a", placement));
        var heard = heard(vm);

        done(vm.start("wanted"));

        untilConsole(vm, "check passed: wrote, flushed and read back 1 MiB");
        untilConsole(vm, "demo: 16 reads, 16 writes, 0 errors, 1 s");
        say(vm, "what?");
        assertThat(next(heard)).endsWith("stats, check, stop");
        type(vm, "stats\r");
        assertThat(next(heard)).matches("\\d+ reads, 16 writes, 0 errors, \\d+ s");
        assertThat(done(vm.stop("enough")).state()).isEqualTo(State.STOPPED);
        assertThat(console(vm)).contains("demo: asked to stop, after ");
        place.host.storage().delete("a");
    }

    @Test
    void theDemoGuestEndsByItself() {
        var vm = demo("web");
        done(vm.start("wanted"));

        say(vm, "stop");

        until(vm, State.STOPPED);
        assertThat(cause(vm)).isEqualTo("its program ended");
    }

    @Test
    void aPausedGuestDoesNotTick() throws Exception {
        var vm = demo("web");
        var heard = heard(vm);
        done(vm.start("wanted"));
        done(vm.pause("wait"));
        say(vm, "stats");
        var bystander = bystander();
        untilConsole(bystander, "0 errors, 1 s");
        assertThat(heard).isEmpty();

        done(vm.resume("go on"));

        // One tick is due at most: it sets the next one.
        assertThat(next(heard)).matches("0 reads, 0 writes, 0 errors, [01] s");
    }

    @ParameterizedTest
    @EnumSource
    void aSnapshotAmidACheckIsWhereItGoesOn(Placement placement) throws Exception {
        var vm = demo("web", disk("a", placement));
        var heard = heard(vm);
        done(vm.start("wanted"));
        untilConsole(vm, "check passed");
        // Its second check is under way, or has just been made, when it is kept; a third one then writes something
        // else.
        say(vm, "check");
        assertThat(next(heard)).startsWith("checking");
        place.host.vms().snapshot("web", "one", "to keep");
        Peers.until("its second check has ended", VmPlace.PATIENCE, () -> passed(vm) == 2);
        say(vm, "check");
        Peers.until("its third check has ended", VmPlace.PATIENCE, () -> passed(vm) == 3);
        done(vm.kill("enough"));
        heard.clear();
        var printed = console(vm).length();

        place.host.vms().restore("web", "one", "back");

        // What it reads is compared with what it has written before.
        Peers.until("it has gone on", VmPlace.PATIENCE, () -> {
            say(vm, "stats");
            return heard.stream().anyMatch(stats -> stats.matches("(3[3-9]|[4-9]\\d) reads, 32 writes, 0 errors, .*"));
        });
        assertThat(console(vm).substring(printed)).doesNotContain("a guest in WebAssembly", "FAILED", "errors: ");
        done(vm.stop("enough"));
    }

    private static int passed(VmHandle vm) {
        return console(vm).split("check passed", -1).length - 1;
    }

    // --- modules that are none

    @Test
    void whatCannotBeAGuestFailsTheStartWithASentenceThatNamesTheFile() throws Exception {
        var folder = place.directory();
        var missing = folder.resolve("missing.wasm");
        var text = Files.writeString(folder.resolve("text.wasm"), "(module)");
        var events = TestModule.events();
        var torn = TestModule.file(folder, "torn.wasm", Arrays.copyOf(events, events.length - 3));

        assertThat(failedStart("a", missing)).startsWith("VM a: " + missing + " cannot be read: ");
        assertThat(failedStart("b", text)).startsWith("VM b: " + text + ": ");
        assertThat(failedStart("c", torn)).startsWith("VM c: " + torn + ": ");
        assertThat(failedStart("d", folder)).startsWith("VM d: " + folder);
    }

    private String failedStart(String name, Path module) {
        var vm = place.host.vms().create(name, settings(wasm(module, MIB, LONG), disk("a", Placement.SHARED)));
        var why = failure(vm.start("wanted"));
        assertThat(state(vm)).isEqualTo(State.FAILED);
        assertThat(history(vm)).last().isEqualTo("failed: " + why.replaceFirst("VM . *: ", ""));
        return why;
    }

    @Test
    void aModuleThatIsLargerThanItsVmSaysWhatItNeeds() {
        var vm = place.host.vms().create("web", settings(wasm(GuestSettings.Wasm.DEMO, 64 << 10, LONG)));

        assertThat(failure(vm.start("wanted"))).contains("and its VM has 64 KiB: set guest.memory to at least as much");
    }

    @Test
    void aModuleThatIsMendedIsReadAnew() throws Exception {
        var module = Files.writeString(place.directory().resolve("web.wasm"), "no");
        var vm = place.host.vms().create("web", settings(wasm(module, MIB, LONG)));
        failure(vm.start("wanted"));

        Files.write(module, TestModule.events());

        assertThat(done(vm.start("again")).state()).isEqualTo(State.RUNNING);
    }

    // --- guests that are bad

    @ParameterizedTest
    @CsvSource({
        "u, 'the guest was stopped in on_message: it reached an unreachable instruction (an abort, a panic or a failed assertion)'",
        "s, 'the guest was stopped in on_message: its calls are nested too deeply for its stack'",
        "o, 'the guest was stopped in on_message: '"
    })
    void aTrapFailsItAndNobodyElse(String how, String why) throws Exception {
        var bystander = bystander();
        var vm = bad(LONG, disk("a", Placement.SHARED));

        say(vm, how);

        until(vm, State.FAILED);
        assertThat(cause(vm)).startsWith(why);
        assertServed(bystander);
        place.host.storage().delete("a");
    }

    @ParameterizedTest
    @EnumSource
    void aGuestThatAsksItsDiskFromEveryDepthLeavesItWhole(Placement placement) throws Exception {
        var bystander = bystander();
        var vm = bad(LONG, disk("a", placement));

        say(vm, "f");

        until(vm, State.FAILED);
        assertThat(cause(vm)).contains("its calls are nested too deeply for its stack");
        done(vm.start("again"));
        say(vm, "f");
        until(vm, State.FAILED);
        assertServed(bystander);
        place.host.storage().delete("a");
    }

    @Test
    void anEndlessLoopFailsItAfterItsDeadlineAndNobodyElse() throws Exception {
        var bystander = bystander();
        var vm = bad(Duration.ofMillis(100));

        say(vm, "l");

        until(vm, State.FAILED);
        assertThat(cause(vm)).isEqualTo("on_message lasted longer than 100 ms");
        assertServed(bystander);
    }

    @ParameterizedTest
    @CsvSource({"true", "false"})
    void anEndlessLoopWithALongDeadlineEndsAtOnceWhenItIsKilled(boolean restored) {
        var vm = bad(Duration.ofHours(1));
        if (restored) {
            place.host.vms().snapshot("bad", "one", "to keep");
            done(vm.kill("enough"));
            place.host.vms().restore("bad", "one", "back");
        }
        say(vm, "l");

        assertThat(done(vm.kill("away with it")).state()).isEqualTo(State.STOPPED);

        assertThat(history(vm)).noneMatch(entry -> entry.startsWith("stuck"));
        assertThat(done(vm.start("again")).state()).isEqualTo(State.RUNNING);
    }

    @Test
    void oneThatTakesAllItsMemoryGoesOnWithWhatItHas() throws Exception {
        var vm = bad(LONG);
        var heard = heard(vm);

        say(vm, "g");

        assertThat(next(heard)).isEqualTo("g");
        assertThat(state(vm)).isEqualTo(State.RUNNING);
    }

    @ParameterizedTest
    @EnumSource
    void aDescriptorOutsideOfItsMemoryIsRefusedAndNoted(Placement placement) throws Exception {
        var vm = bad(LONG, disk("a", placement));
        var heard = heard(vm);

        say(vm, "r");

        // As many bytes as EFAULT's number.
        assertThat(next(heard).getBytes(StandardCharsets.UTF_8)).hasSizeGreaterThanOrEqualTo(14);
        untilHistory(vm, "refused: disk a: READ of 512 bytes at 0, address 2147483647: outside memory"::equals);
        assertThat(state(vm)).isEqualTo(State.RUNNING);
    }

    @Test
    void oneThatTrapsIsStartedAgain() {
        var module = TestModule.file(place.directory(), "bad.wasm", TestModule.events());
        var vm = place.host
                .vms()
                .create(
                        "bad",
                        VmPlace.restarting(
                                settings(wasm(module, MIB, LONG)),
                                new Restart(RestartPolicy.ON_FAILURE, Duration.ofMillis(1), Duration.ofHours(1), 2)));
        done(vm.start("wanted"));
        for (var starts = 1; starts <= 3; starts++) {
            var run = starts;
            Peers.until("it runs again", VmPlace.PATIENCE, () -> {
                var status = done(vm.inspect());
                return status.starts() == run && status.state() == State.RUNNING;
            });
            say(vm, "u");
        }

        untilHistory(vm, entry -> entry.startsWith("given-up: "));
        assertThat(state(vm)).isEqualTo(State.FAILED);
    }

    @Test
    void aSnapshotThatIsDamagedIsNotGoneOnFrom() throws Exception {
        var vm = demo("web");
        done(vm.start("wanted"));
        place.host.vms().snapshot("web", "one", "to keep");
        done(vm.kill("enough"));
        var file = place.directory().resolve("data/vms/web/snapshots/one/program.state");
        var bytes = Files.readAllBytes(file);
        Files.write(file, Arrays.copyOf(bytes, bytes.length / 2));

        assertThatThrownBy(() -> place.host.vms().restore("web", "one", "back"))
                .hasMessageContaining("the snapshot is damaged");

        assertThat(state(vm)).isEqualTo(State.STOPPED);
        assertThat(done(vm.start("from its beginning")).state()).isEqualTo(State.RUNNING);
    }
}
