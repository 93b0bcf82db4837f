package io.sidecore.actors.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.conf.LoopSettings;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What a loop does at the end of a turn, on a virtual clock that stands still within a turn: so it is known what belongs to one. */
class SignalTest {
    private static final LoopSettings LIMITS =
            new LoopSettings(Duration.ZERO, 4, 8, Duration.ofNanos(200_000), Duration.ofMillis(100));

    private final Simulation simulation = new Simulation(1);
    private final CoreLoop loop = simulation.loop("loop", LIMITS);
    private final List<String> ran = new ArrayList<>();
    private final Runnable signal = this::signal;

    private void signal() {
        ran.add("signal");
    }

    private void turns(int count) {
        for (var i = 0; i < count; i++) {
            simulation.step();
        }
    }

    @Test
    void aSignalRunsOnceAfterTheTasksOfItsTurn() {
        loop.execute(() -> {
            ran.add("first");
            loop.signal(signal);
            loop.execute(() -> ran.add("second"));
        });

        turns(1);
        assertThat(ran).containsExactly("first", "second", "signal");
        turns(3);
        assertThat(ran).hasSize(3);
    }

    @Test
    void itDoesNotWaitForTasksThatDidNotFitIntoTheTurn() {
        loop.execute(() -> {
            loop.signal(signal);
            for (var i = 0; i < 6; i++) {
                loop.execute(() -> ran.add("task"));
            }
        });

        turns(3);

        assertThat(ran).containsExactly("task", "task", "task", "signal", "task", "task", "task");
    }

    @Test
    void signalsRunInTheirOrder() {
        loop.execute(() -> {
            loop.signal(() -> ran.add("a"));
            loop.signal(() -> ran.add("b"));
            loop.signal(() -> ran.add("c"));
        });

        turns(1);

        assertThat(ran).containsExactly("a", "b", "c");
    }

    @Test
    void aSignalThatWasTakenBackDoesNotRun() {
        loop.execute(() -> {
            loop.signal(signal);
            loop.signal(() -> ran.add("other"));
            loop.cancelSignal(signal);
        });

        turns(3);

        assertThat(ran).containsExactly("other");
    }

    @Test
    void aSignalMayTakeAnotherOneBackAndTheRestStillRun() {
        loop.execute(() -> {
            loop.signal(() -> loop.cancelSignal(signal));
            loop.signal(signal);
            loop.signal(() -> ran.add("last"));
        });
        loop.execute(() -> {});

        turns(3);

        assertThat(ran).containsExactly("last");
    }

    @Test
    void aSignalThatHasRunMayBeTakenBackByTheNextOne() {
        loop.execute(() -> {
            loop.signal(signal);
            loop.signal(() -> loop.cancelSignal(signal));
            loop.signal(() -> ran.add("last"));
        });

        turns(3);

        assertThat(ran).containsExactly("signal", "last");
    }

    @Test
    void aSignalThatThrowsStopsNeitherTheOthersNorTheLoop() {
        loop.execute(() -> {
            loop.signal(() -> {
                throw new IllegalStateException("thrown by a test");
            });
            loop.signal(signal);
        });

        turns(1);
        assertThat(ran).containsExactly("signal");
        assertThat(loop.counters().failures.get()).isEqualTo(1);
        loop.execute(() -> ran.add("task"));
        turns(1);
        assertThat(ran).containsExactly("signal", "task");
    }

    @Test
    void aSignalForTheTurnsOfOthersDoesNotHoldThisOne() {
        loop.execute(() -> loop.signal(new Runnable() {
            @Override
            public void run() {
                ran.add("again");
                loop.signal(this);
            }
        }));

        turns(1);
        assertThat(ran).hasSize(1);
        turns(2);
        assertThat(ran).hasSize(3);
    }

    @Test
    void aSignalThatADeadlineAsksForRunsThoughNothingElseIsToBeDone() {
        loop.execute(() ->
                loop.arm(new Deadline(() -> loop.signal(signal)), loop.clock().nanos() + 1_000));

        turns(5);

        assertThat(ran).containsExactly("signal");
    }
}
