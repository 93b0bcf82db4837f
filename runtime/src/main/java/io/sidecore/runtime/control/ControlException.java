package io.sidecore.runtime.control;

import org.jspecify.annotations.Nullable;

/** What was asked cannot be done; the message is a sentence for whoever asked. */
public final class ControlException extends RuntimeException {
    private final boolean mistake;

    private ControlException(String message, boolean mistake, @Nullable Throwable cause) {
        super(message, cause);
        this.mistake = mistake;
    }

    /** What was asked is wrong: a bad value, an operation that there is not. */
    public static ControlException mistake(String message) {
        return new ControlException(message, true, null);
    }

    /** It failed this time. */
    public static ControlException failure(String message) {
        return new ControlException(message, false, null);
    }

    static ControlException failure(String message, Throwable cause) {
        return new ControlException(message, false, cause);
    }

    /** Whether what was asked is wrong, and would be wrong again. */
    public boolean isMistake() {
        return mistake;
    }
}
