package io.sidecore.actors.vif;

import io.sidecore.actors.block.Chain;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.InFlightLedger;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Store;
import io.sidecore.actors.core.CoreLoop;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.pekko.stream.Attributes;
import org.apache.pekko.stream.FlowShape;
import org.apache.pekko.stream.Inlet;
import org.apache.pekko.stream.Outlet;
import org.apache.pekko.stream.stage.AbstractInHandler;
import org.apache.pekko.stream.stage.AbstractOutHandler;
import org.apache.pekko.stream.stage.AsyncCallback;
import org.apache.pekko.stream.stage.GraphStage;
import org.apache.pekko.stream.stage.GraphStageLogic;
import org.jctools.queues.atomic.MpscLinkedAtomicQueue;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Where one generation of a queue meets its store: the last stage of the chain, and the place where a store gives back what it finished later. The stage ends with its generation; the port stays as long
 * as the store has something of it, so that no completion gets lost.
 */
final class StorePort implements Store.Completions {
    private static final Logger LOG = LoggerFactory.getLogger(StorePort.class);

    private final Queue queue;
    private final Store store;
    private final MpscLinkedAtomicQueue<Request> returned = new MpscLinkedAtomicQueue<>();
    private final AtomicBoolean collecting = new AtomicBoolean();
    private final Runnable collect = this::collect;
    private final Chain finished = new Chain();
    private final Chain allowed = new Chain();
    private final boolean readOnly;
    private boolean closed;
    private @Nullable Logic logic;

    StorePort(Queue queue, Store store, boolean readOnly) {
        this.queue = queue;
        this.store = store;
        this.readOnly = readOnly;
    }

    Store store() {
        return store;
    }

    /** From now on nothing of this generation reaches the store. On the loop. */
    void close() {
        closed = true;
        // What it finished but could not hand on any more is no longer in its hands.
        InFlightLedger.backFromStore(finished.take());
    }

    GraphStage<FlowShape<Request, Request>> stage() {
        return new Stage();
    }

    @Override
    public void complete(Request request) {
        returned.offer(request);
        if (collecting.compareAndSet(false, true)) {
            collectOn(queue.loop());
        }
    }

    /** A loop may end, and whoever completes a request must not suffer from it: others wait for what it does next. */
    private void collectOn(CoreLoop loop) {
        try {
            loop.execute(collect);
        } catch (RejectedExecutionException e) {
            var now = queue.loop();
            if (now != loop) {
                collectOn(now);
            } else {
                collecting.set(false);
                LOG.debug("queue {}: its loop has ended before what a store had of it came back", queue.name());
            }
        }
    }

    private void collect() {
        var loop = queue.loop();
        if (!loop.onLoop()) {
            collectOn(loop);
            return;
        }
        collecting.set(false);
        for (Request request; (request = returned.poll()) != null; ) {
            if (InFlightLedger.isOrphan(request)) {
                queue.orphanReturned(request);
            } else if (closed) {
                request.unlink();
                InFlightLedger.backFromStore(request);
            } else {
                request.unlink();
                finished.add(request);
            }
        }
        if (logic != null && !finished.isEmpty()) {
            logic.wake();
        }
    }

    private final class Stage extends GraphStage<FlowShape<Request, Request>> {
        private final Inlet<Request> in = Inlet.create("requests");
        private final Outlet<Request> out = Outlet.create("completions");
        private final FlowShape<Request, Request> shape = FlowShape.of(in, out);

        @Override
        public FlowShape<Request, Request> shape() {
            return shape;
        }

        @Override
        public GraphStageLogic createLogic(Attributes attributes) {
            return new Logic(this);
        }
    }

    private final class Logic extends GraphStageLogic {
        private final Inlet<Request> in;
        private final Outlet<Request> out;
        private AsyncCallback<StorePort> wake;
        private int outstanding;

        Logic(Stage stage) {
            super(stage.shape);
            this.in = stage.in;
            this.out = stage.out;
            setHandler(in, new AbstractInHandler() {
                @Override
                public void onPush() {
                    serve(grab(in));
                }

                @Override
                public void onUpstreamFinish() {
                    emit();
                }
            });
            setHandler(out, new AbstractOutHandler() {
                @Override
                public void onPull() {
                    emit();
                }
            });
        }

        @Override
        public void preStart() {
            wake = createAsyncCallback(port -> emit());
            logic = this;
            pull(in);
        }

        @Override
        public void postStop() {
            logic = null;
        }

        void wake() {
            wake.invoke(StorePort.this);
        }

        private void serve(Request chain) {
            if (closed) {
                // The queue has given this generation up; its ledger issues the requests again.
                return;
            }
            var count = 0;
            for (var r = chain; r != null; r = r.next()) {
                count++;
            }
            outstanding += count;
            InFlightLedger.handedToStore(chain);
            var rest = readOnly ? refuseChanges(chain) : chain;
            if (rest == null) {
                emitAndPull();
                return;
            }
            var stages = queue.stages();
            stages.lap(Stages.INTERPOSE);
            var done = store.serve(rest, StorePort.this);
            stages.lap(Stages.STORE);
            finished.append(done);
            emitAndPull();
        }

        private void emitAndPull() {
            emit();
            if (!isClosed(in)) {
                pull(in);
            }
        }

        /** What the attachment does not allow is answered here, whatever the guest end has let through. */
        private @Nullable Request refuseChanges(Request refused) {
            for (@Nullable Request chain = refused; chain != null; ) {
                var following = chain.unlink();
                if (chain.op().changes()) {
                    chain.fail(Errno.EPERM);
                    finished.add(chain);
                } else {
                    allowed.add(chain);
                }
                chain = following;
            }
            return allowed.take();
        }

        private void emit() {
            if (!finished.isEmpty() && isAvailable(out)) {
                outstanding -= finished.count();
                var chain = finished.take();
                InFlightLedger.backFromStore(chain);
                push(out, chain);
            }
            if (isClosed(in) && outstanding == 0) {
                completeStage();
            }
        }
    }
}
