package io.sidecore.actors.vif;

/** A queue could not be served through its new chain, and has ended. */
final class NotServedException extends RuntimeException {
    private static final long serialVersionUID = 1;

    NotServedException(String message, Throwable cause) {
        super(message, cause);
    }
}
