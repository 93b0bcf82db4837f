package io.sidecore.it.performance;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** SC-3: that what {@code it-tests/bench --vif} measures is measured; what it is, the benchmark tells. */
class CallsTest {
    @Test
    void guestsInJavaAndWebAssemblyAreServedOnEveryPlacementAndByTraps(@TempDir Path folder) throws Exception {
        try (var calls = new Calls(folder, Runtime.getRuntime().availableProcessors() > 1)) {
            assertThat(calls.cells()).extracting(Calls.Cell::way).contains(Calls.Way.TRAP, Calls.Way.INLINE);
            for (var cell : calls.cells()) {
                var result = calls.measure(cell, Duration.ofMillis(5));

                assertThat(result.requests()).as(cell.toString()).isGreaterThanOrEqualTo(cell.depth());
                assertThat(result.errors()).as(cell.toString()).isZero();
                assertThat(Arrays.stream(result.took()).asLongStream().sum())
                        .as(cell.toString())
                        .isEqualTo(result.requests());
                assertThat(result.percentile(0.5)).as(cell.toString()).isBetween(1L, result.percentile(0.99));
            }
        }
    }

    @Test
    void aLatencyIsKnownWithinAThirtySecondPart() {
        for (var nanos = 1L; nanos < 1L << 34; nanos += 1 + nanos / 7) {
            var bucket = Calls.bucket(nanos);
            assertThat(nanos).isBetween(Calls.atLeast(bucket), Calls.atLeast(bucket + 1) - 1);
            assertThat(Calls.atLeast(bucket + 1) - Calls.atLeast(bucket)).isLessThanOrEqualTo(Math.max(1, nanos / 32));
        }
    }
}
