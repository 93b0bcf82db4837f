package io.sidecore.actors.vm;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.vm.VirtualMachine.Command;
import io.sidecore.actors.vm.VirtualMachine.State;
import io.sidecore.conf.VmSettings.Restart;
import io.sidecore.conf.VmSettings.RestartPolicy;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** When a VM is started again that has ended by itself. */
class RestartedVmTest extends ScriptedVm {
    private static Restart restart(RestartPolicy policy, int limit) {
        return new Restart(policy, Duration.ofSeconds(1), Duration.ofSeconds(3), limit);
    }

    @ParameterizedTest
    @CsvSource({
        "NEVER, true, false",
        "NEVER, false, false",
        "ON_FAILURE, true, false",
        "ON_FAILURE, false, true",
        "ALWAYS, true, true",
        "ALWAYS, false, true"
    })
    void whatEndsByItselfIsStartedAgainAsThePolicySays(RestartPolicy policy, boolean well, boolean again) {
        vm(restart(policy, 5));
        running().exits(well, "over");
        passes(Duration.ofSeconds(2));
        status();

        assertThat(guests).hasSize(again ? 2 : 1);
    }

    @Test
    void theDelayDoublesAndTheLimitEndsIt() {
        vm(restart(RestartPolicy.ON_FAILURE, 3));
        running().exits(false, "broken");

        for (var seconds : new int[] {1, 2, 3}) {
            assertThat(status().restartAt()).contains(now.plusSeconds(seconds));
            assertThat(history).last().isEqualTo("restarting failed>failed: it is started again in " + seconds + " s");
            passes(Duration.ofSeconds(seconds).minus(MOMENT));
            assertThat(state()).isEqualTo(State.FAILED);
            passes(MOMENT);
            assertThat(state()).isEqualTo(State.STARTING);
            assertThat(history).last().isEqualTo("starting failed>starting: restart policy on-failure");
            guest().started.completeExceptionally(new GuestException("broken"));
        }

        assertThat(status().restartAt()).isEmpty();
        assertThat(history)
                .last()
                .isEqualTo(
                        "given-up failed>failed: it was started again 3 times in a row; it stays as it is until it is started by command");
        passes(Duration.ofHours(1));
        assertThat(guests).hasSize(4);
        assertThat(status().starts()).isEqualTo(4);
        // By command it begins anew.
        running().exits(false, "broken");
        assertThat(status().restartAt()).contains(now.plusSeconds(1));
    }

    @Test
    void aLongRunBeginsANewRow() {
        vm(restart(RestartPolicy.ALWAYS, 1));
        running().exits(true, "");
        passes(Duration.ofSeconds(1));
        var second = guest();
        now = now.plusSeconds(100);
        second.started.complete(null);
        status();
        // Its start is not part of its run.
        now = now.plusSeconds(3).plusNanos(1);

        second.exits(true, "");

        assertThat(status().restartAt()).contains(now.plusSeconds(1));
    }

    @Test
    void aStopCancelsAStartThatIsDue() {
        vm(restart(RestartPolicy.ALWAYS, 5));
        running().exits(true, "");
        assertThat(status().restartAt()).isPresent();

        assertThat(answered(stop(false)).restartAt()).isEmpty();
        passes(Duration.ofHours(1));

        assertThat(state()).isEqualTo(State.STOPPED);
        assertThat(guests).hasSize(1);
    }

    @Test
    void aStartByCommandDoesNotWaitForTheOneThatIsDue() {
        vm(restart(RestartPolicy.ALWAYS, 5));
        running().exits(true, "");
        running();
        passes(Duration.ofHours(1));

        assertThat(guests).hasSize(2);
        assertThat(status().restartAt()).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({"true", "false"})
    void whatWasStoppedIsNotStartedAgain(boolean hard) {
        vm(restart(RestartPolicy.ALWAYS, 5));
        var guest = running();
        stop(hard);
        status();
        guest.exits(true, "");
        passes(Duration.ofHours(1));

        assertThat(state()).isEqualTo(State.STOPPED);
        assertThat(guests).hasSize(1);
    }

    @Test
    void aStartThatLastsTooLongIsTriedAgain() {
        vm(restart(RestartPolicy.ON_FAILURE, 5));
        start();
        var guest = guest();
        passes(START);
        status();
        guest.started.completeExceptionally(new GuestException("killed"));
        passes(Duration.ofSeconds(1));
        status();

        assertThat(guests).hasSize(2);
    }

    @Test
    void aStartThatLastsTooLongIsNotTriedAgainOnceSomebodyHasStoppedIt() {
        vm(restart(RestartPolicy.ALWAYS, 5));
        start();
        var guest = guest();
        passes(START);
        var stop = stop(false);
        status();
        guest.started.completeExceptionally(new GuestException("killed"));

        assertThat(answered(stop).state()).isEqualTo(State.FAILED);
        passes(Duration.ofHours(1));
        status();
        assertThat(guests).hasSize(1);
    }

    @Test
    void oneThatCouldNotBeRestoredIsNotStartedOnDisksThatMayBeHalfRestored() {
        vm(restart(RestartPolicy.ALWAYS, 5));
        var restored = tell(replyTo -> new Command.Start(Optional.of(Path.of("kept")), "restored", replyTo));
        var guest = guest();
        guest.watcher.overwriting();
        guest.started.completeExceptionally(new GuestException("disk a: it broke off"));

        assertThat(refused(restored)).isEqualTo("VM web: disk a: it broke off");
        assertThat(status().restartAt()).isEmpty();
        assertThat(state()).isEqualTo(State.FAILED);
        assertThat(history)
                .last()
                .isEqualTo(
                        "given-up failed>failed: it was to go on from a snapshot; it stays as it is until it is started by command");
    }

    @Test
    void oneWhoseSnapshotIsRefusedIsWhatItWasBefore() {
        vm(restart(RestartPolicy.ALWAYS, 5));
        var refused = tell(replyTo -> new Command.Start(Optional.of(Path.of("other")), "restored", replyTo));
        guest().started.completeExceptionally(new GuestException("it is another machine's"));

        assertThat(refused(refused)).isEqualTo("VM web: it is another machine's");
        assertThat(state()).isEqualTo(State.DEFINED);
        assertThat(status().restartAt()).isEmpty();
        assertThat(history).last().isEqualTo("defined starting>defined: not restored: it is another machine's");
        start();
        assertThat(state()).isEqualTo(State.STARTING);
    }

    @Test
    void oneThatWasRestoredAndBreaksLaterIsStartedAgain() {
        vm(restart(RestartPolicy.ALWAYS, 5));
        tell(replyTo -> new Command.Start(Optional.of(Path.of("kept")), "restored", replyTo));
        var guest = guest();
        guest.started.complete(null);
        guest.exits(false, "broken");

        assertThat(status().restartAt()).isPresent();
    }

    @Test
    void whatCannotBeMadeIsTriedAgain() {
        vm(restart(RestartPolicy.ALWAYS, 5));
        var made = making;
        making = () -> {
            throw new GuestException("no");
        };
        refused(start());
        making = made;
        passes(Duration.ofSeconds(1));
        guest().started.complete(null);

        assertThat(state()).isEqualTo(State.RUNNING);
    }
}
