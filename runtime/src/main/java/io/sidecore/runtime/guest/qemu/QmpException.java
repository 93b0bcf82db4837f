package io.sidecore.runtime.guest.qemu;

/** QEMU has refused a command, or does not answer any more. */
final class QmpException extends RuntimeException {
    private static final long serialVersionUID = 1;

    QmpException(String message) {
        super(message);
    }

    QmpException(String message, Throwable cause) {
        super(message, cause);
    }
}
