package io.sidecore.actors.block;

import java.util.List;
import java.util.OptionalLong;

/**
 * What keeps the bytes of a volume: memory, a file. It opens {@link Store}s, one after the other; each can be fenced. Its methods may block, being for the control plane; but {@link #open()} and {@link #settle} are called on loops too.
 */
public interface Medium extends AutoCloseable {
    /** Hears what becomes of a medium. Called from any thread; it must not wait. */
    @FunctionalInterface
    interface Watcher {
        /** Its contents have become unknown: a flush failed, the image vanished. Until {@link #recover()} its stores answer EIO. Told once. */
        void failed(String why);

        /** From now on something is wrong though it serves: one more of {@link #conditions()}. Told once, whatever the number of requests that fail so. */
        default void degraded(String condition) {}

        /** A condition is over. */
        default void well(String condition) {}
    }

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

    /** Tells {@code watcher} what becomes of it from now on. */
    void watch(Watcher watcher);

    /** Bytes that its contents take where they are kept, at present; empty where that is not known. */
    default OptionalLong allocated() {
        return OptionalLong.empty();
    }

    /** How much {@link #allocated()} may become; what needs more is answered ENOSPC. Empty where nothing is said of it. */
    default OptionalLong limit() {
        return OptionalLong.empty();
    }

    /** What is wrong with it at present though it serves, a sentence each: no space, read-only, I/O errors. */
    default List<String> conditions() {
        return List.of();
    }

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
