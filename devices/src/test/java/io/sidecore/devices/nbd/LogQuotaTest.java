package io.sidecore.devices.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class LogQuotaTest {
    private static final long SECOND = 1_000_000_000L;

    private final LogQuota quota = new LogQuota();
    private final List<String> log = new ArrayList<>();

    private void say(long now, int times) {
        for (var i = 0; i < times; i++) {
            quota.say(now, log::add);
        }
    }

    @Test
    void aFewLinesAreAllWritten() {
        say(0, 20);

        assertThat(log).hasSize(20).containsOnly("");
    }

    @Test
    void ofAFloodTheFirstLinesAreWrittenAndThenOneASecondThatCountsTheOthers() {
        say(0, 10_000);
        assertThat(log).hasSize(21).containsOnly("");

        say(SECOND, 5_000);
        say(2 * SECOND, 1);

        assertThat(log).hasSize(23);
        assertThat(log.get(21)).isEqualTo(" (and 9979 lines about others were left out)");
        assertThat(log.get(22)).isEqualTo(" (and 4999 lines about others were left out)");
    }

    @Test
    void afterAQuietTimeAFewAreWrittenAgain() {
        say(0, 10_000);
        log.clear();

        say(60 * SECOND, 20);

        assertThat(log).hasSize(20);
    }
}
