package io.sidecore.it.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.typesafe.config.ConfigFactory;
import io.sidecore.actors.vm.VirtualMachine.State;
import io.sidecore.conf.GuestSettings;
import io.sidecore.conf.Settings;
import io.sidecore.it.HostProcess;
import io.sidecore.it.Peers;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.control.Answers;
import io.sidecore.runtime.control.ControlClient;
import io.sidecore.runtime.control.ControlException;
import io.sidecore.runtime.control.ManagedHost;
import io.sidecore.runtime.control.Operation;
import io.sidecore.runtime.control.Views;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** VMs that commands made: there after each start of the host, with their history. */
class KeptVmsTest {
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    private final Peers.ShortDirectory directory = new Peers.ShortDirectory();
    private final List<Object> items = new ArrayList<>();
    private final Answers answers = new Answers() {
        @Override
        public void item(Object view) {
            items.add(view);
        }

        @Override
        public void stillHere() {}
    };
    private ManagedHost managed;

    @AfterEach
    void stop() {
        end();
        directory.close();
    }

    private void end() {
        if (managed != null) {
            managed.close();
            assertThat(managed.closedWell()).isTrue();
            managed = null;
        }
    }

    private Sidecore restart(String declared) {
        end();
        managed = ManagedHost.start(Settings.read(ConfigFactory.parseString("sidecore { data-directory = \"%s\", %s }"
                .formatted(directory.path().resolve("data"), declared))));
        return managed.host();
    }

    private Object perform(Operation operation) throws IOException {
        return managed.operations().perform(operation, answers);
    }

    private static Operation volume(String name) {
        return new Operation.CreateVolume(name, Map.of("size", "1 MiB", "store", Map.of("type", "memory")));
    }

    private static Operation vm(String name, Object... more) {
        var section = new HashMap<String, Object>(Map.of("guest", Map.of("type", "wasm", "module", "demo")));
        for (var i = 0; i < more.length; i += 2) {
            section.put((String) more[i], more[i + 1]);
        }
        return new Operation.CreateVm(name, section);
    }

    private static void untilRunning(Sidecore host, String name) {
        Peers.until(name + " runs", PATIENCE, () -> state(host, name) == State.RUNNING);
    }

    private static State state(Sidecore host, String name) {
        return host.vms()
                .vm(name)
                .orElseThrow()
                .inspect()
                .toCompletableFuture()
                .join()
                .state();
    }

    @Test
    void whatWasCreatedIsThereAfterEachStartAndWhatWasDeletedIsNot() throws IOException {
        restart("");
        perform(volume("root"));
        perform(vm("web", "disks", List.of("root"), "weight", 7));
        perform(vm("quiet", "autostart", false));
        perform(vm("gone"));
        perform(new Operation.DeleteVm("gone"));

        for (var starts = 0; starts < 2; starts++) {
            var host = restart("");

            assertThat(host.notes()).isEmpty();
            assertThat(host.vms().vms()).containsOnlyKeys("quiet", "web");
            assertThat(host.vms().vm("web").orElseThrow().settings().weight()).isEqualTo(7);
            untilRunning(host, "web");
            assertThat(state(host, "quiet")).isEqualTo(State.DEFINED);
        }
    }

    @Test
    void theHistoryOfEarlierRunsOfTheHostIsThere() throws IOException {
        restart("");
        perform(vm("web", "autostart", false));
        perform(new Operation.StartVm("web"));
        perform(new Operation.StopVm("web", false));

        restart("");
        perform(new Operation.VmHistory("web"));

        assertThat(items)
                .map(item -> ((Views.VmEventView) item).event())
                .containsExactly("defined", "starting", "running", "stopping", "asked", "stopped", "defined");
        assertThat(items.stream().map(item -> ((Views.VmEventView) item).run()).distinct())
                .hasSize(2);
        assertThat(items.stream().map(item -> ((Views.VmEventView) item).number()))
                .containsExactly(1L, 2L, 3L, 4L, 5L, 6L, 7L);
    }

    @Test
    void snapshotsAreThereAfterTheNextStart() throws IOException {
        restart("");
        perform(vm("web", "autostart", false));
        perform(new Operation.StartVm("web"));
        perform(new Operation.SnapshotVm("web", "one"));

        var host = restart("");

        assertThat(host.vms().snapshots("web")).containsExactly("one");
        perform(new Operation.RestoreVm("web", "one"));
        assertThat(state(host, "web")).isEqualTo(State.RUNNING);
        perform(new Operation.DeleteSnapshot("web", "one"));
        assertThat(host.vms().snapshots("web")).isEmpty();
    }

    @Test
    void aDeletedVmLeavesNothing() throws IOException {
        restart("");
        perform(vm("web"));
        perform(new Operation.StopVm("web", true));
        perform(new Operation.DeleteVm("web"));

        assertThat(directory.path().resolve("data/vms/web")).doesNotExist();
        assertThatThrownBy(() -> perform(new Operation.DeleteVm("web")))
                .isInstanceOf(ControlException.class)
                .hasMessageContaining("there is no VM web");
        perform(vm("web"));
    }

    @Test
    void oneThatRunsIsNotDeleted() throws IOException {
        restart("");
        perform(vm("web", "autostart", false));
        perform(new Operation.StartVm("web"));

        assertThatThrownBy(() -> perform(new Operation.DeleteVm("web"))).hasMessageContaining("stop it first");

        assertThat(restart("").vms().vms()).containsOnlyKeys("web");
    }

    @Test
    void theConfigurationHasTheLastWordAndTheConflictIsNamed() throws IOException {
        restart("");
        perform(vm("web", "weight", 7, "autostart", false));
        var declared = "vms { web { guest { type = wasm, module = demo }, weight = 9, autostart = false } }";

        var host = restart(declared);

        assertThat(host.vms().vm("web").orElseThrow().settings().weight()).isEqualTo(9);
        assertThat(host.notes())
                .containsExactly(
                        "vm web is declared in the configuration and was also created by command: the configuration has the last word");
        assertThat(perform(new Operation.ShowVm("web"))).matches(view -> ((Views.VmView) view).declared());
        assertThat(restart("").vms().vm("web").orElseThrow().settings().weight())
                .isEqualTo(7);
    }

    @Test
    void oneWhoseVolumeIsGoneIsNamedAndForgottenByCommand() throws IOException {
        restart("volumes { root { size = 1 MiB, store.type = memory } }");
        perform(vm("web", "disks", List.of("root")));

        var host = restart("");

        assertThat(host.vms().vms()).isEmpty();
        assertThat(host.notes())
                .singleElement()
                .asString()
                .startsWith("vm web was created by command and cannot be served (")
                .contains("disks[0]: expected the name of a volume, found \"root\"")
                .endsWith("or forget it with: sidecore vm delete web");
        perform(new Operation.DeleteVm("web"));
        assertThat(restart("").notes()).isEmpty();
    }

    @Test
    void mistakesInASectionAreNamedAndNothingIsCreated() throws IOException {
        restart("");

        assertThatThrownBy(() -> perform(new Operation.CreateVm("web", Map.of("guest", Map.of("type", "wsam")))))
                .isInstanceOf(ControlException.class)
                .hasMessage("guest.type: unknown value \"wsam\"; did you mean \"wasm\"?");

        assertThat(managed.host().vms().vms()).isEmpty();
    }

    @Test
    void theSettingsOfACommandAreThoseOfAFile() throws IOException {
        var host = restart("");
        perform(vm("web", "autostart", false));

        assertThat(host.vms().vm("web").orElseThrow().settings())
                .isEqualTo(Settings.read(ConfigFactory.parseString(
                                "sidecore.vms.web { guest { type = wasm, module = demo }, autostart = false }"))
                        .vms()
                        .get("web"))
                .extracting(settings -> settings.guest().type())
                .isEqualTo("wasm");
        assertThat(host.vms().vm("web").orElseThrow().settings().guest()).isInstanceOf(GuestSettings.Wasm.class);
    }

    @Test
    void whatWasCreatedIsThereAfterTheHostWasKilled() throws IOException {
        var data = directory.path();
        try (var host = new HostProcess(data, "")) {
            var client = ControlClient.of(data);
            var request = ControlClient.request("create-vm").put("name", "web");
            request.putObject("section").putObject("guest").put("type", "wasm").put("module", "demo");
            client.ask(request, item -> {});
            client.ask(ControlClient.request("start-vm").put("name", "web"), item -> {});
            host.kill();
        }

        var managedAgain = restartAt(data);

        untilRunning(managedAgain, "web");
        perform(new Operation.VmHistory("web"));
        // The end was not told, since there was nobody to tell it; the start was.
        assertThat(items)
                .map(item -> ((Views.VmEventView) item).event())
                .startsWith("defined", "starting")
                .contains("running");
    }

    private Sidecore restartAt(Path data) {
        managed = ManagedHost.start(
                Settings.read(ConfigFactory.parseString("sidecore { data-directory = \"" + data + "\" }")));
        return managed.host();
    }
}
