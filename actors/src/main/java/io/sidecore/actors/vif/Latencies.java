package io.sidecore.actors.vif;

import io.sidecore.actors.core.Count;
import java.util.concurrent.atomic.AtomicLongArray;
import org.jspecify.annotations.Nullable;

/**
 * How long requests took: a histogram of fixed buckets, eight to each power of two, so that a bucket is an eighth of its value wide at most. One writer, its loop, and any number of readers: recording is a plain load and store, allocates nothing and
 * needs no locked instruction, which HdrHistogram's recorders that can be read meanwhile do. Readers see values that are at most a moment old.
 *
 * <pre>
 *   bucket   0   1  ...   15   16 ...   23   24 ...        unit: 125 ns
 *   up to    1   2  ...   16   18 ...   32   36 ...        so powers of two of a microsecond are bounds
 * </pre>
 */
public final class Latencies {
    private static final int UNIT_NANOS = 125;
    private static final int SUB_BITS = 3;
    private static final int SUBS = 1 << SUB_BITS;
    /** Up to 2^34 units, some 36 minutes; what took longer is in the last one. */
    private static final int BUCKETS = bucketOfUnits((1L << 34) - 1) + 1;

    /** Made when it is needed: most connections use few operations. Readers may see it late, and whole: the field within it is final. */
    private @Nullable AtomicLongArray counts;

    private final Count nanos = new Count();
    private final Count longest = new Count();

    Latencies() {}

    /** One request took so long; the one writer only. */
    void record(long took) {
        add(bucket(took), 1);
        nanos.add(took);
        longest.max(took);
    }

    /** All of another; the one writer only. */
    void add(Latencies other) {
        for (var i = 0; i < BUCKETS; i++) {
            var more = other.inBucket(i);
            if (more != 0) {
                add(i, more);
            }
        }
        nanos.add(other.nanos.get());
        longest.max(other.longest.get());
    }

    private void add(int bucket, long requests) {
        var present = counts;
        if (present == null) {
            present = new AtomicLongArray(BUCKETS);
            counts = present;
        }
        present.setOpaque(bucket, present.getPlain(bucket) + requests);
    }

    /** Requests. */
    public long count() {
        var all = 0L;
        for (var i = 0; i < BUCKETS; i++) {
            all += inBucket(i);
        }
        return all;
    }

    /** The time of all of them together, in nanoseconds. */
    public long nanos() {
        return nanos.get();
    }

    /** The longest, in nanoseconds. */
    public long longestNanos() {
        return longest.get();
    }

    /** Buckets that there are. */
    public static int buckets() {
        return BUCKETS;
    }

    /** Requests in a bucket: those that took longer than the one before it allows, and at most {@link #boundNanos(int)}. */
    public long inBucket(int bucket) {
        var present = counts;
        return present == null ? 0 : present.getOpaque(bucket);
    }

    /** The longest that belongs to a bucket, in nanoseconds; what is beyond the last one is in the last one. */
    public static long boundNanos(int bucket) {
        if (bucket < 2 * SUBS) {
            return (bucket + 1L) * UNIT_NANOS;
        }
        var shift = bucket / SUBS - 1;
        return (bucket % SUBS + SUBS + 1L << shift) * UNIT_NANOS;
    }

    /**
     * What a share of the requests did not exceed, in nanoseconds: the bound of the bucket in which that request is, and never more than the longest. Zero if there were none.
     *
     * @param share 0 to 1; 0.99 for all but one in a hundred
     */
    public long quantileNanos(double share) {
        var total = count();
        var rank = Math.max(1, (long) Math.ceil(share * total));
        var seen = 0L;
        for (var i = 0; i < BUCKETS && total > 0; i++) {
            seen += inBucket(i);
            if (seen >= rank) {
                return Math.min(boundNanos(i), longestNanos());
            }
        }
        return 0;
    }

    private static int bucket(long took) {
        // A bound belongs to the bucket below it.
        return Math.min(bucketOfUnits(Math.max(0, took - 1) / UNIT_NANOS), BUCKETS - 1);
    }

    private static int bucketOfUnits(long units) {
        if (units < SUBS) {
            return (int) units;
        }
        var shift = Long.SIZE - 1 - SUB_BITS - Long.numberOfLeadingZeros(units);
        return (shift << SUB_BITS) + (int) (units >>> shift);
    }
}
