package io.sidecore.it.vm;

import static io.sidecore.it.vm.VmPlace.disk;
import static io.sidecore.it.vm.VmPlace.done;
import static io.sidecore.it.vm.VmPlace.heard;
import static io.sidecore.it.vm.VmPlace.next;
import static io.sidecore.it.vm.VmPlace.say;
import static io.sidecore.it.vm.VmPlace.settings;
import static io.sidecore.it.vm.VmPlace.state;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.vif.GuestPort;
import io.sidecore.actors.vm.GuestContext;
import io.sidecore.actors.vm.GuestProgram;
import io.sidecore.actors.vm.VirtualMachine.State;
import io.sidecore.conf.AttachMode;
import io.sidecore.conf.GuestSettings;
import io.sidecore.conf.InterposerSettings;
import io.sidecore.conf.Placement;
import io.sidecore.conf.VmSettings;
import io.sidecore.conf.VmSettings.Disk;
import io.sidecore.it.Peers;
import io.sidecore.runtime.HostException;
import io.sidecore.runtime.VmHandle;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Guests of events and those who manage them: what a snapshot keeps of what was to be told, and what does not wait for the guest. */
@Timeout(value = 3, unit = TimeUnit.MINUTES)
class EventGuestTest {
    private static final InterposerSettings HANGS =
            new InterposerSettings.FaultPlan(1, 0, Duration.ZERO, 0, InterposerSettings.Errno.EIO, 1);

    @AutoClose
    private final VmPlace place = new VmPlace("cores { service = 1 }, vif.drain-max = 200 ms");

    private final CountDownLatch goOn = new CountDownLatch(1);
    private volatile boolean inEvent;
    private volatile boolean released;
    private volatile MemorySegment memory;

    @AfterEach
    void close() {
        released = true;
        goOn.countDown();
    }

    private static void tell(GuestContext context, String text) {
        context.message(text.getBytes(StandardCharsets.UTF_8));
    }

    /** Echoes, and can be saved. */
    private static class Echo implements GuestProgram {
        @Override
        public void onStart(GuestContext context) {}

        @Override
        public void onMessage(GuestContext context, byte[] message) {
            tell(context, "echo " + new String(message, StandardCharsets.UTF_8));
        }

        @Override
        public Optional<byte[]> save() {
            return Optional.of(new byte[0]);
        }

        @Override
        public void onRestore(GuestContext context, byte[] saved) {}
    }

    private VmHandle started(
            String name, GuestSettings guest, OptionalDouble cap, GuestProgram program, Disk... disks) {
        var ordinary = settings(guest, disks);
        var vm = place.host
                .vms()
                .create(
                        name,
                        new VmSettings(
                                guest,
                                ordinary.disks(),
                                false,
                                100,
                                cap,
                                ordinary.restart(),
                                ordinary.startTimeout(),
                                ordinary.stopTimeout()),
                        () -> program);
        done(vm.start("wanted"));
        return vm;
    }

    private VmHandle started(String name, GuestProgram program, Disk... disks) {
        return started(name, VmPlace.java(Duration.ofSeconds(30)), OptionalDouble.empty(), program, disks);
    }

    private static GuestSettings large(int bytes, Duration deadline) {
        return new GuestSettings.Java("made by the test", bytes, deadline);
    }

    // --- snapshots

    @Test
    void aMemoryThatTakesLongerToReadThanAnEventMayLastIsRestored() throws Exception {
        var vm = started("web", large(1 << 30, Duration.ofMillis(100)), OptionalDouble.empty(), new Echo());
        place.host.vms().snapshot("web", "one", "to keep");
        done(vm.kill("enough"));
        var heard = heard(vm);

        place.host.vms().restore("web", "one", "back");

        assertThat(say(vm, "ping")).isTrue();
        assertThat(next(heard)).isEqualTo("echo ping");
    }

    @Test
    void aMessageThatItHadNotReadIsReadByTheOneThatIsRestored() throws Exception {
        var vm = started("web", new Echo());
        done(vm.pause("wait"));
        assertThat(say(vm, "a")).isTrue();
        assertThat(say(vm, "b")).isTrue();
        place.host.vms().snapshot("web", "one", "to keep");
        done(vm.kill("enough"));
        var heard = heard(vm);

        place.host.vms().restore("web", "one", "back");

        assertThat(List.of(next(heard), next(heard))).containsExactly("echo a", "echo b");
    }

    /** Fills its disk's queue, and takes all answers: waits to be told that there is room, and for nothing else. */
    private final class Filling extends Echo {
        private final GuestPort.Answer answer = new GuestPort.Answer();

        @Override
        public void onMessage(GuestContext context, byte[] message) {
            inEvent = true;
            await();
            var port = context.vif(0);
            var sent = 0;
            while (port.send(BlockOp.READ, 0, 0, 512, 0, 0) == GuestPort.Sent.SENT) {
                sent++;
            }
            while (sent > 0) {
                if (port.recv(answer)) {
                    sent--;
                }
            }
        }

        @Override
        public void onBlock(GuestContext context, int vif) {
            tell(context, "told");
        }
    }

    private void await() {
        try {
            goOn.await();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @ParameterizedTest
    @EnumSource
    void whoWaitsForRoomOnlyIsToldOfItWhenItIsRestored(Placement placement) throws Exception {
        var vm = started("web", new Filling(), disk("a", placement));
        var heard = heard(vm);
        say(vm, "fill");
        Peers.until("it is in its event", VmPlace.PATIENCE, () -> inEvent);
        // It is paused before it is told.
        var paused = vm.pause("wait");
        done(vm.inspect());
        goOn.countDown();
        done(paused);
        place.host.vms().snapshot("web", "one", "to keep");
        done(vm.kill("enough"));
        assertThat(heard).isEmpty();

        place.host.vms().restore("web", "one", "back");

        assertThat(next(heard)).isEqualTo("told");
    }

    @Test
    void aDiskThatNeverAnswersFailsTheSnapshotAndTheGuestGoesOn() throws Exception {
        var vm = started(
                "web",
                new Echo() {
                    @Override
                    public void onStart(GuestContext context) {
                        context.vif(0).send(BlockOp.READ, 0, 0, 512, 0, 1);
                    }
                },
                new Disk("a", AttachMode.EXCLUSIVE, Placement.SHARED, List.of(HANGS)));
        var heard = heard(vm);

        assertThatThrownBy(() -> place.host.vms().snapshot("web", "one", "to keep"))
                .isInstanceOf(HostException.class)
                .hasMessage("VM web: disk a has not answered within 20 s; the guest goes on without a snapshot");

        assertThat(say(vm, "ping")).isTrue();
        assertThat(next(heard)).isEqualTo("echo ping");
        done(vm.stop("enough"));
    }

    @Test
    void theMemoryOfOneThatIsKilledWhileItIsSavedIsGivenBack() {
        var vm = started("web", large(256 << 20, Duration.ofSeconds(30)), OptionalDouble.empty(), new Echo() {
            @Override
            public void onStart(GuestContext context) {
                memory = context.memory();
                memory.fill((byte) 1);
            }
        });
        var snapshot = CompletableFuture.runAsync(() -> place.host.vms().snapshot("web", "one", "to keep"));
        var file = place.directory().resolve("data/vms/web/snapshots/one.part/memory");
        Peers.until("its memory is being written", VmPlace.PATIENCE, () -> size(file) > 0 || snapshot.isDone());

        done(vm.kill("enough"));

        Peers.until("it is unmapped", VmPlace.PATIENCE, () -> !memory.scope().isAlive());
        assertThat(snapshot).failsWithin(VmPlace.PATIENCE);
    }

    private static long size(Path file) {
        try {
            return Files.size(file);
        } catch (IOException e) {
            return 0;
        }
    }

    // --- timers

    @Test
    void aTimerMayBeSetToAnyTime() throws Exception {
        var vm = started("web", new Echo() {
            @Override
            public void onMessage(GuestContext context, byte[] message) {
                context.timer(0, Duration.ofSeconds(Long.MAX_VALUE));
                context.timer(1, Duration.ofSeconds(Long.MIN_VALUE));
            }

            @Override
            public void onTimer(GuestContext context, int timer) {
                tell(context, "timer " + timer);
            }
        });
        var heard = heard(vm);

        say(vm, "go");

        assertThat(next(heard)).isEqualTo("timer 1");
        assertThat(heard).isEmpty();
        assertThat(state(vm)).isEqualTo(State.RUNNING);
    }

    @Test
    void aTimerThatIsSetOverAndOverComesOnceAndThoseDueForLongerComeFirst() throws Exception {
        var told = new ArrayList<Integer>();
        var vm = started("web", new Echo() {
            @Override
            public void onMessage(GuestContext context, byte[] message) {
                for (var round = 0; round < 1_000; round++) {
                    for (var i = GuestContext.TIMERS - 1; i >= 0; i--) {
                        context.timer(i, Duration.ZERO);
                    }
                }
                context.timer(63, Duration.ofMillis(50));
                context.cancelTimer(5);
            }

            @Override
            public void onTimer(GuestContext context, int timer) {
                told.add(timer);
                if (timer == 63) {
                    tell(context, told.toString());
                }
            }
        });
        var heard = heard(vm);

        say(vm, "go");

        var expected = new ArrayList<Integer>();
        for (var i = 62; i >= 0; i--) {
            expected.add(i);
        }
        expected.remove(Integer.valueOf(5));
        expected.add(63);
        assertThat(next(heard)).isEqualTo(expected.toString());
    }

    // --- what does not wait for the guest

    @Test
    void itsCapDoesNotKeepThoseWaitingWhoPauseAndStopIt() throws Exception {
        var vm = started("web", VmPlace.java(Duration.ofSeconds(30)), OptionalDouble.of(0.001), new Echo() {
            @Override
            public void onMessage(GuestContext context, byte[] message) {
                // Its cap would have it wait a thousand times as long.
                var began = System.nanoTime();
                while (System.nanoTime() - began < 200_000_000) {
                    Thread.onSpinWait();
                }
                tell(context, "done");
            }
        });
        var heard = heard(vm);
        say(vm, "spin");
        next(heard);

        assertThat(done(vm.pause("wait")).state()).isEqualTo(State.PAUSED);
        assertThat(done(vm.resume("go on")).state()).isEqualTo(State.RUNNING);
        place.host.vms().snapshot("web", "one", "to keep");
        assertThat(done(vm.stop("enough")).cause()).isEqualTo("enough");
    }

    @Test
    void theDisksOfOneThatIsKilledAndStuckAreFreeWhenThatIsSaid() {
        var vm = started(
                "web",
                VmPlace.java(Duration.ofMinutes(1)),
                OptionalDouble.empty(),
                new Echo() {
                    @Override
                    public void onMessage(GuestContext context, byte[] message) {
                        inEvent = true;
                        while (!released) {
                            Thread.onSpinWait();
                        }
                    }
                },
                disk("a", Placement.SHARED));
        say(vm, "spin");
        Peers.until("it is in its event", VmPlace.PATIENCE, () -> inEvent);

        assertThat(done(vm.kill("enough")).state()).isEqualTo(State.STOPPED);

        var other = started("other", new Echo(), disk("a", Placement.SHARED));
        assertThat(state(other)).isEqualTo(State.RUNNING);
    }
}
