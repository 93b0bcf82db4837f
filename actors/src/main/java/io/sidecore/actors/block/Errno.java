package io.sidecore.actors.block;

/** Why a request failed, in the terms every block protocol shares; the numbers are Linux' and, where it names them, NBD's. */
public enum Errno {
    /** It did not fail. */
    OK(0),
    /** Not permitted: the device is read-only. */
    EPERM(1),
    /** Input/output error. */
    EIO(5),
    /** Out of memory. */
    ENOMEM(12),
    /** The request makes no sense. */
    EINVAL(22),
    /** No space left. */
    ENOSPC(28),
    /** The value is too large. */
    EOVERFLOW(75),
    /** Not supported. */
    ENOTSUP(95),
    /** The server is shutting down. */
    ESHUTDOWN(108),
    /** Given back without having reached the medium: not an answer for the guest, but leave to issue it again. */
    RETURNED(-1);

    private final int number;

    Errno(int number) {
        this.number = number;
    }

    /** The number on the wire. */
    public int number() {
        return number;
    }
}
