package io.sidecore.actors.block;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Every request of a queue that its guest has asked and not been answered. It is the storage of the requests (the streams carry references to its slots), it sees to it that
 * each is answered exactly once, and it knows what to replay when the chain behind the queue is replaced. Belongs to the queue's loop.
 *
 * <pre>
 *   FREE --open--> OPEN --answer--> ANSWERED --free--> FREE
 *                   |  ^
 *           orphan  |  | replay (same slot object if it came back, a new one if a store still has it)
 *                   v  |
 *                 ORPHAN --returned--> gone
 * </pre>
 */
public final class InFlightLedger {
    /** Requests in a batch, at most. */
    public static final int BATCH = 64;

    private final Request[] slots;
    private @Nullable Request free;
    private int open;
    private int used;
    private int orphans;
    private long sequence;
    private long late;

    /** A ledger of so many slots. */
    public InFlightLedger(int capacity) {
        slots = new Request[capacity];
        for (var i = capacity - 1; i >= 0; i--) {
            slots[i] = new Request(i);
            slots[i].freeNext = free;
            free = slots[i];
        }
    }

    /** Whether another request can be opened. */
    public boolean hasRoom() {
        return free != null;
    }

    /** Requests that were asked and not answered. */
    public int open() {
        return open;
    }

    /** Slots in use: open ones, and those whose answer has not left yet. */
    public int used() {
        return used;
    }

    /** Requests of older generations that a store has not given back. */
    public int orphans() {
        return orphans;
    }

    /** Completions dropped because they were late or came twice. */
    public long late() {
        return late;
    }

    /** Enters a request. The caller knows that there is {@link #hasRoom() room}. */
    public Request open(BlockOp op, long offset, long length, int flags, long cookie, int generation) {
        var request = free;
        assert request != null : "no room";
        free = request.freeNext;
        request.freeNext = null;
        request.open(op, offset, length, flags, cookie);
        request.state = Request.State.OPEN;
        request.sequence = sequence++;
        request.generation = generation;
        open++;
        used++;
        return request;
    }

    /** Marks it answered if it is open and of this generation; false if the completion is late or a second one: drop it. */
    public boolean answer(Request request, int generation) {
        if (request.state != Request.State.OPEN || request.generation != generation) {
            late++;
            return false;
        }
        request.state = Request.State.ANSWERED;
        open--;
        return true;
    }

    /** Frees the slot of a request whose answer has left (or never will: its guest is gone). */
    public void free(Request request) {
        if (request.state == Request.State.OPEN) {
            open--;
        } else if (request.state != Request.State.ANSWERED) {
            throw new IllegalStateException("freed while " + request.state + ": " + request);
        }
        request.state = Request.State.FREE;
        request.payload(null, 0);
        request.freeNext = free;
        free = request;
        used--;
    }

    /** Notes that a store was handed this chain. */
    public static void handedToStore(@Nullable Request chain) {
        for (var r = chain; r != null; r = r.next()) {
            r.inStore = true;
        }
    }

    /** Notes that a store gave this chain back. */
    public static void backFromStore(@Nullable Request chain) {
        for (var r = chain; r != null; r = r.next()) {
            r.inStore = false;
        }
    }

    /** Whether some open request is in a store's hands. */
    public boolean anyInStore() {
        for (var request : slots) {
            if (request.state == Request.State.OPEN && request.inStore) {
                return true;
            }
        }
        return false;
    }

    /**
     * Everything unanswered, by order of arrival, for the next generation.
     *
     * @param lost whether the old chain was abandoned: each of its requests then gets a new slot object, since something of the old chain may still refer to the old one
     */
    public List<Request> replay(int generation, boolean lost) {
        var unanswered = new ArrayList<Request>();
        for (var request : slots) {
            if (request.state == Request.State.OPEN) {
                unanswered.add(request);
            }
        }
        unanswered.sort(Comparator.comparingLong(r -> r.sequence));
        if (lost) {
            unanswered.replaceAll(this::successor);
        }
        for (var request : unanswered) {
            if (request.op() == BlockOp.READ && request.isLent()) {
                // Lent by a store that may be another one now. (A write has happened already where it was lent.)
                request.payload(null, 0);
            }
            request.generation = generation;
            request.inStore = false;
            request.unlink();
            request.fail(Errno.OK);
        }
        return unanswered;
    }

    private Request successor(Request predecessor) {
        var successor = new Request(predecessor.slot());
        successor.takeOver(predecessor);
        successor.state = Request.State.OPEN;
        successor.replays++;
        slots[predecessor.slot()] = successor;
        predecessor.state = Request.State.ORPHAN;
        if (predecessor.inStore) {
            var slab = predecessor.slab();
            orphans++;
            if (predecessor.op() == BlockOp.READ) {
                // The store may still write into the old payload: that memory stays the orphan's, and the successor
                // gets other memory.
                successor.payload(null, 0);
            } else if (slab != null) {
                slab.hold();
            }
        }
        return successor;
    }

    /** A store gave it back unserved although nobody was changing anything. */
    public void bounced(Request request) {
        request.replays++;
    }

    /** How often this request was replayed because its chain was lost. */
    public static int replays(Request request) {
        return request.replays;
    }

    /** An orphan came back from its store. The caller releases its memory. */
    public void returned(Request orphan) {
        late++;
        orphans--;
        orphan.inStore = false;
    }

    /** Whether it is an orphan that a store had: of an older generation, replaced by a successor. */
    public static boolean isOrphan(Request request) {
        return request.state == Request.State.ORPHAN && request.inStore;
    }

    /** Every request in use. */
    public List<Request> inUse() {
        var all = new ArrayList<Request>();
        for (var request : slots) {
            if (request.state != Request.State.FREE) {
                all.add(request);
            }
        }
        return all;
    }
}
