package io.sidecore.actors.vm;

/** Where the history of a virtual machine is written: what happened to it, and why. Does not wait. */
@FunctionalInterface
public interface History {
    /**
     * Adds an entry.
     *
     * @param what a word: the state that it is in now, or what happened in it
     * @param from the state before
     * @param to the state after; the same if it has not changed
     * @param cause a sentence, may be empty
     */
    void add(String what, VirtualMachine.State from, VirtualMachine.State to, String cause);
}
