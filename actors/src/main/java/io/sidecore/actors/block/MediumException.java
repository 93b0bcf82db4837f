package io.sidecore.actors.block;

/** A medium cannot be opened, resized or recovered; the message says why and what to do. */
public final class MediumException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** With a sentence for people. */
    public MediumException(String message) {
        super(message);
    }

    /** With a sentence for people, and what it comes from. */
    public MediumException(String message, Throwable cause) {
        super(message, cause);
    }
}
