package io.sidecore.actors.vif;

import io.sidecore.actors.block.Request;
import org.apache.pekko.stream.Attributes;
import org.apache.pekko.stream.Inlet;
import org.apache.pekko.stream.Outlet;
import org.apache.pekko.stream.SinkShape;
import org.apache.pekko.stream.SourceShape;
import org.apache.pekko.stream.stage.AbstractInHandler;
import org.apache.pekko.stream.stage.AbstractOutHandler;
import org.apache.pekko.stream.stage.AsyncCallback;
import org.apache.pekko.stream.stage.GraphStage;
import org.apache.pekko.stream.stage.GraphStageLogic;

/** The two ends of a queue's stream, one pair a generation. They hold nothing: what must survive is in the {@link Queue}. */
final class QueueStages {
    private enum Signal {
        READY,
        STALL,
        ABORT
    }

    private QueueStages() {}

    /** What the guest sends. Emits on demand, no more than its share of a task. */
    static final class FromGuest extends GraphStage<SourceShape<Request>> {
        private final Queue queue;
        private final int generation;
        private final Outlet<Request> out = Outlet.create("fromGuest");
        private final SourceShape<Request> shape = SourceShape.of(out);

        FromGuest(Queue queue, int generation) {
            this.queue = queue;
            this.generation = generation;
        }

        @Override
        public SourceShape<Request> shape() {
            return shape;
        }

        @Override
        public GraphStageLogic createLogic(Attributes attributes) {
            return new SourceLogic(this);
        }

        static final class SourceLogic extends GraphStageLogic {
            private final Queue queue;
            private final int generation;
            private final Outlet<Request> out;
            private AsyncCallback<Signal> signal;
            private boolean signalled;
            private long task = -1;
            private int batches;
            private long shareBegan;

            private SourceLogic(FromGuest stage) {
                super(stage.shape);
                queue = stage.queue;
                generation = stage.generation;
                out = stage.out;
                setHandler(out, new AbstractOutHandler() {
                    @Override
                    public void onPull() {
                        emit();
                    }
                });
            }

            @Override
            public void preStart() {
                signal = createAsyncCallback(this::signalled);
                if (!queue.sourceStarted(this, generation)) {
                    completeStage();
                }
            }

            @Override
            public void postStop() {
                queue.sourceStopped(this);
            }

            /** The guest may have something. On the loop, outside of the stream. */
            void ready() {
                if (!signalled && isAvailable(out)) {
                    signalled = true;
                    signal.invoke(Signal.READY);
                }
            }

            /** Whether it waits for the guest. */
            boolean waiting() {
                return isAvailable(out);
            }

            void stall() {
                signal.invoke(Signal.STALL);
            }

            void abort() {
                signal.invoke(Signal.ABORT);
            }

            private void signalled(Signal what) {
                if (what == Signal.READY) {
                    signalled = false;
                    if (isAvailable(out)) {
                        emit();
                    }
                } else {
                    completeStage();
                }
            }

            private void emit() {
                if (!queue.emits(generation)) {
                    return;
                }
                if (shareUsedUp()) {
                    signalled = true;
                    signal.invoke(Signal.READY);
                    return;
                }
                var chain = queue.next();
                if (chain != null) {
                    push(out, chain);
                }
            }

            private boolean shareUsedUp() {
                var loop = queue.loop();
                if (task != loop.taskNumber()) {
                    task = loop.taskNumber();
                    batches = 1;
                    shareBegan = loop.clock().nanos();
                    return false;
                }
                return ++batches > loop.limits().turnBatches()
                        || loop.clock().nanos() - shareBegan
                                > loop.limits().turnTime().toNanos();
            }
        }
    }

    /** What the guest receives. */
    static final class ToGuest extends GraphStage<SinkShape<Request>> {
        private final Queue queue;
        private final int generation;
        private final Inlet<Request> in = Inlet.create("toGuest");
        private final SinkShape<Request> shape = SinkShape.of(in);

        ToGuest(Queue queue, int generation) {
            this.queue = queue;
            this.generation = generation;
        }

        @Override
        public SinkShape<Request> shape() {
            return shape;
        }

        @Override
        public GraphStageLogic createLogic(Attributes attributes) {
            return new SinkLogic(this);
        }

        static final class SinkLogic extends GraphStageLogic {
            private final Inlet<Request> in;
            private AsyncCallback<Signal> signal;

            private SinkLogic(ToGuest stage) {
                super(stage.shape);
                in = stage.in;
                var queue = stage.queue;
                setHandler(in, new AbstractInHandler() {
                    @Override
                    public void onPush() {
                        queue.answer(grab(in), stage.generation);
                        pull(in);
                    }

                    @Override
                    public void onUpstreamFinish() {
                        queue.drained(stage.generation, null);
                        completeStage();
                    }

                    @Override
                    public void onUpstreamFailure(Throwable failure) {
                        queue.drained(stage.generation, failure);
                        completeStage();
                    }
                });
                this.queue = queue;
                this.generation = stage.generation;
            }

            private final Queue queue;
            private final int generation;

            @Override
            public void preStart() {
                signal = createAsyncCallback(s -> completeStage());
                queue.sinkStarted(this, generation);
                pull(in);
            }

            void abort() {
                signal.invoke(Signal.ABORT);
            }
        }
    }
}
