package io.sidecore.devices.ring;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.ArrayDeque;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RingTest {
    private static final int WORDS = 3;

    private final long[] received = new long[WORDS];

    private static long[] record(long number) {
        return new long[] {number, ~number, number * 31};
    }

    @Test
    void aNewRingIsEmptyAndHasRoom() {
        var ring = new Ring(4, WORDS);

        assertThat(ring.isEmpty()).isTrue();
        assertThat(ring.isFull()).isFalse();
        assertThat(ring.recv(received)).isFalse();
        assertThat(received).containsOnly(0);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 64})
    void aRingHoldsAsManyRecordsAsItsCapacity(int capacity) {
        var ring = new Ring(capacity, WORDS);
        for (var i = 0; i < capacity; i++) {
            assertThat(ring.isFull()).isFalse();
            assertThat(ring.send(record(i))).isTrue();
        }

        assertThat(ring.isFull()).isTrue();
        assertThat(ring.send(record(-1))).isFalse();
        for (var i = 0; i < capacity; i++) {
            assertThat(ring.recv(received)).isTrue();
            assertThat(received).isEqualTo(record(i));
            assertThat(ring.isFull()).isFalse();
        }
        assertThat(ring.isEmpty()).isTrue();
    }

    @ParameterizedTest
    @CsvSource({"0, 1", "-4, 1", "3, 1", "4, 0"})
    void otherCapacitiesThanPowersOfTwoAndEmptyRecordsAreRefused(int capacity, int words) {
        assertThatIllegalArgumentException().isThrownBy(() -> new Ring(capacity, words));
    }

    @Test
    void whatIsSentIsACopy() {
        var ring = new Ring(2, WORDS);
        var sent = record(7);
        ring.send(sent);
        sent[0] = 8;

        ring.recv(received);

        assertThat(received).isEqualTo(record(7));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 8, 32})
    void whateverTheInterleavingARingIsABoundedQueue(int capacity) {
        for (var seed = 0; seed < 200; seed++) {
            var random = new SplittableRandom(seed);
            var ring = new Ring(capacity, WORDS);
            var model = new ArrayDeque<long[]>();
            // Runs that mostly fill, mostly drain, or neither: all of a ring's states, and many times around.
            for (var step = 0; step < 2_000; step++) {
                var filling = random.nextInt(1, 10);
                for (var burst = random.nextInt(3 * capacity); burst >= 0; burst--) {
                    assertThat(ring.isFull()).isEqualTo(model.size() == capacity);
                    assertThat(ring.isEmpty()).isEqualTo(model.isEmpty());
                    if (random.nextInt(10) < filling) {
                        var record = record(random.nextLong());
                        assertThat(ring.send(record)).isEqualTo(model.size() < capacity);
                        if (model.size() < capacity) {
                            model.add(record);
                        }
                    } else {
                        var expected = model.poll();
                        assertThat(ring.recv(received)).isEqualTo(expected != null);
                        if (expected != null) {
                            assertThat(received).isEqualTo(expected);
                        }
                    }
                }
                step += capacity;
            }
        }
    }
}
