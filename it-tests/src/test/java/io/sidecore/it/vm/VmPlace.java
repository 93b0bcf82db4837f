package io.sidecore.it.vm;

import static org.assertj.core.api.Assertions.assertThat;

import com.typesafe.config.ConfigFactory;
import io.sidecore.actors.vif.VirtualInterface;
import io.sidecore.actors.vm.GuestProgram;
import io.sidecore.actors.vm.VirtualMachine.State;
import io.sidecore.conf.AttachMode;
import io.sidecore.conf.GuestSettings;
import io.sidecore.conf.Placement;
import io.sidecore.conf.Settings;
import io.sidecore.conf.VmSettings;
import io.sidecore.conf.VmSettings.Disk;
import io.sidecore.conf.VmSettings.Restart;
import io.sidecore.it.Peers;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.VmHandle;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.OptionalDouble;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.function.Supplier;

/** A host for VMs that tests make, with a disk {@code a} and a disk {@code b}; and what tests ask of VMs. */
final class VmPlace implements AutoCloseable {
    /** What a test waits for takes less, however busy the machine is. */
    static final Duration PATIENCE = Duration.ofSeconds(60);

    static final String DISKS =
            "volumes { a { size = 1 MiB, store.type = memory }, b { size = 1 MiB, store.type = memory } }";

    private final Peers.ShortDirectory directory = new Peers.ShortDirectory();
    final Sidecore host;

    VmPlace() {
        this("");
    }

    VmPlace(String sections) {
        host = Sidecore.start(settings(directory.path(), DISKS + "\n" + sections));
    }

    static Settings settings(Path directory, String sections) {
        return Settings.read(ConfigFactory.parseString(
                "sidecore { data-directory = \"" + directory.resolve("data") + "\"\n" + sections + "}"));
    }

    Path directory() {
        return directory.path();
    }

    @Override
    public void close() {
        try {
            host.close();
            assertThat(host.closedWell()).isTrue();
        } finally {
            directory.close();
        }
    }

    // --- definitions

    static Disk disk(String volume, Placement placement) {
        return new Disk(volume, AttachMode.EXCLUSIVE, placement, List.of());
    }

    static GuestSettings java(Duration deadline) {
        return new GuestSettings.Java("made by the test", 1 << 20, deadline);
    }

    static VmSettings settings(GuestSettings guest, Disk... disks) {
        return new VmSettings(
                guest,
                List.of(disks),
                false,
                100,
                OptionalDouble.empty(),
                Restart.NEVER,
                Duration.ofSeconds(60),
                Duration.ofSeconds(30));
    }

    static VmSettings restarting(VmSettings settings, Restart restart) {
        return new VmSettings(
                settings.guest(),
                settings.disks(),
                settings.autostart(),
                settings.weight(),
                settings.cap(),
                restart,
                settings.startTimeout(),
                settings.stopTimeout());
    }

    static VmSettings patient(VmSettings settings, Duration stopTimeout) {
        return new VmSettings(
                settings.guest(),
                settings.disks(),
                settings.autostart(),
                settings.weight(),
                settings.cap(),
                settings.restart(),
                settings.startTimeout(),
                stopTimeout);
    }

    static VmSettings capped(VmSettings settings, double cap) {
        return new VmSettings(
                settings.guest(),
                settings.disks(),
                settings.autostart(),
                settings.weight(),
                OptionalDouble.of(cap),
                settings.restart(),
                settings.startTimeout(),
                settings.stopTimeout());
    }

    VmHandle java(String name, Supplier<GuestProgram> program, Disk... disks) {
        return host.vms().create(name, settings(java(Duration.ofSeconds(30)), disks), program);
    }

    // --- questions

    VirtualInterface.Status vif(String id) {
        return done(host.storage().vifs().get(id).inspect());
    }

    static <T> T done(CompletionStage<T> stage) {
        return stage.toCompletableFuture()
                .orTimeout(PATIENCE.toSeconds(), TimeUnit.SECONDS)
                .join();
    }

    static String failure(CompletionStage<?> stage) {
        try {
            throw new AssertionError("it succeeded: " + done(stage));
        } catch (RuntimeException e) {
            return e.getCause().getMessage();
        }
    }

    static State state(VmHandle vm) {
        return done(vm.inspect()).state();
    }

    static String cause(VmHandle vm) {
        return done(vm.inspect()).cause();
    }

    static void until(VmHandle vm, State state) {
        Peers.until(vm.name() + " is " + state, PATIENCE, () -> state(vm) == state);
    }

    static List<String> history(VmHandle vm) {
        return vm.history().account().entries().stream()
                .map(entry -> entry.event() + (entry.cause().isEmpty() ? "" : ": " + entry.cause()))
                .toList();
    }

    static void untilHistory(VmHandle vm, Predicate<String> entry) {
        Peers.until(
                vm.name() + " has such an entry",
                PATIENCE,
                () -> history(vm).stream().anyMatch(entry));
    }

    /** What a VM says from now on. */
    static BlockingQueue<String> heard(VmHandle vm) {
        var heard = new LinkedBlockingQueue<String>();
        vm.messages().listen(message -> heard.add(new String(message, StandardCharsets.UTF_8)));
        return heard;
    }

    static String next(BlockingQueue<String> heard) throws InterruptedException {
        var message = heard.poll(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        if (message == null) {
            throw new AssertionError("nothing was said");
        }
        return message;
    }

    static boolean say(VmHandle vm, String message) {
        return vm.messages().send(message.getBytes(StandardCharsets.UTF_8));
    }

    /** All that is on its console. */
    static String console(VmHandle vm) {
        try (var view = vm.console().view()) {
            return new String(
                    view.next(Duration.ZERO).map(chunk -> chunk.bytes()).orElse(new byte[0]), StandardCharsets.UTF_8);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    static void untilConsole(VmHandle vm, String text) {
        Peers.until(vm.name() + " prints " + text, PATIENCE, () -> console(vm).contains(text));
    }

    static void type(VmHandle vm, String text) throws InterruptedException {
        try (var view = vm.console().viewLive()) {
            view.type(text.getBytes(StandardCharsets.UTF_8));
        }
    }
}
