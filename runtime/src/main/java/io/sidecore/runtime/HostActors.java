package io.sidecore.runtime;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.LoopDispatcher;
import io.sidecore.actors.core.MessageCount;
import io.sidecore.conf.Amounts;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.DispatcherSelector;
import org.apache.pekko.actor.typed.Props;
import org.apache.pekko.actor.typed.SpawnProtocol;
import org.apache.pekko.actor.typed.javadsl.Adapter;
import org.apache.pekko.actor.typed.javadsl.AskPattern;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.apache.pekko.pattern.Patterns;
import org.apache.pekko.stream.Materializer;

/**
 * The actors of a host, in a system of their own or in an application's: all of them, the streams' included, are children of one, and end with it.
 */
final class HostActors implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofSeconds(10);
    /** As many as sidecore-system.conf says. */
    private static final int CONTROL_THREADS = 2;

    private final MessageCount messages;
    private final ActorSystem<?> system;
    private final boolean own;
    private final ActorRef<SpawnProtocol.Command> top;
    private final CompletableFuture<Materializer> materializer = new CompletableFuture<>();

    private HostActors(MessageCount messages) {
        this.messages = messages;
        var created = ActorSystem.create(top(), "sidecore", systemConfig());
        this.system = created;
        this.top = created;
        this.own = true;
        startControlThreads();
    }

    private HostActors(MessageCount messages, ActorSystem<?> given, String host) {
        if (given.getWhenTerminated().toCompletableFuture().isDone()) {
            throw new HostException("the actor system " + given.name() + " has ended; give one that runs");
        }
        this.messages = messages;
        this.system = given;
        this.top = given.systemActorOf(top(), "sidecore-" + host, Props.empty());
        this.own = false;
    }

    /** In a system of their own. */
    static HostActors alone(MessageCount messages) {
        return new HostActors(messages);
    }

    /**
     * In an application's system, which stays.
     *
     * @param host tells the hosts of one system apart
     */
    static HostActors within(ActorSystem<?> given, String host, MessageCount messages) {
        return new HostActors(messages, given, host);
    }

    private Behavior<SpawnProtocol.Command> top() {
        return messages.counted(SpawnProtocol.Command.class, Behaviors.setup(context -> {
            materializer.complete(Materializer.createMaterializer(context));
            return SpawnProtocol.create();
        }));
    }

    private static Config systemConfig() {
        return ConfigFactory.parseResources(HostActors.class.getClassLoader(), "sidecore-system.conf")
                // Not load(): an application's own settings are for its own system.
                .withFallback(ConfigFactory.defaultReference(HostActors.class.getClassLoader()));
    }

    /** A thread is started by whoever first needs it and stays on that one's core: not on a sidecore's, therefore now. */
    private void startControlThreads() {
        for (var dispatcher : List.of(
                DispatcherSelector.defaultDispatcher(),
                DispatcherSelector.fromConfig("pekko.actor.internal-dispatcher"))) {
            var executor = system.dispatchers().lookup(dispatcher);
            var together = new CountDownLatch(CONTROL_THREADS);
            for (var i = 0; i < CONTROL_THREADS; i++) {
                executor.execute(() -> {
                    together.countDown();
                    try {
                        together.await(1, TimeUnit.SECONDS);
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                    }
                });
            }
        }
    }

    /** Makes the loop one of the system's dispatchers. */
    void install(CoreLoop loop) {
        LoopDispatcher.install(system.classicSystem(), loop);
    }

    /** The system in which they are. */
    ActorSystem<?> system() {
        return system;
    }

    /** Runs the host's streams. */
    Materializer materializer() {
        return await(materializer, "the actor system");
    }

    /** Another one. */
    <T> ActorRef<T> spawn(Class<T> protocol, Behavior<T> behavior, String name) {
        CompletionStage<ActorRef<T>> spawned = AskPattern.ask(
                top,
                replyTo ->
                        new SpawnProtocol.Spawn<>(messages.counted(protocol, behavior), name, Props.empty(), replyTo),
                PATIENCE,
                system.scheduler());
        return await(spawned, name);
    }

    /** Waits for an answer of one of them. */
    static <T> T await(CompletionStage<T> stage, String what) {
        try {
            return stage.toCompletableFuture().get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new HostException("interrupted while waiting for " + what, e);
        } catch (ExecutionException e) {
            throw new HostException(what + ": " + e.getCause().getMessage(), e.getCause());
        } catch (TimeoutException e) {
            throw new HostException(what + " did not answer within " + Amounts.duration(PATIENCE), e);
        }
    }

    /** Ends them, and the system if it is their own; returns when none is left. */
    @Override
    public void close() {
        if (own) {
            system.terminate();
            await(system.getWhenTerminated(), "the actor system");
        } else {
            await(Patterns.gracefulStop(Adapter.toClassic(top), PATIENCE), "the host's actors");
        }
    }
}
