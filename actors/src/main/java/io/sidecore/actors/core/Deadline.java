package io.sidecore.actors.core;

/**
 * Something a {@link CoreLoop} does at a time. Made once and armed as often as needed, so that arming allocates nothing. Belongs to one loop at a time and is
 * touched on that loop only.
 */
public final class Deadline {
    final Runnable action;
    long at;
    int index = -1;

    /** A deadline that is not armed yet; {@code action} runs on the loop it is armed with. */
    public Deadline(Runnable action) {
        this.action = action;
    }

    /** Whether it will fire. */
    public boolean armed() {
        return index >= 0;
    }
}
