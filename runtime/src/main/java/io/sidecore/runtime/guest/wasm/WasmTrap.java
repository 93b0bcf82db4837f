package io.sidecore.runtime.guest.wasm;

import io.sidecore.actors.vm.GuestException;

/** A WebAssembly guest that was stopped in the middle of what it did, by a trap or by an interrupt. It cannot go on: its instance is in between. */
public final class WasmTrap extends GuestException {
    private static final long serialVersionUID = 1;

    /** What stopped it. */
    public enum Reason {
        /** The thread that ran it was interrupted; its interrupt status is still set. */
        INTERRUPTED,
        /** It reached an instruction that must not be reached: how an abort, a panic or a failed assertion ends. */
        UNREACHABLE,
        /** It accessed what is not its linear memory. */
        OUT_OF_BOUNDS,
        /** Its calls are nested too deeply. */
        STACK,
        /** Another trap of WebAssembly: a division by zero, a call through a table entry that does not fit. */
        OTHER
    }

    private final Reason reason;

    WasmTrap(Reason reason, String message) {
        super(message);
        this.reason = reason;
    }

    WasmTrap(Reason reason, String message, Throwable cause) {
        super(message, cause);
        this.reason = reason;
    }

    /** What stopped it. */
    public Reason reason() {
        return reason;
    }

    static WasmTrap interrupted() {
        return new WasmTrap(Reason.INTERRUPTED, "it was interrupted");
    }
}
