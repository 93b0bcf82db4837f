package io.sidecore.actors.vm;

import java.util.Optional;

/**
 * A guest inside this process, made of events: each runs to its end on a vCPU thread, and no two of the same guest at a time. Whatever a method throws fails the VM; so does an event that outlasts the deadline. A program must not block and should not start
 * threads: it waits by returning.
 *
 * <p>This is how programs in Java are guests, and how WebAssembly modules that export handlers are run.
 */
public interface GuestProgram extends AutoCloseable {
    /** The VM has started. */
    void onStart(GuestContext context);

    /** Somebody on the host has sent a message. */
    default void onMessage(GuestContext context, byte[] message) {}

    /** The timer of this number, set by {@link GuestContext#timer}, has come. */
    default void onTimer(GuestContext context, int timer) {}

    /** The VIF of this number has answers, or has room again: once for any number of them. Drain it; what comes later is told anew. */
    default void onBlock(GuestContext context, int vif) {}

    /** Asked to end: sooner or later {@link GuestContext#exit} should be called. Ends at once unless overridden. */
    default void onStop(GuestContext context) {
        context.exit(0);
    }

    /** What it takes to go on later from between two events, its memory ({@link GuestContext#memory()}) not included; empty if it cannot. */
    default Optional<byte[]> save() {
        return Optional.empty();
    }

    /** Throws if it cannot go on from what {@link #save()} gave, say because another program gave it; asked before anything is changed, the VM's disks included. */
    default void check(byte[] saved) {}

    /** Before anything else, in place of {@link #onStart}: go on from what {@link #save()} gave. Its memory is as it was then. */
    default void onRestore(GuestContext context, byte[] saved) {
        throw new UnsupportedOperationException("this program cannot be restored");
    }

    /** The VM has ended, however it did. */
    @Override
    default void close() {}
}
