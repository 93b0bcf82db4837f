package io.sidecore.actors.vif;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.SplittableRandom;
import org.HdrHistogram.Histogram;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LatenciesTest {
    private final Latencies latencies = new Latencies();

    @Test
    void aBoundBelongsToItsBucketAndANanosecondMoreToTheNext() {
        for (var i = 0; i < Latencies.buckets() - 1; i++) {
            var one = new Latencies();
            one.record(Latencies.boundNanos(i));
            one.record(Latencies.boundNanos(i) + 1);

            assertThat(one.inBucket(i)).as("bucket %d", i).isEqualTo(1);
            assertThat(one.inBucket(i + 1)).as("bucket %d", i + 1).isEqualTo(1);
        }
    }

    @Test
    void aBucketIsAnEighthOfItsValueWideAtMost() {
        for (var i = 16; i < Latencies.buckets(); i++) {
            var below = Latencies.boundNanos(i - 1);
            assertThat((double) Latencies.boundNanos(i) / below)
                    .isGreaterThan(1)
                    .isLessThanOrEqualTo(1.125);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 10, 20, 25})
    void powersOfTwoOfAMicrosecondAreBounds(int exponent) {
        latencies.record(1_000L << exponent);
        latencies.record((1_000L << exponent) + 1);

        var atMost = 0L;
        for (var i = 0; Latencies.boundNanos(i) <= 1_000L << exponent; i++) {
            atMost += latencies.inBucket(i);
        }
        assertThat(atMost).isEqualTo(1);
    }

    @ParameterizedTest
    @ValueSource(longs = {-5, 0, Long.MAX_VALUE})
    void whatIsBeyondTheBucketsIsInTheOutermost(long took) {
        latencies.record(took);

        assertThat(latencies.inBucket(took > 0 ? Latencies.buckets() - 1 : 0)).isEqualTo(1);
        assertThat(latencies.count()).isEqualTo(1);
    }

    @Test
    void quantilesAreThoseOfAnExactHistogramUpToTheWidthOfABucket() {
        var exact = new Histogram(3);
        var random = new SplittableRandom(1);
        for (var i = 0; i < 100_000; i++) {
            // 2 us to 2 s, each order of magnitude as often.
            var took = (long) (2_000 * Math.pow(10, 6 * random.nextDouble()));
            exact.recordValue(took);
            latencies.record(took);
        }

        for (var share : new double[] {0.01, 0.5, 0.9, 0.99, 0.999, 1}) {
            assertThat(latencies.quantileNanos(share))
                    .as("quantile %s", share)
                    .isCloseTo(exact.getValueAtPercentile(100 * share), Percentage.withPercentage(13));
        }
        assertThat((double) latencies.nanos() / latencies.count())
                .isCloseTo(exact.getMean(), Percentage.withPercentage(0.1));
    }

    @Test
    void aQuantileIsNeverBeyondTheLongestAndZeroWhereThereIsNone() {
        assertThat(latencies.quantileNanos(0.99)).isZero();

        latencies.record(1_000_001);

        assertThat(latencies.quantileNanos(0.5)).isEqualTo(1_000_001);
    }

    @Test
    void aSumHasWhatBothHave() {
        var other = new Latencies();
        latencies.record(1_000);
        other.record(1_000);
        other.record(9_000_000);

        latencies.add(other);

        assertThat(latencies.count()).isEqualTo(3);
        assertThat(latencies.nanos()).isEqualTo(9_002_000);
        assertThat(latencies.longestNanos()).isEqualTo(9_000_000);
        assertThat(latencies.quantileNanos(0.6)).isEqualTo(1_000);
    }
}
