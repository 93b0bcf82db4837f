package io.sidecore.actors.vif;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.InFlightLedger;
import io.sidecore.actors.core.Loop;
import io.sidecore.conf.VifSettings;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * The service's side of a queue, as the {@link GuestEnd} at its other side sees it: where requests are opened and answered, and what a guest may do with its own queue, which is to use it and to leave. Management (what lies behind the queue, where it
 * runs, the volume, the VIF) cannot be reached from here, by type. On the queue's loop, unless said otherwise.
 */
public interface ServiceEnd {
    /** Its name: the VIF's, and a number. */
    String name();

    /** The loop it is placed on; changes with a move. Any thread. */
    Loop loop();

    /** How many streams have served it. Any thread. */
    int generation();

    /** Its bounds. */
    VifSettings limits();

    /** Where requests are opened, and freed once their answers have left. */
    InFlightLedger ledger();

    /** Where its time goes. */
    Stages stages();

    /** The guest's end has something to receive, or room again. */
    void ready();

    /** Whether the stream waits for the guest; if not, the guest's end need not look. */
    boolean wanted();

    /** Memory of the medium in place of a payload of the guest end's, where nothing stands between that wants to see it; null for none. */
    @Nullable
    MemorySegment lend(BlockOp op, long offset, int length);

    /** A write that was {@linkplain #lend lent} memory will not be served any more. */
    void settle(long offset, long length);

    /**
     * Whether every store that was given up with requests of this queue has been cut off. If not, it may still write into a read's payload or read a write's, of requests that were {@linkplain InFlightLedger#replays issued again} since or are answered now: {@link GuestEnd#fenced} tells when it is over.
     */
    boolean fenced();

    /** The guest leaves: requests in flight are still answered if its end can, then everything is let go. Any thread. */
    void close(String reason);
}
