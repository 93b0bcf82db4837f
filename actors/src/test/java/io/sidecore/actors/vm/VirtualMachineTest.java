package io.sidecore.actors.vm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.actors.vif.LifeCycle;
import io.sidecore.actors.vm.VirtualMachine.Command;
import io.sidecore.actors.vm.VirtualMachine.State;
import io.sidecore.actors.vm.VirtualMachine.Status;
import io.sidecore.conf.VmSettings.Restart;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;
import org.apache.pekko.actor.testkit.typed.javadsl.TestProbe;
import org.apache.pekko.pattern.StatusReply;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class VirtualMachineTest extends ScriptedVm {
    // --- the table

    private static final Map<String, Set<String>> DRAWN = Map.of(
            "defined", Set.of("starting"),
            "starting", Set.of("running", "stopping", "failed", "stopped", "defined"),
            "running", Set.of("paused", "stopping", "stopped", "failed", "migrating"),
            "paused", Set.of("running", "stopping", "stopped", "failed", "migrating"),
            "stopping", Set.of("stopped", "failed"),
            "stopped", Set.of("starting"),
            "failed", Set.of("starting"),
            "migrating", Set.of());

    @ParameterizedTest
    @EnumSource
    void fromEachStateItGoesWhereTheDrawingSaysAndNowhereElse(State from) {
        for (var to : State.values()) {
            var life = new LifeCycle<>("VM web", from, VirtualMachine.LEGAL);
            if (DRAWN.get(from.word()).contains(to.word())) {
                assertThatCode(() -> life.to(to)).doesNotThrowAnyException();
                assertThat(life.state()).isEqualTo(to);
            } else {
                assertThatThrownBy(() -> life.to(to)).hasMessageContaining(from + " to " + to);
                assertThat(life.state()).isEqualTo(from);
            }
        }
    }

    private void bring(State state) {
        switch (state) {
            case STARTING -> start();
            case RUNNING -> running();
            case PAUSED -> paused();
            case STOPPING -> {
                running();
                stop(false);
            }
            case STOPPED -> {
                running().exits(true, "it ended");
            }
            case FAILED -> {
                running().exits(false, "it broke");
            }
            default -> {}
        }
        assertThat(state()).isEqualTo(state);
    }

    /** What of each command comes in each state: ok, no, or - where the answer comes later. */
    @ParameterizedTest
    @CsvSource({
        "DEFINED,  -, ok, no, no, no, ok",
        "STARTING, -, -,  no, no, no, no",
        "RUNNING,  no, -, ok, no, ok, no",
        "PAUSED,   no, -, no, ok, ok, no",
        "STOPPING, no, -, no, no, no, no",
        "STOPPED,  -, ok, no, no, no, ok",
        "FAILED,   -, ok, no, no, no, ok"
    })
    void eachCommandIsTakenOrRefusedInEachState(
            State state, String start, String stop, String pause, String resume, String snapshot, String forget) {
        var commands = List.<Supplier<TestProbe<StatusReply<Status>>>>of(
                this::start,
                () -> stop(false),
                this::pause,
                this::resume,
                this::snapshot,
                () -> tell(Command.Forget::new));
        var found = new ArrayList<String>();
        for (var command : commands) {
            vm(Restart.NEVER);
            bring(state);
            var probe = command.get();
            if (command != commands.getLast()) {
                status();
            }
            var expected = List.of(start, stop, pause, resume, snapshot, forget).get(found.size());
            if (expected.equals("-")) {
                probe.expectNoMessage(Duration.ZERO);
                found.add("-");
            } else {
                found.add(probe.receiveMessage().isSuccess() ? "ok" : "no");
            }
        }

        assertThat(found).containsExactly(start, stop, pause, resume, snapshot, forget);
    }

    // --- start

    @Test
    void aStartIsAnsweredWhenTheGuestRunsToEveryoneWhoWaits() {
        var first = start();
        var second = start();
        var guest = guest();
        unanswered(first);
        now = now.plusSeconds(5);

        guest.started.complete(null);

        assertThat(answered(first))
                .isEqualTo(new Status("web", State.RUNNING, now, "", 1, Optional.empty(), Optional.empty()));
        assertThat(answered(second).state()).isEqualTo(State.RUNNING);
        assertThat(guests).hasSize(1);
        assertThat(history).containsExactly("starting defined>starting: wanted", "running starting>running");
        passes(START.plus(MOMENT));
        assertThat(state()).isEqualTo(State.RUNNING);
    }

    @Test
    void aSnapshotIsGivenToTheGuestThatStartsFromIt() {
        tell(replyTo -> new Command.Start(Optional.of(Path.of("kept")), "restored", replyTo));

        assertThat(guest().calls).containsExactly("start kept");
    }

    @Test
    void aStartThatFailsFailsTheVmWithItsSentence() {
        var first = start();
        var second = start();

        guest().started.completeExceptionally(new GuestException("there is no such kernel"));

        assertThat(refused(first)).isEqualTo("VM web: there is no such kernel");
        assertThat(refused(second)).isEqualTo("VM web: there is no such kernel");
        assertThat(status().cause()).isEqualTo("there is no such kernel");
        assertThat(history.getLast()).isEqualTo("failed starting>failed: there is no such kernel");
    }

    @Test
    void aGuestThatCannotBeMadeFailsTheVmAndTheNextStartMakesAnother() {
        var made = making;
        making = () -> {
            throw new GuestException("there is no class Foo");
        };

        assertThat(refused(start())).isEqualTo("VM web: there is no class Foo");
        assertThat(state()).isEqualTo(State.FAILED);

        making = () -> {
            throw new NoClassDefFoundError("Bar");
        };
        assertThat(refused(start())).contains("NoClassDefFoundError: Bar");

        making = made;
        running();
    }

    @Test
    void aStopRightBehindAStartThatCannotBeMadeIsAnswered() {
        making = () -> {
            throw new GuestException("no");
        };

        var start = start();
        var stop = stop(false);

        refused(start);
        assertThat(answered(stop).state()).isEqualTo(State.FAILED);
    }

    @Test
    void aGuestThatThrowsAtItsStartFailsTheVm() {
        var guest = new ScriptedGuest();
        guest.thrown = new IllegalStateException("odd");
        making = () -> guest;

        assertThat(refused(start())).contains("IllegalStateException: odd");
        assertThat(state()).isEqualTo(State.FAILED);
    }

    @Test
    void aGuestThatDoesNotStartInTimeIsKilledAndHasFailed() {
        var reply = start();
        var guest = guest();
        passes(START.minus(MOMENT));
        assertThat(state()).isEqualTo(State.STARTING);

        passes(MOMENT);

        assertThat(state()).isEqualTo(State.STOPPING);
        assertThat(guest.calls).last().isEqualTo("kill: it did not start within 1 min 0 s");
        unanswered(reply);
        guest.started.completeExceptionally(new GuestException("killed"));
        assertThat(refused(reply)).isEqualTo("VM web: it did not start within 1 min 0 s");
        assertThat(history)
                .containsExactly(
                        "starting defined>starting: wanted",
                        "stopping starting>stopping: it did not start within 1 min 0 s",
                        "failed stopping>failed: it did not start within 1 min 0 s");
    }

    @Test
    void aKilledGuestThatHadStartedMeanwhileHasFailedWhenItIsGone() {
        var reply = start();
        var guest = guest();
        passes(START);
        guest.started.complete(null);
        assertThat(state()).isEqualTo(State.STOPPING);

        guest.exits(false, "killed");

        refused(reply);
        assertThat(status().cause()).isEqualTo("it did not start within 1 min 0 s");
    }

    @Test
    void oneThatCannotBeKilledIsGivenUp() {
        var start = start();
        var guest = guest();
        passes(START);
        passes(VirtualMachine.KILL_TIMEOUT.minus(MOMENT));
        assertThat(state()).isEqualTo(State.STOPPING);

        passes(MOMENT);

        assertThat(refused(start)).endsWith("it was not gone within 20 s, and is given up");
        assertThat(state()).isEqualTo(State.FAILED);
        // And what it says later is not heard.
        guest.started.complete(null);
        guest.exits(true, "at last");
        assertThat(state()).isEqualTo(State.FAILED);
        running();
    }

    @Test
    void repeatedKillsDoNotPutOffThatItIsGivenUp() {
        var guest = running();
        stop(true);
        passes(VirtualMachine.KILL_TIMEOUT.minus(MOMENT));
        var again = stop(true);

        passes(MOMENT);

        assertThat(refused(again)).isEqualTo("VM web: not wanted; it was not gone within 20 s, and is given up");
        assertThat(state()).isEqualTo(State.FAILED);
        assertThat(guest.calls).containsExactly("start", "kill: not wanted", "kill: not wanted");
    }

    @Test
    void aStartGoesOnAsLongAsItComesFurther() {
        var reply = start();
        var guest = guest();
        for (var i = 0; i < 10; i++) {
            passes(START.minus(MOMENT));
            guest.watcher.progressed(new Guest.Progress("disk root", i, 10));
        }
        assertThat(state()).isEqualTo(State.STARTING);
        assertThat(status().progress()).contains(new Guest.Progress("disk root", 9, 10));

        passes(START);

        assertThat(state()).isEqualTo(State.STOPPING);
        unanswered(reply);
    }

    @Test
    void oneThatIsOverBeforeItIsKnownToRunHasRun() {
        var reply = start();
        var guest = guest();

        guest.exits(false, "code 3");
        guest.started.complete(null);

        assertThat(answered(reply).state()).isEqualTo(State.RUNNING);
        assertThat(status().cause()).isEqualTo("code 3");
        assertThat(history)
                .containsExactly(
                        "starting defined>starting: wanted",
                        "running starting>running",
                        "failed running>failed: code 3");
    }

    // --- its own end

    @Test
    void oneThatComesToItsEndIsStoppingUntilItIsGone() {
        var guest = running();
        guest.watcher.ending(new Guest.Exit(true, "its program ended"));
        assertThat(state()).isEqualTo(State.STOPPING);

        guest.exits(true, "its program ended");

        assertThat(status())
                .extracting(Status::state, Status::cause)
                .containsExactly(State.STOPPED, "its program ended");
        assertThat(history)
                .containsExactly(
                        "stopping running>stopping: its program ended", "stopped stopping>stopped: its program ended");
    }

    @Test
    void oneThatComesToItsEndAndIsNotLetGoIsGivenUp() {
        running().watcher.ending(new Guest.Exit(true, "its program ended"));
        passes(VirtualMachine.KILL_TIMEOUT.minus(MOMENT));
        assertThat(state()).isEqualTo(State.STOPPING);

        passes(MOMENT);

        assertThat(status())
                .extracting(Status::state, Status::cause)
                .containsExactly(State.FAILED, "its program ended; it was not gone within 20 s, and is given up");
    }

    @Test
    void oneThatEndsWhenItIsToldToIsEndedByWhoToldIt() {
        var guest = running();
        stop(false);
        status();
        guest.watcher.ending(new Guest.Exit(true, "its program ended"));
        guest.exits(true, "its program ended");

        assertThat(status().cause()).isEqualTo("not wanted");
        assertThat(history).doesNotContain("stopping running>stopping: its program ended");
    }

    // --- stop

    @Test
    void aStopAsksTheGuestAndIsAnsweredWhenItIsGone() {
        var guest = running();
        var first = stop(false);
        var second = stop(false);
        unanswered(first);
        assertThat(state()).isEqualTo(State.STOPPING);

        guest.exits(true, "its program ended");

        assertThat(answered(first).state()).isEqualTo(State.STOPPED);
        assertThat(answered(second).cause()).isEqualTo("not wanted");
        assertThat(guest.calls).containsExactly("start", "stop");
        assertThat(history)
                .containsExactly(
                        "stopping running>stopping: not wanted",
                        "asked stopping>stopping: the guest was asked to end",
                        "stopped stopping>stopped: not wanted");
    }

    @Test
    void oneThatDoesNotHeedIsKilledAfterTheTimeout() {
        var guest = running();
        var reply = stop(false);
        passes(STOP.minus(MOMENT));
        assertThat(guest.calls).doesNotContain("kill");

        passes(MOMENT);
        status();
        assertThat(guest.calls).last().asString().startsWith("kill: ");
        guest.exits(false, "killed");

        assertThat(answered(reply))
                .extracting(Status::state, Status::cause)
                .containsExactly(State.STOPPED, "not wanted; the guest did not end within 30 s and was killed");
        assertThat(history).contains("killed stopping>stopping: the guest did not end within 30 s");
    }

    @Test
    void oneThatCannotBeAskedIsKilledAfterTheTimeout() {
        var guest = running();
        guest.thrown = new IllegalStateException("deaf");
        stop(false);
        passes(STOP);
        status();

        assertThat(history)
                .contains(
                        "asked stopping>stopping: the guest could not be asked to end: java.lang.IllegalStateException: deaf");
        assertThat(guest.calls).last().asString().startsWith("kill: ");
    }

    @Test
    void oneThatBreaksWhenItIsAskedHasStoppedAndItsCauseIsInTheHistory() {
        var guest = running();
        var reply = stop(false);
        status();
        guest.exits(false, "on_stop: a number by zero");

        assertThat(answered(reply).state()).isEqualTo(State.STOPPED);
        assertThat(history).contains("broke stopping>stopping: on_stop: a number by zero");
    }

    @Test
    void aHardStopDoesNotAsk() {
        var guest = running();
        var reply = stop(true);
        guest();
        guest.exits(false, "killed");

        assertThat(answered(reply).state()).isEqualTo(State.STOPPED);
        assertThat(guest.calls).containsExactly("start", "kill: not wanted");
        assertThat(history).noneMatch(entry -> entry.startsWith("broke"));
    }

    @Test
    void aHardStopHurriesOneThatWasAsked() {
        var guest = running();
        var asked = stop(false);
        var hard = stop(true);
        status();
        assertThat(guest.calls).containsExactly("start", "stop", "kill: not wanted");
        guest.exits(false, "killed");

        answered(asked);
        assertThat(answered(hard).cause()).isEqualTo("not wanted");
        assertThat(history).contains("killed stopping>stopping: not wanted");
    }

    @Test
    void aStopWhileItStartsEndsTheStart() {
        var start = start();
        var stop = stop(false);
        var guest = guest();
        assertThat(guest.calls).containsExactly("start", "kill: not wanted");

        guest.started.completeExceptionally(new GuestException("killed"));

        assertThat(refused(start)).isEqualTo("VM web: not wanted");
        assertThat(answered(stop).state()).isEqualTo(State.STOPPED);
    }

    @Test
    void onePausedIsResumedToBeAsked() {
        var guest = paused();
        guest.resumed = new CompletableFuture<>();
        stop(false);
        status();
        assertThat(guest.calls).containsExactly("start", "pause", "resume");

        guest.resumed.complete(null);
        status();

        assertThat(guest.calls).last().isEqualTo("stop");
    }

    @Test
    void oneThatIsBeingPausedIsResumedToBeAskedAndThePauseIsRefused() {
        var guest = running();
        guest.paused = new CompletableFuture<>();
        var pause = pause();
        var stop = stop(false);
        status();
        assertThat(guest.calls).containsExactly("start", "pause", "resume", "stop");

        guest.paused.complete(null);

        assertThat(refused(pause)).isEqualTo("VM web: it is stopping meanwhile");
        guest.exits(true, "");
        assertThat(answered(stop).state()).isEqualTo(State.STOPPED);
    }

    // --- it ends by itself

    @Test
    void oneThatEndsWellHasStopped() {
        running().exits(true, "the guest powered off");

        assertThat(status())
                .extracting(Status::state, Status::cause)
                .containsExactly(State.STOPPED, "the guest powered off");
        assertThat(history).containsExactly("stopped running>stopped: the guest powered off");
    }

    @Test
    void oneThatBreaksHasFailedAlsoWhilePaused() {
        paused().exits(false, "QEMU was killed");

        assertThat(status()).extracting(Status::state, Status::cause).containsExactly(State.FAILED, "QEMU was killed");
        assertThat(history).containsExactly("failed paused>failed: QEMU was killed");
    }

    @Test
    void whatAnEarlierRunSaysIsNotHeard() {
        var former = running();
        former.exits(true, "");
        running();

        former.exits(false, "late");
        former.watcher.paused("late");
        former.watcher.noted("late", "late");

        assertThat(state()).isEqualTo(State.RUNNING);
        assertThat(history).isEmpty();
    }

    @Test
    void whatAnEarlierRunDoesLateIsNotTakenForTheNextOnes() {
        var former = running();
        former.paused = new CompletableFuture<>();
        var pause = pause();
        status();
        former.exits(true, "over");
        assertThat(refused(pause)).isEqualTo("VM web: it has ended meanwhile: over");
        running();

        former.paused.complete(null);

        assertThat(state()).isEqualTo(State.RUNNING);
    }

    @Test
    void theTimeoutsOfAnEarlierRunDoNotMeetTheNextOne() {
        var former = running();
        stop(false);
        status();
        former.exits(true, "");
        running();
        passes(STOP.plus(START));

        assertThat(state()).isEqualTo(State.RUNNING);
    }

    // --- pause, resume, snapshot

    @Test
    void itPausesAndGoesOn() {
        var guest = running();

        assertThat(answered(pause()).state()).isEqualTo(State.PAUSED);
        assertThat(answered(resume()).state()).isEqualTo(State.RUNNING);

        assertThat(guest.calls).containsExactly("start", "pause", "resume");
        assertThat(history).containsExactly("paused running>paused: wait", "running paused>running: go on");
    }

    @Test
    void theGuestPausesAndGoesOnByItself() {
        var guest = running();
        guest.watcher.paused("the disk is full");
        guest.watcher.paused("the disk is full");
        assertThat(state()).isEqualTo(State.PAUSED);

        guest.watcher.resumed("there is room");
        guest.watcher.resumed("there is room");

        assertThat(state()).isEqualTo(State.RUNNING);
        assertThat(history)
                .containsExactly("paused running>paused: the disk is full", "running paused>running: there is room");
    }

    @Test
    void oneThatHasPausedItselfWhileItWasPausedIsPausedOnce() {
        var guest = running();
        guest.paused = new CompletableFuture<>();
        var pause = pause();
        status();
        guest.watcher.paused("by itself");
        guest.paused.complete(null);

        assertThat(answered(pause).state()).isEqualTo(State.PAUSED);
        assertThat(history).containsExactly("paused running>paused: by itself", "paused paused>paused: wait");
    }

    @Test
    void aPauseThatFailsChangesNothing() {
        var guest = running();
        guest.paused = CompletableFuture.failedFuture(new GuestException("it cannot"));
        assertThat(refused(pause())).isEqualTo("VM web: it cannot");

        guest.thrown = new IllegalStateException("odd");
        assertThat(refused(pause())).contains("odd");

        assertThat(state()).isEqualTo(State.RUNNING);
        assertThat(history).isEmpty();
    }

    @Test
    void oneThingAtATimeIsDoneToIt() {
        var guest = running();
        guest.kept = new CompletableFuture<>();
        var first = snapshot();

        assertThat(refused(pause())).isEqualTo("VM web: something else is being done to it (snapshot); try again");
        assertThat(refused(snapshot())).contains("something else");

        guest.kept.complete(null);
        answered(first);
        assertThat(answered(pause()).state()).isEqualTo(State.PAUSED);
    }

    @Test
    void aGuestThatDoesNotAnswerAPauseIsPausedWhenItDoes() {
        var guest = running();
        guest.paused = new CompletableFuture<>();
        var pause = pause();
        passes(VirtualMachine.PAUSE_TIMEOUT);
        assertThat(refused(pause)).isEqualTo("VM web: the guest has not answered within 20 s");
        assertThat(state()).isEqualTo(State.RUNNING);

        guest.paused.complete(null);

        assertThat(state()).isEqualTo(State.PAUSED);
        unanswered(pause);
        assertThat(answered(resume()).state()).isEqualTo(State.RUNNING);
    }

    @Test
    void aSnapshotLeavesItAsItWas() {
        var guest = running();
        assertThat(answered(snapshot()).state()).isEqualTo(State.RUNNING);
        answered(pause());
        assertThat(answered(snapshot()).state()).isEqualTo(State.PAUSED);

        assertThat(guest.calls).containsExactly("start", "snapshot folder", "pause", "snapshot folder");
        assertThat(history)
                .containsExactly(
                        "snapshot running>running: to keep",
                        "paused running>paused: wait",
                        "snapshot paused>paused: to keep");
    }

    @Test
    void aSnapshotTakesAsLongAsItComesFurther() {
        var guest = running();
        guest.kept = new CompletableFuture<>();
        var snapshot = snapshot();
        for (var i = 0; i < 100; i++) {
            passes(VirtualMachine.SNAPSHOT_TIMEOUT.minus(MOMENT));
            guest.watcher.progressed(new Guest.Progress("memory", i, 100));
        }
        unanswered(snapshot);
        assertThat(status().progress()).contains(new Guest.Progress("memory", 99, 100));

        guest.kept.complete(null);

        assertThat(answered(snapshot).progress()).isEmpty();
        guest.watcher.progressed(new Guest.Progress("memory", 100, 100));
        assertThat(status().progress()).isEmpty();
    }

    @Test
    void aSnapshotThatDoesNotComeFurtherIsNone() {
        var guest = running();
        guest.kept = new CompletableFuture<>();
        var snapshot = snapshot();
        passes(VirtualMachine.SNAPSHOT_TIMEOUT);
        assertThat(refused(snapshot))
                .isEqualTo("VM web: the snapshot has not come further for 10 min 0 s, and is given up");
        assertThat(refused(pause())).contains("something else");

        guest.kept.complete(null);

        assertThat(answered(pause()).state()).isEqualTo(State.PAUSED);
        assertThat(history).containsExactly("paused running>paused: wait");
        unanswered(snapshot);
    }

    @ParameterizedTest
    @CsvSource({"RUNNING", "PAUSED"})
    void aSnapshotOfOneThatIsToldToStopMeanwhileIsNone(State state) {
        bring(state);
        var guest = guest();
        guest.kept = new CompletableFuture<>();
        var snapshot = snapshot();
        stop(false);
        status();

        guest.kept.complete(null);

        assertThat(refused(snapshot)).isEqualTo("VM web: it is stopping meanwhile");
        assertThat(history).noneMatch(entry -> entry.startsWith("snapshot"));
    }

    // --- the rest

    @Test
    void theGuestThatRunsIsPlacedAndMeasured() {
        vm.tell(new Command.Place(List.of(1)));
        TestProbe<StatusReply<Guest.Statistics>> none = kit.createTestProbe();
        vm.tell(new Command.Measure(none.ref()));
        assertThat(none.receiveMessage().getError()).hasMessage("VM web does not run");
        var guest = running();

        vm.tell(new Command.Place(List.of(2, 3)));
        TestProbe<StatusReply<Guest.Statistics>> some = kit.createTestProbe();
        vm.tell(new Command.Measure(some.ref()));

        assertThat(some.receiveMessage().getValue().cpuNanos()).isEqualTo(7);
        assertThat(guest.calls).containsExactly("start", "place [2, 3]");
    }

    @Test
    void whatTheGuestNotesIsInTheHistory() {
        running().watcher.noted("refused", "an address outside of its memory");
        status();

        assertThat(history).containsExactly("refused running>running: an address outside of its memory");
    }

    @Test
    void itsActorEndsOnceItIsForgotten() {
        var reply = tell(Command.Forget::new);
        answered(reply);
        passes(VirtualMachine.AFTERWARDS);

        reply.expectTerminated(vm);
    }

    @Test
    void whatCrossesItsEndIsAnswered() {
        answered(tell(Command.Forget::new));

        assertThat(refused(start())).isEqualTo("VM web: it is deleted");
        assertThat(refused(stop(true))).isEqualTo("VM web: it is deleted");
        assertThat(refused(tell(Command.Forget::new))).isEqualTo("VM web: it is deleted");
        assertThat(state()).isEqualTo(State.DEFINED);
        TestProbe<StatusReply<Guest.Statistics>> used = kit.createTestProbe();
        vm.tell(new Command.Measure(used.ref()));
        assertThat(used.receiveMessage().getError()).hasMessage("VM web does not run");
        assertThat(guests).isEmpty();
    }

    @Test
    void everyStateHasAWord() {
        assertThat(Arrays.stream(State.values()).map(State::word)).containsAll(DRAWN.keySet());
    }
}
