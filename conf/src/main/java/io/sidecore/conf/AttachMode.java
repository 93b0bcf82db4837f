package io.sidecore.conf;

/** How a VIF holds a volume. */
public enum AttachMode {
    /** It alone may write; others may read. */
    EXCLUSIVE,
    /** It writes, and so may others who say so too. */
    SHARED,
    /** It only reads. */
    READ_ONLY
}
