package io.sidecore.actors.vm;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.vm.VirtualMachine.Command;
import io.sidecore.actors.vm.VirtualMachine.Definition;
import io.sidecore.actors.vm.VirtualMachine.State;
import io.sidecore.actors.vm.VirtualMachine.Status;
import io.sidecore.conf.GuestSettings;
import io.sidecore.conf.VmSettings;
import io.sidecore.conf.VmSettings.Restart;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Function;
import java.util.function.Supplier;
import org.apache.pekko.actor.testkit.typed.javadsl.ActorTestKit;
import org.apache.pekko.actor.testkit.typed.javadsl.ManualTime;
import org.apache.pekko.actor.testkit.typed.javadsl.TestProbe;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.pattern.StatusReply;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;

/** A VM whose guests do what a test says, on a clock of the test's; and what is said to it. */
abstract class ScriptedVm {
    static ActorTestKit kit;
    static final Duration START = Duration.ofSeconds(60);
    static final Duration STOP = Duration.ofSeconds(30);
    static final Duration MOMENT = Duration.ofMillis(1);

    final ManualTime time = ManualTime.get(kit.system());
    final List<ScriptedGuest> guests = new CopyOnWriteArrayList<>();
    final List<String> history = new CopyOnWriteArrayList<>();
    volatile Instant now = Instant.EPOCH;
    Supplier<Guest> making = () -> {
        var guest = new ScriptedGuest();
        guests.add(guest);
        return guest;
    };
    ActorRef<Command> vm = vm(Restart.NEVER);

    @BeforeAll
    static void setUp() {
        kit = ActorTestKit.create(ManualTime.config());
    }

    @AfterAll
    static void shutDown() {
        kit.shutdownTestKit();
    }

    @AfterEach
    void end() {
        kit.stop(vm);
    }

    ActorRef<Command> vm(Restart restart) {
        if (vm != null) {
            kit.stop(vm);
        }
        var settings = new VmSettings(
                new GuestSettings.Java("", 4096, Duration.ofSeconds(1)),
                List.of(),
                true,
                100,
                OptionalDouble.empty(),
                restart,
                START,
                STOP);
        vm = kit.spawn(VirtualMachine.create(new Definition(
                "web",
                settings,
                () -> making.get(),
                (what, from, to, cause) ->
                        history.add(what + " " + from.word() + ">" + to.word() + (cause.isEmpty() ? "" : ": " + cause)),
                () -> now)));
        return vm;
    }

    // --- what is said to it

    TestProbe<StatusReply<Status>> tell(Function<ActorRef<StatusReply<Status>>, Command> command) {
        TestProbe<StatusReply<Status>> probe = kit.createTestProbe();
        vm.tell(command.apply(probe.ref()));
        return probe;
    }

    TestProbe<StatusReply<Status>> start() {
        return tell(replyTo -> new Command.Start(Optional.empty(), "wanted", replyTo));
    }

    TestProbe<StatusReply<Status>> stop(boolean hard) {
        return tell(replyTo -> new Command.Stop(hard, "not wanted", replyTo));
    }

    TestProbe<StatusReply<Status>> pause() {
        return tell(replyTo -> new Command.Pause("wait", replyTo));
    }

    TestProbe<StatusReply<Status>> resume() {
        return tell(replyTo -> new Command.Resume("go on", replyTo));
    }

    TestProbe<StatusReply<Status>> snapshot() {
        return tell(replyTo -> new Command.Snapshot(Path.of("folder"), "to keep", replyTo));
    }

    /** Also: everything that was told before has been dealt with. */
    Status status() {
        TestProbe<Status> probe = kit.createTestProbe();
        vm.tell(new Command.Inspect(probe.ref()));
        return probe.receiveMessage();
    }

    State state() {
        return status().state();
    }

    ScriptedGuest guest() {
        status();
        return guests.getLast();
    }

    ScriptedGuest running() {
        var reply = start();
        var guest = guest();
        guest.started.complete(null);
        assertThat(answered(reply).state()).isEqualTo(State.RUNNING);
        history.clear();
        return guest;
    }

    ScriptedGuest paused() {
        var guest = running();
        answered(pause());
        history.clear();
        return guest;
    }

    void passes(Duration duration) {
        status();
        time.timePasses(duration);
    }

    static Status answered(TestProbe<StatusReply<Status>> probe) {
        var reply = probe.receiveMessage();
        assertThat(reply.isSuccess()).as(reply::toString).isTrue();
        return reply.getValue();
    }

    static String refused(TestProbe<StatusReply<Status>> probe) {
        var reply = probe.receiveMessage();
        assertThat(reply.isError()).as(reply::toString).isTrue();
        return reply.getError().getMessage();
    }

    void unanswered(TestProbe<StatusReply<Status>> probe) {
        status();
        probe.expectNoMessage(Duration.ZERO);
    }
}
