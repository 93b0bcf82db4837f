package io.sidecore.actors.core;

import java.io.UncheckedIOException;
import java.nio.channels.SelectableChannel;
import java.nio.channels.SelectionKey;
import java.util.concurrent.Executor;

/**
 * A core loop as seen by what is placed on it: one thread that runs tasks, fires deadlines and watches channels. What a guest's end or an interposer is given; starting, stopping and placing belong to the {@link CoreLoop} and are out
 * of reach from here.
 *
 * <p>Nothing on a loop may wait. What is not said to be for any thread is for the loop's own.
 */
public interface Loop extends Executor {
    /** Its name, also its thread's. */
    String name();

    /** Its clock. */
    Clock clock();

    /** Whether a core is its own, on which nothing else is to run: what is placed on it may be looked at without a pause. Always the same. */
    boolean reserved();

    /** Number of the task that runs now: one stream's share of a turn is one task. */
    long taskNumber();

    /** Whether the caller runs on this loop. Any thread. */
    boolean onLoop();

    /**
     * Runs the task on the loop, soon, once. A task submitted by another thread counts as a hand-off. Any thread.
     *
     * @throws java.util.concurrent.RejectedExecutionException if the loop has ended: the task will not run
     */
    @Override
    void execute(Runnable task);

    /** Fires {@code deadline} once the clock reaches {@code at}. Armed again, it moves. */
    void arm(Deadline deadline, long at);

    /** Takes the deadline back if it is armed. */
    void disarm(Deadline deadline);

    /**
     * Watches a non-blocking channel. From a task, not from within {@link Readiness#ready}.
     *
     * @return the key, by which the caller changes its interest; {@link #unregister} ends the watch
     * @throws UncheckedIOException if the channel is closed
     */
    SelectionKey register(SelectableChannel channel, int operations, Readiness readiness);

    /** Ends the watch that {@link #register} began. */
    void unregister(SelectionKey key);

    /** Looks at {@code poller} in every turn. */
    void add(Poller poller);

    /** Ends {@link #add}. */
    void remove(Poller poller);

    /**
     * Runs {@code signal} once, after the tasks of the present turn: what wakes a guest had better wait until then. A guest that is woken earlier takes the core from the loop, which still has work for others.
     */
    void signal(Runnable signal);

    /** Takes it back. */
    void cancelSignal(Runnable signal);
}
