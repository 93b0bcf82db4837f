package io.sidecore.actors.core;

/** What a loop calls when a channel registered with it is ready. */
public interface Readiness {
    /** Called on the loop with the {@link java.nio.channels.SelectionKey} operations that are ready. Must not wait. */
    void ready(int operations);

    /**
     * Called on the loop while it polls rather than parks: looks for input without having been told of any. Cheaper than asking the selector, so the loop does it with the channel that was ready last. Must not wait.
     *
     * @return whether there was some
     */
    default boolean poll() {
        return false;
    }

    /** Whether a little of something has come, whose rest is to be expected within microseconds. */
    default boolean expectsRest() {
        return false;
    }
}
