package io.sidecore.actors.core;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Decides which guest runs next on which guest core. Pure: no thread, no clock and no lock inside; times are arguments, in nanoseconds of a clock that never goes back, and compared by difference only. For one thread at a time.
 *
 * <p>A slice is one event of a guest, which cannot be preempted: {@link #pick} hands it out, {@link #ran} tells afterwards what it cost. So any guest may be ahead of its share by one event of its own, and nothing is promised for times shorter than some events.
 *
 * <p>In the spirit of Xen's credit scheduler (sched_credit.c). <b>The same:</b> a weight says the share among those that compete, a cap what an entity gets at most even if cores are idle; time that was run is paid from the entity's credit; who has
 * credit left goes before who has overspent; credit that cannot be used is bounded, to what Xen hands out in one accounting period (30 ms); who overspent its cap is parked until that is paid off; who wakes goes before those that had their share; idle
 * cores take whatever work there is. <b>Not the same:</b> Xen hands out credits every 30 ms and sorts by two priorities, UNDER and OVER; here each entity has a virtual time, the time it ran divided by its weight, the least goes first, and credit is
 * how far it is behind {@link #virtualTime()}, times its weight: this needs no accounting tick over all entities and is fair down to events. (That is start-time fair queueing: Goyal, Vin, Cheng 1996.) Time slept, or waited for the cap, earns nothing and there is no boost
 * beyond that, so that neither thousands that wake at once nor one that naps between two ticks can put others off. There is one run queue for all cores instead of one per core with stealing: work is wherever a core asks. Weights are of a vCPU, not of
 * a domain shared out among its vCPUs. Xen's default weight is 256 and its caps are in percent; here they are 100 and a share.
 *
 * <p>An entity cannot use more than one core, however large its weight. What it cannot use goes to the others by their weights.
 *
 * <p>Each call is O(log n) in the entities; only {@link #add} allocates.
 */
public final class CreditScheduler {
    /** Limits of a weight, and what it is unless said otherwise. */
    public static final int MIN_WEIGHT = 1;

    public static final int MAX_WEIGHT = 10_000;
    public static final int DEFAULT_WEIGHT = 100;

    /** The smallest cap, and the one that is none: an entity is on one core at a time anyway. */
    public static final double MIN_CAP = 0.001;

    public static final double UNCAPPED = 1;

    /** Credit that a runnable entity keeps at most, nanoseconds. */
    static final long CREDIT_NANOS = 30_000_000;

    /** What a capped entity may use at once after a rest, as nanoseconds at its cap: in any time t it uses at most cap × (t + this), and one event; and what it was {@linkplain #urge urged} to. */
    static final long BURST_NANOS = 10_000_000;

    private enum Place {
        /** Nothing to run. */
        ASLEEP,
        QUEUED,
        /** Something to run, and the cap forbids it for now. */
        THROTTLED,
        RUNNING
    }

    /** What is scheduled: a vCPU. Belongs to one scheduler; its state is touched by that alone. */
    public static class Entity {
        private final Count granted = new Count();
        private final Count migrations = new Count();
        private int weight;
        private double cap;
        private Place place = Place.ASLEEP;
        private boolean member;
        /** Has something to run, or will have once it has run. */
        private boolean runnable;
        /** Its next slice does not wait for its cap. */
        private boolean urged;

        private int core = -1;
        /** Nanoseconds of its run, divided by its weight, and what the division left over. */
        private long virtual;

        private long remainder;
        /** When its cap lets it run again. */
        private long allowedAt;

        /** Of the heap that it is in. */
        private long key;

        private long order;
        private int index = -1;

        /**
         * An entity not yet added.
         *
         * @param weight {@link #MIN_WEIGHT} to {@link #MAX_WEIGHT}
         * @param cap share of one core, {@link #MIN_CAP} to {@link #UNCAPPED}
         * @throws IllegalArgumentException if one of them is out of its limits
         */
        public Entity(int weight, double cap) {
            this.weight = checkedWeight(weight);
            this.cap = checkedCap(cap);
        }

        /** Its share among those that compete. */
        public final int weight() {
            return weight;
        }

        /** The share of one core that it gets at most; {@link #UNCAPPED} if it has none. */
        public final double cap() {
            return cap;
        }

        /** Nanoseconds that it ran so far; any thread. */
        public final long grantedNanos() {
            return granted.get();
        }

        /** Times it ran on another core than before; any thread. */
        public final long migrations() {
            return migrations.get();
        }

        /** The core that it was given last, −1 if none yet. */
        public final int core() {
            return core;
        }

        private boolean before(Entity other) {
            var difference = key - other.key;
            return difference < 0 || difference == 0 && order < other.order;
        }
    }

    private final Heap queue = new Heap();
    private final Heap throttled = new Heap();
    private int size;
    private long orders;
    private long virtualTime;

    /**
     * Takes an entity in, asleep.
     *
     * @throws IllegalStateException if it is in already, or still runs after it was removed
     */
    public void add(Entity entity, long now) {
        if (entity.member || entity.place == Place.RUNNING) {
            throw new IllegalStateException("the entity is in already, or still runs");
        }
        size++;
        queue.reserve(size);
        throttled.reserve(size);
        entity.member = true;
        entity.runnable = false;
        entity.urged = false;
        entity.virtual = virtualTime;
        entity.allowedAt = now;
    }

    /** Takes it out. If it runs, what that cost is still told by {@link #ran}. */
    public void remove(Entity entity) {
        require(entity);
        leave(entity);
        entity.member = false;
        entity.runnable = false;
        size--;
    }

    /** It has something to run, also while it runs: it is then not asleep afterwards. */
    public void wake(Entity entity, long now) {
        require(entity);
        entity.runnable = true;
        if (entity.place == Place.ASLEEP) {
            enter(entity, 0, now);
        }
    }

    /** Its next slice, be it now or once it is woken, does not wait for its cap; it is paid for like any other, and those behind it wait the longer. For what somebody else wants of it, and not it itself. */
    public void urge(Entity entity, long now) {
        require(entity);
        entity.urged = true;
        if (entity.place == Place.THROTTLED) {
            leave(entity);
            enter(entity, 0, now);
        }
    }

    /** It has nothing to run any more. While it runs: unless it is woken before that ends, it is asleep afterwards. */
    public void idle(Entity entity) {
        require(entity);
        entity.runnable = false;
        leave(entity);
    }

    /**
     * The entity that runs next on this core, from now until {@link #ran} is called for it; null if none may. Then, if {@link #throttled()} is not zero, there may be one at {@link #lookAgainAt()}.
     *
     * @param core any number that means a core to the caller; that it runs nothing is the caller's care
     */
    public @Nullable Entity pick(int core, long now) {
        release(now);
        var next = queue.first();
        if (next == null) {
            return null;
        }
        queue.remove(next);
        next.place = Place.RUNNING;
        next.urged = false;
        virtualTime = Math.max(virtualTime, next.virtual);
        // A rest longer than the burst is not made up for.
        next.allowedAt = later(next.allowedAt, now - BURST_NANOS);
        if (next.core != core) {
            if (next.core >= 0) {
                next.migrations.add(1);
            }
            next.core = core;
        }
        return next;
    }

    /**
     * What was picked has run for so long; it is queued again unless it went idle or was removed meanwhile.
     *
     * @throws IllegalStateException if it was not picked
     * @throws IllegalArgumentException if {@code nanos} is negative
     */
    public void ran(Entity entity, long nanos, long now) {
        if (entity.place != Place.RUNNING) {
            throw new IllegalStateException("it was told to have run, and was not picked");
        }
        if (nanos < 0) {
            throw new IllegalArgumentException("it ran " + nanos + " ns");
        }
        entity.granted.add(nanos);
        var paid = entity.remainder + nanos;
        entity.virtual += paid / entity.weight;
        entity.remainder = paid % entity.weight;
        entity.allowedAt += (long) Math.ceil(nanos / entity.cap);
        entity.place = Place.ASLEEP;
        if (entity.runnable) {
            enter(entity, CREDIT_NANOS, now);
        }
    }

    /**
     * Changes its weight; what it has in credit, or has overspent, stays the same time.
     *
     * @throws IllegalArgumentException if out of limits
     */
    public void weight(Entity entity, int weight) {
        require(entity);
        checkedWeight(weight);
        var credit = Math.min(virtualTime - entity.virtual, CREDIT_NANOS / entity.weight) * entity.weight;
        entity.weight = weight;
        entity.virtual = virtualTime - credit / weight;
        entity.remainder = 0;
        if (entity.place == Place.QUEUED) {
            queue.remove(entity);
            queue.add(entity, entity.virtual, orders++);
        }
    }

    /**
     * Changes its cap; what it has overspent stays the same time.
     *
     * @throws IllegalArgumentException if out of limits
     */
    public void cap(Entity entity, double cap, long now) {
        require(entity);
        checkedCap(cap);
        var overspent = Math.max(0, entity.allowedAt - now) * entity.cap;
        entity.allowedAt = now + (long) Math.ceil(overspent / cap);
        entity.cap = cap;
        if (entity.place == Place.QUEUED || entity.place == Place.THROTTLED) {
            var credit = entity.place == Place.QUEUED ? CREDIT_NANOS : 0;
            leave(entity);
            enter(entity, credit, now);
        }
    }

    /** Entities that are in. */
    public int size() {
        return size;
    }

    /** Those that a core could take now, as of the last call that told the time. */
    public int waiting() {
        return queue.size;
    }

    /** Those that have something to run and may not for their cap, as of the last call that told the time. */
    public int throttled() {
        return throttled.size;
    }

    /**
     * When the first of the throttled may run.
     *
     * @throws IllegalStateException if there is none
     */
    public long lookAgainAt() {
        var first = throttled.first();
        if (first == null) {
            throw new IllegalStateException("nothing is throttled");
        }
        return first.key;
    }

    /** The most that anything had run by its weight when it was picked; nanoseconds divided by weight. Never goes back. */
    long virtualTime() {
        return virtualTime;
    }

    /** To the queue, with at most so much credit, or to the throttled. */
    private void enter(Entity entity, long creditNanos, long now) {
        if (entity.cap < UNCAPPED && !entity.urged && entity.allowedAt - now > 0) {
            entity.place = Place.THROTTLED;
            throttled.add(entity, entity.allowedAt, orders++);
            return;
        }
        // Also one with a weight beyond what it can use, on several cores, falls behind for ever: what it would have in
        // credit is not kept either.
        entity.virtual = Math.max(entity.virtual, virtualTime - creditNanos / entity.weight);
        entity.place = Place.QUEUED;
        queue.add(entity, entity.virtual, orders++);
    }

    private void leave(Entity entity) {
        switch (entity.place) {
            case QUEUED -> {
                queue.remove(entity);
                entity.place = Place.ASLEEP;
            }
            case THROTTLED -> {
                throttled.remove(entity);
                entity.place = Place.ASLEEP;
            }
            case ASLEEP, RUNNING -> {}
        }
    }

    private void release(long now) {
        for (Entity first; (first = throttled.first()) != null && first.key - now <= 0; ) {
            throttled.remove(first);
            enter(first, 0, now);
        }
    }

    private static long later(long a, long b) {
        return a - b >= 0 ? a : b;
    }

    private static void require(Entity entity) {
        if (!entity.member) {
            throw new IllegalStateException("the entity is not in, or was removed");
        }
    }

    private static int checkedWeight(int weight) {
        if (weight < MIN_WEIGHT || weight > MAX_WEIGHT) {
            throw new IllegalArgumentException(
                    "weight " + weight + " is not between " + MIN_WEIGHT + " and " + MAX_WEIGHT);
        }
        return weight;
    }

    private static double checkedCap(double cap) {
        if (!(cap >= MIN_CAP && cap <= UNCAPPED)) {
            throw new IllegalArgumentException("cap " + cap + " is not between " + MIN_CAP + " and " + UNCAPPED
                    + ", which is one core: as much as no cap");
        }
        return cap;
    }

    /** A binary heap by key, the earlier first among equals; each entity knows its index and is in one heap at most. */
    private static final class Heap {
        private Entity[] heap = new Entity[16];
        private int size;

        void reserve(int entities) {
            if (entities > heap.length) {
                heap = Arrays.copyOf(heap, heap.length * 2);
            }
        }

        @Nullable
        Entity first() {
            return size == 0 ? null : heap[0];
        }

        void add(Entity entity, long key, long order) {
            entity.key = key;
            entity.order = order;
            up(size++, entity);
        }

        void remove(Entity entity) {
            var hole = entity.index;
            entity.index = -1;
            var last = heap[--size];
            heap[size] = null;
            if (last != entity) {
                down(hole, last);
                if (heap[hole] == last) {
                    up(hole, last);
                }
            }
        }

        private void up(int i, Entity entity) {
            while (i > 0) {
                var parent = (i - 1) >>> 1;
                if (heap[parent].before(entity)) {
                    break;
                }
                put(i, heap[parent]);
                i = parent;
            }
            put(i, entity);
        }

        private void down(int i, Entity entity) {
            for (int child; (child = 2 * i + 1) < size; i = child) {
                if (child + 1 < size && heap[child + 1].before(heap[child])) {
                    child++;
                }
                if (entity.before(heap[child])) {
                    break;
                }
                put(i, heap[child]);
            }
            put(i, entity);
        }

        private void put(int i, Entity entity) {
            heap[i] = entity;
            entity.index = i;
        }
    }
}
