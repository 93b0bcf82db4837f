package io.sidecore.actors.vif;

import java.lang.foreign.MemorySegment;
import java.util.function.LongSupplier;

/**
 * The memory of a guest inside this process, in which the payloads of its requests lie. It must stay mapped until every queue over it {@linkplain InlineQueue#ended() has ended}.
 *
 * @param segment all that the guest can ever have: off-heap, accessible from every thread, below 2 GiB
 * @param present bytes that it has at present, from the beginning of the segment; asked on the guest's thread, once a request. It may grow, and must not shrink
 */
public record GuestMemory(MemorySegment segment, LongSupplier present) {
    public GuestMemory {
        if (!segment.isNative() || segment.isReadOnly() || segment.byteSize() > Integer.MAX_VALUE) {
            throw new IllegalArgumentException(
                    "guest memory must be off the heap, writable, and smaller than 2 GiB, not " + segment);
        }
        if (!segment.isAccessibleBy(new Thread(() -> {}))) {
            throw new IllegalArgumentException("guest memory must be accessible from every thread, not " + segment);
        }
    }

    /** Memory that is all there. */
    public static GuestMemory of(MemorySegment segment) {
        return new GuestMemory(segment, segment::byteSize);
    }

    /** Bytes that it has at present. */
    public long bytes() {
        return Math.min(present.getAsLong(), segment.byteSize());
    }
}
