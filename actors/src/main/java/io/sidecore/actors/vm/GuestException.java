package io.sidecore.actors.vm;

import org.jspecify.annotations.Nullable;

/** A guest could not do what was asked of it; the message is a sentence for people. */
public class GuestException extends RuntimeException {
    private static final long serialVersionUID = 1;

    public GuestException(String message) {
        this(message, null);
    }

    public GuestException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
