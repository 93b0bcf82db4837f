package io.sidecore.devices.block;

import io.sidecore.actors.block.Errno;
import io.sidecore.devices.linux.OpenFile;
import io.sidecore.devices.linux.SystemCallException;

/** An image did not do what it was asked; the message says what and why. */
public final class ImageException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** What that means. */
    public enum Kind {
        /** No space is left. Nothing else is harmed. */
        FULL(Errno.ENOSPC, "what needs space is answered ENOSPC until there is some"),
        /** Behind the end. Nothing is wrong with the image. */
        BEHIND_END(Errno.ENOSPC, "what lies behind the end is answered ENOSPC"),
        /** A quota, or the largest size of a file, is reached. */
        LIMITED(Errno.ENOSPC, "what needs space is answered ENOSPC"),
        /** It cannot be written (any more): a remount, a permission, a write-protected device. */
        READ_ONLY(Errno.EPERM, "changes are answered EPERM until it can be written again"),
        /** The medium reports an error. */
        IO(Errno.EIO, "what touches that place is answered EIO as long as it lasts"),
        /** It is not the image any more that was opened: what it holds is unknown. */
        LOST(Errno.EIO, "everything is answered EIO");

        private final Errno errno;
        private final String consequence;

        Kind(Errno errno, String consequence) {
            this.errno = errno;
            this.consequence = consequence;
        }

        /** What that means for clients, as the second half of a sentence. */
        String consequence() {
            return consequence;
        }

        /** What a client is told. */
        public Errno errno() {
            return errno;
        }
    }

    private final Kind kind;

    /** With a sentence for people. */
    public ImageException(Kind kind, String message) {
        super(message);
        this.kind = kind;
    }

    private ImageException(Kind kind, SystemCallException cause) {
        super(cause.getMessage(), cause);
        this.kind = kind;
    }

    /** What the kernel's errno means for an image. */
    static ImageException of(SystemCallException e) {
        return new ImageException(
                switch (e.errno()) {
                    case OpenFile.ENOSPC -> Kind.FULL;
                    case OpenFile.EDQUOT, OpenFile.EFBIG -> Kind.LIMITED;
                    case OpenFile.EROFS, OpenFile.EPERM, OpenFile.EACCES -> Kind.READ_ONLY;
                    default -> Kind.IO;
                },
                e);
    }

    /** What it means. */
    public Kind kind() {
        return kind;
    }
}
