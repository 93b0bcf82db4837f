package io.sidecore.devices.block;

import java.util.concurrent.atomic.AtomicIntegerArray;

/**
 * Who is putting data into the regions of a medium: any number at once, or one that takes a region's memory away. Without, a write could fill memory that has just been given back, and show it later. Waiting for a region that is
 * being taken away lasts as long as a system call; nobody waits for writers.
 */
final class RegionPins {
    private static final int CLAIMED = -1;

    private final AtomicIntegerArray pins;

    RegionPins(int regions) {
        pins = new AtomicIntegerArray(regions);
    }

    /** Begins to put data into the regions {@code first} to {@code last}. */
    void pin(int first, int last) {
        for (var i = first; i <= last; i++) {
            while (true) {
                var count = pins.get(i);
                if (count == CLAIMED) {
                    Thread.onSpinWait();
                } else if (pins.compareAndSet(i, count, count + 1)) {
                    break;
                }
            }
        }
    }

    /** Ends it. */
    void unpin(int first, int last) {
        for (var i = first; i <= last; i++) {
            pins.decrementAndGet(i);
        }
    }

    /** Takes a region for oneself, if nobody puts data into it. */
    boolean claim(int region) {
        return pins.compareAndSet(region, 0, CLAIMED);
    }

    /** Ends that. */
    void unclaim(int region) {
        pins.set(region, 0);
    }
}
