package io.sidecore.actors.vm;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletionStage;

/**
 * What executes inside a virtual machine, for one run of it: from {@link #start} until {@link Watcher#exited}. Methods do not wait; they are called by the VM's actor, one after the other, and answered by the stage they return. Failed stages
 * carry a {@link GuestException}.
 */
public interface Guest {
    /** Hears what becomes of a run; any thread, and it does not wait. */
    interface Watcher {
        /** It has come to its end by itself, and executes no more; {@link #exited} follows once others have let go of it. May be left out. */
        void ending(Exit how);

        /** It has ended, and nothing of it is left: no process, no thread, no hold on a volume. Once, and only if the start succeeded. */
        void exited(Exit exit);

        /** What takes long in its start or its snapshot, the copying of disks say, goes on: its time-out begins anew. */
        void progressed(Progress progress);

        /** Its disks begin to be overwritten by those of the snapshot. Until it runs they may be so in part. */
        void overwriting();

        /** It does not execute any more, for a reason of its own: a disk that is full, say. */
        void paused(String cause);

        /** It executes again. */
        void resumed(String cause);

        /** Something else that people want to know later. */
        void noted(String what, String cause);
    }

    /**
     * How a run ended.
     *
     * @param well whether the guest ended by itself and meant to, or was asked to
     * @param cause a sentence
     */
    record Exit(boolean well, String cause) {}

    /**
     * How far something is that takes long.
     *
     * @param what is copied: {@code disk root}, say
     * @param done bytes
     * @param total bytes; no less than {@code done}, and 0 if nobody knows
     */
    record Progress(String what, long done, long total) {}

    /**
     * What a run has used so far.
     *
     * @param cpuNanos processor time
     * @param residentBytes memory of the host that it takes; empty where it has none of its own
     * @param cores on which it may run, by the numbers that the operating system gives to them
     */
    record Statistics(long cpuNanos, OptionalLong residentBytes, List<Integer> cores) {
        public Statistics {
            cores = List.copyOf(cores);
        }
    }

    /**
     * Starts it.
     *
     * @param snapshot a folder that {@link #snapshot} has filled: it goes on from there
     * @return completed when it runs; failed if it cannot, and nothing of it is left then
     */
    CompletionStage<Void> start(Watcher watcher, Optional<Path> snapshot);

    /** Asks it to end. Whether and when it does so is its own affair. */
    CompletionStage<Void> stop();

    /** Ends it, also while it starts; it has no say in this. {@link Watcher#exited} follows, or the start fails. */
    void kill(String cause);

    /** Halts its execution; its devices stay. */
    CompletionStage<Void> pause();

    /** Lets it go on. */
    CompletionStage<Void> resume();

    /** Keeps all it takes to go on later from this moment, the contents of disks that it can write included. It stands still meanwhile and then goes on as before. */
    CompletionStage<Void> snapshot(Path folder);

    /** On which cores it runs from now on, by the numbers that the operating system gives to them. */
    void place(List<Integer> cores);

    /** What it has used so far. */
    CompletionStage<Statistics> statistics();
}
