package io.sidecore.actors.vif;

import io.sidecore.actors.block.Chain;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Request;
import org.apache.pekko.stream.Attributes;
import org.apache.pekko.stream.BidiShape;
import org.apache.pekko.stream.Inlet;
import org.apache.pekko.stream.Outlet;
import org.apache.pekko.stream.stage.AbstractInHandler;
import org.apache.pekko.stream.stage.AbstractOutHandler;
import org.apache.pekko.stream.stage.GraphStage;
import org.apache.pekko.stream.stage.GraphStageLogic;
import org.jspecify.annotations.Nullable;

/**
 * The plumbing of an interposer's stage: demand, completion and the drain before a change. A subclass says what happens to requests and completions by overriding
 * {@link Logic#requests} and {@link Logic#completions}; what it neither forwards nor answers it holds, and gives back in {@link Logic#giveBack} when the queue stalls.
 */
public abstract class InterposerStage extends GraphStage<BidiShape<Request, Request, Request, Request>> {
    private final Inlet<Request> requestsIn = Inlet.create("requestsIn");
    private final Outlet<Request> requestsOut = Outlet.create("requestsOut");
    private final Inlet<Request> completionsIn = Inlet.create("completionsIn");
    private final Outlet<Request> completionsOut = Outlet.create("completionsOut");
    private final BidiShape<Request, Request, Request, Request> shape =
            new BidiShape<>(requestsIn, requestsOut, completionsIn, completionsOut);

    @Override
    public final BidiShape<Request, Request, Request, Request> shape() {
        return shape;
    }

    @Override
    public abstract Logic createLogic(Attributes attributes);

    /** The stage at work, on the queue's loop. */
    public abstract class Logic extends GraphStageLogic {
        private final Chain toStore = new Chain();
        private final Chain toGuest = new Chain();

        @SuppressWarnings("this-escape")
        protected Logic() {
            super(shape);
            setHandler(requestsIn, new AbstractInHandler() {
                @Override
                public void onPush() {
                    requests(grab(requestsIn));
                    demand();
                }

                @Override
                public void onUpstreamFinish() {
                    giveBack();
                    finishRequests();
                }
            });
            setHandler(requestsOut, new AbstractOutHandler() {
                @Override
                public void onPull() {
                    demand();
                }
            });
            setHandler(completionsIn, new AbstractInHandler() {
                @Override
                public void onPush() {
                    completions(grab(completionsIn));
                    demandCompletions();
                }

                @Override
                public void onUpstreamFinish() {
                    if (toGuest.isEmpty()) {
                        complete(completionsOut);
                    }
                }
            });
            setHandler(completionsOut, new AbstractOutHandler() {
                @Override
                public void onPull() {
                    demandCompletions();
                }
            });
        }

        /** A chain comes from the guest: {@link #forward}, {@link #answer} or hold each of its requests. */
        protected abstract void requests(Request chain);

        /** A chain comes back from below; by default it goes on to the guest. */
        protected void completions(Request chain) {
            answer(chain);
        }

        /** The queue stalls: {@link #returnUnserved} or {@link #answer} whatever is held. Nothing may be held afterwards, unless the stage pretends to hang. */
        protected void giveBack() {}

        /** Whether it will take more requests now; holding some is a reason not to. */
        protected boolean accepts() {
            return true;
        }

        /** Sends a chain on towards the store; null is an empty one. */
        protected final void forward(@Nullable Request chain) {
            toStore.append(chain);
            if (isAvailable(requestsOut)) {
                push(requestsOut, toStore.take());
            }
        }

        /** Sends a chain back towards the guest; null is an empty one. */
        protected final void answer(@Nullable Request chain) {
            toGuest.append(chain);
            if (isAvailable(completionsOut)) {
                push(completionsOut, toGuest.take());
            }
        }

        /** Sends a chain back as not served: it will be issued again behind the change; null is an empty one. */
        protected final void returnUnserved(@Nullable Request chain) {
            for (var r = chain; r != null; r = r.next()) {
                r.fail(Errno.RETURNED);
            }
            if (chain != null) {
                answer(chain);
            }
        }

        /** Looks again whether more requests are wanted; call it after {@link #accepts()} became true. */
        protected final void demand() {
            if (!toStore.isEmpty()) {
                if (isAvailable(requestsOut)) {
                    push(requestsOut, toStore.take());
                }
                if (isClosed(requestsIn)) {
                    finishRequests();
                }
                return;
            }
            if (isAvailable(requestsOut) && accepts() && !isClosed(requestsIn) && !hasBeenPulled(requestsIn)) {
                pull(requestsIn);
            }
        }

        private void finishRequests() {
            if (toStore.isEmpty()) {
                complete(requestsOut);
            }
        }

        private void demandCompletions() {
            if (!toGuest.isEmpty()) {
                if (isAvailable(completionsOut)) {
                    push(completionsOut, toGuest.take());
                }
                if (toGuest.isEmpty() && isClosed(completionsIn)) {
                    complete(completionsOut);
                }
                return;
            }
            if (isAvailable(completionsOut) && !isClosed(completionsIn) && !hasBeenPulled(completionsIn)) {
                pull(completionsIn);
            }
        }
    }
}
