package io.sidecore.actors.block;

/** What a request asks of a block device. */
public enum BlockOp {
    /** Fill the payload from the medium. */
    READ,
    /** Put the payload on the medium. */
    WRITE,
    /** Make durable every write that was answered before this request was issued. */
    FLUSH
}
