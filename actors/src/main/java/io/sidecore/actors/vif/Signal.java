package io.sidecore.actors.vif;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BooleanSupplier;

/**
 * How the one side of a queue in memory wakes the other: once, until that has seen all there is and arms the signal again. Whatever comes in between rides along. It can be switched off; who waits has to look by itself then.
 *
 * <pre>
 *   raiser (published)                 waiter (arm)
 *   put something into the queue       armed = true
 *   full fence                         full fence
 *   armed? then it wakes, once         still nothing there? then it may wait
 * </pre>
 *
 * <p>Each writes before the fence what the other reads behind it, so at least one of them sees the other (Dekker): no wake-up is lost. It may come although the waiter has found everything meanwhile.
 */
public final class Signal {
    private static final VarHandle ARMED;

    static {
        try {
            ARMED = MethodHandles.lookup().findVarHandle(Signal.class, "armed", boolean.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final BooleanSupplier due;
    private final Runnable wake;
    private final AtomicLong raised = new AtomicLong();
    private volatile boolean on = true;

    @SuppressWarnings("unused") // By its handle.
    private boolean armed;

    /**
     * A signal that is on, and not armed.
     *
     * @param due whether there is what the waiter waits for; asked on the waiter's thread
     * @param wake wakes the waiter; on the raiser's thread, or the waiter's own, and it must not wait
     */
    public Signal(BooleanSupplier due, Runnable wake) {
        this.due = due;
        this.wake = wake;
    }

    /** There is something now that the waiter may wait for. Any thread. */
    public void published() {
        VarHandle.fullFence();
        if ((boolean) ARMED.getOpaque(this) && on) {
            raise();
        }
    }

    private void raise() {
        if (ARMED.compareAndSet(this, true, false)) {
            raised.incrementAndGet();
            wake.run();
        }
    }

    /**
     * The waiter has seen all there was. For its thread; switched off it only looks, since nobody is going to wait.
     *
     * @return false if there is something again: look before you wait
     */
    public boolean arm() {
        if (!on) {
            return !due.getAsBoolean();
        }
        ARMED.setOpaque(this, true);
        VarHandle.fullFence();
        if (due.getAsBoolean()) {
            ARMED.setOpaque(this, false);
            return false;
        }
        return true;
    }

    /** Switches it. Switched on while there is something, it is raised. For the waiter's thread. */
    public void on(boolean whether) {
        on = whether;
        if (whether) {
            ARMED.setOpaque(this, true);
            VarHandle.fullFence();
            if (due.getAsBoolean()) {
                raise();
            }
        }
    }

    /** Whether it is on. Any thread. */
    public boolean on() {
        return on;
    }

    /** How often it was raised. Any thread. */
    public long raised() {
        return raised.get();
    }
}
