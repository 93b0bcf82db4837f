package io.sidecore.it.vm;

import static io.sidecore.it.vm.VmPlace.cause;
import static io.sidecore.it.vm.VmPlace.console;
import static io.sidecore.it.vm.VmPlace.disk;
import static io.sidecore.it.vm.VmPlace.done;
import static io.sidecore.it.vm.VmPlace.failure;
import static io.sidecore.it.vm.VmPlace.say;
import static io.sidecore.it.vm.VmPlace.settings;
import static io.sidecore.it.vm.VmPlace.state;
import static io.sidecore.it.vm.VmPlace.type;
import static io.sidecore.it.vm.VmPlace.until;
import static io.sidecore.it.vm.VmPlace.untilConsole;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.actors.vm.VirtualMachine.State;
import io.sidecore.conf.GuestSettings;
import io.sidecore.conf.Placement;
import io.sidecore.conf.VmSettings.Disk;
import io.sidecore.it.Peers;
import io.sidecore.runtime.VmHandle;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Programs of WASI as guests. */
class ProgramVmTest {
    private static final Path HELLO = Path.of(System.getProperty("basedir", "."))
            .toAbsolutePath()
            .resolveSibling("runtime/src/test/resources/io/sidecore/runtime/guest/wasm/hello.wasm");

    @AutoClose
    private final VmPlace place = new VmPlace("cores { service = 1 }");

    private VmHandle vm(String name, Path module, List<String> arguments, Disk... disks) {
        var guest = new GuestSettings.Wasm(module, 1 << 20, arguments, Duration.ofHours(1));
        return place.host.vms().create(name, settings(guest, disks));
    }

    private VmHandle started(String name, byte[] module) {
        var vm = vm(name, TestModule.file(place.directory(), name + ".wasm", module), List.of());
        done(vm.start("wanted"));
        return vm;
    }

    @ParameterizedTest
    @EnumSource
    void itGreetsAndReadsItsDiskInEachPlacement(Placement placement) {
        var vm = vm("web", HELLO, List.of("one", "two words"), disk("a", placement));

        done(vm.start("wanted"));

        until(vm, State.STOPPED);
        assertThat(cause(vm)).isEqualTo("its program ended");
        assertThat(console(vm).lines())
                .containsExactly(
                        "hello from a program of WASI",
                        "argument: one",
                        "argument: two words",
                        "the first block of the disk was read");
        place.host.storage().delete("a");
    }

    @Test
    void itReadsWhatIsTypedAndIsStoppedByItsEnd() throws Exception {
        var vm = started("echo", TestModule.echo());

        type(vm, "hello\r");
        untilConsole(vm, "hello\r\nhello\r\n");
        assertThat(say(vm, "no line")).isFalse();

        assertThat(done(vm.stop("enough")).state()).isEqualTo(State.STOPPED);
        assertThat(cause(vm)).isEqualTo("enough");
    }

    @Test
    void aLineThatItDoesNotTakeIsToldOnTheConsole() throws Exception {
        var vm = started("loop", TestModule.program(false));

        type(vm, "\r".repeat(1_025));

        untilConsole(vm, "[lost: the guest has not read what was typed before]");
        done(vm.kill("enough"));
    }

    @Test
    void itCannotBeCapped() {
        var module = TestModule.file(place.directory(), "loop.wasm", TestModule.program(false));
        var vm = place.host
                .vms()
                .create(
                        "loop",
                        VmPlace.capped(
                                settings(new GuestSettings.Wasm(module, 1 << 20, List.of(), Duration.ofSeconds(1))),
                                0.5));

        assertThat(failure(vm.start("wanted"))).contains("a program of WASI (_start) cannot be capped");
    }

    @Test
    void itIsStartedAgainFromItsBeginning() throws Exception {
        var vm = started("echo", TestModule.echo());
        done(vm.stop("enough"));
        done(vm.start("again"));

        type(vm, "hello\r");

        untilConsole(vm, "hello\r\nhello\r\n");
    }

    @Test
    void aTrapFailsIt() {
        var vm = vm("trap", TestModule.file(place.directory(), "trap.wasm", TestModule.program(true)), List.of());

        // Whether its start has failed or it has run is a matter of moments.
        var _ = vm.start("wanted");

        until(vm, State.FAILED);
        assertThat(cause(vm)).startsWith("the guest was stopped in _start: it reached an unreachable instruction");
    }

    @Test
    void anEndlessLoopIsKilledAtOnceAndOthersGoOn() throws Exception {
        var other = started("echo", TestModule.echo());
        var vm = started("loop", TestModule.program(false));

        assertThat(done(vm.kill("away with it")).state()).isEqualTo(State.STOPPED);

        assertThat(cause(vm)).isEqualTo("away with it");
        type(other, "hello\r");
        untilConsole(other, "hello\r\nhello\r\n");
    }

    @Test
    void anEndlessLoopThatIsStoppedIsKilledAfterItsTimeout() {
        var module = TestModule.file(place.directory(), "loop.wasm", TestModule.program(false));
        var vm = place.host
                .vms()
                .create(
                        "loop",
                        VmPlace.patient(
                                settings(new GuestSettings.Wasm(module, 1 << 20, List.of(), Duration.ofSeconds(1))),
                                Duration.ofMillis(50)));
        done(vm.start("wanted"));

        done(vm.stop("enough"));

        assertThat(cause(vm)).isEqualTo("enough; the guest did not end within 50 ms and was killed");
    }

    @Test
    void itCannotBePausedNorKeptAndSaysWhy() {
        var vm = started("echo", TestModule.echo());

        assertThat(failure(vm.pause("wait"))).contains("a program of WASI (_start) cannot be paused");
        assertThatThrownBy(() -> place.host.vms().snapshot("echo", "one", "to keep"))
                .hasMessageContaining("a program of WASI (_start) cannot be saved");

        assertThat(state(vm)).isEqualTo(State.RUNNING);
    }

    @Test
    void itsTimeIsCounted() {
        var vm = started("loop", TestModule.program(false));

        Peers.until(
                "it has used some",
                VmPlace.PATIENCE,
                () -> done(vm.statistics()).cpuNanos() > 10_000_000);
        done(vm.kill("enough"));
    }
}
