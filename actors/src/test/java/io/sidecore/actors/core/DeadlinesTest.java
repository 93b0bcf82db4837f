package io.sidecore.actors.core;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DeadlinesTest {
    private final Deadlines deadlines = new Deadlines();

    @Test
    void withoutDeadlinesNothingIsDue() {
        assertThat(deadlines.isEmpty()).isTrue();
        assertThat(deadlines.earliest()).isEqualTo(Long.MAX_VALUE);
        assertThat(deadlines.due(Long.MAX_VALUE)).isNull();
    }

    @Test
    void aDeadlineIsDueAtItsTimeAndNotBefore() {
        var deadline = deadline();
        deadlines.arm(deadline, 10);

        assertThat(deadlines.due(9)).isNull();
        assertThat(deadlines.due(10)).isSameAs(deadline);
        assertThat(deadline.armed()).isFalse();
    }

    @Test
    void armedAgainItMoves() {
        var deadline = deadline();
        deadlines.arm(deadline, 10);
        deadlines.arm(deadline, 20);

        assertThat(deadlines.due(15)).isNull();
        assertThat(deadlines.due(20)).isSameAs(deadline);
        assertThat(deadlines.isEmpty()).isTrue();
    }

    @Test
    void disarmedItIsNeverDue() {
        var deadline = deadline();
        deadlines.arm(deadline, 10);
        deadlines.disarm(deadline);

        assertThat(deadline.armed()).isFalse();
        assertThat(deadlines.due(100)).isNull();
    }

    @Test
    void disarmingWhatIsNotArmedChangesNothing() {
        var armed = deadline();
        deadlines.arm(armed, 10);

        deadlines.disarm(deadline());

        assertThat(deadlines.due(10)).isSameAs(armed);
    }

    @Test
    void theOrderHoldsWhereTheClockWrapsAround() {
        var before = deadline();
        var after = deadline();
        deadlines.arm(after, Long.MIN_VALUE + 5);
        deadlines.arm(before, Long.MAX_VALUE - 5);

        assertThat(deadlines.due(Long.MAX_VALUE)).isSameAs(before);
        assertThat(deadlines.due(Long.MAX_VALUE)).isNull();
        assertThat(deadlines.due(Long.MIN_VALUE + 5)).isSameAs(after);
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5})
    void itFiresAsASortedListWould(long seed) {
        var random = new SplittableRandom(seed);
        var all = new ArrayList<Deadline>();
        for (var i = 0; i < 100; i++) {
            all.add(deadline());
        }
        var reference = new HashMap<Deadline, Long>();
        var now = 0L;
        for (var step = 0; step < 20_000; step++) {
            var one = all.get(random.nextInt(all.size()));
            switch (random.nextInt(4)) {
                case 0, 1 -> {
                    var at = now + random.nextInt(500);
                    deadlines.arm(one, at);
                    reference.put(one, at);
                }
                case 2 -> {
                    deadlines.disarm(one);
                    reference.remove(one);
                }
                default -> {
                    now += random.nextInt(20);
                    var due = deadlines.due(now);
                    var earliest = reference.values().stream()
                            .min(Comparator.naturalOrder())
                            .orElse(Long.MAX_VALUE);
                    if (earliest > now) {
                        assertThat(due).isNull();
                    } else {
                        assertThat(reference.remove(due)).isEqualTo(earliest);
                    }
                }
            }
            assertThat(one.armed()).isEqualTo(reference.containsKey(one));
            assertThat(deadlines.isEmpty()).isEqualTo(reference.isEmpty());
        }
    }

    private static Deadline deadline() {
        return new Deadline(() -> {});
    }
}
