package io.sidecore.actors.core;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** A binary heap of {@link Deadline}s, ordered by time; each knows its index, so that re-arming and disarming are O(log n) and allocate nothing. */
final class Deadlines {
    private Deadline[] heap = new Deadline[16];
    private int size;

    /** Time of the earliest one, {@link Long#MAX_VALUE} when there is none. Call {@link #isEmpty()} before comparing by difference. */
    long earliest() {
        return size == 0 ? Long.MAX_VALUE : heap[0].at;
    }

    boolean isEmpty() {
        return size == 0;
    }

    void arm(Deadline deadline, long at) {
        if (deadline.armed()) {
            disarm(deadline);
        }
        if (size == heap.length) {
            heap = Arrays.copyOf(heap, size * 2);
        }
        deadline.at = at;
        up(size++, deadline);
    }

    void disarm(Deadline deadline) {
        if (!deadline.armed()) {
            return;
        }
        var hole = deadline.index;
        deadline.index = -1;
        var last = heap[--size];
        heap[size] = null;
        if (last != deadline) {
            down(hole, last);
            if (heap[hole] == last) {
                up(hole, last);
            }
        }
    }

    /** Takes the earliest deadline if it is due, else answers null. */
    @Nullable
    Deadline due(long now) {
        if (size == 0 || heap[0].at - now > 0) {
            return null;
        }
        var first = heap[0];
        disarm(first);
        return first;
    }

    private void up(int i, Deadline deadline) {
        while (i > 0) {
            var parent = (i - 1) >>> 1;
            if (heap[parent].at - deadline.at <= 0) {
                break;
            }
            put(i, heap[parent]);
            i = parent;
        }
        put(i, deadline);
    }

    private void down(int i, Deadline deadline) {
        for (int child; (child = 2 * i + 1) < size; i = child) {
            if (child + 1 < size && heap[child + 1].at - heap[child].at < 0) {
                child++;
            }
            if (heap[child].at - deadline.at >= 0) {
                break;
            }
            put(i, heap[child]);
        }
        put(i, deadline);
    }

    private void put(int i, Deadline deadline) {
        heap[i] = deadline;
        deadline.index = i;
    }
}
