package io.sidecore.actors.core;

import java.util.Optional;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.javadsl.ActorContext;
import org.apache.pekko.actor.typed.javadsl.Behaviors;

/**
 * One core of the machine. Its role says for what it is used; in the role {@code SERVICE} it is a sidecore and has a core loop, pinned to it where the platform allows.
 */
public final class PhysicalCore {
    /** For what a core is used. */
    public enum Role {
        /** Runs the vCPUs of guests. */
        GUEST,
        /** Reserved for a service: a sidecore. */
        SERVICE,
        /** For whatever the operating system puts there. */
        SHARED
    }

    /** What a core is told and asked. */
    public sealed interface Command {
        /** Asks for the core's state. */
        record Inspect(ActorRef<Status> replyTo) implements Command {}

        /** From now on this is its role; its loop, if the role has one, is started, and the former one told to stop. */
        record Assign(Role role, Optional<CoreLoop> loop, ActorRef<Status> replyTo) implements Command {}
    }

    /**
     * A core's state.
     *
     * @param loop name of its loop, if it is a sidecore
     * @param utilisation share of the time since the loop's start in which it worked, 0 to 1
     */
    public record Status(Topology.Core core, Role role, Optional<String> loop, double utilisation) {}

    private PhysicalCore() {}

    /** A core in this role; with the loop that it runs if it is a sidecore. */
    public static Behavior<Command> create(Topology.Core core, Role role, Optional<CoreLoop> loop) {
        return Behaviors.setup(context -> serving(context, core, role, loop, System.nanoTime()));
    }

    private static Behavior<Command> serving(
            ActorContext<Command> context, Topology.Core core, Role role, Optional<CoreLoop> loop, long since) {
        loop.ifPresent(CoreLoop::start);
        context.getLog().debug("core {} is {}", core.id(), role);
        return Behaviors.receive(Command.class)
                .onMessage(Command.Inspect.class, inspect -> {
                    var elapsed = Math.max(1, System.nanoTime() - since);
                    var busy = loop.map(l -> (double) l.counters().busyNanos.get() / elapsed)
                            .orElse(0.0);
                    inspect.replyTo().tell(new Status(core, role, loop.map(CoreLoop::name), Math.min(1, busy)));
                    return Behaviors.same();
                })
                .onMessage(Command.Assign.class, assign -> {
                    loop.ifPresent(CoreLoop::stop);
                    var next = serving(context, core, assign.role(), assign.loop(), System.nanoTime());
                    assign.replyTo()
                            .tell(new Status(core, assign.role(), assign.loop().map(CoreLoop::name), 0));
                    return next;
                })
                .build();
    }
}
