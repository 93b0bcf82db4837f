package io.sidecore.it.model;

import java.util.Arrays;

/**
 * What a disk may contain, byte by byte. Most bytes are known. One may have two values while nobody knows whether a change reached the disk (its connection was killed, it was answered with an error, the range was trimmed), or any value after
 * more of that. What is read settles it: a byte that was read once does not change by itself.
 */
public final class DiskModel {
    private static final byte KNOWN = 0;
    private static final byte TWO = 1;
    private static final byte ANY = 2;

    private final byte[] value;
    private final byte[] other;
    private final byte[] doubt;
    private int size;

    /** All zeroes. */
    public DiskModel(int size, int largest) {
        value = new byte[largest];
        other = new byte[largest];
        doubt = new byte[largest];
        this.size = size;
    }

    public int size() {
        return size;
    }

    /** What is cut off is lost, what is added is zero. */
    public void resize(int bytes) {
        var from = Math.min(size, bytes);
        Arrays.fill(value, from, value.length, (byte) 0);
        Arrays.fill(doubt, from, doubt.length, KNOWN);
        size = bytes;
    }

    void written(int offset, byte[] data) {
        System.arraycopy(data, 0, value, offset, data.length);
        Arrays.fill(doubt, offset, offset + data.length, KNOWN);
    }

    void zeroed(int offset, int length) {
        Arrays.fill(value, offset, offset + length, (byte) 0);
        Arrays.fill(doubt, offset, offset + length, KNOWN);
    }

    /** A change to this may or may not be there. */
    void perhapsWritten(int offset, byte[] data) {
        for (var i = 0; i < data.length; i++) {
            perhaps(offset + i, data[i]);
        }
    }

    /** Zeroes may or may not be there. */
    void perhapsZeroed(int offset, int length) {
        for (var i = 0; i < length; i++) {
            perhaps(offset + i, (byte) 0);
        }
    }

    private void perhaps(int at, byte maybe) {
        if (doubt[at] == KNOWN) {
            if (value[at] != maybe) {
                other[at] = maybe;
                doubt[at] = TWO;
            }
        } else if (doubt[at] == TWO && value[at] != maybe && other[at] != maybe) {
            doubt[at] = ANY;
        }
    }

    /** Whether the byte may be read so; from now on it is. */
    boolean reads(int at, byte found) {
        if (doubt[at] == KNOWN) {
            return value[at] == found;
        }
        if (doubt[at] == TWO && value[at] != found && other[at] != found) {
            return false;
        }
        value[at] = found;
        doubt[at] = KNOWN;
        return true;
    }

    /** What is expected of a byte, for a report. */
    String expected(int at) {
        return switch (doubt[at]) {
            case KNOWN -> "%02x".formatted(value[at]);
            case TWO -> "%02x or %02x".formatted(value[at], other[at]);
            default -> "anything";
        };
    }
}
