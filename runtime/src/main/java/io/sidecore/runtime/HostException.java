package io.sidecore.runtime;

/** A host cannot do what it was told; the message says what, why and what to do next. */
public final class HostException extends RuntimeException {
    /** With what happened beneath. */
    public HostException(String message, Throwable cause) {
        super(message, cause);
    }

    /** With a sentence. */
    public HostException(String message) {
        super(message);
    }
}
