package io.sidecore.it.vm;

import static io.sidecore.it.vm.VmHost.await;
import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.core.PhysicalCore;
import io.sidecore.actors.core.Topology;
import io.sidecore.actors.vif.Queue;
import io.sidecore.actors.vif.VirtualInterface;
import io.sidecore.actors.vm.VirtualMachine.State;
import io.sidecore.devices.interpose.FaultInjector;
import io.sidecore.devices.interpose.FaultPlan;
import io.sidecore.devices.interpose.RateLimit;
import io.sidecore.it.Peers;
import io.sidecore.it.Peers.ShortDirectory;
import io.sidecore.it.cli.Terminal;
import io.sidecore.runtime.VifHandle;
import java.nio.file.Files;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** GU-1, SV-7: a real Linux finds its disk, and what it wrote is there the next time, whatever happened beneath it meanwhile. */
class LinuxGuestTest {
    private static final int ROUNDS = Boolean.getBoolean("it.long") ? 400 : 40;
    private static final String DISK = "disk { size = 64 MiB, store { type = file, path = \"%s\" } }";

    @BeforeAll
    static void needed() {
        LinuxGuest.need();
    }

    private static String queue(VifHandle vif) {
        return await(vif.inspect()).queues().getFirst().name();
    }

    private static long requests(VifHandle vif) {
        return await(vif.inspect()).queues().getFirst().tally().requests();
    }

    @Test
    void whatAGuestWroteIsThereAfterItsNextStartThoughInterposersAndLoopsChangedBeneathIt() {
        try (var vms = new VmHost("cores { service = 0 }")) {
            var host = vms.host();
            var disk = DISK.formatted(vms.directory().resolve("disk.img"));
            var more = "disks = [disk], autostart = false";
            var writer = vms.define("writer", disk, LinuxGuest.sectionWithFio("disk") + more);
            var reader = vms.define("reader", disk, LinuxGuest.section("check") + more);
            String sum;
            try (var screen = new Screen(writer)) {
                LinuxGuest.boot(writer, screen);
                screen.until("MADE\r");
                screen.until("FIO begins round 1\r");
                var vif = host.storage().vifs().get("vm/writer/disk");
                var queue = queue(vif);
                var before = requests(vif);
                // With one core only, nothing can be moved: everything else is shown all the same.
                var second = host.topology().usableCores() > 1
                        ? host.assign(host.topology().allowed().getLast().id(), PhysicalCore.Role.SERVICE)
                                .loop()
                        : Optional.<String>empty();
                var changes = new ArrayList<Queue.Changed>();
                for (var round = 0; round < ROUNDS; round++) {
                    var interposer = round % 2 == 0
                            ? new RateLimit("between", 1_000_000_000, 0, Duration.ofMillis(10))
                            : new FaultInjector("between", FaultPlan.none(round));
                    changed(changes, await(vif.insert(interposer, 0)));
                    served(vif);
                    second.ifPresent(loop -> changed(changes, await(vif.move(queue, loop))));
                    served(vif);
                    changed(changes, await(vif.remove("between")));
                    served(vif);
                    second.ifPresent(loop -> changed(
                            changes, await(vif.move(queue, host.loops().shared().name()))));
                }
                assertThat(queue(vif)).as("the connection is still the same").isEqualTo(queue);
                screen.type("enough");
                assertThat(changes).noneMatch(Queue.Changed::lost);
                System.out.printf(
                        "%d changes beneath a Linux guest, over %,d requests%n",
                        changes.size(), requests(vif) - before);
                screen.until("FIO round \\d+ ended with 0\r");
                sum = screen.until("SUM (\\w{32})\r").group(1);
                screen.until("DONE\r");
                assertThat(screen.text()).doesNotContainPattern("ended with [1-9]");
            }
            assertThat(VmHost.until(writer, State.STOPPED).cause()).isEqualTo("the guest powered itself off");
            vms.leavesNothing(writer);

            try (var screen = new Screen(reader)) {
                LinuxGuest.boot(reader, screen);
                screen.until("FSCK ended with 0\r");
                assertThat(screen.until("SUM (\\w{32})\r").group(1)).isEqualTo(sum);
                screen.until("DONE\r");
            }
            assertThat(VmHost.until(reader, State.STOPPED).cause()).isEqualTo("the guest powered itself off");
            vms.leavesNothing(reader);
        }
    }

    private static void changed(List<Queue.Changed> changes, VirtualInterface.Done done) {
        assertThat(done.queues()).as("queues changed").hasSize(1);
        changes.addAll(done.queues());
    }

    /** Waits until something was served in the new shape. */
    private static void served(VifHandle vif) {
        var before = requests(vif);
        Peers.until("the guest's disk is used", VmHost.PATIENCE, () -> requests(vif) > before);
    }

    @Test
    void aHostThatTheLauncherStartsFromAFileRunsALinux() throws Exception {
        try (var directory = new ShortDirectory();
                var terminal = new Terminal(directory.path())) {
            Files.writeString(directory.path().resolve("linux.conf"), """
                    sidecore {
                      data-directory = data
                      volumes { %s }
                      vms.writer { %s
                        disks = [disk] }
                      vms.reader { %s
                        disks = [disk], autostart = false }
                    }
                    """.formatted(
                    DISK.formatted("disk.img"), LinuxGuest.sectionWithFio("disk"), LinuxGuest.section("check")));
            var said = terminal.startInBackground("sidecore run linux.conf");
            Peers.until(
                    "the host runs",
                    VmHost.PATIENCE,
                    () -> Terminal.read(said).contains("Stop it with Ctrl-C")
                            || !terminal.last().isAlive());
            assertThat(terminal.last().isAlive()).as(Terminal.read(said)).isTrue();

            booted(terminal, "writer");
            var written = shown(terminal, "writer", "FIO begins");
            assertThat(written).contains("MADE");
            ok(terminal, "vif interpose vm/writer/disk rate-limit iops=1000000");
            var cores = Topology.ofThisMachine().allowed();
            if (cores.size() > 1) {
                var last = cores.getLast().id();
                ok(terminal, "core role " + last + " service");
                ok(terminal, "vif place vm/writer/disk sidecore");
                assertThat(ok(terminal, "vif show vm/writer/disk")).contains("-core-" + last);
                ok(terminal, "vif place vm/writer/disk shared");
                ok(terminal, "core role " + last + " shared");
            }
            ok(terminal, "vif interpose vm/writer/disk --remove rate-limit-0");
            terminal.run("echo enough | sidecore console writer --idle 0.1");
            written = shown(terminal, "writer", "powers off");
            assertThat(written).contains("ended with 0").doesNotContainPattern("ended with [1-9]");
            Peers.until(
                    "the writer has ended",
                    VmHost.PATIENCE,
                    () -> ok(terminal, "vm show writer").contains("stopped"));
            assertThat(ok(terminal, "vm history writer"))
                    .contains("accelerator (starting): TCG, as configured")
                    .contains("stopped: the guest powered itself off");

            ok(terminal, "vm start reader");
            booted(terminal, "reader");
            var read = shown(terminal, "reader", "powers off");
            assertThat(read).contains("FSCK ended with 0", "SUM " + sum(written));
        }
    }

    private static String sum(String screen) {
        var at = screen.lastIndexOf("SUM ");
        assertThat(at).as(screen).isNotNegative();
        return screen.substring(at + 4, at + 36);
    }

    /** One that says nothing is started once more, as {@link LinuxGuest#boot} does. */
    private static void booted(Terminal terminal, String vm) {
        var end = System.nanoTime() + Duration.ofMinutes(1).toNanos();
        while (!ok(terminal, "console " + vm + " --log").contains("GUEST up")) {
            if (System.nanoTime() - end > 0) {
                System.out.println("VM " + vm + " said nothing: it hangs, and is started once more");
                ok(terminal, "vm stop --kill " + vm);
                ok(terminal, "vm start " + vm);
                shown(terminal, vm, "GUEST up");
                return;
            }
        }
    }

    private static String shown(Terminal terminal, String vm, String text) {
        var screen = new String[1];
        Peers.until(
                vm + " writes " + text,
                VmHost.PATIENCE,
                () -> (screen[0] = ok(terminal, "console " + vm + " --log")).contains(text));
        return screen[0];
    }

    private static String ok(Terminal terminal, String command) {
        var done = terminal.run("sidecore " + command);
        assertThat(done.exit()).as("sidecore %s: %s", command, done.text()).isZero();
        return done.text();
    }
}
