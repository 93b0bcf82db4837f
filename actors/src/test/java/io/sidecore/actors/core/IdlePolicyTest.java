package io.sidecore.actors.core;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class IdlePolicyTest {
    private static final long SPIN = 100_000;

    private final IdlePolicy policy = new IdlePolicy(SPIN, 0);
    private long now = 1_000_000_000;

    @Test
    void aLoopThatSawNoWorkYetParks() {
        assertThat(policy.poll(now, now, false)).isFalse();
    }

    @Test
    void frequentShallowWorkIsPolledFor() {
        arrivals(100, SPIN / 8, 1);

        assertThat(policy.poll(now, now, false)).isTrue();
    }

    @Test
    void itIsPolledForNoLongerThanTheSpinTime() {
        arrivals(100, SPIN / 4 * 3, 1);

        assertThat(policy.poll(now + SPIN - 1, now, false)).isTrue();
        assertThat(policy.poll(now + SPIN, now, false)).isFalse();
    }

    @Test
    void workThatIsMostlyInTimeIsPolledFor() {
        for (var i = 0; i < 100; i++) {
            arrivals(1, 4 * SPIN, 1);
            arrivals(9, SPIN / 8, 1);
        }

        assertThat(policy.poll(now, now, false)).isTrue();
    }

    @Test
    void payloadsThatFollowTheirHeadersAreNoReasonToPollForTheNextRequest() {
        for (var i = 0; i < 100; i++) {
            arrivals(1, 2 * SPIN, 1);
            arrivals(1, SPIN / 8, 1);
        }

        assertThat(policy.poll(now, now, false)).isFalse();
    }

    @Test
    void theRestOfARequestIsPolledForAMoment() {
        arrivals(100, 2 * SPIN, 1);

        assertThat(policy.poll(now + IdlePolicy.REST_NANOS - 1, now, true)).isTrue();
        assertThat(policy.poll(now + IdlePolicy.REST_NANOS, now, true)).isFalse();
    }

    @Test
    void theRestOfARequestIsNotPolledForAtDepthNorWhileCoresAreShort() {
        arrivals(100, 2 * SPIN, 32);
        assertThat(policy.poll(now, now, true)).isFalse();

        arrivals(100, 2 * SPIN, 1);
        policy.waited(now, 0);
        share(0, 0.20);
        assertThat(policy.poll(now, now, true)).isFalse();
    }

    @Test
    void whatCameInTimeButForTheWakeUpIsPolledFor() {
        arrivals(100, SPIN + IdlePolicy.WAKE_UP_NANOS - 1, 1);
        assertThat(policy.poll(now, now, false)).isTrue();

        arrivals(100, SPIN + IdlePolicy.WAKE_UP_NANOS, 1);
        assertThat(policy.poll(now, now, false)).isFalse();
    }

    @Test
    void rareWorkIsNotPolledFor() {
        arrivals(100, 4 * SPIN, 1);

        assertThat(policy.poll(now, now, false)).isFalse();
    }

    @Test
    void deepWorkIsNotPolledFor() {
        arrivals(100, SPIN / 8, 32);

        assertThat(policy.poll(now, now, false)).isFalse();
    }

    @Test
    void anIdleHourIsForgottenSoon() {
        arrivals(100, SPIN / 8, 1);
        arrivals(1, 3_600_000_000_000L, 1);
        arrivals(20, SPIN / 8, 1);

        assertThat(policy.poll(now, now, false)).isTrue();
    }

    @Test
    void whileCoresAreShortNothingIsPolledFor() {
        arrivals(100, SPIN / 8, 1);
        policy.waited(now, 0);

        now += IdlePolicy.LOOK_NANOS;
        policy.waited(now, IdlePolicy.LOOK_NANOS / 5);

        assertThat(policy.poll(now, now, false)).isFalse();
    }

    @Test
    void coresStayShortUntilThereIsPlenty() {
        arrivals(100, SPIN / 8, 1);
        policy.waited(now, 0);
        var waited = share(0, 0.20);
        waited = share(waited, 0.07);
        assertThat(policy.poll(now, now, false)).isFalse();

        share(waited, 0.01);

        assertThat(policy.poll(now, now, false)).isTrue();
    }

    @Test
    void aModerateShareOfWaitingDoesNotMakeCoresShort() {
        arrivals(100, SPIN / 8, 1);
        policy.waited(now, 0);
        share(0, 0.07);

        assertThat(policy.poll(now, now, false)).isTrue();
    }

    @Test
    void theWaitingTimeIsLookedAtOnceInAWhile() {
        policy.waited(now, 0);

        assertThat(policy.wantsWaited(now + IdlePolicy.LOOK_NANOS - 1)).isFalse();
        assertThat(policy.wantsWaited(now + IdlePolicy.LOOK_NANOS)).isTrue();
    }

    @Test
    void withoutSpinTimeItNeverPolls() {
        var never = new IdlePolicy(0, 0);
        for (var i = 0; i < 100; i++) {
            never.arrived(1, 1);
        }

        assertThat(never.poll(now, now, false)).isFalse();
    }

    private long share(long before, double share) {
        now += IdlePolicy.LOOK_NANOS;
        var waited = before + (long) (IdlePolicy.LOOK_NANOS * share);
        policy.waited(now, waited);
        return waited;
    }

    private void arrivals(int times, long interval, long requests) {
        for (var i = 0; i < times; i++) {
            now += interval;
            policy.arrived(interval, requests);
        }
    }
}
