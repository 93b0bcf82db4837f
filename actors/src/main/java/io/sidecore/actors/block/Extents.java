package io.sidecore.actors.block;

import java.util.Arrays;

/** The answer to a {@link BlockOp#STATUS}: consecutive extents from the request's offset on, neighbours of one kind joined. At least one, at most {@link #MAX}; they may end before the range does. */
public final class Extents {
    /** The extent takes no space on the medium. */
    public static final int HOLE = 1;
    /** The extent reads as zeroes. */
    public static final int ZERO = 1 << 1;

    /** Extents in an answer, at most. */
    public static final int MAX = 1024;

    private final int max;
    private long[] lengths = new long[8];
    private int[] states = new int[8];
    private int count;

    /** None yet; takes at most {@code max} of them. */
    public Extents(int max) {
        this.max = Math.min(max, MAX);
    }

    /**
     * Appends an extent.
     *
     * @param state {@link #HOLE} and {@link #ZERO}, or'ed; 0 for data
     * @return false if there is no room for it: the answer ends before
     */
    public boolean add(long length, int state) {
        if (count > 0 && states[count - 1] == state) {
            lengths[count - 1] += length;
            return true;
        }
        if (count == max) {
            return false;
        }
        if (count == lengths.length) {
            lengths = Arrays.copyOf(lengths, 2 * count);
            states = Arrays.copyOf(states, 2 * count);
        }
        lengths[count] = length;
        states[count++] = state;
        return true;
    }

    /** How many. */
    public int count() {
        return count;
    }

    /** Bytes of one. */
    public long length(int i) {
        return lengths[i];
    }

    /** {@link #HOLE} and {@link #ZERO} of one, or'ed. */
    public int state(int i) {
        return states[i];
    }
}
