package io.sidecore.devices.interpose;

import io.sidecore.actors.block.Chain;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.core.Deadline;
import io.sidecore.actors.vif.Interposer;
import io.sidecore.actors.vif.InterposerStage;
import java.util.PriorityQueue;
import org.apache.pekko.stream.Attributes;
import org.apache.pekko.stream.BidiShape;
import org.apache.pekko.stream.Graph;
import org.apache.pekko.stream.stage.AsyncCallback;
import org.jspecify.annotations.Nullable;

/**
 * Makes a VIF misbehave by a {@link FaultPlan}: delays, errors, requests that hang. A request that hangs is forgotten by the stage, not by the queue: it stays unanswered until the chain is replaced, and is issued again then. The plan can be
 * exchanged at any time; every stage then begins it anew.
 */
public final class FaultInjector implements Interposer {
    private final String name;
    private volatile FaultPlan plan;

    /** An injector that follows {@code plan}. */
    public FaultInjector(String name, FaultPlan plan) {
        this.name = name;
        this.plan = plan;
    }

    /** Follows another plan from now on. Any thread. */
    public void plan(FaultPlan other) {
        plan = other;
    }

    @Override
    public String name() {
        return name;
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
            return new Injecting();
        }

        private record Delayed(Request request, long until) implements Comparable<Delayed> {
            @Override
            public int compareTo(Delayed other) {
                var first = Long.compare(until - other.until, 0);
                return first != 0 ? first : Long.compare(request.sequence(), other.request.sequence());
            }
        }

        private final class Injecting extends Logic {
            /** By the time they are due: an exchanged plan may delay for less than the one before. */
            private final PriorityQueue<Delayed> delayed = new PriorityQueue<>();

            private final Chain passing = new Chain();
            private final Chain failing = new Chain();
            private final Deadline due = new Deadline(() -> again());
            private AsyncCallback<Stage> wake;
            private @Nullable FaultPlan following;
            private FaultPlan.@Nullable Decisions decisions;

            @Override
            public void preStart() {
                wake = createAsyncCallback(stage -> release());
            }

            @Override
            public void postStop() {
                site.loop().disarm(due);
            }

            private void again() {
                wake.invoke(Stage.this);
            }

            @Override
            protected void requests(Request chain) {
                var by = plan;
                var dealt = decisions;
                if (dealt == null || following != by) {
                    following = by;
                    dealt = by.decisions();
                    decisions = dealt;
                }
                var now = site.loop().clock().nanos();
                while (chain != null) {
                    var next = chain.unlink();
                    switch (dealt.next()) {
                        case PASS -> passing.add(chain);
                        case DELAY ->
                            delayed.add(new Delayed(chain, now + by.delay().toNanos()));
                        case ERROR -> {
                            chain.fail(by.error());
                            failing.add(chain);
                        }
                        // Forgotten here; the queue's ledger has not forgotten it.
                        case HANG -> {}
                    }
                    chain = next;
                }
                if (!passing.isEmpty()) {
                    forward(passing.take());
                }
                if (!failing.isEmpty()) {
                    answer(failing.take());
                }
                rearm();
            }

            private void release() {
                var now = site.loop().clock().nanos();
                while (!delayed.isEmpty() && delayed.peek().until() - now <= 0) {
                    passing.add(delayed.poll().request());
                }
                if (!passing.isEmpty()) {
                    forward(passing.take());
                }
                rearm();
            }

            private void rearm() {
                if (!delayed.isEmpty()) {
                    site.loop().arm(due, delayed.peek().until());
                }
            }

            @Override
            protected void giveBack() {
                while (!delayed.isEmpty()) {
                    passing.add(delayed.poll().request());
                }
                returnUnserved(passing.take());
            }
        }
    }
}
