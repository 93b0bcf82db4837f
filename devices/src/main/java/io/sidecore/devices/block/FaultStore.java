package io.sidecore.devices.block;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Capabilities;
import io.sidecore.actors.block.Chain;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Store;
import io.sidecore.actors.core.Deadline;
import io.sidecore.actors.core.Loop;
import io.sidecore.devices.interpose.FaultPlan;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.concurrent.CompletionStage;
import org.jspecify.annotations.Nullable;

/**
 * A store that misbehaves by a {@link FaultPlan}: some requests are delayed, fail, or hang in its hands. What is delayed or hangs is served on a loop of its own, as by any store that does its work elsewhere; what hangs is served
 * when {@link #wake} is called, which is how a stalled disk comes back at the worst moment.
 */
public final class FaultStore implements Store {
    private record Held(Request request, Completions later, long until) {}

    private final Store inner;
    private final FaultPlan.Decisions decisions;
    private final FaultPlan plan;
    private final Loop loop;
    private final ArrayDeque<Held> delayed = new ArrayDeque<>();
    private final ArrayDeque<Held> hung = new ArrayDeque<>();
    private final Deadline due = new Deadline(this::release);

    /** Misbehaves in front of {@code inner}, on {@code loop}. */
    public FaultStore(Store inner, FaultPlan plan, Loop loop) {
        this.inner = inner;
        this.plan = plan;
        this.decisions = plan.decisions();
        this.loop = loop;
    }

    @Override
    public long size() {
        return inner.size();
    }

    @Override
    public Capabilities capabilities() {
        return inner.capabilities();
    }

    /** As well as the store behind: what is lent is not late, only its request is. */
    @Override
    public @Nullable MemorySegment lend(BlockOp op, long offset, int length) {
        return inner.lend(op, offset, length);
    }

    @Override
    public @Nullable Request serve(Request chain, Completions later) {
        var passing = new Chain();
        var failed = new Chain();
        while (chain != null) {
            var next = chain.unlink();
            switch (fate()) {
                case PASS -> passing.add(chain);
                case ERROR -> {
                    chain.fail(plan.error());
                    failed.add(chain);
                }
                case DELAY -> hold(chain, later, plan.delay().toNanos());
                case HANG -> hold(chain, later, Long.MAX_VALUE);
            }
            chain = next;
        }
        var rest = passing.take();
        if (rest != null) {
            failed.append(inner.serve(rest, later));
        }
        return failed.take();
    }

    private synchronized FaultPlan.Fate fate() {
        return decisions.next();
    }

    private void hold(Request request, Completions later, long nanos) {
        loop.execute(() -> {
            if (nanos == Long.MAX_VALUE) {
                hung.add(new Held(request, later, 0));
            } else {
                delayed.add(new Held(request, later, loop.clock().nanos() + nanos));
                rearm();
            }
        });
    }

    private void rearm() {
        if (!delayed.isEmpty()) {
            loop.arm(due, delayed.peek().until());
        }
    }

    private void release() {
        while (!delayed.isEmpty() && delayed.peek().until() - loop.clock().nanos() <= 0) {
            serve(delayed.poll());
        }
        rearm();
    }

    private void serve(Held held) {
        for (var done = inner.serve(held.request(), held.later()); done != null; ) {
            var next = done.unlink();
            held.later().complete(done);
            done = next;
        }
    }

    /** Serves whatever hangs, now, late. Any thread. */
    public void wake() {
        loop.execute(() -> {
            for (Held held; (held = hung.poll()) != null; ) {
                serve(held);
            }
        });
    }

    @Override
    public CompletionStage<Void> fence() {
        return inner.fence();
    }

    @Override
    public void close() {
        inner.close();
    }
}
