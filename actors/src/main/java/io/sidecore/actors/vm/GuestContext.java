package io.sidecore.actors.vm;

import io.sidecore.actors.vif.GuestPort;
import java.lang.foreign.MemorySegment;
import java.time.Duration;

/** What a guest inside this process is given of its host: nothing else. For the thread that runs the guest's event, while it does. */
public interface GuestContext {
    /** Timers of a guest, numbered from 0. */
    int TIMERS = 64;

    /** The name of its VM. */
    String name();

    /** Its memory, of the size that its VM was given; off-heap, zero at first, and there as long as the VM runs. Payloads lie in it. */
    MemorySegment memory();

    /** VIFs that it holds: disks, in the order of the VM's definition. */
    int vifs();

    /**
     * One of them.
     *
     * @throws IndexOutOfBoundsException if there is none of this number
     */
    GuestPort vif(int number);

    /** Nanoseconds of a clock that never goes back; differences mean something. */
    long nanos();

    /** Nanoseconds since 1970. */
    long wallNanos();

    /** Calls {@link GuestProgram#onTimer} once this time has passed. A timer of the same number that is set moves. A negative time is none, and more than a century is a century. */
    void timer(int number, Duration after);

    /** Takes a timer back. */
    void cancelTimer(int number);

    /** Writes to its console. */
    void print(byte[] text, int offset, int length);

    /** Tells the host something: whoever listens to this VM's messages. */
    void message(byte[] message);

    /** Ends the VM once this event has returned; 0 means well. */
    void exit(int code);
}
