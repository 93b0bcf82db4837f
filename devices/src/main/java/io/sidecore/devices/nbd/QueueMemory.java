package io.sidecore.devices.nbd;

import io.sidecore.actors.block.InFlightLedger;
import io.sidecore.actors.block.Slab;
import io.sidecore.actors.block.SlabPool;
import org.jspecify.annotations.Nullable;

/** The slabs that one queue has borrowed, bounded in bytes by the queue's limit and by the pool's. On the queue's loop. */
final class QueueMemory {
    private final long limit;
    private final InFlightLedger ledger;
    private final SlabPool pool;
    private long held;

    QueueMemory(long limit, InFlightLedger ledger, SlabPool pool) {
        this.limit = limit;
        this.ledger = ledger;
        this.pool = pool;
    }

    /** A slab of at least so many bytes, or null if the bounds do not allow another. */
    @Nullable
    Slab borrow(int bytes) {
        if (ledger.used() == 0) {
            // One request always fits, or it could never be served.
            return borrowBeyond(bytes);
        }
        var rounded = Math.ceilDiv(bytes, SlabPool.STANDARD) * (long) SlabPool.STANDARD;
        var slab = held + rounded > limit ? null : pool.borrow(bytes);
        return slab == null ? null : hold(slab);
    }

    /** A slab without asking the bounds: they are for payloads, and an answer of some bytes must not fail. */
    Slab borrowBeyond(int bytes) {
        return hold(pool.borrowBeyond(bytes));
    }

    private Slab hold(Slab slab) {
        held += slab.capacity();
        return slab;
    }

    /** Keeps the slab even while nothing in it is held. */
    Slab keep(Slab slab) {
        slab.kept(true);
        return slab;
    }

    /** No longer keeps it: it goes back when nothing in it is held. */
    void drop(Slab slab) {
        slab.kept(false);
        if (slab.live() == 0) {
            giveBack(slab);
        }
    }

    /** One holder less. */
    void release(Slab slab) {
        if (slab.release() && !slab.kept()) {
            giveBack(slab);
        }
    }

    private void giveBack(Slab slab) {
        held -= slab.capacity();
        pool.giveBack(slab);
    }
}
