package io.sidecore.devices.ring;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * A bounded queue of records of a fixed number of longs, from one thread to one other, in order. It never waits, and allocates nothing once it is made. Who takes over a side from another thread has to be told so by that (a volatile, a task).
 *
 * <pre>
 *   indices, two cache lines to each side (the one beside is fetched along):
 *     [16] tail: records sent        [17] head as the producer saw it last
 *     [32] head: records received    [33] tail as the consumer saw it last
 *   record n: longs [(n mod capacity) * words, + words)
 * </pre>
 *
 * <p>Sources: Lamport, Specifying concurrent program modules (1983); the cached opposite index from Giacomoni et al., FastForward (2008), and agrona's {@code OneToOneConcurrentArrayQueue}.
 */
public final class Ring {
    private static final VarHandle INDEX = MethodHandles.arrayElementVarHandle(long[].class);

    private static final int LINES = 16;
    private static final int TAIL = LINES;
    private static final int SEEN_HEAD = TAIL + 1;
    private static final int HEAD = 2 * LINES;
    private static final int SEEN_TAIL = HEAD + 1;

    private final long[] indices = new long[3 * LINES];
    private final long[] records;
    private final int words;
    private final int mask;

    /**
     * An empty ring.
     *
     * @param capacity records it holds; a power of two
     * @param words longs of a record
     */
    public Ring(int capacity, int words) {
        if (capacity <= 0 || Integer.bitCount(capacity) != 1 || words <= 0) {
            throw new IllegalArgumentException("a ring of " + capacity + " records of " + words
                    + " longs; expected a power of two, and a record that is not empty");
        }
        this.words = words;
        this.mask = capacity - 1;
        this.records = new long[Math.multiplyExact(capacity, words)];
    }

    /** Records it holds. */
    public int capacity() {
        return mask + 1;
    }

    /** Whether there is no room for another record. For the producer. */
    public boolean isFull() {
        var tail = indices[TAIL];
        if (tail - indices[SEEN_HEAD] <= mask) {
            return false;
        }
        var head = (long) INDEX.getAcquire(indices, HEAD);
        indices[SEEN_HEAD] = head;
        return tail - head > mask;
    }

    /** Sends the first longs of {@code record}, as many as a record has; false if there is no room. For the producer. */
    public boolean send(long[] record) {
        if (isFull()) {
            return false;
        }
        var tail = indices[TAIL];
        System.arraycopy(record, 0, records, at(tail), words);
        INDEX.setRelease(indices, TAIL, tail + 1);
        return true;
    }

    /** Whether there is nothing to receive. For the consumer. */
    public boolean isEmpty() {
        var head = indices[HEAD];
        if (head != indices[SEEN_TAIL]) {
            return false;
        }
        var tail = (long) INDEX.getAcquire(indices, TAIL);
        indices[SEEN_TAIL] = tail;
        return head == tail;
    }

    /** Puts the next record into {@code into}; false if there is none. For the consumer. */
    public boolean recv(long[] into) {
        if (isEmpty()) {
            return false;
        }
        var head = indices[HEAD];
        System.arraycopy(records, at(head), into, 0, words);
        INDEX.setRelease(indices, HEAD, head + 1);
        return true;
    }

    private int at(long number) {
        return (int) (number & mask) * words;
    }
}
