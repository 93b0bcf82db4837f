package io.sidecore.it.simulation;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import java.util.List;
import java.util.concurrent.AbstractExecutorService;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.apache.pekko.dispatch.DispatcherPrerequisites;
import org.apache.pekko.dispatch.ExecutorServiceConfigurator;
import org.apache.pekko.dispatch.ExecutorServiceFactory;
import org.apache.pekko.stream.SystemMaterializer;

/**
 * Runs the actor that supervises all streams wherever the present simulation says, so that nothing of a run depends on another thread: a stream's actor is started by its supervisor. Named in the
 * configuration, since the supervisor is created with its actor system.
 */
public final class SupervisorExecutor extends ExecutorServiceConfigurator {
    private static volatile Executor executor = Runnable::run;

    /** Called by Pekko. */
    public SupervisorExecutor(Config config, DispatcherPrerequisites prerequisites) {
        super(config, prerequisites);
    }

    /** An actor system for simulations. */
    static ActorSystem<Void> system() {
        var config = ConfigFactory.parseString("""
                        pekko.stream.materializer.dispatcher = simulated-supervisor
                        simulated-supervisor {
                          type = Dispatcher
                          executor = "%s"
                          throughput = 1
                        }
                        """.formatted(SupervisorExecutor.class.getName()))
                .withFallback(ConfigFactory.load());
        ActorSystem<Void> system = ActorSystem.create(Behaviors.empty(), "simulation", config);
        SystemMaterializer.get(system).materializer();
        return system;
    }

    /** From now on it runs there; {@code Runnable::run} outside of a simulation. */
    static void runOn(Executor where) {
        executor = where;
    }

    @Override
    public ExecutorServiceFactory createExecutorServiceFactory(String id, ThreadFactory threads) {
        return Forwarding::new;
    }

    private static final class Forwarding extends AbstractExecutorService implements ExecutorService {
        private volatile boolean shutdown;

        @Override
        public void execute(Runnable command) {
            executor.execute(command);
        }

        @Override
        public void shutdown() {
            shutdown = true;
        }

        @Override
        public List<Runnable> shutdownNow() {
            shutdown = true;
            return List.of();
        }

        @Override
        public boolean isShutdown() {
            return shutdown;
        }

        @Override
        public boolean isTerminated() {
            return shutdown;
        }

        @Override
        public boolean awaitTermination(long timeout, TimeUnit unit) {
            return shutdown;
        }
    }
}
