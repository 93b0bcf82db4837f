package io.sidecore.actors.block;

import io.sidecore.actors.block.Store.Answer;

/**
 * What a store can do, and how well; asked once an attachment.
 *
 * @param readOnly whether nothing can be written
 * @param flush whether a flush makes earlier writes durable (a memory store: against nothing less than the loss of the process)
 * @param fua whether a single request can be made durable; emulated: by a flush behind it
 * @param trim whether trimmed ranges are given back; {@link Answer#NONE} is no error: a trim is a hint
 * @param writeZeroes whether zeroes can be written without sending them; emulated: by writing them
 * @param fastZero whether that can be known to be faster than writing them: {@link Request#FAST_ZERO} is refused where it is not
 * @param cache whether a range can be read ahead
 * @param extents whether holes are known; where not, everything is reported as data
 * @param sharedFlush whether a flush through one connection covers the writes completed through all (NBD's MULTI_CONN)
 * @param sizes alignment and size of requests
 */
public record Capabilities(
        boolean readOnly,
        Answer flush,
        Answer fua,
        Answer trim,
        Answer writeZeroes,
        Answer fastZero,
        Answer cache,
        Answer extents,
        boolean sharedFlush,
        BlockSizes sizes) {

    /**
     * Bytes of requests.
     *
     * @param minimum alignment of offset and length; a store takes others all the same if that is 1
     * @param preferred what is served best
     * @param maximum payload of one request
     */
    public record BlockSizes(int minimum, int preferred, int maximum) {
        /** What clients may assume if nothing was said: any alignment, up to 32 MiB. */
        public static final BlockSizes ANY = new BlockSizes(1, 4096, 32 << 20);
    }

    /** A store that can do everything itself, such as memory. */
    public static final Capabilities ALL = new Capabilities(
            false,
            Answer.NATIVE,
            Answer.NATIVE,
            Answer.NATIVE,
            Answer.NATIVE,
            Answer.NATIVE,
            Answer.NATIVE,
            Answer.NATIVE,
            true,
            BlockSizes.ANY);
}
