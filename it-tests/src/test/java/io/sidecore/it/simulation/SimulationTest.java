package io.sidecore.it.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.block.Store;
import io.sidecore.it.simulation.SimulatedHost.Outcome;
import io.sidecore.it.simulation.SimulatedHost.Program;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.function.UnaryOperator;
import org.apache.pekko.actor.typed.ActorSystem;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** RS-4, SV-7: whatever is changed under a client, each of its requests is answered once, and the contents equal its model. A seed that fails is printed and replays exactly. */
class SimulationTest {
    private static final int SEEDS = Integer.getInteger("it.seeds", Boolean.getBoolean("it.long") ? 5_000 : 1_000);
    private static final int REQUESTS = 200;

    private static ActorSystem<Void> system;

    @BeforeAll
    static void startSystem() {
        system = SupervisorExecutor.system();
    }

    @AfterAll
    static void stopSystem() {
        system.terminate();
    }

    private static Outcome run(long seed, Program program) {
        return SimulatedHost.run(seed, REQUESTS, program, system);
    }

    private static void everySeedHolds(String what, Program program) {
        var changes = 0L;
        var lost = 0L;
        var replayed = 0L;
        var replaced = 0L;
        var lent = 0L;
        for (var seed = 0L; seed < SEEDS; seed++) {
            var outcome = run(seed, program);
            assertThat(outcome.violations()).as("%s, seed %d", what, seed).isEmpty();
            changes += outcome.changes();
            lost += outcome.lost();
            replayed += outcome.replayed();
            replaced += outcome.replaced();
            lent += outcome.lent();
        }
        System.out.printf(
                "%s: %,d seeds, %,d changes, %,d chains lost, %,d requests issued again, %,d stores replaced, memory lent %,d times%n",
                what, SEEDS, changes, lost, replayed, replaced, lent);
        assertThat(lent).as("times the medium lent its memory").isPositive();
    }

    @Test
    void interposersComeAndGoUnderLoad() {
        everySeedHolds("interposers", Program.of(true, false, 0, 0));
    }

    @Test
    void queuesMoveBetweenLoopsUnderLoad() {
        everySeedHolds("moves", Program.of(false, true, 0, 0));
    }

    @Test
    void aSlowStoreIsChangedAroundUnderLoad() {
        everySeedHolds("slow store", Program.of(true, true, 0.02, 0));
    }

    @Test
    void aStoreThatHangsIsFencedAndReplacedUnderLoad() {
        everySeedHolds("hanging store", Program.of(true, true, 0.02, 0.002));
    }

    @Test
    void aRequestThatLosesItsChainTooOftenIsAnsweredWithAnErrorAndTheQueueGoesOn() {
        everySeedHolds("impatient", new Program(true, true, 0.02, 0.02, UnaryOperator.identity(), 0));
    }

    @Test
    void aReplayWithoutTheFenceIsCaught() {
        var program = new Program(true, true, 0.02, 0.01, Unfenced::new, 1_000);
        var caught = 0;
        for (var seed = 0L; seed < SEEDS && caught < 3; seed++) {
            caught += run(seed, program).violations().isEmpty() ? 0 : 1;
        }
        assertThat(caught)
                .as("seeds in which the checker noticed that stale writes reached the medium")
                .isPositive();
    }

    @Test
    void aSeedReplaysBitForBit() {
        var program = Program.of(true, true, 0.02, 0.002);
        for (var seed = 0L; seed < 50; seed++) {
            assertThat(run(seed, program)).as("second run of seed %d", seed).isEqualTo(run(seed, program));
        }
    }

    @Test
    void differentSeedsRunDifferently() {
        assertThat(run(1, Program.quiet()).trace())
                .isNotEqualTo(run(2, Program.quiet()).trace());
    }

    /** A store that says it is fenced and is not: the negative control. */
    private static final class Unfenced extends ForwardingStore {
        Unfenced(Store store) {
            super(store);
        }

        @Override
        public CompletionStage<Void> fence() {
            return CompletableFuture.completedFuture(null);
        }

        @Override
        public void close() {}
    }
}
