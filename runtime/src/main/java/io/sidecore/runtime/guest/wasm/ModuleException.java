package io.sidecore.runtime.guest.wasm;

import io.sidecore.actors.vm.GuestException;

/** A WebAssembly module that cannot be a guest, or a saved state that does not fit its module: one sentence that says what is wrong and what is expected. */
public final class ModuleException extends GuestException {
    private static final long serialVersionUID = 1;

    ModuleException(String message) {
        super(message);
    }

    ModuleException(String message, Throwable cause) {
        super(message, cause);
    }
}
