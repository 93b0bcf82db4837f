package io.sidecore.actors.vif;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class SignalTest {
    private boolean due;
    private int woken;
    private final Signal signal = new Signal(() -> due, () -> woken++);

    @Test
    void nobodyIsWokenWhoDoesNotWait() {
        signal.published();

        assertThat(woken).isZero();
    }

    @Test
    void whoWaitsIsWokenOnce() {
        assertThat(signal.arm()).isTrue();

        signal.published();
        signal.published();

        assertThat(woken).isEqualTo(1);
        assertThat(signal.raised()).isEqualTo(1);
    }

    @Test
    void whoWaitsAgainIsWokenAgain() {
        signal.arm();
        signal.published();
        signal.arm();
        signal.published();

        assertThat(woken).isEqualTo(2);
    }

    @Test
    void whoFindsSomethingWhileArmingIsToLookAndNotToWait() {
        due = true;

        assertThat(signal.arm()).isFalse();
        signal.published();

        assertThat(woken).isZero();
    }

    @Test
    void switchedOffItWakesNobody() {
        signal.arm();
        signal.on(false);

        signal.published();

        assertThat(signal.on()).isFalse();
        assertThat(woken).isZero();
    }

    @Test
    void switchedOnItTellsWhatCameMeanwhile() {
        signal.on(false);
        due = true;
        signal.published();

        signal.on(true);

        assertThat(woken).isEqualTo(1);
    }

    @Test
    void switchedOnItIsArmed() {
        signal.on(false);
        signal.on(true);

        signal.published();

        assertThat(woken).isEqualTo(1);
    }
}
