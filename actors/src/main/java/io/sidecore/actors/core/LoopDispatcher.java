package io.sidecore.actors.core;

import com.typesafe.config.ConfigFactory;
import java.lang.ref.WeakReference;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import org.apache.pekko.actor.ActorSystem;
import org.apache.pekko.dispatch.Dispatcher;
import org.apache.pekko.dispatch.Dispatchers;
import org.apache.pekko.dispatch.ExecutorServiceFactory;
import org.apache.pekko.dispatch.ExecutorServiceFactoryProvider;
import org.apache.pekko.dispatch.MessageDispatcher;
import org.apache.pekko.dispatch.MessageDispatcherConfigurator;
import org.apache.pekko.stream.ActorAttributes;
import scala.concurrent.duration.Duration;
import scala.concurrent.duration.FiniteDuration;

/**
 * Makes a {@link CoreLoop} a dispatcher of an actor system: what is materialised with {@link CoreLoop#attributes()} runs on the loop. The dispatcher's throughput is one,
 * so that a busy stream lets others run (with 64 one stream held a loop for 1.1 s, with 1 for 0.2 ms).
 *
 * <p>A dispatcher shuts its executor down a second after its last stream ended and asks for a new one later: both are this loop, which lives until its host
 * ends it. The actor system never forgets a dispatcher; this one does not keep its loop, so that a system which outlives its hosts keeps some hundred bytes of each.
 */
public final class LoopDispatcher extends MessageDispatcherConfigurator {
    /** Events that a stream may handle in one go before others on its loop get their turn (Pekko's 1,000 held a loop for 87 ms). */
    private static final int EVENTS_AT_ONCE = 24;

    private final MessageDispatcher dispatcher;

    private LoopDispatcher(Dispatchers dispatchers, String id, CoreLoop loop) {
        super(dispatchers.config(id, ConfigFactory.empty()), dispatchers.prerequisites());
        this.dispatcher = new Dispatcher(
                this,
                id,
                1,
                Duration.Zero(),
                new Provider(new WeakReference<>(loop)),
                FiniteDuration.apply(1, TimeUnit.SECONDS));
    }

    /**
     * Registers the loop with the system under an id of its own; from then on {@link CoreLoop#attributes()} place streams on it.
     *
     * @throws IllegalArgumentException if a loop of this name is installed already
     */
    public static void install(ActorSystem system, CoreLoop loop) {
        var id = "sidecore.loop." + loop.name();
        var dispatchers = system.dispatchers();
        if (!dispatchers.registerConfigurator(id, new LoopDispatcher(dispatchers, id, loop))) {
            throw new IllegalArgumentException("the actor system has a dispatcher " + id + " already");
        }
        loop.attributes(ActorAttributes.dispatcher(id).and(ActorAttributes.syncProcessingLimit(EVENTS_AT_ONCE)));
    }

    @Override
    public MessageDispatcher dispatcher() {
        return dispatcher;
    }

    private record Provider(WeakReference<CoreLoop> loop) implements ExecutorServiceFactoryProvider {
        @Override
        public ExecutorServiceFactory createExecutorServiceFactory(String id, ThreadFactory threads) {
            return () -> {
                var present = loop.get();
                return new ExecutorLease(present != null ? present : Provider::refuse);
            };
        }

        private static void refuse(Runnable task) {
            throw new RejectedExecutionException("the core loop has ended");
        }
    }
}
