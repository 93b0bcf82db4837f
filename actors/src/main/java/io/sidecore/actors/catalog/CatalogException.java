package io.sidecore.actors.catalog;

import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The catalog did not do what it was asked; the message is a sentence that says why and what to do. */
public abstract sealed class CatalogException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private CatalogException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }

    /** The entry is not as the author of the change saw it. Read it again and decide again. */
    public static final class Conflict extends CatalogException {
        private static final long serialVersionUID = 1;
        private final transient CatalogResult.Conflict conflict;

        /** From what the state machine answered. */
        public Conflict(CatalogResult.Conflict conflict) {
            super(sentence(conflict), null);
            this.conflict = conflict;
        }

        private static String sentence(CatalogResult.Conflict conflict) {
            var key = conflict.command().key();
            var expected = conflict.command().expected();
            if (conflict.present().isEmpty()) {
                return "there is no " + key + " any more: it was deleted after it had been read at revision "
                        + expected;
            }
            var revision = conflict.present().get().revision();
            return expected == 0
                    ? key + " exists already, at revision " + revision
                    : key + " was changed by someone else: it is at revision " + revision + ", not at " + expected
                            + "; read it again";
        }

        /** What is there; empty if nothing is. */
        public Optional<CatalogEntry> present() {
            return conflict.present();
        }

        /** What was to be done. */
        public CatalogCommand command() {
            return conflict.command();
        }
    }

    /** The catalog has reached its bound. Deleting helps. */
    public static final class Full extends CatalogException {
        private static final long serialVersionUID = 1;

        /** From what the state machine answered. */
        public Full(CatalogResult.Full full) {
            super(
                    full.command().key() + " does not fit: the catalog holds " + full.bytes()
                            + " bytes of definitions and at most " + CatalogState.MAX_BYTES
                            + "; delete some that are not needed",
                    null);
        }
    }

    /**
     * The keeper cannot do it now: its disk is full or broken, too many changes wait, it is closed, or another host has it. The catalog that runs is as it was before. If the keeper crashes before it
     * could undo what it had begun to write, the change may turn out to have been made: read before trying again.
     */
    public static final class Unavailable extends CatalogException {
        private static final long serialVersionUID = 1;

        /** With a sentence. */
        public Unavailable(String message) {
            super(message, null);
        }

        /** With a sentence and what it comes from. */
        public Unavailable(String message, Throwable cause) {
            super(message, cause);
        }
    }

    /** What is kept cannot be read: damaged, or written by a newer version. Nothing was changed. */
    public static final class Unreadable extends CatalogException {
        private static final long serialVersionUID = 1;

        /** With a sentence that names file and offset. */
        public Unreadable(String message) {
            super(message, null);
        }

        /** With a sentence that names file and offset, and what it comes from. */
        public Unreadable(String message, Throwable cause) {
            super(message, cause);
        }
    }
}
