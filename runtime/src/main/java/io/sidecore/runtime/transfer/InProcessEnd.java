package io.sidecore.runtime.transfer;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Chain;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Extents;
import io.sidecore.actors.block.InFlightLedger;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Slab;
import io.sidecore.actors.block.SlabPool;
import io.sidecore.actors.vif.GuestEnd;
import io.sidecore.actors.vif.ServiceEnd;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.LinkedTransferQueue;
import org.jspecify.annotations.Nullable;

/**
 * The guest end of a queue whose guest is one thread of this process: it {@link #ask asks} and {@link #take takes} answers, in whatever order they come. Neither side ever makes the loop wait.
 *
 * <p>A payload lies in a slab of its own, one a request, borrowed by the asking thread. From {@code ask} on it is the queue's; a read's slab becomes the thread's again with the answer and must be {@link #giveBack given back}.
 */
public final class InProcessEnd implements GuestEnd {
    /** Bytes of a payload, at most: what a standard slab holds. */
    public static final int CHUNK = 1 << 20;

    /**
     * An answer.
     *
     * @param error how it ended
     * @param slab of a read, holding what was read from its beginning on; null otherwise
     * @param extents of a status; null otherwise
     */
    public record Answer(
            BlockOp op,
            long offset,
            long length,
            Errno error,
            @Nullable Slab slab,
            @Nullable Extents extents) {}

    private record Ask(
            BlockOp op, long offset, long length, @Nullable Slab slab) {}

    private static final Answer END = new Answer(BlockOp.FLUSH, 0, 0, Errno.ESHUTDOWN, null, null);

    private final SlabPool pool;
    private final ConcurrentLinkedQueue<Ask> asked = new ConcurrentLinkedQueue<>();
    private final LinkedTransferQueue<Answer> answers = new LinkedTransferQueue<>();
    private final Chain batch = new Chain();
    private volatile @Nullable ServiceEnd queue;
    private volatile @Nullable String ended;
    private boolean starved;

    /** An end whose payloads come from {@code pool}. */
    public InProcessEnd(SlabPool pool) {
        this.pool = pool;
    }

    // --- the asking thread's side

    /** A slab for a payload, empty. */
    public Slab borrow() {
        // Bounded by the guest, which has so many requests in flight: a copy must not fail because clients have the
        // memory.
        return pool.borrowBeyond(CHUNK);
    }

    /** A slab that holds nothing of interest any more. */
    public void giveBack(Slab slab) {
        if (slab.live() > 0) {
            slab.release();
        }
        pool.giveBack(slab);
    }

    /** Asks to read {@code length} bytes, at most {@link #CHUNK}. */
    public void read(long offset, int length) {
        ask(new Ask(BlockOp.READ, offset, length, borrow()));
    }

    /** Asks to write the first {@code length} bytes of {@code slab}. */
    public void write(long offset, int length, Slab slab) {
        ask(new Ask(BlockOp.WRITE, offset, length, slab));
    }

    /** Asks something that has no payload. */
    public void ask(BlockOp op, long offset, long length) {
        ask(new Ask(op, offset, length, null));
    }

    private void ask(Ask ask) {
        if (ask.slab() != null) {
            ask.slab().take((int) ask.length());
        }
        asked.add(ask);
        if (ended != null) {
            // It ended between: nobody else comes for what is left.
            forgetAsked();
        } else {
            signal();
        }
    }

    /**
     * The next answer, when there is one.
     *
     * @throws TransferException if the queue has ended: nothing that was asked is answered any more
     */
    public Answer take() throws InterruptedException {
        var answer = answers.take();
        if (answer == END) {
            answers.add(END);
            throw new TransferException("the volume was taken away: " + ended);
        }
        return answer;
    }

    /** Gives back what was answered and never taken. The queue must have ended. */
    public void drop() {
        for (Answer answer; (answer = answers.poll()) != null; ) {
            if (answer.slab() != null) {
                giveBack(answer.slab());
            }
        }
        answers.add(END);
    }

    private void signal() {
        var serving = queue;
        if (serving == null) {
            // It will look by itself when it is attached.
            return;
        }
        var loop = serving.loop();
        loop.execute(() -> {
            if (serving.loop() != loop) {
                signal();
            } else {
                serving.ready();
            }
        });
    }

    // --- the loop's side

    private ServiceEnd attached() {
        var serving = queue;
        assert serving != null : this;
        return serving;
    }

    @Override
    public void attach(ServiceEnd to) {
        queue = to;
    }

    @Override
    public void detach() {
        // Whoever asks meanwhile signals the queue, which finds its loop by itself.
    }

    @Override
    public @Nullable Request receive() {
        var queue = attached();
        var ledger = queue.ledger();
        queue.stages().begin(queue.loop().taskNumber());
        while (batch.count() < InFlightLedger.BATCH) {
            if (!ledger.hasRoom()) {
                starved = true;
                break;
            }
            var ask = asked.poll();
            if (ask == null) {
                break;
            }
            var request = ledger.open(ask.op(), ask.offset(), ask.length(), 0, 0, queue.generation());
            if (ask.slab() != null) {
                request.payload(ask.slab(), 0);
            }
            batch.add(request);
        }
        return batch.take();
    }

    @Override
    public void answer(Request chain) {
        var queue = attached();
        for (Request following; chain != null; chain = following) {
            following = chain.unlink();
            var read = chain.op() == BlockOp.READ;
            var slab = chain.slab();
            if (!read && slab != null) {
                released(slab);
            }
            answers.add(new Answer(
                    chain.op(), chain.offset(), chain.length(), chain.error(), read ? slab : null, chain.extents()));
            queue.ledger().free(chain);
        }
        queue.stages().sent();
        if (starved) {
            starved = false;
            queue.ready();
        }
    }

    private void released(Slab slab) {
        if (slab.release()) {
            pool.giveBack(slab);
        }
    }

    @Override
    public boolean renew(Request read, boolean alone) {
        var slab = borrow();
        read.payload(slab, slab.take(read.payloadBytes()));
        return true;
    }

    @Override
    public void release(Request orphan) {
        if (orphan.slab() != null) {
            released(orphan.slab());
        }
    }

    @Override
    public void refuseRest() {
        // What was asked and not received is given back by close(), and take() says why.
    }

    @Override
    public boolean flushed() {
        return true;
    }

    @Override
    public void close(String reason) {
        if (ended != null) {
            return;
        }
        ended = reason;
        if (queue != null) {
            // Stores that still have some of them give the memory back by release().
            for (var request : queue.ledger().inUse()) {
                if (request.slab() != null) {
                    released(request.slab());
                }
            }
        }
        forgetAsked();
        answers.add(END);
    }

    private void forgetAsked() {
        for (Ask ask; (ask = asked.poll()) != null; ) {
            if (ask.slab() != null) {
                giveBack(ask.slab());
            }
        }
    }

    /** The state of its guest's requests, for reports. */
    @Override
    public String toString() {
        return "InProcessEnd(" + (ended == null ? "open" : ended) + ")";
    }
}
