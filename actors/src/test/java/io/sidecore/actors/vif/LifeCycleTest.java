package io.sidecore.actors.vif;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.EnumSet;
import java.util.Map;
import org.junit.jupiter.api.Test;

class LifeCycleTest {
    private enum Lamp {
        OFF,
        ON,
        BROKEN
    }

    private final LifeCycle<Lamp> lamp = new LifeCycle<>(
            "lamp 1", Lamp.OFF, Map.of(Lamp.OFF, EnumSet.of(Lamp.ON), Lamp.ON, EnumSet.of(Lamp.OFF, Lamp.BROKEN)));

    @Test
    void itBeginsInItsFirstState() {
        assertThat(lamp.state()).isEqualTo(Lamp.OFF);
        assertThat(lamp.is(Lamp.OFF)).isTrue();
    }

    @Test
    void aLegalTransitionIsMade() {
        lamp.to(Lamp.ON);

        assertThat(lamp.is(Lamp.ON)).isTrue();
    }

    @Test
    void anIllegalTransitionNamesWhoFromAndToAndChangesNothing() {
        assertThatThrownBy(() -> lamp.to(Lamp.BROKEN))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("lamp 1")
                .hasMessageContaining("OFF")
                .hasMessageContaining("BROKEN");
        assertThat(lamp.state()).isEqualTo(Lamp.OFF);
    }

    @Test
    void fromAStateThatIsNotInTheTableNothingIsLegal() {
        lamp.to(Lamp.ON);
        lamp.to(Lamp.BROKEN);

        assertThatThrownBy(() -> lamp.to(Lamp.OFF)).isInstanceOf(IllegalStateException.class);
    }
}
