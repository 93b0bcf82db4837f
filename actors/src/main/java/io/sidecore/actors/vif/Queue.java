package io.sidecore.actors.vif;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Chain;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.InFlightLedger;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.Deadline;
import io.sidecore.conf.Amounts;
import io.sidecore.conf.VifSettings;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.EnumSet;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import org.apache.pekko.stream.Materializer;
import org.apache.pekko.stream.javadsl.BidiFlow;
import org.apache.pekko.stream.javadsl.Flow;
import org.apache.pekko.stream.javadsl.Sink;
import org.apache.pekko.stream.javadsl.Source;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.spi.LoggingEventBuilder;

/**
 * A queue of a VIF: the place where one guest end meets, generation after generation, the stream that serves it. What must survive a change is here: the in-flight ledger, what is to be
 * replayed, the loop it is placed on.
 *
 * <pre>
 *   NEW → RUNNING ⇄ STALLING → (FENCING →) RUNNING          CLOSED from everywhere
 *                   complete    lost chain     generation + 1,
 *                   the source  and store      replay by sequence
 * </pre>
 *
 * <p>A change stalls the queue, lets the chain drain, and runs the same line again on the new chain or loop. What does not drain within {@code drainMax} is given up: nothing more of the old chain reaches the
 * store, the store itself is fenced and replaced if it still has requests, and only then are the unanswered ones issued again. If the fence takes longer than {@code stallMax}, the volume fails.
 *
 * <p>Everything but {@link #loop()}, {@link #start}, {@link #change}, {@link #close} and the counters is called on the loop.
 */
public final class Queue implements ServiceEnd {
    /** States of a queue. */
    public enum State {
        NEW,
        RUNNING,
        STALLING,
        FENCING,
        CLOSED
    }

    /** What a change did: how long the queue stalled, how many requests were issued again, and whether the old chain was lost. */
    public record Changed(long stallNanos, int replayed, boolean lost) {}

    private static final Logger LOG = LoggerFactory.getLogger(Queue.class);
    private static final Map<State, EnumSet<State>> LEGAL = Map.of(
            State.NEW, EnumSet.of(State.RUNNING, State.CLOSED),
            State.RUNNING, EnumSet.of(State.STALLING),
            State.STALLING, EnumSet.of(State.RUNNING, State.FENCING, State.CLOSED),
            State.FENCING, EnumSet.of(State.RUNNING, State.CLOSED),
            State.CLOSED, EnumSet.noneOf(State.class));

    /** Something wanted of the queue; with neither a route nor a loop it is only to serve through the volume's present store. */
    private record Change(
            @Nullable Route route, @Nullable CoreLoop loop, boolean onlyStore, CompletableFuture<Changed> done) {}

    private final String name;
    private final VifSettings limits;
    private final GuestEnd end;
    private final Materializer materializer;
    private final Runnable onClosed;
    private final LifeCycle<State> life;
    private final InFlightLedger ledger;
    private final ArrayDeque<Request> replay = new ArrayDeque<>();
    private final ArrayDeque<Change> changes = new ArrayDeque<>();
    private final Chain batch = new Chain();
    private final Deadline patience = new Deadline(this::impatient);
    private final Stages stages;
    private final Tally tally;
    private final long slowNanos;

    private volatile CoreLoop loop;
    private volatile Route route;
    private volatile int generation;
    private QueueStages.FromGuest.@Nullable SourceLogic source;
    private QueueStages.ToGuest.@Nullable SinkLogic sink;
    private @Nullable StorePort port;
    private @Nullable Change change;
    private @Nullable String closing;
    private boolean chainEnded;
    private boolean reopen;
    private boolean lingering;
    private int resumedFrom = -1;
    private int brokenInARow;
    private boolean stalled;
    private long stalledAt;
    private int replayed;
    private boolean lost;
    /** Stores that were given up and are not cut off yet. */
    private int unfenced;

    /**
     * A queue that does not run yet.
     *
     * @param onClosed called on the loop once the queue has ended and everything of it was let go
     */
    public Queue(
            String name,
            VifSettings limits,
            CoreLoop loop,
            Route route,
            GuestEnd end,
            Materializer materializer,
            Runnable onClosed) {
        this.name = name;
        this.limits = limits;
        this.loop = loop;
        this.route = route;
        this.end = end;
        this.tally = new Tally(end::refused);
        this.materializer = materializer;
        this.onClosed = onClosed;
        this.life = new LifeCycle<>("queue " + name, State.NEW, LEGAL);
        this.ledger = new InFlightLedger(limits.slots());
        this.stages = new Stages(loop.clock());
        this.slowNanos = limits.slowAfter().toNanos();
    }

    @Override
    public String name() {
        return name;
    }

    /** The id of its VIF. */
    String vif() {
        return route.attachment().holder();
    }

    @Override
    public CoreLoop loop() {
        return loop;
    }

    /** What lies behind it. Any thread. */
    public Route route() {
        return route;
    }

    @Override
    public int generation() {
        return generation;
    }

    /** Its state. Any thread. */
    public State state() {
        return life.state();
    }

    @Override
    public VifSettings limits() {
        return limits;
    }

    @Override
    public InFlightLedger ledger() {
        return ledger;
    }

    @Override
    public Stages stages() {
        return stages;
    }

    /** What it has served. Any thread. */
    public Tally tally() {
        return tally;
    }

    /** Runs it on its loop. Any thread, once. */
    public void start() {
        loop.execute(() -> tryRun(true));
    }

    /**
     * Another route or another loop, or both (null leaves what is), while I/O goes on. Changes of a queue happen one after the other. Any thread.
     *
     * @return completed on the loop once the new stream runs; failed if the queue ended before
     */
    public CompletionStage<Changed> change(@Nullable Route to, @Nullable CoreLoop on) {
        var done = new CompletableFuture<Changed>();
        submit(() -> enqueue(new Change(to, on, false, done)));
        return done;
    }

    /** The same route on the same loop, through the volume's present store: once more, unless it is there already. Any thread. */
    CompletionStage<Void> reopen() {
        var done = new CompletableFuture<Changed>();
        submit(() -> enqueue(new Change(null, null, true, done)));
        // A queue that ended meanwhile has nothing to move over.
        return done.handle((changed, e) -> null);
    }

    @Override
    public void close(String reason) {
        submit(() -> {
            if (life.is(State.CLOSED) || closing != null) {
                return;
            }
            closing = reason;
            if (life.is(State.NEW)) {
                closed();
            } else if (life.is(State.RUNNING)) {
                stall();
            }
        });
    }

    /** Runs a task on whatever loop the queue is on when the task's turn comes. */
    private void submit(Runnable task) {
        var target = loop;
        target.execute(() -> {
            if (target == loop) {
                task.run();
            } else {
                submit(task);
            }
        });
    }

    @Override
    public void ready() {
        if (lingering) {
            if (end.flushed()) {
                closed();
            }
        } else if (source != null) {
            source.ready();
        }
    }

    @Override
    public boolean wanted() {
        return source != null && source.waiting();
    }

    @Override
    public @Nullable MemorySegment lend(BlockOp op, long offset, int length) {
        if (!life.is(State.RUNNING)
                || !route.interposers().isEmpty()
                || op.changes() && route.attachment().readOnly()) {
            return null;
        }
        assert port != null : this;
        return port.store().lend(op, offset, length);
    }

    @Override
    public void settle(long offset, long length) {
        route.volume().settle(offset, length);
    }

    @Override
    public boolean fenced() {
        return unfenced == 0;
    }

    // --- a generation
    // -------------------------------------------------------------------------------------------------

    private void run() {
        generation++;
        life.to(State.RUNNING);
        chainEnded = false;
        reopen = false;
        var volume = route.volume();
        volume.attach(this);
        var store = new StorePort(this, volume.store(), route.attachment().readOnly());
        port = store;
        Flow<Request, Request, ?> resource = Flow.fromGraph(store.stage());
        var site = new Interposer.Site(name, loop);
        var interposers = route.interposers();
        for (var i = interposers.size() - 1; i >= 0; i--) {
            resource = BidiFlow.fromGraph(interposers.get(i).stage(site)).join(resource);
        }
        flow().join(resource).withAttributes(loop.attributes()).run(materializer);
    }

    /** Runs the next generation, or ends the queue if that cannot be. */
    private void tryRun(boolean attach) {
        if (life.is(State.CLOSED)) {
            return;
        }
        try {
            if (attach) {
                end.attach(this);
            }
            run();
        } catch (RuntimeException e) {
            abandon(e);
        }
    }

    private void abandon(RuntimeException e) {
        about(LOG.atError()).setCause(e).log("queue {}: cannot be served through {}", name, route);
        closing = "it cannot be served: " + e.getMessage();
        if (change != null) {
            change.done()
                    .completeExceptionally(new NotServedException(
                            "queue " + name + " cannot be served so, and has ended: " + e.getMessage(), e));
            change = null;
        }
        closed();
    }

    /** What the guest sends and receives in the present generation; one-shot. */
    private Flow<Request, Request, ?> flow() {
        return Flow.fromSinkAndSource(
                Sink.fromGraph(new QueueStages.ToGuest(this, generation)),
                Source.fromGraph(new QueueStages.FromGuest(this, generation)));
    }

    boolean sourceStarted(QueueStages.FromGuest.SourceLogic started, int of) {
        if (of != generation || !life.is(State.RUNNING)) {
            return false;
        }
        source = started;
        if (stalled) {
            stalled = false;
            runsAgain(new Changed(loop.clock().nanos() - stalledAt, replayed, lost));
        }
        if (closing != null || reopen || !changes.isEmpty()) {
            loop.execute(this::stallIfDue);
        }
        return true;
    }

    private void runsAgain(Changed changed) {
        tally.stalled(changed);
        QueueStall.tell(this, changed);
        if (change != null) {
            var done = change.done();
            change = null;
            done.complete(changed);
        }
    }

    void sourceStopped(QueueStages.FromGuest.SourceLogic stopped) {
        if (source == stopped) {
            source = null;
            if (life.is(State.RUNNING)) {
                // Nobody asked for it: some stage ended or failed by itself.
                drained(generation, new IllegalStateException("the stream ended by itself"));
            }
        }
    }

    void sinkStarted(QueueStages.ToGuest.SinkLogic started, int of) {
        if (of == generation) {
            sink = started;
        }
    }

    boolean emits(int of) {
        return of == generation && life.is(State.RUNNING);
    }

    /** The next chain for the stream: what is to be replayed, then what the guest sends. */
    @Nullable
    Request next() {
        return replay.isEmpty() ? arrived(end.receive()) : nextOfReplay();
    }

    private @Nullable Request arrived(@Nullable Request chain) {
        if (chain != null) {
            var now = loop.clock().nanos();
            var count = 0;
            for (var r = chain; r != null; r = r.next()) {
                r.arrived(now);
                count++;
            }
            tally.arrived(count);
        }
        return chain;
    }

    /** Memory for payloads is bounded, so what is to be replayed may have to wait for some, as it did when it arrived. */
    private @Nullable Request nextOfReplay() {
        try {
            gatherReplay();
        } catch (RuntimeException e) {
            // They are open in the ledger, which issues them again: once.
            batch.take();
            throw e;
        }
        return batch.take();
    }

    private void gatherReplay() {
        while (batch.count() < InFlightLedger.BATCH && !replay.isEmpty()) {
            var request = replay.element();
            var lacksMemory = request.op() == BlockOp.READ && request.slab() == null && !request.isLent();
            if (lacksMemory && !end.renew(request, ledger.used() == replay.size())) {
                break;
            }
            batch.add(replay.remove());
        }
    }

    /** A chain of completions has come through. */
    void answer(@Nullable Request chain, int of) {
        stages.lap(Stages.INTERPOSE);
        var now = loop.clock().nanos();
        var answered = 0;
        while (chain != null) {
            var following = chain.unlink();
            if (of != generation) {
                ledger.answer(chain, of);
            } else if (chain.error() == Errno.RETURNED) {
                if (life.is(State.RUNNING)) {
                    ledger.bounced(chain);
                    reopen = true;
                }
            } else if (ledger.answer(chain, of)) {
                batch.add(chain);
                answered++;
                tell(chain, now);
            }
            chain = following;
        }
        if (answered > 0) {
            brokenInARow = 0;
            loop.counters().requests.add(answered);
            stages.answered(loop.taskNumber());
            var finished = batch.take();
            assert finished != null : this;
            deliver(finished);
        }
        if (reopen) {
            loop.execute(this::stallIfDue);
        }
    }

    private void tell(Request answered, long now) {
        if (answered.arrivedAt() == Request.NOT_ARRIVED) {
            // It came in one piece with what broke the protocol, and nobody has waited for it.
            return;
        }
        var took = tally.answered(answered, now);
        if (took >= slowNanos) {
            tally.slow();
            SlowRequest.tell(this, answered, took, now, InFlightLedger.replays(answered));
        }
    }

    /** Requests whose answers cannot be given would stay open for ever: then the queue ends. */
    private void deliver(Request chain) {
        try {
            end.answer(chain);
        } catch (RuntimeException e) {
            about(LOG.atError()).setCause(e).log("queue {}: its guest cannot be answered", name);
            close("its guest cannot be answered: " + e.getMessage());
        }
    }

    // --- a change
    // -----------------------------------------------------------------------------------------------------

    private void enqueue(Change wanted) {
        if (life.is(State.CLOSED) || closing != null) {
            wanted.done().completeExceptionally(new IllegalStateException("queue " + name + " has ended"));
            return;
        }
        changes.add(wanted);
        stallIfDue();
    }

    private void stallIfDue() {
        // Before the source has started there is nothing to stall; it looks again when it starts.
        if (!life.is(State.RUNNING) || source == null) {
            return;
        }
        dropWhatIsDone();
        if (closing != null || reopen || !changes.isEmpty()) {
            stall();
        }
    }

    /** A queue that gave its store up serves through the next one already. Stalling it for that again would give up the next store too, if it takes longer than a drain may, and so on. */
    private void dropWhatIsDone() {
        assert port != null : this;
        while (!changes.isEmpty()
                && changes.element().onlyStore()
                && port.store() == route.volume().store()) {
            changes.remove().done().complete(new Changed(0, 0, false));
        }
    }

    private void stall() {
        life.to(State.STALLING);
        stalled = true;
        stalledAt = loop.clock().nanos();
        lost = false;
        if (change == null) {
            change = changes.poll();
        }
        // A change must not keep the guest waiting. At the end nobody waits, and a store that is slow is not to be
        // replaced for
        // everybody because one client leaves.
        var patient = closing == null ? limits.drainMax() : limits.drainMax().plus(limits.stallMax());
        loop.arm(patience, stalledAt + patient.toNanos());
        if (source != null) {
            source.stall();
        }
    }

    /** The stream of this generation has ended: all that was in it has come back, or it failed. */
    void drained(int of, @Nullable Throwable failure) {
        if (of != generation || chainEnded) {
            return;
        }
        chainEnded = true;
        if (life.is(State.RUNNING)) {
            about(LOG.atError())
                    .setCause(failure)
                    .log("queue {}: its chain {} broke; requests in flight are issued again", name, route);
            if (++brokenInARow > limits.replayMax()) {
                closing = "its chain broke " + brokenInARow + " times without an answer in between";
            }
            stall();
        } else if (!life.is(State.STALLING)) {
            return;
        }
        var broken = failure != null;
        loop.execute(() -> {
            if (of == generation && life.is(State.STALLING)) {
                if (broken) {
                    giveUpChain();
                } else {
                    resume(false);
                }
            }
        });
    }

    private void impatient() {
        if (lingering) {
            closed();
        } else if (life.is(State.STALLING)) {
            about(LOG.atWarn())
                    .log(
                            "queue {}: {} requests did not drain within {}; their chain is given up",
                            name,
                            ledger.open(),
                            Amounts.duration(limits.drainMax()));
            giveUpChain();
        } else if (life.is(State.FENCING)) {
            route.volume()
                    .fail("its store could not be fenced within " + Amounts.duration(limits.stallMax()) + "; "
                            + ledger.open() + " requests of queue " + name + " are unaccounted for");
            resume(true);
        }
    }

    private void giveUpChain() {
        assert port != null : this;
        chainEnded = true;
        port.close();
        if (source != null) {
            source.abort();
        }
        if (sink != null) {
            sink.abort();
        }
        if (!ledger.anyInStore()) {
            resume(true);
            return;
        }
        life.to(State.FENCING);
        loop.arm(patience, loop.clock().nanos() + limits.stallMax().toNanos());
        var store = port.store();
        route.volume().replace(store);
        var of = generation;
        unfenced++;
        store.fence()
                .whenComplete((cleared, e) -> submit(() -> {
                    if (e == null && --unfenced == 0) {
                        end.fenced();
                    }
                    if (of == generation && life.is(State.FENCING)) {
                        if (e != null) {
                            route.volume().fail("its store could not be fenced: " + e);
                        }
                        resume(true);
                    }
                }));
    }

    private void resume(boolean chainLost) {
        if (resumedFrom == generation) {
            // Drained and impatient at the same time: once is enough.
            return;
        }
        resumedFrom = generation;
        loop.disarm(patience);
        lost = chainLost;
        source = null;
        sink = null;
        try {
            if (closing != null) {
                refuseAll(chainLost);
                linger();
            } else {
                reroute(chainLost);
            }
        } catch (RuntimeException e) {
            abandon(e);
        }
    }

    private void reroute(boolean chainLost) {
        var from = route;
        if (change != null && change.route() != null) {
            route = change.route();
        }
        if (from.volume() != route.volume()) {
            from.volume().detach(this);
        }
        prepareReplay(chainLost);
        var target = change != null && change.loop() != null ? change.loop() : loop;
        if (target == loop) {
            tryRun(false);
        } else {
            end.detach();
            loop = target;
            target.execute(() -> tryRun(true));
        }
    }

    /** Answers that were given are still sent, and the guest's leave awaited, within the time of a change. */
    private void linger() {
        if (end.flushed()) {
            closed();
        } else {
            lingering = true;
            loop.arm(patience, loop.clock().nanos() + limits.drainMax().toNanos());
        }
    }

    private void prepareReplay(boolean chainLost) {
        replay.clear();
        replayed = 0;
        for (var request : ledger.replay(generation + 1, chainLost)) {
            if (InFlightLedger.replays(request) > limits.replayMax()) {
                request.fail(Errno.EIO);
                refuse(request);
                continue;
            }
            replay.add(request);
            replayed++;
        }
    }

    private void refuse(Request request) {
        ledger.answer(request, generation + 1);
        tell(request, loop.clock().nanos());
        end.answer(request);
    }

    void orphanReturned(Request orphan) {
        ledger.returned(orphan);
        end.release(orphan);
    }

    /** What was not answered will not be any more, and the guest is told so. */
    private void refuseAll(boolean chainLost) {
        replay.clear();
        for (var request : ledger.replay(generation + 1, chainLost)) {
            request.fail(Errno.ESHUTDOWN);
            refuse(request);
        }
        generation++;
        end.refuseRest();
    }

    private void closed() {
        if (life.is(State.CLOSED)) {
            return;
        }
        lingering = false;
        if (life.is(State.RUNNING)) {
            life.to(State.STALLING);
        }
        life.to(State.CLOSED);
        loop.disarm(patience);
        route.volume().detach(this);
        end.detach();
        assert closing != null : this;
        end.close(closing);
        var ended = new IllegalStateException("queue " + name + " has ended: " + closing);
        if (change != null) {
            change.done().completeExceptionally(ended);
            change = null;
        }
        for (Change c; (c = changes.poll()) != null; ) {
            c.done().completeExceptionally(ended);
        }
        onClosed.run();
    }

    /** What a line is about, for those that read logs by machine. */
    private LoggingEventBuilder about(LoggingEventBuilder line) {
        return line.addKeyValue("vif", vif())
                .addKeyValue("queue", name)
                .addKeyValue("volume", route.volume().name())
                .addKeyValue("loop", loop.name());
    }

    @Override
    public String toString() {
        return "Queue(" + name + " " + life.state() + " on " + loop.name() + ")";
    }
}
