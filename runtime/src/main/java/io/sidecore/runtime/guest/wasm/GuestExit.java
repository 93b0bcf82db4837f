package io.sidecore.runtime.guest.wasm;

/** How a program leaves its stack when it exits. */
final class GuestExit extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final int code;

    GuestExit(int code) {
        super("exit " + code, null, false, false);
        this.code = code;
    }

    int code() {
        return code;
    }
}
