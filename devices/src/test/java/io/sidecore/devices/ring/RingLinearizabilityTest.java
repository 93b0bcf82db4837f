package io.sidecore.devices.ring;

import java.util.ArrayDeque;
import org.jetbrains.lincheck.datastructures.LongGen;
import org.jetbrains.lincheck.datastructures.ModelCheckingOptions;
import org.jetbrains.lincheck.datastructures.Operation;
import org.jetbrains.lincheck.datastructures.Param;
import org.jetbrains.lincheck.datastructures.StressOptions;
import org.junit.jupiter.api.Test;

/** A ring between two threads behaves as a bounded queue of which each call happens at one moment (Lincheck: all short interleavings of small scenarios, and real threads). */
public class RingLinearizabilityTest {
    private static final int CAPACITY = 2;

    private final Ring ring = new Ring(CAPACITY, 1);
    private final long[] sent = new long[1];
    private final long[] received = new long[1];

    @Operation(nonParallelGroup = "producer")
    public boolean send(@Param(gen = LongGen.class) long value) {
        sent[0] = value;
        return ring.send(sent);
    }

    @Operation(nonParallelGroup = "producer")
    public boolean isFull() {
        return ring.isFull();
    }

    @Operation(nonParallelGroup = "consumer")
    public Long recv() {
        return ring.recv(received) ? received[0] : null;
    }

    @Operation(nonParallelGroup = "consumer")
    public boolean isEmpty() {
        return ring.isEmpty();
    }

    /** What it is to behave as. */
    public static class BoundedQueue {
        private final ArrayDeque<Long> queue = new ArrayDeque<>();

        public boolean send(long value) {
            return queue.size() < CAPACITY && queue.add(value);
        }

        public boolean isFull() {
            return queue.size() == CAPACITY;
        }

        public Long recv() {
            return queue.poll();
        }

        public boolean isEmpty() {
            return queue.isEmpty();
        }
    }

    @Test
    void everyShortInterleavingIsThatOfABoundedQueue() {
        new ModelCheckingOptions()
                .iterations(20)
                .invocationsPerIteration(500)
                .threads(2)
                .actorsPerThread(4)
                .sequentialSpecification(BoundedQueue.class)
                .check(getClass());
    }

    @Test
    void whatRealThreadsSeeIsABoundedQueue() {
        new StressOptions()
                .iterations(20)
                .invocationsPerIteration(2_000)
                .threads(2)
                .actorsPerThread(5)
                .sequentialSpecification(BoundedQueue.class)
                .check(getClass());
    }
}
