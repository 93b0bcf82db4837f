package io.sidecore.actors.block;

import java.util.function.Consumer;

/**
 * What keeps the bytes of a volume: memory, a file. It opens {@link Store}s, one after the other; each can be fenced. Its methods may block, being for the control plane; but {@link #open()} and {@link #settle} are called on loops too.
 */
public interface Medium extends AutoCloseable {
    /** A new store on it; {@link #watch} hears of what fails later. Must not wait: what takes time happened when the medium was made, or happens in {@link #recover()}. */
    Store open();

    /** Bytes at present. */
    long size();

    /**
     * Makes it larger (what is new reads as zeroes) or smaller (what is beyond is lost). Stores that are open see the new size.
     *
     * @throws MediumException if that cannot be; the size is unchanged
     */
    void resize(long bytes);

    /** Tells {@code onFailure} once why, when its contents have become unknown: a flush failed, the image vanished. Until {@link #recover()} its stores answer EIO. Called from any thread. */
    void watch(Consumer<String> onFailure);

    /**
     * After a repair: looks at it anew, and forgets the failure if it is sound.
     *
     * @throws MediumException if it still is not
     */
    void recover();

    /** A loan for a write ({@link Store#lend}) has ended without its request having been served: nobody puts anything into it any more. */
    default void settle(long offset, long length) {}

    /** Lets it go. Its stores must have been fenced or have ended. */
    @Override
    void close();
}
