package io.sidecore.actors.core;

/** Monotonic time in nanoseconds, injected so that a simulation can run on virtual time. */
@FunctionalInterface
public interface Clock {
    /** The machine's clock. */
    Clock SYSTEM = System::nanoTime;

    /** Nanoseconds since an arbitrary origin; compare by difference only. */
    long nanos();
}
