package io.sidecore.actors.block;

import org.jspecify.annotations.Nullable;

/** Collects requests into a chain, in order, without allocating. Reused by its owner; not safe for several threads. */
public final class Chain {
    private @Nullable Request head;
    private @Nullable Request tail;
    private int count;

    /** Puts one request, unlinked, behind the others. */
    public void add(Request one) {
        if (tail == null) {
            head = one;
        } else {
            tail.link(one);
        }
        tail = one;
        count++;
    }

    /** Puts a whole chain, possibly none (null), behind the others. */
    public void append(@Nullable Request chain) {
        while (chain != null) {
            var following = chain.unlink();
            add(chain);
            chain = following;
        }
    }

    /** Whether nothing was collected. */
    public boolean isEmpty() {
        return head == null;
    }

    /** Requests collected. */
    public int count() {
        return count;
    }

    /** The first one, left in place; null if there is none. */
    public @Nullable Request first() {
        return head;
    }

    /** Takes the first one out; null if there is none. */
    public @Nullable Request poll() {
        if (head == null) {
            return null;
        }
        var first = head;
        head = first.unlink();
        count--;
        if (head == null) {
            tail = null;
        }
        return first;
    }

    /** Hands over everything collected; null if there is nothing. */
    public @Nullable Request take() {
        var chain = head;
        head = null;
        tail = null;
        count = 0;
        return chain;
    }
}
