package io.sidecore.actors.vif;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.core.Clock;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StagesTest {
    private static final int ROUNDS = 100_000;

    /** A queue looks for a batch and finds one, then looks {@code idle} times in vain: whatever the rhythm, its batches are timed. */
    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3, 7, 15, 16, 31})
    void aRhythmHidesNoBatch(int idle) {
        var stages = new Stages(Clock.SYSTEM);
        for (var round = 0; round < ROUNDS; round++) {
            for (var i = 0; i < idle; i++) {
                stages.begin(round);
            }
            stages.begin(round);
            stages.answered(round);
            stages.sent();
        }
        assertThat(stages.batches()).isEqualTo(ROUNDS);
        assertThat(stages.timed()).isBetween(ROUNDS / Stages.EVERY * 9L / 10, ROUNDS / Stages.EVERY * 11L / 10);
    }
}
