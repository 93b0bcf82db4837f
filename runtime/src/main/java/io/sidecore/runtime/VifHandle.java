package io.sidecore.runtime;

import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.vif.GuestEnd;
import io.sidecore.actors.vif.InlineQueue;
import io.sidecore.actors.vif.Interposer;
import io.sidecore.actors.vif.VirtualInterface;
import io.sidecore.actors.vif.VirtualInterface.Command;
import io.sidecore.conf.Amounts;
import io.sidecore.conf.InterposerSettings;
import io.sidecore.conf.Placement;
import io.sidecore.devices.interpose.RateLimit;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.function.Function;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.javadsl.AskPattern;
import org.apache.pekko.pattern.StatusReply;

/** The management of a VIF: changes that take effect while I/O goes on. Every one is completed once all queues run on the new shape, and fails with a sentence if it cannot be. */
public final class VifHandle {
    private static final Duration PATIENCE = Duration.ofMinutes(2);
    private static final String LIMIT = "limit";

    private final String id;
    private final ActorRef<Command> actor;
    private final ActorSystem<?> system;
    private final HostEvents events;

    VifHandle(String id, ActorRef<Command> actor, ActorSystem<?> system, HostEvents events) {
        this.id = id;
        this.actor = actor;
        this.system = system;
        this.events = events;
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
        return put(interposer, position)
                .thenApply(done -> told(done, "interposer " + interposer.name() + " was put in"));
    }

    /** Takes the interposer of this name out. */
    public CompletionStage<VirtualInterface.Done> remove(String interposer) {
        return take(interposer).thenApply(done -> told(done, "interposer " + interposer + " was taken out"));
    }

    /**
     * Limits it. The limit that it has, whether it was configured or set, gives way: the one nearest to the guest. Where there is one nothing stalls, and the next request is served by the new limit.
     */
    public CompletionStage<VirtualInterface.Done> limit(InterposerSettings.RateLimit wanted) {
        return limit().thenCompose(present -> {
                    if (present.isEmpty()) {
                        return put(Interposers.of(LIMIT, wanted), 0);
                    }
                    present.get()
                            .limit(
                                    wanted.iops().orElse(0),
                                    wanted.bytesPerSecond().orElse(0),
                                    wanted.burst());
                    return CompletableFuture.completedFuture(new VirtualInterface.Done(List.of()));
                })
                .thenApply(done -> told(done, "limited to " + sentence(wanted)));
    }

    /** Takes the limit out that {@link #limit(InterposerSettings.RateLimit)} would change. */
    public CompletionStage<VirtualInterface.Done> unlimit() {
        return limit().thenCompose(present -> present.map(limit -> take(limit.name()))
                        .orElseGet(
                                () -> CompletableFuture.failedFuture(new HostException("VIF " + id + " has no limit"))))
                .thenApply(done -> told(done, "not limited any more"));
    }

    private CompletionStage<Optional<RateLimit>> limit() {
        return inspect()
                .thenApply(status -> status.chain().stream()
                        .filter(RateLimit.class::isInstance)
                        .map(RateLimit.class::cast)
                        .findFirst());
    }

    private static String sentence(InterposerSettings.RateLimit limit) {
        var said = new ArrayList<String>();
        limit.iops().ifPresent(iops -> said.add(iops + " requests/s"));
        limit.bytesPerSecond().ifPresent(bytes -> said.add(Amounts.bytes(bytes) + "/s"));
        return String.join(", ", said);
    }

    private VirtualInterface.Done told(VirtualInterface.Done done, String what) {
        events.add("vif", id, "changed", what);
        return done;
    }

    private CompletionStage<VirtualInterface.Done> put(Interposer interposer, int position) {
        return change(replyTo -> new Command.Insert(interposer, position, replyTo));
    }

    private CompletionStage<VirtualInterface.Done> take(String interposer) {
        return change(replyTo -> new Command.Remove(interposer, replyTo));
    }

    /** Moves one queue to another loop. */
    public CompletionStage<VirtualInterface.Done> move(String queue, String loop) {
        return change(replyTo -> new Command.Move(queue, loop, replyTo))
                .thenApply(done -> told(done, "queue " + queue + " was moved to loop " + loop));
    }

    /** Places all queues anew. */
    public CompletionStage<VirtualInterface.Done> place(Placement placement) {
        return change(replyTo -> new Command.Place(placement, replyTo))
                .thenApply(done -> told(done, "placed " + placement.name().toLowerCase(Locale.ROOT)));
    }

    /** Moves the queues that are on a loop elsewhere; the loop must be none of the host's any more. */
    CompletionStage<VirtualInterface.Done> vacate(CoreLoop loop) {
        return change(replyTo -> new Command.Vacate(loop, replyTo));
    }

    /** Brings a guest's end; it is closed if the VIF has ended. */
    public void connect(GuestEnd end) {
        change(replyTo -> new Command.Connect(end, replyTo)).exceptionally(ended -> {
            end.close("VIF " + id + " has ended");
            return null;
        });
    }

    /** Brings a queue that a guest inside this process serves itself: its counts are the VIF's until it has ended, and afterwards. */
    public void enlist(InlineQueue queue) {
        actor.tell(new Command.Enlist(queue));
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
