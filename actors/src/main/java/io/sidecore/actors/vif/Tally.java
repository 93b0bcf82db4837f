package io.sidecore.actors.vif;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.core.Count;
import java.util.function.LongSupplier;

/**
 * What a queue has served so far, by operation, and what was changed beneath it. Requests are those that were understood: what a guest end refuses while decoding is none, and is only {@linkplain #refused() counted} where it is a guest's inside this process. The time of a request is that from its arrival, when all of it was there, to its answer, whatever held
 * it in between: interposers, the store, changes. Written on the queue's loop, readable by everyone; of a VIF it is the sum over its queues, those that have ended included.
 */
@SuppressWarnings("EnumOrdinal") // Looked up for each request: an array is what is quick.
public final class Tally {
    private static final BlockOp[] OPS = BlockOp.values();
    private static final Errno[] ERRNOS = Errno.values();

    private final Latencies[] latencies = new Latencies[OPS.length];
    private final Count[] bytes = new Count[OPS.length];
    private final Count[] errors = new Count[OPS.length * ERRNOS.length];
    private final Count arrived = new Count();
    private final Count slow = new Count();
    private final Count stalls = new Count();
    private final Count stalledNanos = new Count();
    private final Count replayed = new Count();
    private final Count lost = new Count();
    private final Count refused = new Count();
    private final LongSupplier refusing;

    /** A sum. */
    Tally() {
        this(() -> 0);
    }

    /**
     * Of a queue.
     *
     * @param refusing how many requests its guest's end has refused; asked on any thread
     */
    Tally(LongSupplier refusing) {
        this.refusing = refusing;
        for (var i = 0; i < OPS.length; i++) {
            latencies[i] = new Latencies();
            bytes[i] = new Count();
        }
        for (var i = 0; i < errors.length; i++) {
            errors[i] = new Count();
        }
    }

    // --- the writer

    void arrived(int requests) {
        arrived.add(requests);
    }

    /** A request is answered; returns how long it took. */
    long answered(Request request, long now) {
        var op = request.op().ordinal();
        var took = now - request.arrivedAt();
        latencies[op].record(took);
        if (request.error() == Errno.OK) {
            bytes[op].add(request.payloadBytes());
        } else {
            errors[error(request.op(), request.error())].add(1);
        }
        return took;
    }

    void slow() {
        slow.add(1);
    }

    void stalled(Queue.Changed change) {
        stalls.add(1);
        stalledNanos.add(change.stallNanos());
        replayed.add(change.replayed());
        lost.add(change.lost() ? 1 : 0);
    }

    /** Another one, too. */
    void add(Tally other) {
        for (var i = 0; i < OPS.length; i++) {
            latencies[i].add(other.latencies[i]);
            bytes[i].add(other.bytes[i].get());
        }
        for (var i = 0; i < errors.length; i++) {
            errors[i].add(other.errors[i].get());
        }
        arrived.add(other.arrived.get());
        slow.add(other.slow.get());
        stalls.add(other.stalls.get());
        stalledNanos.add(other.stalledNanos.get());
        replayed.add(other.replayed.get());
        lost.add(other.lost.get());
        refused.add(other.refused());
    }

    // --- the readers

    /** How long the requests of one kind took, from arrival to answer. */
    public Latencies latencies(BlockOp op) {
        return latencies[op.ordinal()];
    }

    /** How long all requests took. */
    public Latencies latencies() {
        var all = new Latencies();
        for (var one : latencies) {
            all.add(one);
        }
        return all;
    }

    /** Requests answered, with an error or without. */
    public long requests() {
        var all = 0L;
        for (var one : latencies) {
            all += one.count();
        }
        return all;
    }

    /** Requests that were not answered yet. */
    public long inFlight() {
        // What is answered is looked at first: nothing is answered that had not arrived.
        var answered = requests();
        return Math.max(0, arrived.get() - answered);
    }

    /** Payload bytes of the requests of one kind that were done without an error. */
    public long bytes(BlockOp op) {
        return bytes[op.ordinal()].get();
    }

    /** Payload bytes read and written. */
    public long bytes() {
        return bytes(BlockOp.READ) + bytes(BlockOp.WRITE);
    }

    /** Requests of one kind that were answered with this error. */
    public long errors(BlockOp op, Errno error) {
        return errors[error(op, error)].get();
    }

    /** Requests answered with an error. */
    public long errors() {
        var all = 0L;
        for (var one : errors) {
            all += one.get();
        }
        return all;
    }

    /** Requests that took longer than {@code vif.slow-after}. */
    public long slowRequests() {
        return slow.get();
    }

    /** Times that the queue stood still for a change, of an interposer, a loop or a store, or because its chain broke. */
    public long stalls() {
        return stalls.get();
    }

    /** The time of all stalls together, in nanoseconds. */
    public long stalledNanos() {
        return stalledNanos.get();
    }

    /** Requests that were issued again behind a change. */
    public long replayed() {
        return replayed.get();
    }

    /** Changes at which the chain was given up, since its requests did not drain or it broke. */
    public long chainsLost() {
        return lost.get();
    }

    /** Requests of a guest inside this process that made no sense, or were not on its disk or in its memory: neither served nor answered, and in no other count. */
    public long refused() {
        return refused.get() + refusing.getAsLong();
    }

    private static int error(BlockOp op, Errno error) {
        return op.ordinal() * ERRNOS.length + error.ordinal();
    }
}
