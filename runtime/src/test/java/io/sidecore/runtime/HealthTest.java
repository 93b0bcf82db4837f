package io.sidecore.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.runtime.Health.Phase;
import io.sidecore.runtime.Health.State;
import io.sidecore.runtime.Health.Trouble;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class HealthTest {
    private static final Trouble FULL = new Trouble("volume", "a", State.DEGRADED, "no space is left");
    private static final Trouble GONE = new Trouble("volume", "b", State.FAILED, "the image has vanished");

    @ParameterizedTest
    @CsvSource({
        "STARTING, OK,       true,  false",
        "SERVING,  OK,       true,  true",
        "CLOSING,  OK,       true,  false",
        "STARTING, DEGRADED, true,  false",
        "SERVING,  DEGRADED, true,  true",
        "CLOSING,  DEGRADED, true,  false",
        "STARTING, FAILED,   false, false",
        "SERVING,  FAILED,   false, false",
        "CLOSING,  FAILED,   false, false"
    })
    void clientsMayComeToAHostThatServesAndOfWhichNothingHasFailed(
            Phase phase, State state, boolean healthy, boolean ready) {
        var health = new Health(
                phase,
                switch (state) {
                    case OK -> List.of();
                    case DEGRADED -> List.of(FULL);
                    case FAILED -> List.of(GONE);
                });

        assertThat(health.state()).isEqualTo(state);
        assertThat(health.healthy()).isEqualTo(healthy);
        assertThat(health.ready()).isEqualTo(ready);
    }

    @Test
    void theGravestTroubleComesFirst() {
        assertThat(new Health(Phase.SERVING, List.of(FULL, GONE)).troubles()).containsExactly(GONE, FULL);
    }
}
