package io.sidecore.devices.linux;

/** The kernel refused something that was asked of it. The message says what, why, and where possible what to do next. */
public final class SystemCallException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final int errno;

    SystemCallException(String what, int errno, String next) {
        super(what + ": " + Libc.errorText(errno) + (next.isEmpty() ? "" : ". " + next));
        this.errno = errno;
    }

    /** The kernel's number of the error, as in {@code errno(3)}. */
    public int errno() {
        return errno;
    }
}
