package io.sidecore.it.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import org.apache.pekko.actor.typed.ActorSystem;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** RS-1, RS-4: every command, killed connections, faults, resizes, changes of chain and loop: the contents equal the model, from a seed that replays exactly. */
class SimulatedDiskTest {
    private static final long STEPS =
            Long.getLong("it.model.steps", Boolean.getBoolean("it.long") ? 1_200_000 : 100_000);
    private static final long STEPS_A_SEED = 3_000;

    private static ActorSystem<Void> system;

    @BeforeAll
    static void startSystem() {
        system = SupervisorExecutor.system();
    }

    @AfterAll
    static void stopSystem() {
        system.terminate();
    }

    @Test
    void everyAnswerIsOneThatTheModelAllows() {
        var steps = 0L;
        var kills = 0L;
        var resizes = 0L;
        var changes = 0L;
        var seed = Long.getLong("it.model.seed", 1);
        for (; steps < STEPS; seed++) {
            var outcome = SimulatedDisk.run(seed, STEPS_A_SEED, system);
            assertThat(outcome.violations()).as("seed %d", seed).isEmpty();
            steps += outcome.steps();
            kills += outcome.kills();
            resizes += outcome.resizes();
            changes += outcome.changes();
        }
        System.out.printf(
                "simulated disk: %,d steps, %,d seeds, %,d connections killed, %,d resizes, %,d changes%n",
                steps, seed - 1, kills, resizes, changes);
    }

    @Test
    void aSeedReplaysBitForBit() {
        for (var seed = 1L; seed <= 5; seed++) {
            assertThat(SimulatedDisk.run(seed, STEPS_A_SEED, system))
                    .as("second run of seed %d", seed)
                    .isEqualTo(SimulatedDisk.run(seed, STEPS_A_SEED, system));
        }
    }
}
