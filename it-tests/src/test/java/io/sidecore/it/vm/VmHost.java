package io.sidecore.it.vm;

import static org.assertj.core.api.Assertions.assertThat;

import com.typesafe.config.ConfigFactory;
import io.sidecore.actors.vm.VirtualMachine.State;
import io.sidecore.actors.vm.VirtualMachine.Status;
import io.sidecore.conf.Settings;
import io.sidecore.it.Peers;
import io.sidecore.it.Peers.ShortDirectory;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.VmHandle;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** A host in this process, in a directory of its own, and what can be seen of its virtual machines from outside. */
final class VmHost implements AutoCloseable {
    static final Duration PATIENCE = Duration.ofMinutes(2);

    private final ShortDirectory directory = new ShortDirectory();
    private final Sidecore host;

    /** @param settings what stands within {@code sidecore} */
    VmHost(String settings) {
        host = Sidecore.start(read(settings));
    }

    private Settings read(String settings) {
        return Settings.read(ConfigFactory.parseString(
                "sidecore { data-directory = \"%s\"%n%s%n}".formatted(directory.path(), settings)));
    }

    Sidecore host() {
        return host;
    }

    Path directory() {
        return directory.path();
    }

    /** Defines a VM, and those volumes that there are not yet: what stands within {@code sidecore.volumes} and {@code sidecore.vms.NAME}. */
    VmHandle define(String name, String volumes, String vm) {
        var settings = read("volumes { %s }%nvms.%s { %s }".formatted(volumes, name, vm));
        settings.volumes().forEach((volume, wanted) -> {
            if (host.volume(volume).isEmpty()) {
                host.storage().create(volume, wanted);
            }
        });
        return host.vms().create(name, settings.vms().get(name));
    }

    static <T> T await(CompletionStage<T> stage) {
        try {
            return stage.toCompletableFuture().get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            throw new IllegalStateException(e.getCause().getMessage(), e.getCause());
        } catch (TimeoutException e) {
            throw new AssertionError("not within " + PATIENCE, e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    static Status status(VmHandle vm) {
        return await(vm.inspect());
    }

    /** Waits until it is so; what it is then. */
    static Status until(VmHandle vm, State state) {
        Peers.until(
                vm.name() + " is " + state.word() + "; so far: " + told(vm),
                PATIENCE,
                () -> status(vm).state() == state);
        return status(vm);
    }

    /** Its history: events and their causes. */
    static List<String> told(VmHandle vm) {
        vm.history().flush();
        return vm.history().account().entries().stream()
                .map(entry -> entry.event() + ": " + entry.cause())
                .toList();
    }

    /** Where its files are while it runs. */
    Path folder(VmHandle vm) {
        return folder(directory.path(), vm.name());
    }

    static Path folder(Path dataDirectory, String vm) {
        return dataDirectory.resolve("vms").resolve(vm).resolve("run");
    }

    /** The QEMU of its present run. */
    ProcessHandle qemu(VmHandle vm) {
        return qemu(folder(vm));
    }

    static ProcessHandle qemu(Path folder) {
        try {
            var pid =
                    Long.parseLong(Files.readString(folder.resolve("qemu.pid")).strip());
            return ProcessHandle.of(pid).orElseThrow();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Sends a signal as a person would. */
    static void signal(String name, ProcessHandle to) {
        try (var kill = Peers.start(List.of("kill", "-" + name, Long.toString(to.pid())))) {
            kill.await(PATIENCE).ok();
        }
    }

    /** Nothing of its last run is left: no process, no socket or other file, no hold on a volume. */
    void leavesNothing(VmHandle vm) {
        assertThat(folder(vm)).doesNotExist();
        assertThat(host.storage().vifs().keySet()).noneMatch(id -> id.startsWith("vm/" + vm.name() + "/"));
        assertThat(ProcessHandle.allProcesses().map(VmHost::worksIn))
                .as("where processes work")
                .noneMatch(folder -> folder.startsWith(folder(vm).toString()));
    }

    /** A folder that is gone has " (deleted)" behind its name. */
    private static String worksIn(ProcessHandle process) {
        try {
            return Files.readSymbolicLink(Path.of("/proc/" + process.pid() + "/cwd"))
                    .toString();
        } catch (IOException gone) {
            return "";
        }
    }

    @Override
    public void close() {
        host.close();
        directory.close();
    }
}
