package io.sidecore.devices.interpose;

import io.sidecore.actors.block.Chain;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.core.Deadline;
import io.sidecore.actors.vif.Interposer;
import io.sidecore.actors.vif.InterposerStage;
import java.time.Duration;
import org.apache.pekko.stream.Attributes;
import org.apache.pekko.stream.BidiShape;
import org.apache.pekko.stream.Graph;
import org.apache.pekko.stream.stage.AsyncCallback;

/**
 * Limits a VIF, over all its queues together, to so many operations and bytes a second. Requests above wait, in order; the queue takes no more from its guest while some wait, and the guest feels it. Can be changed at any time.
 */
public final class RateLimit implements Interposer {
    /** A request that waits longer looks again after this time: the limit may have been changed. */
    private static final long LOOK_AGAIN_NANOS = 50_000_000;

    private final String name;
    private volatile Limits limits;
    private final TokenBucket operations;
    private final TokenBucket bytes;

    /**
     * What is allowed.
     *
     * @param operationsPerSecond zero: not limited
     * @param bytesPerSecond zero: not limited
     * @param burst how much unused allowance may be saved up, as time
     */
    public record Limits(long operationsPerSecond, long bytesPerSecond, Duration burst) {}

    /**
     * A limit.
     *
     * @param operationsPerSecond zero for none
     * @param bytesPerSecond zero for none
     * @param burst how much unused allowance may be saved up, as time
     */
    public RateLimit(String name, long operationsPerSecond, long bytesPerSecond, Duration burst) {
        this.name = name;
        limits = new Limits(operationsPerSecond, bytesPerSecond, burst);
        operations = new TokenBucket(operationsPerSecond, burst.toNanos());
        bytes = new TokenBucket(bytesPerSecond, burst.toNanos());
    }

    /** Another limit from now on; requests that wait follow it too, within 50 ms. Any thread. */
    public void limit(long operationsPerSecond, long bytesPerSecond, Duration burst) {
        operations.rate(operationsPerSecond, burst.toNanos());
        bytes.rate(bytesPerSecond, burst.toNanos());
        limits = new Limits(operationsPerSecond, bytesPerSecond, burst);
    }

    /** What it allows at present. */
    public Limits limits() {
        return limits;
    }

    @Override
    public String name() {
        return name;
    }

    /** Takes what the request costs; returns 0, or nanoseconds to wait. */
    private long take(Request request, long now) {
        var wait = bytes.waitNanos(now);
        if (wait == 0) {
            wait = operations.tryTake(1, now);
        }
        if (wait == 0) {
            bytes.take(request.payloadBytes(), now);
        }
        return wait;
    }

    @Override
    public Graph<BidiShape<Request, Request, Request, Request>, ?> stage(Site site) {
        return new Stage(site);
    }

    private final class Stage extends InterposerStage {
        private final Site site;

        Stage(Site site) {
            this.site = site;
        }

        @Override
        public Logic createLogic(Attributes attributes) {
            return new Limiting();
        }

        private final class Limiting extends Logic {
            private final Chain waiting = new Chain();
            private final Chain allowed = new Chain();
            private final Deadline due = new Deadline(this::due);
            private AsyncCallback<Stage> again;

            @Override
            public void preStart() {
                again = createAsyncCallback(stage -> release());
            }

            @Override
            public void postStop() {
                site.loop().disarm(due);
            }

            @Override
            protected void requests(Request chain) {
                waiting.append(chain);
                release();
            }

            @Override
            protected boolean accepts() {
                return waiting.isEmpty();
            }

            @Override
            protected void giveBack() {
                returnUnserved(waiting.take());
            }

            private void due() {
                again.invoke(Stage.this);
            }

            private void release() {
                var now = site.loop().clock().nanos();
                for (Request first; (first = waiting.first()) != null; ) {
                    var wait = take(first, now);
                    if (wait > 0) {
                        site.loop().arm(due, now + Math.min(wait, LOOK_AGAIN_NANOS));
                        break;
                    }
                    waiting.poll();
                    allowed.add(first);
                }
                if (!allowed.isEmpty()) {
                    forward(allowed.take());
                }
                demand();
            }
        }
    }
}
