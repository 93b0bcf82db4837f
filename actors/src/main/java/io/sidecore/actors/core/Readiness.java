package io.sidecore.actors.core;

/** What a loop calls when a channel registered with it is ready. */
@FunctionalInterface
public interface Readiness {
    /** Called on the loop with the {@link java.nio.channels.SelectionKey} operations that are ready. Must not wait. */
    void ready(int operations);
}
