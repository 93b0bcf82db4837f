package io.sidecore.devices.block;

import io.sidecore.actors.block.Extents;
import io.sidecore.actors.block.Store.Answer;
import io.sidecore.devices.linux.IoVector;

/**
 * The bytes of a disk as something that blocks: a raw file, a block device. Called off the loops, by any number of threads at once; only {@link #tryRead} and {@link #traits} are for loops. What was written is durable once a
 * {@link #sync} has returned that began later, and not before.
 *
 * <p>Methods throw {@link ImageException} when they fail. Where a trait says that something cannot be done the method is not called: {@link Mask} does it in another way.
 */
public interface Image extends AutoCloseable {
    /**
     * What an image is and can do by itself.
     *
     * @param sector bytes; offsets and lengths are multiples of it, and no part of one is ever seen half written. 1: any
     * @param readOnly whether nothing can be written
     * @param punch whether space can be given back, and reads as zeroes then
     * @param trim whether space can be given back, and reads as anything then
     * @param zero whether zeroes can be written without sending them
     * @param extents whether holes are known
     * @param readAhead whether it can be told what will be read soon
     * @param inMemory whether it lies in memory, so that nothing but {@link #sync} ever waits
     * @param parallelWrites whether writes gain from being made at the same time
     */
    record Traits(
            int sector,
            boolean readOnly,
            Answer punch,
            Answer trim,
            Answer zero,
            Answer extents,
            Answer readAhead,
            boolean inMemory,
            boolean parallelWrites) {}

    /** What people call it. */
    String name();

    /** Bytes at present. */
    long size();

    /** What it can do. */
    Traits traits();

    /** Reads if that needs not wait; false if it was not done. The vector's contents are undefined then. */
    default boolean tryRead(long offset, IoVector to) {
        return false;
    }

    /** Fills the vector. */
    void read(long offset, IoVector to);

    /** Writes the vector. */
    void write(long offset, IoVector from);

    /** Makes durable what was written before. Any failure means that contents are unknown. */
    void sync();

    /** Gives the range's space back; it reads as zeroes. */
    void punch(long offset, long length);

    /** Gives the range's space back; it reads as anything. */
    void trim(long offset, long length);

    /** Makes the range read as zeroes, its space kept. */
    void zero(long offset, long length);

    /** Appends what the range consists of, until the answer is full. */
    void extents(long offset, long length, Extents found);

    /** The range will be read soon. */
    void readAhead(long offset, long length);

    /** Makes it larger, by zeroes, or smaller; durable when it returns. */
    void resize(long bytes);

    /** Whether it still is what was opened: fails with {@link ImageException.Kind#LOST} if it was deleted, replaced or truncated by somebody else. */
    void check();

    /** Whether so many bytes more can surely be written where no space has been taken yet. */
    default boolean hasRoom(long bytes) {
        return false;
    }

    /** Drops what memory remembers of it: what is read from now on is what the medium has. */
    default void forget() {}

    /** Lets it go, and its lock. */
    @Override
    void close();
}
