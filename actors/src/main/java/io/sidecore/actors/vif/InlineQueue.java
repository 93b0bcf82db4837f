package io.sidecore.actors.vif;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Chain;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Fence;
import io.sidecore.actors.block.InFlightLedger;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Slab;
import io.sidecore.actors.block.Store;
import io.sidecore.actors.core.Clock;
import io.sidecore.conf.VifSettings;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The queue of a guest inside this process that calls the engine itself: on the guest's own thread, without a loop and without a stream. A store that serves at once, such as memory, has answered when {@code send} returns; what it finishes later comes back from any thread and waits
 * for the guest to {@code recv}.
 *
 * <p>What a fenced store gives back ({@link Errno#RETURNED}) is issued again, to the volume's present store, up to {@code replay-max} times, then answered {@link Errno#EIO}.
 *
 * <p>It is for stores that do not hang, and offers less than a {@link Queue}:
 *
 * <ul>
 *   <li>no interposers: there is no chain, and so no limits and no faults to inject;
 *   <li>no moving: it runs where the guest runs, and takes the guest's time;
 *   <li>no re-issue of what a store never answers: such a request stays in flight, its slot is used up, and the queue does not end before the store has given it back;
 *   <li>no {@code drain-max} and {@code stall-max}, and {@link Volume#replace()} does not wait for it.
 * </ul>
 *
 * <p>An answer is given only once the store has given its request back, and a request is issued again only then: no store touches the payload of a request that was answered.
 *
 * <p>The guest is given its {@link #port()} and nothing else. The rest is for any thread.
 */
public final class InlineQueue {
    private static final Logger LOG = LoggerFactory.getLogger(InlineQueue.class);

    private final Attachment attachment;
    private final Volume volume;
    private final int replayMax;
    private final long slowNanos;
    private final Clock clock;
    private final GuestAdmission admission;
    private final Slab payloads;
    private final InFlightLedger ledger;
    private final Tally tally;
    /** Requests go in when a store is handed them, and come out when it has given them back. */
    private final Fence gate = new Fence();

    private final Chain answered = new Chain();
    private final AtomicReference<@Nullable Request> later = new AtomicReference<>();
    private final Store.Completions completions = this::completed;
    private final Signal answers;
    private final Signal room;
    private final Port port = new Port();
    private final CompletableFuture<Void> ended = new CompletableFuture<>();
    private boolean wantsRoom;

    /**
     * A queue by which {@code attachment} is used; it lets go of it when it ends.
     *
     * @param clock by which requests are timed
     * @param wake wakes the guest: answers have come, or there is room again. On whatever thread that becomes so, the guest's own included, from within its calls; it must not wait, nor call the port
     * @param refusals hears of what the guest sent and is not served
     */
    public InlineQueue(
            Attachment attachment,
            GuestMemory memory,
            VifSettings limits,
            Clock clock,
            Runnable wake,
            GuestAdmission.Listener refusals) {
        this.attachment = attachment;
        this.volume = attachment.volume();
        this.replayMax = limits.replayMax();
        this.slowNanos = limits.slowAfter().toNanos();
        this.clock = clock;
        this.admission = new GuestAdmission(attachment, memory, refusals);
        this.tally = new Tally(admission::refused);
        this.payloads = new Slab(memory.segment());
        this.ledger = new InFlightLedger(limits.slots());
        this.answers = new Signal(() -> !answered.isEmpty() || later.get() != null, wake);
        this.room = new Signal(ledger::hasRoom, wake);
    }

    /** What the guest is given. */
    public GuestPort port() {
        return port;
    }

    /** What it has served. */
    public Tally tally() {
        return tally;
    }

    /** Whether it takes requests, or was closed. */
    boolean isOpen() {
        return !gate.isClosed();
    }

    /** How often the guest was woken. */
    public long signalsToGuest() {
        return answers.raised() + room.raised();
    }

    /** Ends it: nothing more reaches the store. What is there already is still answered; then it lets go of the volume. */
    public void close() {
        gate.close().thenRun(() -> {
            attachment.detach();
            ended.complete(null);
        });
        answers.published();
        room.published();
    }

    /** Completed once no store has any of its requests and the volume has been let go: the guest's memory may be unmapped then. On whatever thread that becomes so, which must not be made to wait. */
    public CompletionStage<Void> ended() {
        return ended;
    }

    // --- the guest's thread

    private void issue(Request request) {
        var store = volume.store();
        while (request.error() == Errno.OK) {
            if (!gate.enter()) {
                request.fail(Errno.ESHUTDOWN);
                break;
            }
            request.served(clock.nanos());
            if (isLater(request, store)) {
                return;
            }
            gate.exit();
            if (request.error() != Errno.RETURNED) {
                break;
            }
            store = again(request, store);
        }
        answer(request);
    }

    /** Hands it to a store; false if that has answered it. */
    private boolean isLater(Request request, Store store) {
        try {
            return store.serve(request, completions) == null;
        } catch (Throwable e) {
            // Whether the store has it nobody knows; so its memory, and its slot, stay the store's.
            LOG.atError()
                    .addKeyValue("volume", volume.name())
                    .addKeyValue("vif", attachment.holder())
                    .setCause(e)
                    .log(
                            "VIF {}: the store of volume {} threw; {} stays unanswered",
                            attachment.holder(),
                            volume.name(),
                            request);
            return true;
        }
    }

    /** A fenced store has given it back: there is another one, or will be as soon as who replaces it is done with that. */
    private Store again(Request request, @Nullable Store fenced) {
        ledger.bounced(request);
        request.fail(InFlightLedger.replays(request) > replayMax ? Errno.EIO : Errno.OK);
        var present = volume.store();
        return present == fenced ? volume.storeAfterChange() : present;
    }

    private void answer(Request request) {
        ledger.answer(request, 0);
        var took = tally.answered(request, clock.nanos());
        if (took >= slowNanos) {
            tally.slow();
        }
        answered.add(request);
    }

    /** What stores have given back meanwhile, oldest first. */
    private void collect() {
        @Nullable Request oldest = null;
        for (var r = later.getAndSet(null); r != null; ) {
            var before = r.unlink();
            oldest = r.link(oldest);
            r = before;
        }
        while (oldest != null) {
            var request = oldest;
            oldest = request.unlink();
            if (request.error() == Errno.RETURNED) {
                again(request, null);
                issue(request);
            } else {
                answer(request);
            }
        }
    }

    // --- any thread

    private void completed(Request request) {
        Request before;
        do {
            before = later.get();
            request.link(before);
        } while (!later.compareAndSet(before, request));
        answers.published();
        gate.exit();
    }

    /** A class of its own: who has the guest's handle has nothing of the queue, by a cast neither. */
    private final class Port implements GuestPort {
        @Override
        public long size() {
            return admission.size();
        }

        @Override
        public boolean readOnly() {
            return admission.readOnly();
        }

        @Override
        public boolean isFull() {
            return gate.isClosed() || !ledger.hasRoom() && noRoom();
        }

        private boolean noRoom() {
            wantsRoom = true;
            return room.arm();
        }

        @Override
        public Sent send(BlockOp op, int flags, long offset, long length, long address, long tag) {
            if (!admission.admits(op, flags, offset, length, address)) {
                return Sent.REFUSED;
            }
            if (isFull()) {
                return Sent.FULL;
            }
            var request = ledger.open(op, offset, length, flags, tag, 0);
            if (op.hasPayload()) {
                request.payload(payloads, (int) address);
            }
            request.arrived(clock.nanos());
            tally.arrived(1);
            issue(request);
            if (!answered.isEmpty()) {
                answers.published();
            }
            return Sent.SENT;
        }

        @Override
        public boolean isEmpty() {
            collect();
            return answered.isEmpty() && answers.arm();
        }

        @Override
        public boolean recv(Answer into) {
            var next = answered.poll();
            while (next == null) {
                if (isEmpty()) {
                    return false;
                }
                collect();
                next = answered.poll();
            }
            into.tag = next.cookie();
            into.error = next.error();
            ledger.free(next);
            if (wantsRoom) {
                wantsRoom = false;
                room.published();
            }
            return true;
        }

        @Override
        public void signalAnswers(boolean on) {
            answers.on(on);
        }

        @Override
        public void signalRoom(boolean on) {
            room.on(on);
        }
    }
}
