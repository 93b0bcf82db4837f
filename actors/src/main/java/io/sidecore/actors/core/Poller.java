package io.sidecore.actors.core;

/** Something a loop looks at in every turn: a ring in memory that has no file descriptor to tell of its readiness. While one is registered the loop does not park. */
@FunctionalInterface
public interface Poller {
    /** Looks and does a bounded amount of work; returns how much, zero for none. Must not wait. */
    int poll();
}
