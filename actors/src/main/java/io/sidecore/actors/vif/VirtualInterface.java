package io.sidecore.actors.vif;

import io.sidecore.actors.core.Clock;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.Loops;
import io.sidecore.conf.Placement;
import io.sidecore.conf.VifSettings;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.function.UnaryOperator;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.javadsl.AbstractBehavior;
import org.apache.pekko.actor.typed.javadsl.ActorContext;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.apache.pekko.actor.typed.javadsl.Receive;
import org.apache.pekko.pattern.StatusReply;
import org.apache.pekko.stream.Materializer;

/**
 * A virtual interface: the end of a device that a guest holds. It owns the queues and decides what lies behind them and where they run; no I/O passes through it. A change applies to every queue, and to those
 * that come later.
 */
public final class VirtualInterface extends AbstractBehavior<VirtualInterface.Command> {
    /** Classes of devices. */
    public enum DeviceClass {
        BLOCK
    }

    /** States of a VIF. */
    public enum State {
        ATTACHED,
        DESTROYING,
        DESTROYED
    }

    /** What a VIF is told and asked; privileged: a guest has no reference to it. */
    public sealed interface Command {
        /** A guest brings another queue. Answered once the VIF has taken or closed it. */
        record Connect(GuestEnd end, ActorRef<StatusReply<Done>> replyTo) implements Command {}

        /** A guest inside this process brings a queue that it serves itself: what that counts is the VIF's. Closed at once if the VIF is being destroyed. */
        record Enlist(InlineQueue queue) implements Command {}

        /** Puts an interposer at a position, 0 being nearest to the guest; a position beyond the end means the end. */
        record Insert(Interposer interposer, int position, ActorRef<StatusReply<Done>> replyTo) implements Command {}

        /** Takes the interposer of this name out. */
        record Remove(String interposer, ActorRef<StatusReply<Done>> replyTo) implements Command {}

        /** Moves one queue to the loop of this name. */
        record Move(String queue, String loop, ActorRef<StatusReply<Done>> replyTo) implements Command {}

        /** Places all queues anew. */
        record Place(Placement placement, ActorRef<StatusReply<Done>> replyTo) implements Command {}

        /** Moves the queues that are on a loop, or on their way there, to where those belong that connect now. The loop must be none of the host's any more. */
        record Vacate(CoreLoop loop, ActorRef<StatusReply<Done>> replyTo) implements Command {}

        /** Asks for its state. */
        record Inspect(ActorRef<Status> replyTo) implements Command {}

        /** Ends all queues, then itself. */
        record Destroy(String reason, ActorRef<StatusReply<Done>> replyTo) implements Command {}
    }

    private record QueueClosed(Queue queue) implements Command {}

    private record InlineEnded(String name) implements Command {}

    private record GoBack(Route former) implements Command {}

    /** What a change did, queue by queue. */
    public record Done(List<Queue.Changed> queues) {}

    /** A queue as seen from outside; the loop of one that the guest's own thread serves is {@code inline}. */
    public record QueueStatus(
            String name, String loop, Queue.State state, int generation, Stages stages, Tally tally) {}

    /**
     * A VIF as seen from outside.
     *
     * @param chain its interposers, the first one nearest to the guest
     * @param ended what the queues have served that are no more
     */
    public record Status(
            String id,
            DeviceClass deviceClass,
            String owner,
            State state,
            Placement placement,
            Attachment attachment,
            List<Interposer> chain,
            List<QueueStatus> queues,
            Tally ended) {
        /** The names of its interposers. */
        public List<String> interposers() {
            return chain.stream().map(Interposer::name).toList();
        }

        /** What all its queues have served, at present; those that are no more included. */
        public Tally tally() {
            var sum = new Tally();
            sum.add(ended);
            queues.forEach(queue -> sum.add(queue.tally()));
            return sum;
        }

        /** Requests that are not answered yet. */
        public long inFlight() {
            return queues.stream().mapToLong(queue -> queue.tally().inFlight()).sum();
        }

        /** The name of the volume that it holds. */
        public String volume() {
            return attachment.volume().name();
        }
    }

    /**
     * What a VIF is made of.
     *
     * @param id unique in its host
     * @param owner the VM that holds it, or who else
     */
    public record Definition(
            String id,
            String owner,
            Route route,
            Placement placement,
            VifSettings limits,
            Loops loops,
            Materializer materializer) {}

    private static final String INLINE = "inline";
    /** What a queue without a loop has instead. */
    private static final Stages UNTIMED = new Stages(Clock.SYSTEM);

    private static final Map<State, EnumSet<State>> LEGAL = Map.of(
            State.ATTACHED, EnumSet.of(State.DESTROYING),
            State.DESTROYING, EnumSet.of(State.DESTROYED),
            State.DESTROYED, EnumSet.noneOf(State.class));

    private final Definition definition;
    private final LifeCycle<State> life;
    private final Map<String, Queue> queues = new LinkedHashMap<>();
    private final Map<String, InlineQueue> inlines = new LinkedHashMap<>();

    /** On which loop each queue is, or will be when the changes are done that it was told of. */
    private final Map<String, CoreLoop> assigned = new HashMap<>();

    private final List<ActorRef<StatusReply<Done>>> destroyers = new ArrayList<>();
    private Route route;
    private Placement placement;
    private int queueNumber;
    /** Never changed, but replaced: who was told of it keeps what it was told. */
    private Tally ended = new Tally();

    private VirtualInterface(ActorContext<Command> context, Definition definition) {
        super(context);
        this.definition = definition;
        this.route = definition.route();
        this.placement = definition.placement();
        this.life = new LifeCycle<>("VIF " + definition.id(), State.ATTACHED, LEGAL);
    }

    /** A VIF without queues yet. */
    public static Behavior<Command> create(Definition definition) {
        return Behaviors.setup(context -> new VirtualInterface(context, definition));
    }

    @Override
    public Receive<Command> createReceive() {
        return newReceiveBuilder()
                .onMessage(Command.Connect.class, this::connect)
                .onMessage(Command.Enlist.class, this::enlist)
                .onMessage(Command.Insert.class, this::insert)
                .onMessage(Command.Remove.class, this::remove)
                .onMessage(Command.Move.class, this::move)
                .onMessage(Command.Place.class, this::place)
                .onMessage(Command.Vacate.class, this::vacate)
                .onMessage(Command.Inspect.class, this::inspect)
                .onMessage(Command.Destroy.class, this::destroy)
                .onMessage(QueueClosed.class, this::queueClosed)
                .onMessage(InlineEnded.class, this::inlineEnded)
                .onMessage(GoBack.class, this::goBack)
                .build();
    }

    private Behavior<Command> connect(Command.Connect connect) {
        connect.replyTo().tell(StatusReply.success(new Done(List.of())));
        if (!life.is(State.ATTACHED)) {
            connect.end().close("VIF " + definition.id() + " is being destroyed");
            return this;
        }
        var number = queueNumber++;
        var loop = loopOf(number);
        var self = getContext().getSelf();
        var closed = new Queue[1];
        var queue = new Queue(
                definition.id() + "#" + number,
                definition.limits(),
                loop,
                route,
                connect.end(),
                definition.materializer(),
                () -> self.tell(new QueueClosed(closed[0])));
        closed[0] = queue;
        queues.put(queue.name(), queue);
        assigned.put(queue.name(), loop);
        getContext().getLog().debug("{} serves on loop {}", queue.name(), loop.name());
        queue.start();
        return this;
    }

    private Behavior<Command> enlist(Command.Enlist enlist) {
        var queue = enlist.queue();
        if (!life.is(State.ATTACHED)) {
            queue.close();
            return this;
        }
        var name = definition.id() + "#" + queueNumber++;
        inlines.put(name, queue);
        var self = getContext().getSelf();
        queue.ended().thenRun(() -> self.tell(new InlineEnded(name)));
        return this;
    }

    /** Nothing of it passes through a chain or a loop, and a change that does nothing is none. */
    private Behavior<Command> refuseInline(ActorRef<StatusReply<Done>> replyTo) {
        return refuse(
                replyTo,
                "it is served inline, by the guest's own thread, where there is neither a chain nor a loop; define its disk with placement shared or sidecore");
    }

    private Behavior<Command> insert(Command.Insert insert) {
        if (placement == Placement.INLINE) {
            return refuseInline(insert.replyTo());
        }
        if (route.interposers().stream()
                .anyMatch(i -> i.name().equals(insert.interposer().name()))) {
            return refuse(
                    insert.replyTo(),
                    "it has an interposer " + insert.interposer().name() + " already");
        }
        return reroute(
                interposers -> {
                    interposers.add(Math.clamp(insert.position(), 0, interposers.size()), insert.interposer());
                    return interposers;
                },
                insert.replyTo());
    }

    private Behavior<Command> remove(Command.Remove remove) {
        if (route.interposers().stream().noneMatch(i -> i.name().equals(remove.interposer()))) {
            return refuse(
                    remove.replyTo(),
                    "it has no interposer " + remove.interposer() + "; it has "
                            + route.interposers().stream().map(Interposer::name).toList());
        }
        return reroute(
                interposers -> {
                    interposers.removeIf(i -> i.name().equals(remove.interposer()));
                    return interposers;
                },
                remove.replyTo());
    }

    private Behavior<Command> reroute(UnaryOperator<List<Interposer>> change, ActorRef<StatusReply<Done>> replyTo) {
        if (!life.is(State.ATTACHED)) {
            return refuse(replyTo, "it is being destroyed");
        }
        var former = route;
        route = new Route(change.apply(new ArrayList<>(former.interposers())), former.attachment());
        var self = getContext().getSelf();
        return apply(
                queues.values().stream().map(q -> q.change(route, null)).toList(),
                replyTo,
                () -> self.tell(new GoBack(former)));
    }

    /** A route could not be served: whoever connects next, and who survived it, has the former one. */
    private Behavior<Command> goBack(GoBack back) {
        if (life.is(State.ATTACHED)) {
            route = back.former();
            queues.values().forEach(q -> q.change(route, null));
        }
        return this;
    }

    private Behavior<Command> move(Command.Move move) {
        if (placement == Placement.INLINE) {
            return refuseInline(move.replyTo());
        }
        var queue = queues.get(move.queue());
        if (queue == null) {
            return refuse(move.replyTo(), "it has no queue " + move.queue() + "; it has " + queues.keySet());
        }
        var loop = definition.loops().named(move.loop());
        if (loop.isEmpty()) {
            return refuse(
                    move.replyTo(),
                    "there is no loop " + move.loop() + "; there are "
                            + definition.loops().all().map(CoreLoop::name).toList());
        }
        return apply(List.of(assign(queue, loop.get())), move.replyTo(), () -> {});
    }

    private CompletionStage<Queue.Changed> assign(Queue queue, CoreLoop loop) {
        assigned.put(queue.name(), loop);
        return queue.change(null, loop);
    }

    private Behavior<Command> place(Command.Place place) {
        if (placement == Placement.INLINE) {
            return refuseInline(place.replyTo());
        }
        if (place.placement() == Placement.INLINE) {
            return refuse(place.replyTo(), "a VIF is placed inline where its disk is defined, or not at all");
        }
        if (definition.loops().place(place.placement(), 0).isEmpty()) {
            return refuse(place.replyTo(), "there is no service core; set sidecore.cores.service");
        }
        placement = place.placement();
        var n = new int[1];
        return apply(
                queues.values().stream().map(q -> assign(q, loopOf(n[0]++))).toList(), place.replyTo(), () -> {});
    }

    /** The loop of the {@code n}-th queue. */
    private CoreLoop loopOf(int n) {
        return definition.loops().place(placement, n).orElse(definition.loops().shared());
    }

    private Behavior<Command> vacate(Command.Vacate vacate) {
        var n = new int[1];
        return apply(
                queues.values().stream()
                        .filter(q -> assigned.get(q.name()) == vacate.loop())
                        .map(q -> assign(q, loopOf(n[0]++)))
                        .toList(),
                vacate.replyTo(),
                () -> {});
    }

    private Behavior<Command> apply(
            List<? extends CompletionStage<Queue.Changed>> changes,
            ActorRef<StatusReply<Done>> replyTo,
            Runnable onRefusal) {
        var all = changes.stream().map(CompletionStage::toCompletableFuture).toList();
        var _ = CompletableFuture.allOf(all.toArray(CompletableFuture[]::new)).whenComplete((done, failure) -> {
            for (var one : all) {
                if (one.isCompletedExceptionally() && one.exceptionNow() instanceof NotServedException refused) {
                    onRefusal.run();
                    replyTo.tell(StatusReply.error("VIF " + definition.id() + ": " + refused.getMessage()));
                    return;
                }
            }
            // A queue that ended in the meantime has nothing to change any more.
            replyTo.tell(StatusReply.success(new Done(all.stream()
                    .filter(one -> !one.isCompletedExceptionally())
                    .map(CompletableFuture::join)
                    .toList())));
        });
        return this;
    }

    private Behavior<Command> refuse(ActorRef<StatusReply<Done>> replyTo, String why) {
        replyTo.tell(StatusReply.error("VIF " + definition.id() + ": " + why));
        return this;
    }

    private Behavior<Command> inspect(Command.Inspect inspect) {
        inspect.replyTo()
                .tell(new Status(
                        definition.id(),
                        DeviceClass.BLOCK,
                        definition.owner(),
                        life.state(),
                        placement,
                        route.attachment(),
                        route.interposers(),
                        statuses(),
                        ended));
        return this;
    }

    private List<QueueStatus> statuses() {
        var all = new ArrayList<QueueStatus>();
        queues.values()
                .forEach(q -> all.add(
                        new QueueStatus(q.name(), q.loop().name(), q.state(), q.generation(), q.stages(), q.tally())));
        inlines.forEach((name, q) -> all.add(new QueueStatus(
                name, INLINE, q.isOpen() ? Queue.State.RUNNING : Queue.State.CLOSED, 0, UNTIMED, q.tally())));
        return List.copyOf(all);
    }

    private Behavior<Command> destroy(Command.Destroy destroy) {
        destroyers.add(destroy.replyTo());
        if (life.is(State.ATTACHED)) {
            life.to(State.DESTROYING);
            queues.values().forEach(q -> q.close(destroy.reason()));
            inlines.values().forEach(InlineQueue::close);
        }
        return endIfEmpty();
    }

    private Behavior<Command> queueClosed(QueueClosed closed) {
        queues.remove(closed.queue().name());
        assigned.remove(closed.queue().name());
        return ended(closed.queue().tally());
    }

    private Behavior<Command> inlineEnded(InlineEnded inline) {
        var queue = inlines.remove(inline.name());
        return queue == null ? this : ended(queue.tally());
    }

    private Behavior<Command> ended(Tally tally) {
        // A new one: who was told the former one has the queue besides.
        var sum = new Tally();
        sum.add(ended);
        sum.add(tally);
        ended = sum;
        return life.is(State.DESTROYING) ? endIfEmpty() : this;
    }

    private Behavior<Command> endIfEmpty() {
        if (!queues.isEmpty() || !inlines.isEmpty()) {
            return this;
        }
        life.to(State.DESTROYED);
        route.attachment().detach();
        destroyers.forEach(d -> d.tell(StatusReply.success(new Done(List.of()))));
        return Behaviors.stopped();
    }
}
