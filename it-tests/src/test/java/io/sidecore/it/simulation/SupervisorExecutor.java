package io.sidecore.it.simulation;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import io.sidecore.actors.core.ExecutorLease;
import java.util.concurrent.Executor;
import java.util.concurrent.ThreadFactory;
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
        return () -> new ExecutorLease(command -> executor.execute(command));
    }
}
