package io.sidecore.conf;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SpellingTest {
    @ParameterizedTest
    @CsvSource({
        "'',abc,3",
        "slots,slots,0",
        "slot,slots,1",
        "solts,slots,1",
        "Slots,slots,0",
        "kitten,sitting,3",
        "ndb,nbd,1"
    })
    void theDistanceCountsInsertionsDeletionsReplacementsAndSwaps(String one, String other, int distance) {
        assertThat(Spelling.distance(one, other)).isEqualTo(distance);
        assertThat(Spelling.distance(other, one)).isEqualTo(distance);
    }

    @Test
    void theNearestWordIsOffered() {
        assertThat(Spelling.hint("turn-taks", List.of("turn-time", "turn-tasks")))
                .isEqualTo("; did you mean \"turn-tasks\"?");
    }

    @Test
    void whenNoWordIsNearAllAreOffered() {
        assertThat(Spelling.hint("bandwidth", List.of("seed", "by"))).isEqualTo("; known here: by, seed");
    }

    @Test
    void aSingleLetterIsNotNearAnotherOne() {
        assertThat(Spelling.hint("a", List.of("b"))).isEqualTo("; known here: b");
    }

    @Test
    void whereNothingIsKnownItSaysSo() {
        assertThat(Spelling.hint("a", List.of())).isEqualTo("; there are none at all");
    }
}
