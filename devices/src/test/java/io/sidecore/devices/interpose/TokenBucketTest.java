package io.sidecore.devices.interpose;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TokenBucketTest {
    private static final long SECOND = 1_000_000_000;
    private static final long START = 17 * SECOND;

    @ParameterizedTest
    @CsvSource({"100,1", "5000,1", "20000,4", "1000000,512", "100000000,4096", "1000000000,1048576"})
    void overTimeTheRateIsTheOneThatWasSet(long rate, long units) {
        var bucket = new TokenBucket(rate, 1_000_000);

        assertThat((double) taken(bucket, units, START, 10 * SECOND))
                .isCloseTo(10.0 * rate, Percentage.withPercentage(1));
    }

    @Test
    void aRateOfZeroIsNoLimit() {
        var bucket = new TokenBucket(0, 0);

        for (var i = 0; i < 1_000; i++) {
            assertThat(bucket.tryTake(1 << 20, START)).isZero();
        }
    }

    @Test
    void aFullBucketLetsTheBurstThroughAtOnce() {
        var bucket = new TokenBucket(1_000, 100_000_000);
        var through = 0;
        while (bucket.tryTake(1, START) == 0) {
            through++;
        }

        assertThat(through).isBetween(100, 101);
    }

    @Test
    void anHourOfSilenceSavesUpNoMoreThanTheBurst() {
        var bucket = new TokenBucket(1_000, 100_000_000);
        bucket.tryTake(1, START);
        var through = 0;
        while (bucket.tryTake(1, START + 3_600 * SECOND) == 0) {
            through++;
        }

        assertThat(through).isBetween(100, 101);
    }

    @Test
    void afterTheWaitThatItNamesItLetsThrough() {
        var bucket = new TokenBucket(1_000, 0);
        bucket.tryTake(1, START);

        var wait = bucket.tryTake(1, START);

        assertThat(wait).isEqualTo(1_000_000);
        assertThat(bucket.tryTake(1, START + wait - 1)).isPositive();
        assertThat(bucket.tryTake(1, START + wait)).isZero();
    }

    @Test
    void aRequestLargerThanTheBurstIsServedLateAndNotNever() {
        var bucket = new TokenBucket(1_000, 10_000_000);

        assertThat(bucket.tryTake(5_000, START)).isZero();
        assertThat(bucket.tryTake(1, START)).isCloseTo(5 * SECOND, within(10_000_000L));
    }

    @Test
    void whatIsTakenUnaskedMakesTheNextWaitTheLonger() {
        var bucket = new TokenBucket(1_000, 0);
        assertThat(bucket.waitNanos(START)).isZero();
        bucket.take(1_000, START);
        bucket.take(1_000, START);

        assertThat(bucket.waitNanos(START)).isEqualTo(2 * SECOND);
        assertThat(bucket.tryTake(1, START)).isEqualTo(2 * SECOND);
        assertThat(bucket.waitNanos(START + 2 * SECOND)).isZero();
    }

    @Test
    void aNewRateHoldsFromNowOn() {
        var bucket = new TokenBucket(1_000, 1_000_000);
        taken(bucket, 1, START, SECOND);

        bucket.rate(50_000, 1_000_000);

        assertThat((double) taken(bucket, 1, START + SECOND, 10 * SECOND))
                .isCloseTo(500_000.0, Percentage.withPercentage(1));
    }

    @Test
    void aLimitTakenAwayIsGoneAtOnce() {
        var bucket = new TokenBucket(1, 0);
        bucket.tryTake(1_000, START);

        bucket.rate(0, 0);

        assertThat(bucket.tryTake(1, START)).isZero();
    }

    @Test
    void threadsThatShareItTogetherGetTheRate() {
        var bucket = new TokenBucket(100_000, 0);
        var time = new AtomicLong(START);
        var total = new AtomicLong();
        try (var threads = Executors.newFixedThreadPool(3)) {
            for (var t = 0; t < 3; t++) {
                threads.execute(() -> {
                    for (long now; (now = time.getAndAdd(1_000)) < START + SECOND; ) {
                        if (bucket.tryTake(1, now) == 0) {
                            total.incrementAndGet();
                        }
                    }
                });
            }
        }

        assertThat(total.get()).isLessThanOrEqualTo(100_001).isGreaterThan(50_000);
    }

    @Test
    void aNegativeRateOrBurstIsRefused() {
        assertThatThrownBy(() -> new TokenBucket(-1, 0)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new TokenBucket(1, -1)).isInstanceOf(IllegalArgumentException.class);
    }

    /** Units taken by someone who always wants more and waits as told. */
    private static long taken(TokenBucket bucket, long units, long from, long nanos) {
        var taken = 0L;
        for (var now = from; now < from + nanos; ) {
            var wait = bucket.tryTake(units, now);
            if (wait == 0) {
                taken += units;
            } else {
                now += wait;
            }
        }
        return taken;
    }
}
