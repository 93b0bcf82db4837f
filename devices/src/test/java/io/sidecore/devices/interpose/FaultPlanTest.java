package io.sidecore.devices.interpose;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.block.Errno;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.stream.Stream;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.Test;

class FaultPlanTest {
    private static final FaultPlan PLAN = FaultPlan.none(7)
            .withDelay(0.2, Duration.ofMillis(1))
            .withError(0.1, Errno.EIO)
            .withHang(0.05);

    @Test
    void theSameSeedDecidesTheSame() {
        assertThat(fates(PLAN, 10_000)).isEqualTo(fates(PLAN, 10_000));
    }

    @Test
    void anotherSeedDecidesOtherwise() {
        var other = FaultPlan.none(8)
                .withDelay(0.2, Duration.ofMillis(1))
                .withError(0.1, Errno.EIO)
                .withHang(0.05);

        assertThat(fates(other, 10_000)).isNotEqualTo(fates(PLAN, 10_000));
    }

    @Test
    void withoutFaultsEverythingPasses() {
        assertThat(fates(FaultPlan.none(1), 1_000)).containsOnly(FaultPlan.Fate.PASS);
    }

    @Test
    void aRatioOfOneMeetsEveryRequest() {
        assertThat(fates(FaultPlan.none(1).withError(1, Errno.EIO), 1_000)).containsOnly(FaultPlan.Fate.ERROR);
    }

    @Test
    void ratiosHoldInTheLongRun() {
        var fates = fates(PLAN, 100_000);

        assertThat((double) Collections.frequency(fates, FaultPlan.Fate.HANG))
                .isCloseTo(5_000, Percentage.withPercentage(5));
        assertThat((double) Collections.frequency(fates, FaultPlan.Fate.ERROR))
                .isCloseTo(0.1 * 95_000, Percentage.withPercentage(5));
        assertThat((double) Collections.frequency(fates, FaultPlan.Fate.DELAY))
                .isCloseTo(0.2 * 0.9 * 95_000, Percentage.withPercentage(5));
    }

    private static List<FaultPlan.Fate> fates(FaultPlan plan, int count) {
        return Stream.generate(plan.decisions()::next).limit(count).toList();
    }
}
