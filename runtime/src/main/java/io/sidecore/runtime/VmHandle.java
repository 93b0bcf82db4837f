package io.sidecore.runtime;

import io.sidecore.actors.vm.Guest;
import io.sidecore.actors.vm.VirtualMachine;
import io.sidecore.actors.vm.VirtualMachine.Command;
import io.sidecore.actors.vm.VirtualMachine.State;
import io.sidecore.actors.vm.VirtualMachine.Status;
import io.sidecore.conf.VmSettings;
import io.sidecore.runtime.vm.Console;
import io.sidecore.runtime.vm.Messages;
import io.sidecore.runtime.vm.VmHistory;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletionStage;
import java.util.function.Function;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.javadsl.AskPattern;
import org.apache.pekko.pattern.StatusReply;

/** The management of one virtual machine. Stages fail with a sentence if the VM cannot do so; causes are sentences for its history. Safe for all threads. */
public final class VmHandle {
    /** Every state that is waited for ends by itself, after what the VM's settings say. */
    private static final Duration PATIENCE = Duration.ofDays(3);

    /** For answers that come at once. */
    private static final Duration MOMENT = Duration.ofSeconds(30);

    private final String name;
    private final VmSettings settings;
    private final ActorRef<Command> actor;
    private final ActorSystem<?> system;
    private final Console console;
    private final Messages messages;
    private final VmHistory history;
    private volatile State state = State.DEFINED;
    private volatile String cause = "";

    /** Whether it was told last to start, not to stop. */
    private volatile boolean wanted;

    VmHandle(
            String name,
            VmSettings settings,
            ActorRef<Command> actor,
            ActorSystem<?> system,
            Console console,
            Messages messages,
            VmHistory history) {
        this.name = name;
        this.settings = settings;
        this.actor = actor;
        this.system = system;
        this.console = console;
        this.messages = messages;
        this.history = history;
    }

    /** Its name. */
    public String name() {
        return name;
    }

    /** What it was defined as. */
    public VmSettings settings() {
        return settings;
    }

    /** Its serial console, which stays from one run to the next. */
    public Console console() {
        return console;
    }

    /** What a wasm or java guest and its host say to each other. */
    public Messages messages() {
        return messages;
    }

    /** What happened to it, in earlier runs of the host too. */
    public VmHistory history() {
        return history;
    }

    /** The state that it came into last. Does not wait. */
    public State state() {
        return state;
    }

    /** Why it does not run, if it has failed and nobody has told it to stop. Does not wait. */
    public Optional<String> trouble() {
        return wanted && state == State.FAILED ? Optional.of(cause) : Optional.empty();
    }

    void changed(State to, String why) {
        cause = why;
        state = to;
    }

    /** How it is. */
    public CompletionStage<Status> inspect() {
        return AskPattern.ask(actor, Command.Inspect::new, MOMENT, system.scheduler());
    }

    /** Starts it; completed when it runs. */
    public CompletionStage<Status> start(String cause) {
        wanted = true;
        return ask(replyTo -> new Command.Start(Optional.empty(), cause, replyTo));
    }

    /** Starts it from a folder that {@link #snapshot} has filled; its disks have the contents of then. */
    public CompletionStage<Status> restore(Path snapshot, String cause) {
        wanted = true;
        return ask(replyTo -> new Command.Start(Optional.of(snapshot), cause, replyTo));
    }

    /** Asks the guest to end, and kills it if it does not within {@code stop-timeout}; completed when it has ended. */
    public CompletionStage<Status> stop(String cause) {
        wanted = false;
        return ask(replyTo -> new Command.Stop(false, cause, replyTo));
    }

    /** Ends it at once; completed when it has ended. */
    public CompletionStage<Status> kill(String cause) {
        wanted = false;
        return ask(replyTo -> new Command.Stop(true, cause, replyTo));
    }

    /** Halts it. */
    public CompletionStage<Status> pause(String cause) {
        return ask(replyTo -> new Command.Pause(cause, replyTo));
    }

    /** Lets it go on. */
    public CompletionStage<Status> resume(String cause) {
        return ask(replyTo -> new Command.Resume(cause, replyTo));
    }

    /** Keeps it as it is now, in a folder that is there and empty. */
    public CompletionStage<Status> snapshot(Path folder, String cause) {
        return ask(replyTo -> new Command.Snapshot(folder, cause, replyTo));
    }

    /** What its present run has used. */
    public CompletionStage<Guest.Statistics> statistics() {
        return AskPattern.askWithStatus(actor, Command.Measure::new, MOMENT, system.scheduler());
    }

    void place(List<Integer> cores) {
        actor.tell(new Command.Place(cores));
    }

    CompletionStage<Status> forget() {
        return ask(Command.Forget::new);
    }

    private CompletionStage<Status> ask(Function<ActorRef<StatusReply<VirtualMachine.Status>>, Command> command) {
        return AskPattern.askWithStatus(actor, command::apply, PATIENCE, system.scheduler());
    }
}
