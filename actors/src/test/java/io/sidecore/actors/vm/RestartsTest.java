package io.sidecore.actors.vm;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.conf.VmSettings.Restart;
import io.sidecore.conf.VmSettings.RestartPolicy;
import java.time.Duration;
import org.junit.jupiter.api.Test;

class RestartsTest {
    private static final Duration SHORT = Duration.ofSeconds(1);
    private static final Duration LONG = Duration.ofSeconds(10).plusNanos(1);

    private static Restarts restarts(long delayMillis, int limit) {
        return new Restarts(
                new Restart(RestartPolicy.ALWAYS, Duration.ofMillis(delayMillis), Duration.ofSeconds(10), limit));
    }

    @Test
    void eachDelayIsTwiceTheOneBeforeUpToTheLongest() {
        var restarts = restarts(1_500, 100);

        for (var millis : new long[] {1_500, 3_000, 6_000, 10_000, 10_000}) {
            assertThat(restarts.next(SHORT)).contains(Duration.ofMillis(millis));
        }
    }

    @Test
    void withoutADelayItIsStartedAtOnceEachTime() {
        var restarts = restarts(0, 1_000);

        for (var i = 0; i < 1_000; i++) {
            assertThat(restarts.next(Duration.ZERO)).contains(Duration.ZERO);
        }
        assertThat(restarts.next(Duration.ZERO)).isEmpty();
    }

    @Test
    void afterTheLimitThereIsNoFurtherStart() {
        var restarts = restarts(1, 2);
        restarts.next(SHORT);
        restarts.next(SHORT);

        assertThat(restarts.next(SHORT)).isEmpty();
        assertThat(restarts.next(SHORT)).isEmpty();
    }

    @Test
    void aRunLongerThanTheLongestDelayBeginsANewRow() {
        var restarts = restarts(1_000, 2);
        restarts.next(SHORT);
        restarts.next(SHORT);

        assertThat(restarts.next(LONG)).contains(Duration.ofSeconds(1));
        assertThat(restarts.next(Duration.ofSeconds(10))).contains(Duration.ofSeconds(2));
        assertThat(restarts.next(SHORT)).isEmpty();
    }

    @Test
    void aStartByCommandBeginsANewRow() {
        var restarts = restarts(1_000, 1);
        restarts.next(SHORT);
        restarts.afresh();

        assertThat(restarts.next(SHORT)).contains(Duration.ofSeconds(1));
    }

    @Test
    void aClockThatWasSetBackBeginsNone() {
        var restarts = restarts(1_000, 1);
        restarts.next(SHORT);

        assertThat(restarts.next(Duration.ofHours(-1))).isEmpty();
    }
}
