package io.sidecore.devices.ring;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Chain;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.InFlightLedger;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Slab;
import io.sidecore.actors.core.Poller;
import io.sidecore.actors.vif.Attachment;
import io.sidecore.actors.vif.GuestAdmission;
import io.sidecore.actors.vif.GuestEnd;
import io.sidecore.actors.vif.GuestMemory;
import io.sidecore.actors.vif.GuestPort;
import io.sidecore.actors.vif.ServiceEnd;
import io.sidecore.actors.vif.Signal;
import io.sidecore.actors.vif.Stages;
import io.sidecore.conf.VifSettings;
import java.util.ArrayDeque;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.RejectedExecutionException;
import org.jspecify.annotations.Nullable;

/**
 * The queue between a guest inside this process and the loop that serves it: a ring of requests one way, a ring of answers the other, and the guest's memory, in which the payloads lie from end to end. It has two sides: {@link #port()} is the guest's, {@link #end()} the loop's. What else is here is for
 * whoever manages the guest, on any thread.
 *
 * <pre>
 *   guest's thread          requests (room for C) ──▶  loop: at most {@code slots} in the ledger
 *   sent − received ≤ 2C  ◀── answers (room for 2C)                C = slots, rounded up to a power of two
 * </pre>
 *
 * <p><b>Bounds.</b> What is sent and whose answer was not received is at most what the ring of answers holds: the loop never finds it full. So of the four signals that two rings can have three are used: <em>not empty</em> of each, and <em>room again</em> of the requests.
 *
 * <p><b>Hostile guests.</b> A request is judged when it is sent, on the guest's thread, by values that the guest cannot change any more; only what is admitted enters the ring. A guest that breaks the rule of one thread at a time may mix up its own requests; each access to a payload is still checked
 * against the bounds of its memory.
 *
 * <p><b>Issued again.</b> A read that was lost with its chain is issued again with the same memory of the guest. That is safe where the former store has been fenced: {@link io.sidecore.actors.block.Store#fence} completes only once nothing of it reaches a payload any more. (The memory store and {@link
 * io.sidecore.actors.block.PlainMedium} touch payloads inside their gate only. A file's is inside until the system call has returned, whatever thread makes it. {@link io.sidecore.devices.block.FaultStore} comes to the gate of the store behind it when it wakes, and finds it closed.) A queue issues again only behind that fence, but for one
 * case: the fence took longer than {@code stall-max}, so that the volume failed. What is issued again then reaches no store; but the former one may still write where the guest was to read, or read what it was to write. The answers to those requests, EIO or ESHUTDOWN, are withheld until it is fenced, since an answer
 * gives the memory back to the guest; all others are given. {@link #ended()} waits for the same.
 */
public final class RingQueue {
    private static final int REQUEST_WORDS = 5;
    private static final int ANSWER_WORDS = 2;
    private static final int FLAGS_SHIFT = 8;
    private static final BlockOp[] OPS = BlockOp.values();
    private static final Errno[] ERRNOS = Errno.values();

    /** An answer that would give memory back which a store may still reach. */
    private record Withheld(long tag, Errno error) {}

    private final Ring requests;
    private final Ring answers;
    private final GuestAdmission admission;
    private final Slab payloads;
    /** Where the payload of each slot's request lies. */
    private final int[] addresses;

    private final Port port = new Port();
    private final End end = new End();
    private final Signal requestsCame = new Signal(end::hasRequests, end::wake);
    private final Signal answersCame;
    private final Signal room;
    private final CompletableFuture<Void> ended = new CompletableFuture<>();
    private volatile @Nullable ServiceEnd queue;
    private volatile boolean polled;
    /** The loop takes no more requests, and has left what is in their ring to the guest's thread. */
    private volatile boolean over;

    /**
     * A queue for a guest with this memory, by which {@code attachment} is used.
     *
     * @param limits of the VIF
     * @param wake wakes the guest: answers have come, or there is room again. On the loop, or on the guest's thread from within its calls; it must not wait, nor call the port
     * @param refusals hears of what the guest sent and is not served
     */
    public RingQueue(
            GuestMemory memory,
            Attachment attachment,
            VifSettings limits,
            Runnable wake,
            GuestAdmission.Listener refusals) {
        var capacity = Math.max(1, Integer.highestOneBit(2 * limits.slots() - 1));
        this.requests = new Ring(capacity, REQUEST_WORDS);
        this.answers = new Ring(2 * capacity, ANSWER_WORDS);
        this.admission = new GuestAdmission(attachment, memory, refusals);
        this.payloads = new Slab(memory.segment());
        this.addresses = new int[limits.slots()];
        this.answersCame = new Signal(port::hasAnswers, wake);
        this.room = new Signal(port::hasRoom, wake);
    }

    /** What the guest is given. */
    public GuestPort port() {
        return port;
    }

    /** What the VIF is given. */
    public GuestEnd end() {
        return end;
    }

    /** How often the guest was woken. */
    public long signalsToGuest() {
        return answersCame.raised() + room.raised();
    }

    /** How often the loop was. */
    public long signalsToService() {
        return requestsCame.raised();
    }

    /** Whether the loop looks for requests in every turn, in place of being signalled; wherever the queue moves. Not at first, but on a {@linkplain io.sidecore.actors.core.Loop#reserved() reserved} loop in any case. */
    public void polled(boolean whether) {
        polled = whether;
        end.onLoop(end.arrangePolling);
    }

    /** Completed once the queue has ended and no store can reach the guest's memory through it, which may be unmapped then; never, if a store could not be fenced. On the loop, which must not be made to wait. */
    public CompletionStage<Void> ended() {
        return ended;
    }

    /** The guest's side. A class of its own: who has it has nothing of the queue, by a cast neither. */
    private final class Port implements GuestPort {
        private final long[] record = new long[REQUEST_WORDS];
        private final long[] answer = new long[ANSWER_WORDS];
        private int inFlight;
        private boolean wantsRoom;

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
            while (!hasRoom()) {
                wantsRoom = true;
                if (room.arm()) {
                    return true;
                }
            }
            return over;
        }

        boolean hasRoom() {
            return over || inFlight < answers.capacity() && !requests.isFull();
        }

        @Override
        @SuppressWarnings("EnumOrdinal") // Nobody else reads it.
        public Sent send(BlockOp op, int flags, long offset, long length, long address, long tag) {
            if (!admission.admits(op, flags, offset, length, address)) {
                return Sent.REFUSED;
            }
            if (isFull()) {
                return Sent.FULL;
            }
            record[0] = op.ordinal() | (long) flags << FLAGS_SHIFT;
            record[1] = offset;
            record[2] = length;
            record[3] = address;
            record[4] = tag;
            if (!requests.send(record)) {
                return Sent.FULL;
            }
            inFlight++;
            requestsCame.published();
            return Sent.SENT;
        }

        boolean hasAnswers() {
            return !answers.isEmpty() || over && !requests.isEmpty();
        }

        @Override
        public boolean isEmpty() {
            return !hasAnswers() && answersCame.arm();
        }

        @Override
        public boolean recv(Answer into) {
            while (!next(into)) {
                if (answersCame.arm()) {
                    return false;
                }
            }
            inFlight--;
            if (wantsRoom) {
                wantsRoom = false;
                room.published();
            }
            return true;
        }

        private boolean next(Answer into) {
            if (answers.recv(answer)) {
                into.tag = answer[0];
                into.error = ERRNOS[(int) answer[1]];
                return true;
            }
            // What was sent while the queue ended nobody else will answer.
            if (over && requests.recv(record)) {
                into.tag = record[4];
                into.error = Errno.ESHUTDOWN;
                return true;
            }
            return false;
        }

        @Override
        public void signalAnswers(boolean on) {
            answersCame.on(on);
        }

        @Override
        public void signalRoom(boolean on) {
            room.on(on);
        }
    }

    /** The loop's side. */
    private final class End implements GuestEnd {
        private final long[] record = new long[REQUEST_WORDS];
        private final long[] answer = new long[ANSWER_WORDS];
        private final Chain batch = new Chain();
        private final ArrayDeque<Withheld> withheld = new ArrayDeque<>();
        private final Runnable look = this::look;
        private final Runnable tellGuest = this::tellGuest;
        private final Runnable arrangePolling = this::arrangePolling;
        private final Poller poller = this::poll;
        private boolean attached;
        private boolean polling;
        private boolean starved;
        private boolean signalDue;
        private boolean closed;

        private ServiceEnd queue() {
            var serving = queue;
            assert serving != null : this;
            return serving;
        }

        // --- how it learns of requests

        boolean hasRequests() {
            return !requests.isEmpty();
        }

        /** On the guest's thread. */
        void wake() {
            onLoop(look);
        }

        private void look() {
            if (isHere(look)) {
                queue().ready();
            }
        }

        /** Runs a task where the queue is; it has to look whether it still is. Before it was attached there is nothing to run. */
        void onLoop(Runnable task) {
            var serving = queue;
            if (serving == null) {
                return;
            }
            var loop = serving.loop();
            try {
                loop.execute(task);
            } catch (RejectedExecutionException e) {
                // A loop that has ended serves nobody, unless the queue has left it just now.
                if (serving.loop() != loop) {
                    onLoop(task);
                }
            }
        }

        /** If not, the task is on its way to where the queue is. */
        private boolean isHere(Runnable task) {
            if (queue().loop().onLoop()) {
                return true;
            }
            onLoop(task);
            return false;
        }

        private void arrangePolling() {
            if (isHere(arrangePolling) && attached) {
                arrange();
            }
        }

        private void arrange() {
            var poll = polled || queue().loop().reserved();
            if (poll != polling) {
                polling = poll;
                if (poll) {
                    queue().loop().add(poller);
                } else {
                    queue().loop().remove(poller);
                }
            }
            requestsCame.on(!poll);
        }

        private int poll() {
            if (!queue().wanted() || requests.isEmpty()) {
                return 0;
            }
            queue().ready();
            return 1;
        }

        @Override
        public void attach(ServiceEnd to) {
            queue = to;
            attached = true;
            arrange();
        }

        @Override
        public void detach() {
            if (!attached) {
                return;
            }
            if (polling) {
                polling = false;
                queue().loop().remove(poller);
            }
            attached = false;
            if (signalDue) {
                queue().loop().cancelSignal(tellGuest);
                tellGuest();
            }
        }

        // --- requests and answers

        @Override
        public @Nullable Request receive() {
            if (closed) {
                return null;
            }
            var queue = queue();
            var ledger = queue.ledger();
            queue.stages().begin(queue.loop().taskNumber());
            while (batch.count() < InFlightLedger.BATCH) {
                if (!ledger.hasRoom()) {
                    starved = true;
                    break;
                }
                if (requests.recv(record)) {
                    batch.add(open(ledger, queue.generation()));
                } else if (!batch.isEmpty() || requestsCame.arm()) {
                    break;
                }
            }
            if (!batch.isEmpty()) {
                room.published();
                queue.stages().lap(Stages.DEMULTIPLEX);
            }
            return batch.take();
        }

        private Request open(InFlightLedger ledger, int generation) {
            var op = OPS[(int) record[0] & (1 << FLAGS_SHIFT) - 1];
            var request =
                    ledger.open(op, record[1], record[2], (int) (record[0] >>> FLAGS_SHIFT), record[4], generation);
            if (op.hasPayload()) {
                addresses[request.slot()] = (int) record[3];
                request.payload(payloads, (int) record[3]);
            }
            return request;
        }

        @Override
        public void answer(Request chain) {
            var queue = queue();
            var fenced = queue.fenced();
            for (Request following; chain != null; chain = following) {
                following = chain.unlink();
                answer(chain, chain.error(), fenced);
                queue.ledger().free(chain);
            }
            signalSoon();
            if (starved) {
                starved = false;
                queue.ready();
            }
        }

        private void answer(Request request, Errno error, boolean fenced) {
            if (!fenced && request.op().hasPayload() && InFlightLedger.replays(request) > 0) {
                withheld.add(new Withheld(request.cookie(), error));
            } else {
                send(request.cookie(), error);
            }
        }

        @SuppressWarnings("EnumOrdinal") // Nobody else reads it.
        private void send(long tag, Errno error) {
            answer[0] = tag;
            answer[1] = error.ordinal();
            // Only a guest that sends from two threads has more in flight than there is room for: its loss.
            answers.send(answer);
        }

        /** The guest can see the answers already; it is woken when the loop has done the rest of its turn. */
        private void signalSoon() {
            if (!answersCame.on()) {
                queue().stages().sent();
            } else if (!signalDue) {
                signalDue = true;
                queue().loop().signal(tellGuest);
            }
        }

        private void tellGuest() {
            signalDue = false;
            answersCame.published();
            queue().stages().sent();
        }

        @Override
        public boolean renew(Request read, boolean alone) {
            read.payload(payloads, addresses[read.slot()]);
            return true;
        }

        @Override
        public void release(Request orphan) {
            // The memory is the guest's; when it may have it back is said by fenced().
        }

        @Override
        public void fenced() {
            if (!withheld.isEmpty()) {
                for (Withheld one; (one = withheld.poll()) != null; ) {
                    send(one.tag(), one.error());
                }
                answersCame.published();
                queue().ready();
            }
            if (closed) {
                ended.complete(null);
            }
        }

        // --- the end

        @Override
        public void refuseRest() {
            // What comes meanwhile is the guest's own affair: see next().
            for (var left = requests.capacity(); left > 0 && requests.recv(record); left--) {
                send(record[4], Errno.ESHUTDOWN);
            }
            signalSoon();
        }

        @Override
        public long refused() {
            return admission.refused();
        }

        @Override
        public boolean flushed() {
            return withheld.isEmpty();
        }

        @Override
        public void close(String reason) {
            if (closed) {
                return;
            }
            closed = true;
            var serving = queue;
            if (serving != null) {
                // Where the queue broke, it did not refuse them.
                for (var request : serving.ledger().inUse()) {
                    answer(request, Errno.ESHUTDOWN, serving.fenced());
                }
            }
            over = true;
            answersCame.published();
            room.published();
            if (serving == null || serving.fenced()) {
                ended.complete(null);
            }
        }

        @Override
        public String toString() {
            return "RingQueue(" + (closed ? "ended" : queue == null ? "not attached" : queue.name()) + ")";
        }
    }
}
