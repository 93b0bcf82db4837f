package io.sidecore.runtime;

import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.vif.GuestEnd;
import io.sidecore.actors.vif.Interposer;
import io.sidecore.actors.vif.VirtualInterface;
import io.sidecore.actors.vif.VirtualInterface.Command;
import io.sidecore.conf.Placement;
import java.time.Duration;
import java.util.concurrent.CompletionStage;
import java.util.function.Function;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.javadsl.AskPattern;
import org.apache.pekko.pattern.StatusReply;

/** The management of a VIF: changes that take effect while I/O goes on. Every one is completed once all queues run on the new shape, and fails with a sentence if it cannot be. */
public final class VifHandle {
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    private final String id;
    private final ActorRef<Command> actor;
    private final ActorSystem<?> system;

    VifHandle(String id, ActorRef<Command> actor, ActorSystem<?> system) {
        this.id = id;
        this.actor = actor;
        this.system = system;
    }

    /** Its id. */
    public String id() {
        return id;
    }

    /** Its state. */
    public CompletionStage<VirtualInterface.Status> inspect() {
        return AskPattern.ask(actor, Command.Inspect::new, PATIENCE, system.scheduler());
    }

    /** Puts an interposer at a position, 0 being nearest to the guest. */
    public CompletionStage<VirtualInterface.Done> insert(Interposer interposer, int position) {
        return change(replyTo -> new Command.Insert(interposer, position, replyTo));
    }

    /** Takes the interposer of this name out. */
    public CompletionStage<VirtualInterface.Done> remove(String interposer) {
        return change(replyTo -> new Command.Remove(interposer, replyTo));
    }

    /** Moves one queue to another loop. */
    public CompletionStage<VirtualInterface.Done> move(String queue, String loop) {
        return change(replyTo -> new Command.Move(queue, loop, replyTo));
    }

    /** Places all queues anew. */
    public CompletionStage<VirtualInterface.Done> place(Placement placement) {
        return change(replyTo -> new Command.Place(placement, replyTo));
    }

    /** Moves the queues that are on a loop elsewhere; the loop must be none of the host's any more. */
    CompletionStage<VirtualInterface.Done> vacate(CoreLoop loop) {
        return change(replyTo -> new Command.Vacate(loop, replyTo));
    }

    /** Brings a guest's end; it is closed if the VIF has ended. */
    void connect(GuestEnd end) {
        change(replyTo -> new Command.Connect(end, replyTo)).exceptionally(ended -> {
            end.close("VIF " + id + " has ended");
            return null;
        });
    }

    /** May take as long as requests in flight may. */
    CompletionStage<VirtualInterface.Done> destroy(String reason) {
        return AskPattern.askWithStatus(
                actor, replyTo -> new Command.Destroy(reason, replyTo), Duration.ofDays(1), system.scheduler());
    }

    private CompletionStage<VirtualInterface.Done> change(
            Function<ActorRef<StatusReply<VirtualInterface.Done>>, Command> command) {
        return AskPattern.askWithStatus(actor, command::apply, PATIENCE, system.scheduler());
    }
}
