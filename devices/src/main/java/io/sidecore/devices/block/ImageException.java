package io.sidecore.devices.block;

import io.sidecore.actors.block.Errno;
import io.sidecore.devices.linux.OpenFile;
import io.sidecore.devices.linux.SystemCallException;

/** An image did not do what it was asked; the message says what and why. */
public final class ImageException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** What that means. */
    public enum Kind {
        /** No space is left, or none of a quota. Nothing else is harmed. */
        FULL(Errno.ENOSPC),
        /** It cannot be written (any more): a remount, a permission, a write-protected device. */
        READ_ONLY(Errno.EPERM),
        /** The medium reports an error. */
        IO(Errno.EIO),
        /** It is not the image any more that was opened: what it holds is unknown. */
        LOST(Errno.EIO);

        private final Errno errno;

        Kind(Errno errno) {
            this.errno = errno;
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
                    case OpenFile.ENOSPC, OpenFile.EDQUOT, OpenFile.EFBIG -> Kind.FULL;
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
