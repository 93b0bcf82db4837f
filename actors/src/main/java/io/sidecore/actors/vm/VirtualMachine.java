package io.sidecore.actors.vm;

import io.sidecore.actors.vif.LifeCycle;
import io.sidecore.conf.Amounts;
import io.sidecore.conf.VmSettings;
import io.sidecore.conf.VmSettings.RestartPolicy;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.function.Supplier;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.javadsl.AbstractBehavior;
import org.apache.pekko.actor.typed.javadsl.ActorContext;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.apache.pekko.actor.typed.javadsl.Receive;
import org.apache.pekko.actor.typed.javadsl.TimerScheduler;
import org.apache.pekko.pattern.StatusReply;
import org.jspecify.annotations.Nullable;

/**
 * A virtual machine: its life cycle, and when it is started again. What executes inside is a {@link Guest}, another one for each run.
 *
 * <pre>
 *   DEFINED → STARTING → RUNNING ⇄ PAUSED          STARTING → STOPPING, FAILED; back to where it was: its restore was refused
 *                           ↓  ↘      ↓            RUNNING, PAUSED → STOPPED, FAILED: it was gone by itself
 *                           ↓   STOPPING → STOPPED, FAILED
 *                        STOPPED, FAILED → STARTING
 * </pre>
 *
 * <p>The two transitional states are this actor's, and end: STARTING after {@code start-timeout} without progress, when the guest is killed; STOPPING after {@code stop-timeout}, when it is killed, and {@link #KILL_TIMEOUT} after that, when it is given up. A guest that ends by itself is STOPPING while others still have to let go of it.
 */
public final class VirtualMachine extends AbstractBehavior<VirtualMachine.Command> {
    /** States of a VM. */
    public enum State {
        /** It has never run. */
        DEFINED,
        STARTING,
        RUNNING,
        /** It is there and does not execute. */
        PAUSED,
        STOPPING,
        STOPPED,
        /** It ended otherwise than it should have; the cause is kept. */
        FAILED,
        /** Reserved for the move to another host. */
        MIGRATING;

        /** In lower case, as people read it. */
        public String word() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** Within this time a guest that is killed, or has come to its end, is gone. */
    public static final Duration KILL_TIMEOUT = Duration.ofSeconds(20);

    /** How long a guest may take to pause and to resume. */
    public static final Duration PAUSE_TIMEOUT = Duration.ofSeconds(20);

    /** How long a snapshot may be without progress. */
    public static final Duration SNAPSHOT_TIMEOUT = Duration.ofMinutes(10);

    /** For which the actor of a VM that is forgotten still answers what has crossed that on its way. */
    static final Duration AFTERWARDS = Duration.ofSeconds(10);

    /** The entry of the history that says: its disks begin to be overwritten by those of a snapshot. Until it runs again they may be so in part. */
    public static final String RESTORING = "restoring";

    static final Map<State, EnumSet<State>> LEGAL = Map.of(
            State.DEFINED,
            EnumSet.of(State.STARTING),
            State.STARTING,
            EnumSet.of(State.RUNNING, State.STOPPING, State.STOPPED, State.FAILED, State.DEFINED),
            State.RUNNING,
            EnumSet.of(State.PAUSED, State.STOPPING, State.STOPPED, State.FAILED, State.MIGRATING),
            State.PAUSED,
            EnumSet.of(State.RUNNING, State.STOPPING, State.STOPPED, State.FAILED, State.MIGRATING),
            State.STOPPING,
            EnumSet.of(State.STOPPED, State.FAILED),
            State.STOPPED,
            EnumSet.of(State.STARTING),
            State.FAILED,
            EnumSet.of(State.STARTING),
            State.MIGRATING,
            EnumSet.noneOf(State.class));

    /** What a VM is told and asked. Causes are sentences for the history, such as "asked by command". */
    public sealed interface Command {
        /** What is answered with the state that the VM is in then, or refused with a sentence. */
        sealed interface Request extends Command {
            /** Who is answered. */
            ActorRef<StatusReply<Status>> replyTo();
        }

        /** Starts it, from a snapshot or from its beginning; answered when it runs. */
        record Start(Optional<Path> snapshot, String cause, ActorRef<StatusReply<Status>> replyTo) implements Request {}

        /** Stops it, by asking the guest first unless {@code hard}; answered when it has ended. One that does not run is not started again. */
        record Stop(boolean hard, String cause, ActorRef<StatusReply<Status>> replyTo) implements Request {}

        /** Halts it; answered when it does not execute any more. */
        record Pause(String cause, ActorRef<StatusReply<Status>> replyTo) implements Request {}

        /** Lets it go on. */
        record Resume(String cause, ActorRef<StatusReply<Status>> replyTo) implements Request {}

        /** Keeps it as it is now in a folder, which is there and empty. */
        record Snapshot(Path folder, String cause, ActorRef<StatusReply<Status>> replyTo) implements Request {}

        /** The cores for guests are others from now on. */
        record Place(List<Integer> cores) implements Command {}

        /** Asks for its state. */
        record Inspect(ActorRef<Status> replyTo) implements Command {}

        /** Asks what its present run has used. */
        record Measure(ActorRef<StatusReply<Guest.Statistics>> replyTo) implements Command {}

        /** Ends the actor of a VM that does not run; refused otherwise. */
        record Forget(ActorRef<StatusReply<Status>> replyTo) implements Request {}
    }

    private record Started(int run, @Nullable Throwable failure) implements Command {}

    private record Exited(int run, Guest.Exit exit) implements Command {}

    private record Ending(int run, Guest.Exit how) implements Command {}

    private record Progressed(int run, Guest.Progress progress) implements Command {}

    private record Overwriting(int run) implements Command {}

    private record PausedItself(int run, String cause) implements Command {}

    private record ResumedItself(int run, String cause) implements Command {}

    private record Noted(int run, String what, String cause) implements Command {}

    private record Did(
            int run, GuestOperation operation, @Nullable Throwable failure) implements Command {}

    private record StartTimeout(int run) implements Command {}

    private record StopTimeout(int run) implements Command {}

    private record KillTimeout(int run) implements Command {}

    private record OperationTimeout(GuestOperation operation) implements Command {}

    private enum RestartDue implements Command {
        NOW
    }

    private enum Gone implements Command {
        NOW
    }

    /**
     * A VM as seen from outside.
     *
     * @param since when it came into its state
     * @param cause why it did; may be empty
     * @param starts how often it was started
     * @param restartAt when it is started again by itself
     * @param progress how far its start or its snapshot is, where that takes long
     */
    public record Status(
            String name,
            State state,
            Instant since,
            String cause,
            int starts,
            Optional<Instant> restartAt,
            Optional<Guest.Progress> progress) {}

    /**
     * What a VM is made of.
     *
     * @param guests makes the guest of each run
     * @param clock tells when it came into its states, and how long it ran
     */
    public record Definition(
            String name, VmSettings settings, Supplier<Guest> guests, History history, InstantSource clock) {
        /** One by the clock of the system. */
        public Definition(String name, VmSettings settings, Supplier<Guest> guests, History history) {
            this(name, settings, guests, history, InstantSource.system());
        }
    }

    private final Definition definition;
    private final VmSettings settings;
    private final TimerScheduler<Command> timers;
    private final LifeCycle<State> life;
    private final Restarts restarts;
    private final List<ActorRef<StatusReply<Status>>> starters = new ArrayList<>();
    private final List<ActorRef<StatusReply<Status>>> stoppers = new ArrayList<>();
    private @Nullable Guest guest;
    private @Nullable GuestOperation operation;
    /** Of STOPPING: how it will have ended. */
    private Guest.@Nullable Exit ending;

    private Instant since;
    private @Nullable Instant runningSince;
    /** It starts from a snapshot, and does not run yet. */
    private boolean restoring;
    /** The disks of the snapshot take the place of its own. */
    private boolean overwriting;

    /** What it was before it was started. */
    private State startedFrom = State.DEFINED;

    private String cause = "";
    private int run;
    private Optional<Instant> restartAt = Optional.empty();
    private Optional<Guest.Progress> progress = Optional.empty();

    private VirtualMachine(ActorContext<Command> context, TimerScheduler<Command> timers, Definition definition) {
        super(context);
        this.definition = definition;
        this.settings = definition.settings();
        this.timers = timers;
        this.restarts = new Restarts(settings.restart());
        this.life = new LifeCycle<>("VM " + definition.name(), State.DEFINED, LEGAL);
        this.since = now();
    }

    /** A VM that does not run yet. */
    public static Behavior<Command> create(Definition definition) {
        return Behaviors.setup(
                context -> Behaviors.withTimers(timers -> new VirtualMachine(context, timers, definition)));
    }

    @Override
    public Receive<Command> createReceive() {
        return newReceiveBuilder()
                .onMessage(Command.Start.class, this::start)
                .onMessage(Command.Stop.class, this::stop)
                .onMessage(Command.Pause.class, this::pause)
                .onMessage(Command.Resume.class, this::resume)
                .onMessage(Command.Snapshot.class, this::snapshot)
                .onMessage(Command.Place.class, this::place)
                .onMessage(Command.Inspect.class, this::inspect)
                .onMessage(Command.Measure.class, this::measure)
                .onMessage(Command.Forget.class, this::forget)
                .onMessage(Started.class, this::started)
                .onMessage(Ending.class, this::ending)
                .onMessage(Exited.class, this::exited)
                .onMessage(Progressed.class, this::progressed)
                .onMessage(Overwriting.class, this::overwriting)
                .onMessage(PausedItself.class, this::pausedItself)
                .onMessage(ResumedItself.class, this::resumedItself)
                .onMessage(Noted.class, this::noted)
                .onMessage(Did.class, this::did)
                .onMessage(StartTimeout.class, this::startTimeout)
                .onMessage(StopTimeout.class, this::stopTimeout)
                .onMessage(KillTimeout.class, this::killTimeout)
                .onMessage(OperationTimeout.class, this::operationTimeout)
                .onMessage(RestartDue.class, due -> restart())
                .build();
    }

    // --- start

    private Behavior<Command> start(Command.Start start) {
        switch (life.state()) {
            case DEFINED, STOPPED, FAILED -> {
                cancelRestart();
                restarts.afresh();
                starters.add(start.replyTo());
                begin(start.snapshot(), start.cause());
            }
            case STARTING -> starters.add(start.replyTo());
            default -> refuse(start.replyTo(), "it is " + life.state().word() + " already");
        }
        return this;
    }

    private void begin(Optional<Path> snapshot, String why) {
        run++;
        var number = run;
        runningSince = null;
        restoring = snapshot.isPresent();
        overwriting = false;
        startedFrom = life.state();
        to(State.STARTING, why);
        timers.startSingleTimer(StartTimeout.class, new StartTimeout(number), settings.startTimeout());
        Guest made;
        try {
            made = definition.guests().get();
        } catch (RuntimeException | LinkageError e) {
            gone(new Guest.Exit(false, sentence(e)));
            return;
        }
        guest = made;
        tell(
                () -> made.start(new RunWatcher(getContext().getSelf(), number), snapshot),
                failure -> new Started(number, failure));
    }

    private interface Telling {
        Command of(@Nullable Throwable failure);
    }

    private void tell(Supplier<? extends CompletionStage<?>> doing, Telling telling) {
        CompletionStage<?> stage;
        try {
            stage = doing.get();
        } catch (RuntimeException e) {
            stage = CompletableFuture.failedFuture(e);
        }
        getContext().pipeToSelf(stage, (done, failure) -> telling.of(failure));
    }

    private Behavior<Command> started(Started started) {
        if (started.run() != run || !life.is(State.STARTING) && !life.is(State.STOPPING)) {
            return this;
        }
        if (started.failure() != null) {
            // Nothing of it is left.
            if (restoring && !overwriting && ending == null) {
                var why = sentence(started.failure());
                end(startedFrom, "not restored: " + why, why);
                return this;
            }
            gone(ending != null ? ending : new Guest.Exit(false, sentence(started.failure())));
        } else if (life.is(State.STARTING)) {
            runs();
        }
        // One that is being stopped meanwhile is told so already.
        return this;
    }

    private void runs() {
        timers.cancel(StartTimeout.class);
        restoring = false;
        to(State.RUNNING, "");
        answer(starters);
    }

    private Behavior<Command> startTimeout(StartTimeout timeout) {
        if (timeout.run() == run && life.is(State.STARTING)) {
            kill(new Guest.Exit(false, "it did not start within " + words(settings.startTimeout())));
        }
        return this;
    }

    // --- stop

    private Behavior<Command> stop(Command.Stop stop) {
        cancelRestart();
        switch (life.state()) {
            case DEFINED, STOPPED, FAILED -> stop.replyTo().tell(StatusReply.success(status()));
            case STOPPING -> {
                stoppers.add(stop.replyTo());
                if (stop.hard() && ending != null) {
                    harder(ending, stop.cause());
                }
            }
            case STARTING -> {
                stoppers.add(stop.replyTo());
                kill(new Guest.Exit(true, stop.cause()));
            }
            default -> {
                stoppers.add(stop.replyTo());
                if (stop.hard()) {
                    kill(new Guest.Exit(true, stop.cause()));
                } else {
                    ask(stop.cause());
                }
            }
        }
        return this;
    }

    /** One that was asked is killed; one that is being killed, or at its end, is so once more. */
    private void harder(Guest.Exit as, String why) {
        var asked = !timers.isTimerActive(KillTimeout.class);
        if (asked) {
            note("killed", why);
        }
        kill(asked ? new Guest.Exit(true, why) : as);
    }

    private void ask(String why) {
        var asked = guest();
        ending = new Guest.Exit(true, why);
        // Or will be in a moment.
        var paused = life.is(State.PAUSED) || operation != null && operation.after == State.PAUSED;
        to(State.STOPPING, why);
        var number = run;
        timers.startSingleTimer(StopTimeout.class, new StopTimeout(number), settings.stopTimeout());
        tell(
                // One that does not execute cannot do what it is asked.
                () -> paused
                        ? asked.resume().handle((done, failure) -> asked.stop()).thenCompose(stop -> stop)
                        : asked.stop(),
                failure -> failure == null
                        ? new Noted(number, "asked", "the guest was asked to end")
                        : new Noted(number, "asked", "the guest could not be asked to end: " + sentence(failure)));
    }

    private Behavior<Command> stopTimeout(StopTimeout timeout) {
        if (timeout.run() == run && life.is(State.STOPPING)) {
            note("killed", "the guest did not end within " + words(settings.stopTimeout()));
            kill(new Guest.Exit(
                    true,
                    cause + "; the guest did not end within " + words(settings.stopTimeout()) + " and was killed"));
        }
        return this;
    }

    /** Ends it at once, whatever it does. */
    private void kill(Guest.Exit how) {
        ending = how;
        if (!life.is(State.STOPPING)) {
            to(State.STOPPING, how.cause());
        }
        if (!timers.isTimerActive(KillTimeout.class)) {
            timers.startSingleTimer(KillTimeout.class, new KillTimeout(run), KILL_TIMEOUT);
        }
        guest().kill(how.cause());
    }

    private Behavior<Command> killTimeout(KillTimeout timeout) {
        if (timeout.run() == run && life.is(State.STOPPING)) {
            var how = new Guest.Exit(
                    false, cause + "; it was not gone within " + words(KILL_TIMEOUT) + ", and is given up");
            var byItself = stoppers.isEmpty();
            end(how);
            stoppers.forEach(stopper -> refuse(stopper, how.cause()));
            stoppers.clear();
            if (byItself) {
                restartLater(false);
            }
        }
        return this;
    }

    /** It has come to its end by itself; others still have to let go of it. */
    private Behavior<Command> ending(Ending told) {
        if (told.run() == run && guest != null && ending == null) {
            if (life.is(State.STARTING)) {
                // It was over before it was known to run.
                runs();
            }
            ending = told.how();
            to(State.STOPPING, told.how().cause());
            timers.startSingleTimer(KillTimeout.class, new KillTimeout(run), KILL_TIMEOUT);
        }
        return this;
    }

    private Behavior<Command> exited(Exited exited) {
        if (exited.run() == run && guest != null) {
            if (life.is(State.STARTING)) {
                // It was over before it was known to run.
                runs();
            }
            if (ending != null && !exited.exit().well() && !timers.isTimerActive(KillTimeout.class)) {
                // It was asked to end, and this is not what was asked for.
                note("broke", exited.exit().cause());
            }
            gone(ending != null ? ending : exited.exit());
        }
        return this;
    }

    private void gone(Guest.Exit how) {
        // Also one that did not start in time, unless somebody has wanted it to stop since.
        var byItself = stoppers.isEmpty();
        end(how);
        answer(stoppers);
        if (byItself) {
            restartLater(how.well());
        }
    }

    private void end(Guest.Exit how) {
        end(how.well() ? State.STOPPED : State.FAILED, how.cause(), how.cause());
    }

    private void end(State next, String told, String why) {
        timers.cancel(StartTimeout.class);
        timers.cancel(StopTimeout.class);
        timers.cancel(KillTimeout.class);
        guest = null;
        ending = null;
        to(next, told);
        if (operation != null) {
            timers.cancel(OperationTimeout.class);
            if (!operation.late) {
                refuse(operation.replyTo, "it has ended meanwhile: " + why);
            }
            operation = null;
        }
        starters.forEach(starter -> refuse(starter, why));
        starters.clear();
    }

    private void answer(List<ActorRef<StatusReply<Status>>> waiting) {
        waiting.forEach(one -> one.tell(StatusReply.success(status())));
        waiting.clear();
    }

    // --- start again

    private void restartLater(boolean well) {
        var policy = settings.restart().policy();
        if (policy == RestartPolicy.NEVER || policy == RestartPolicy.ON_FAILURE && well) {
            return;
        }
        if (restoring) {
            // Its disks may be those of the snapshot in part: only who knows what they should hold can go on.
            note("given-up", "it was to go on from a snapshot; it stays as it is until it is started by command");
            return;
        }
        // A start that took long and failed is no long run.
        var delay = restarts.next(runningSince == null ? Duration.ZERO : Duration.between(runningSince, now()));
        if (delay.isEmpty()) {
            note(
                    "given-up",
                    "it was started again " + settings.restart().limit()
                            + " times in a row; it stays as it is until it is started by command");
            return;
        }
        restartAt = Optional.of(now().plus(delay.get()));
        note("restarting", "it is started again in " + words(delay.get()));
        timers.startSingleTimer(RestartDue.class, RestartDue.NOW, delay.get());
    }

    private Behavior<Command> restart() {
        restartAt = Optional.empty();
        if (guest == null) {
            begin(
                    Optional.empty(),
                    "restart policy "
                            + settings.restart()
                                    .policy()
                                    .name()
                                    .toLowerCase(Locale.ROOT)
                                    .replace('_', '-'));
        }
        return this;
    }

    private void cancelRestart() {
        timers.cancel(RestartDue.class);
        restartAt = Optional.empty();
    }

    // --- while it runs

    private Behavior<Command> pause(Command.Pause pause) {
        return operate(
                new GuestOperation("paused", State.RUNNING, State.PAUSED, pause.cause(), pause.replyTo()),
                () -> guest().pause());
    }

    private Behavior<Command> resume(Command.Resume resume) {
        return operate(
                new GuestOperation("resumed", State.PAUSED, State.RUNNING, resume.cause(), resume.replyTo()),
                () -> guest().resume());
    }

    private Behavior<Command> snapshot(Command.Snapshot snapshot) {
        var in = life.is(State.PAUSED) ? State.PAUSED : State.RUNNING;
        return operate(
                new GuestOperation("snapshot", in, in, snapshot.cause(), snapshot.replyTo()),
                () -> guest().snapshot(snapshot.folder()));
    }

    private Behavior<Command> operate(GuestOperation wanted, Supplier<CompletionStage<Void>> doing) {
        if (!life.is(wanted.in)) {
            var already = !wanted.isSnapshot() && life.is(wanted.after);
            return refuse(wanted.replyTo, "it is " + life.state().word() + (already ? " already" : ""));
        }
        if (operation != null) {
            return refuse(wanted.replyTo, "something else is being done to it (" + operation.name + "); try again");
        }
        operation = wanted;
        timers.startSingleTimer(OperationTimeout.class, new OperationTimeout(wanted), wanted.patience());
        var number = run;
        tell(doing, failure -> new Did(number, wanted, failure));
        return this;
    }

    private Behavior<Command> did(Did did) {
        if (did.run() != run || operation != did.operation()) {
            return this;
        }
        var done = did.operation();
        operation = null;
        progress = Optional.empty();
        timers.cancel(OperationTimeout.class);
        if (did.failure() != null) {
            return done.late ? this : refuse(done.replyTo, sentence(did.failure()));
        }
        if (done.isSnapshot() ? life.is(done.in) && !done.late : life.is(done.after)) {
            note(done.name, done.cause);
        } else if (!done.isSnapshot() && life.is(done.in)) {
            to(done.after, done.cause);
        } else {
            // A snapshot of one that was let go on meanwhile is none.
            return done.late
                    ? this
                    : refuse(done.replyTo, "it is " + life.state().word() + " meanwhile");
        }
        if (!done.late) {
            done.replyTo.tell(StatusReply.success(status()));
        }
        return this;
    }

    private Behavior<Command> operationTimeout(OperationTimeout timeout) {
        if (operation == timeout.operation()) {
            operation.late = true;
            progress = Optional.empty();
            refuse(
                    operation.replyTo,
                    operation.isSnapshot()
                            ? "the snapshot has not come further for " + words(SNAPSHOT_TIMEOUT) + ", and is given up"
                            : "the guest has not answered within " + words(PAUSE_TIMEOUT));
        }
        return this;
    }

    /** What takes as long as there are bytes to copy may do so, as long as it goes on. */
    private Behavior<Command> progressed(Progressed told) {
        if (told.run() == run) {
            if (life.is(State.STARTING)) {
                progress = Optional.of(told.progress());
                timers.startSingleTimer(StartTimeout.class, new StartTimeout(run), settings.startTimeout());
            }
            if (operation != null && operation.isSnapshot() && !operation.late && life.is(operation.in)) {
                progress = Optional.of(told.progress());
                timers.startSingleTimer(OperationTimeout.class, new OperationTimeout(operation), SNAPSHOT_TIMEOUT);
            }
        }
        return this;
    }

    private Behavior<Command> overwriting(Overwriting told) {
        if (told.run() == run) {
            overwriting = true;
            note(RESTORING, "its disks are overwritten by those of the snapshot");
        }
        return this;
    }

    private Behavior<Command> pausedItself(PausedItself paused) {
        if (paused.run() == run && life.is(State.RUNNING)) {
            to(State.PAUSED, paused.cause());
        }
        return this;
    }

    private Behavior<Command> resumedItself(ResumedItself resumed) {
        // One that is being resumed is so by command.
        if (resumed.run() == run && life.is(State.PAUSED) && operation == null) {
            to(State.RUNNING, resumed.cause());
        }
        return this;
    }

    private Behavior<Command> noted(Noted noted) {
        if (noted.run() == run) {
            note(noted.what(), noted.cause());
        }
        return this;
    }

    private Behavior<Command> place(Command.Place place) {
        if (guest != null) {
            guest.place(place.cores());
        }
        return this;
    }

    private Behavior<Command> inspect(Command.Inspect inspect) {
        inspect.replyTo().tell(status());
        return this;
    }

    private Behavior<Command> measure(Command.Measure measure) {
        if (guest == null) {
            measure.replyTo().tell(StatusReply.error("VM " + definition.name() + " does not run"));
            return this;
        }
        var _ = guest.statistics()
                .whenComplete((statistics, failure) -> measure.replyTo()
                        .tell(
                                failure == null
                                        ? StatusReply.success(statistics)
                                        : StatusReply.error(sentence(failure))));
        return this;
    }

    private Behavior<Command> forget(Command.Forget forget) {
        if (guest != null) {
            return refuse(forget.replyTo(), "it is " + life.state().word() + "; stop it first");
        }
        cancelRestart();
        forget.replyTo().tell(StatusReply.success(status()));
        timers.startSingleTimer(Gone.NOW, AFTERWARDS);
        return Behaviors.receiveMessage(this::forgotten);
    }

    private Behavior<Command> forgotten(Command late) {
        switch (late) {
            case Command.Request request -> refuse(request.replyTo(), "it is deleted");
            case Command.Inspect inspect -> inspect(inspect);
            case Command.Measure measure -> measure(measure);
            case Gone gone -> {
                return Behaviors.stopped();
            }
            default -> {}
        }
        return Behaviors.same();
    }

    // --- all of it

    private Instant now() {
        return definition.clock().instant();
    }

    private Guest guest() {
        assert guest != null : definition.name() + " " + life.state();
        return guest;
    }

    private void to(State next, String why) {
        var before = life.state();
        life.to(next);
        since = now();
        cause = why;
        progress = Optional.empty();
        if (next == State.RUNNING && before == State.STARTING) {
            runningSince = since;
        }
        definition.history().add(next.word(), before, next, why);
    }

    private void note(String what, String why) {
        definition.history().add(what, life.state(), life.state(), why);
    }

    private Status status() {
        return new Status(definition.name(), life.state(), since, cause, run, restartAt, progress);
    }

    private Behavior<Command> refuse(ActorRef<StatusReply<Status>> replyTo, String why) {
        replyTo.tell(StatusReply.error("VM " + definition.name() + ": " + why));
        return this;
    }

    private static String sentence(Throwable failure) {
        var cause = failure;
        while (cause instanceof CompletionException && cause.getCause() != null) {
            cause = cause.getCause();
        }
        return cause instanceof GuestException && cause.getMessage() != null ? cause.getMessage() : cause.toString();
    }

    private static String words(Duration time) {
        return Amounts.duration(time);
    }

    private record RunWatcher(ActorRef<Command> self, int run) implements Guest.Watcher {
        @Override
        public void ending(Guest.Exit how) {
            self.tell(new Ending(run, how));
        }

        @Override
        public void exited(Guest.Exit exit) {
            self.tell(new Exited(run, exit));
        }

        @Override
        public void progressed(Guest.Progress progress) {
            self.tell(new Progressed(run, progress));
        }

        @Override
        public void overwriting() {
            self.tell(new Overwriting(run));
        }

        @Override
        public void paused(String cause) {
            self.tell(new PausedItself(run, cause));
        }

        @Override
        public void resumed(String cause) {
            self.tell(new ResumedItself(run, cause));
        }

        @Override
        public void noted(String what, String cause) {
            self.tell(new Noted(run, what, cause));
        }
    }
}
