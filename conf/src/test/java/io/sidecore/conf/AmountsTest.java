package io.sidecore.conf;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AmountsTest {
    @ParameterizedTest
    @CsvSource({
        "0, 0 B",
        "512, 512 B",
        "1536, 1.5 KiB",
        "67108864, 64 MiB",
        "1610612736, 1.5 GiB",
        "4611686018427387904, 4 EiB"
    })
    void bytesAreSaidInTheUnitThatFits(long bytes, String text) {
        assertThat(Amounts.bytes(bytes)).isEqualTo(text);
    }

    @ParameterizedTest
    @CsvSource({
        "33554432, 32 MiB",
        "1000, 1000 B",
        "64000000, 61 MiB (64000000 bytes)",
        "1572864, 1.5 MiB (1572864 bytes)",
        "0, 0 B"
    })
    void aSizeIsSaidExactlyWhereItsUnitDoesNotSayIt(long bytes, String text) {
        assertThat(Amounts.size(bytes)).isEqualTo(text);
    }

    @ParameterizedTest
    @CsvSource({"PT0.1S, 100 ms", "PT30S, 30 s", "PT1M, 1 min 0 s", "P1DT2H, 1 d 2 h", "P400D, 400 d 0 h"})
    void durationsAreSaidAsPeopleSayThem(Duration duration, String text) {
        assertThat(Amounts.duration(duration)).isEqualTo(text);
    }

    @ParameterizedTest
    @CsvSource({"0, 0", "950, 950", "12345, 12.3 k", "1200000, 1.2 M"})
    void countsAreShortened(double count, String text) {
        assertThat(Amounts.count(count)).isEqualTo(text);
    }

    @ParameterizedTest
    @CsvSource({"0.42, 0.4 s", "9, 9 s", "59.6, 1 min 0 s", "185, 3 min 5 s", "7800, 2 h 10 min", "356400, 4 d 3 h"})
    void timesAreSaidInTheTwoUnitsThatMatter(double seconds, String text) {
        assertThat(Amounts.seconds(seconds)).isEqualTo(text);
    }

    @ParameterizedTest
    @CsvSource({"850, 850 ns", "12000, 12 us", "1400000, 1.4 ms", "2000000000, 2 s"})
    void latenciesAreSaidInTheUnitThatFits(double nanos, String text) {
        assertThat(Amounts.nanos(nanos)).isEqualTo(text);
    }
}
