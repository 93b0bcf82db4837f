package io.sidecore.actors.vif;

/** A volume cannot be held so; the message names who holds it, and what would go. */
public final class AttachmentRefusedException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final String reason;

    AttachmentRefusedException(String reason, String advice) {
        super(reason + "; " + advice);
        this.reason = reason;
    }

    /** Why, for who has other advice. */
    public String reason() {
        return reason;
    }
}
