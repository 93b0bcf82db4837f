package io.sidecore.actors.vif;

/** A volume cannot be held so; the message names who holds it. */
public final class AttachmentRefusedException extends RuntimeException {
    private static final long serialVersionUID = 1;

    AttachmentRefusedException(String message) {
        super(message);
    }
}
