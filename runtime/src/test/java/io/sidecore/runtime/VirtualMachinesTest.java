package io.sidecore.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import com.typesafe.config.ConfigFactory;
import io.sidecore.actors.vm.VirtualMachine.Command;
import io.sidecore.actors.vm.VirtualMachine.Definition;
import io.sidecore.actors.vm.VirtualMachine.State;
import io.sidecore.actors.vm.VirtualMachine.Status;
import io.sidecore.conf.GuestSettings;
import io.sidecore.conf.Settings;
import io.sidecore.conf.VmSettings;
import io.sidecore.conf.VmSettings.Restart;
import io.sidecore.runtime.guest.Aside;
import io.sidecore.runtime.vm.VmHistory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.apache.pekko.pattern.StatusReply;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The VMs of a host, with actors that do what a test says. */
class VirtualMachinesTest {
    /** What a test waits for takes less, however busy the machine is. */
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    private static final VmSettings JAVA = new VmSettings(
            new GuestSettings.Java("", 1 << 20, Duration.ofSeconds(1)),
            List.of(),
            false,
            100,
            OptionalDouble.empty(),
            Restart.NEVER,
            PATIENCE,
            PATIENCE);

    private static final VmSettings AUTOSTARTED = new VmSettings(
            JAVA.guest(),
            JAVA.disks(),
            true,
            JAVA.weight(),
            JAVA.cap(),
            JAVA.restart(),
            JAVA.startTimeout(),
            JAVA.stopTimeout());

    @TempDir
    private Path directory;

    private Sidecore host;
    private VirtualMachines vms;
    private final Map<String, Definition> definitions = new ConcurrentHashMap<>();
    private final List<ActorSystem<Command>> actors = new ArrayList<>();

    private interface Told {
        void heard(Command command) throws Exception;
    }

    private Told told = command -> {};

    @BeforeEach
    void open() {
        host = Sidecore.start(
                Settings.read(ConfigFactory.parseString("sidecore { data-directory = \"%s\" }".formatted(directory))));
        vms = new VirtualMachines(host, this::spawn, () -> actors.getFirst(), new HostEvents(), directory);
    }

    @AfterEach
    void close() {
        actors.forEach(ActorSystem::terminate);
        host.close();
    }

    private ActorSystem<Command> spawn(Definition definition) {
        definitions.put(definition.name(), definition);
        Behavior<Command> behavior = Behaviors.receiveMessage(command -> {
            told.heard(command);
            return Behaviors.same();
        });
        var actor = ActorSystem.create(behavior, "vm-" + definition.name());
        actors.add(actor);
        return actor;
    }

    private static StatusReply<Status> well() {
        return StatusReply.success(
                new Status("", State.STOPPED, Instant.EPOCH, "", 1, Optional.empty(), Optional.empty()));
    }

    @Test
    void aDeleteDoesNotHoldBackActorsThatStartAGuest() {
        vms.create("gone", JAVA, () -> context -> {});
        vms.create("web", JAVA, () -> context -> {});
        told = command -> {
            // As if the thread were needed for it first.
            var _ = definitions.get("web").guests().get();
            ((Command.Forget) command).replyTo().tell(well());
        };

        assertThat(Aside.run("test", Executors.callable(() -> vms.delete("gone"))))
                .succeedsWithin(PATIENCE);

        assertThat(vms.vms()).containsOnlyKeys("web");
    }

    // --- snapshots

    private Path snapshots() {
        return directory.resolve("vms/web/snapshots");
    }

    @Test
    void whileASnapshotIsTakenAnotherOfItsNameIsRefusedAndHarmsItNot() {
        vms.create("web", JAVA, () -> context -> {});
        var asked = new CompletableFuture<Command.Snapshot>();
        told = command -> asked.complete((Command.Snapshot) command);
        var first = Aside.run("test", Executors.callable(() -> vms.snapshot("web", "one", "to keep")));
        assertThat(asked).succeedsWithin(PATIENCE);
        assertThat(asked.join().folder())
                .isEqualTo(snapshots().resolve("one.part"))
                .isEmptyDirectory();

        assertThatThrownBy(() -> vms.snapshot("web", "one", "to keep"))
                .isInstanceOf(HostException.class)
                .hasMessage("VM web: snapshot one is being taken already");

        assertThat(asked.join().folder()).isEmptyDirectory();
        asked.join().replyTo().tell(well());
        assertThat(first).succeedsWithin(PATIENCE);
        assertThat(vms.snapshots("web")).containsExactly("one");
        assertThatThrownBy(() -> vms.snapshot("web", "one", "to keep")).hasMessage("VM web has a snapshot one already");
        assertThat(snapshots()).isDirectoryNotContaining("glob:**.part");
    }

    @Test
    void ofASnapshotThatFailsNothingStays() {
        vms.create("web", JAVA, () -> context -> {});
        told = command -> {
            var snapshot = (Command.Snapshot) command;
            Files.writeString(snapshot.folder().resolve("memory"), "half of it");
            snapshot.replyTo().tell(StatusReply.error("no"));
        };

        assertThatThrownBy(() -> vms.snapshot("web", "one", "to keep")).hasMessage("no");

        assertThat(snapshots()).isEmptyDirectory();
    }

    @Test
    void whatAKilledHostHasLeftOfASnapshotIsCleared() throws IOException {
        Files.createDirectories(snapshots().resolve("one.part/disks"));
        Files.createDirectories(snapshots().resolve("two"));

        vms.create("web", JAVA, () -> context -> {});

        assertThat(snapshots().resolve("one.part")).doesNotExist();
        assertThat(vms.snapshots("web")).containsExactly("two");
    }

    // --- the history

    @ParameterizedTest
    @EnumSource(names = {"STARTING", "RUNNING", "PAUSED", "STOPPING"})
    void whatWasAliveWhenTheHostWasKilledHasFailedSaysTheHistory(State state) {
        var former =
                new VmHistory(directory.resolve("vms/web"), "web", "former", InstantSource.system(), Runnable::run);
        former.add("snapshot", state.word(), state.word(), "to keep");

        var vm = vms.create("web", JAVA, () -> context -> {});

        assertThat(vm.history().account().entries())
                .extracting(VmHistory.Entry::event, VmHistory.Entry::from, VmHistory.Entry::to, VmHistory.Entry::cause)
                .containsExactly(
                        tuple("snapshot", state.word(), state.word(), "to keep"),
                        tuple("failed", state.word(), "failed", "the host ended while it was " + state.word()),
                        tuple("defined", "", "defined", "java"));
    }

    @ParameterizedTest
    @EnumSource(names = {"DEFINED", "STOPPED", "FAILED"})
    void ofWhatHadEndedBeforeTheHistorySaysNothingMore(State state) {
        var former =
                new VmHistory(directory.resolve("vms/web"), "web", "former", InstantSource.system(), Runnable::run);
        former.add(state.word(), "", state.word(), "");

        var vm = vms.create("web", JAVA, () -> context -> {});

        assertThat(vm.history().account().entries())
                .extracting(VmHistory.Entry::event)
                .containsExactly(state.word(), "defined");
    }

    // --- the host's start

    @Test
    void whoseDisksWereHalfRestoredIsNotStartedWithTheHost() {
        former("running", "stopped", "starting", "restoring", "failed", "defined", "given-up");

        var vm = vms.create("web", AUTOSTARTED, () -> context -> {});
        vms.autostart();

        assertThat(vm.history().account().entries().getLast().event()).isEqualTo("given-up");
        assertThat(vm.history().account().entries().getLast().cause())
                .contains("restore it again, or start it by command");
    }

    @Test
    void whatHasRunAfterItsRestoreIsStartedWithTheHost() throws Exception {
        former("restoring", "running", "stopped", "defined");
        var started = new CompletableFuture<Command>();
        told = started::complete;

        vms.create("web", AUTOSTARTED, () -> context -> {});
        vms.autostart();

        assertThat(started.get(PATIENCE.toSeconds(), TimeUnit.SECONDS)).isInstanceOf(Command.Start.class);
    }

    private void former(String... events) {
        var history =
                new VmHistory(directory.resolve("vms/web"), "web", "former", InstantSource.system(), Runnable::run);
        for (var event : events) {
            history.add(event, "", event, "");
        }
    }
}
