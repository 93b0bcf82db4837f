package io.sidecore.actors.block;

/** What a request asks of a block device. */
public enum BlockOp {
    /** Fill the payload from the medium. */
    READ,
    /** Put the payload on the medium. */
    WRITE,
    /** Make durable every write that was answered before this request was issued. */
    FLUSH,
    /** The contents of the range are not wanted any more: what is read there is undefined until it is written. */
    TRIM,
    /** Make the range read as zeroes. */
    WRITE_ZEROES,
    /** A hint: the range will be read soon. */
    CACHE,
    /** Tell which parts of the range are holes, and which read as zeroes: {@link Request#extents()}. */
    STATUS;

    /** Whether requests carry a payload, one way or the other. */
    public boolean hasPayload() {
        return this == READ || this == WRITE;
    }

    /** Whether it changes the medium: not for a read-only attachment. */
    public boolean changes() {
        return this == WRITE || this == TRIM || this == WRITE_ZEROES;
    }
}
