package io.sidecore.runtime.guest.wasm;

import io.sidecore.actors.vm.GuestContext;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** Where a program waits for its VIFs, or for time to pass. {@link #await} and {@link #sleep} are for its thread, {@link #wake} for any. */
final class ProgramWait {
    private final boolean[] wantsRoom;
    private volatile boolean woken;
    private volatile Thread thread = Thread.currentThread();

    ProgramWait(int vifs) {
        wantsRoom = new boolean[vifs];
    }

    /** From here on the thread that calls is the program's. */
    void begin() {
        thread = Thread.currentThread();
    }

    /** There was no room: a wait ends as well once there is. */
    void foundFull(int vif) {
        wantsRoom[vif] = true;
    }

    /** There is something to look at. */
    void wake() {
        woken = true;
        LockSupport.unpark(thread);
    }

    private int ready(GuestContext context, int vif) {
        var port = context.vif(vif);
        var ready = port.isEmpty() ? 0 : SidecoreImports.ANSWERS;
        if (wantsRoom[vif] && !port.isFull()) {
            wantsRoom[vif] = false;
            ready |= SidecoreImports.ROOM;
        }
        return ready;
    }

    /**
     * Waits until a VIF has answers, or room where it had none; switches its signals on, since they end the wait.
     *
     * @param milliseconds for how long at most; negative: for ever
     * @return ANSWERS and ROOM; 0 once the time has passed
     */
    int await(GuestContext context, int vif, int milliseconds) {
        var ready = ready(context, vif);
        if (ready != 0 || milliseconds == 0) {
            return ready;
        }
        var port = context.vif(vif);
        port.signalAnswers(true);
        port.signalRoom(true);
        var deadline = context.nanos() + TimeUnit.MILLISECONDS.toNanos(milliseconds);
        while (true) {
            // In this order: what comes after the look wakes again.
            woken = false;
            ready = ready(context, vif);
            var left = milliseconds < 0 ? Long.MAX_VALUE : deadline - context.nanos();
            if (ready != 0 || left <= 0) {
                return ready;
            }
            park(left);
        }
    }

    /** Lets so much time pass. */
    void sleep(GuestContext context, long nanos) {
        var deadline = context.nanos() + Math.min(nanos, Long.MAX_VALUE / 4);
        while (true) {
            woken = false;
            var left = deadline - context.nanos();
            if (left <= 0) {
                return;
            }
            park(left);
        }
    }

    private void park(long nanos) {
        if (Thread.currentThread().isInterrupted()) {
            throw WasmTrap.interrupted();
        }
        if (!woken) {
            LockSupport.parkNanos(this, nanos);
        }
        if (Thread.currentThread().isInterrupted()) {
            throw WasmTrap.interrupted();
        }
    }
}
