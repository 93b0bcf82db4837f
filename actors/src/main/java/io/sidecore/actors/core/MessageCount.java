package io.sidecore.actors.core;

import java.util.concurrent.atomic.LongAdder;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.BehaviorInterceptor;
import org.apache.pekko.actor.typed.TypedActorContext;
import org.apache.pekko.actor.typed.javadsl.Behaviors;

/** Counts every message that any actor of a host receives: after set-up, a million I/Os must not move it. */
public final class MessageCount {
    private final LongAdder messages = new LongAdder();

    /** The same behavior, counted. */
    public <T> Behavior<T> counted(Class<T> protocol, Behavior<T> behavior) {
        return Behaviors.intercept(
                () -> new BehaviorInterceptor<T, T>(protocol) {
                    @Override
                    public Behavior<T> aroundReceive(TypedActorContext<T> context, T message, ReceiveTarget<T> target) {
                        messages.increment();
                        return target.apply(context, message);
                    }
                },
                behavior);
    }

    /** Messages so far. */
    public long messages() {
        return messages.sum();
    }
}
