package io.sidecore.it.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import io.sidecore.conf.Settings;
import io.sidecore.it.NbdClient;
import io.sidecore.runtime.HostException;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.control.Answers;
import io.sidecore.runtime.control.ControlException;
import io.sidecore.runtime.control.DefinitionKeeper;
import io.sidecore.runtime.control.ManagedHost;
import io.sidecore.runtime.control.Operation;
import io.sidecore.runtime.control.Operations;
import io.sidecore.runtime.control.Views;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ManagedHostTest {
    private static final String SERVER = "exports { nbd { listen = [\"127.0.0.1:0\"] } }";
    private static final int MIB = 1 << 20;

    private static final Answers NOBODY = new Answers() {
        @Override
        public void item(Object view) {}

        @Override
        public void stillHere() {}
    };

    @TempDir
    Path folder;

    private ManagedHost managed;

    @AfterEach
    void stop() {
        if (managed != null) {
            managed.close();
            assertThat(managed.closedWell()).isTrue();
        }
    }

    /** Stops the host that runs and starts the next one on the same data directory. */
    private Sidecore restart(String declared) {
        stop();
        managed = null;
        managed = ManagedHost.start(settings(declared));
        return managed.host();
    }

    private Settings settings(String declared) {
        return Settings.read(ConfigFactory.parseString(
                "sidecore { data-directory = \"%s\", %s }".formatted(folder.resolve("data"), declared)));
    }

    private Object perform(Operation operation) throws IOException {
        return managed.operations().perform(operation, NOBODY);
    }

    private static Operation memory(String name, String size) {
        return new Operation.CreateVolume(name, Map.of("size", size, "store", Map.of("type", "memory")));
    }

    private Operation file(String name, String size) {
        var store = Map.of("type", "file", "path", folder.resolve(name + ".img").toString());
        return new Operation.CreateVolume(name, Map.of("size", size, "store", store));
    }

    private static Operation export(String volume, String name) {
        return new Operation.CreateExport(Map.of("volume", volume, "name", name, "mode", "read-only"));
    }

    @Test
    void whatWasCreatedIsThereAfterTheNextStartAndWhatWasDeletedIsNot() throws IOException {
        restart(SERVER);
        perform(memory("kept", "3 MiB"));
        perform(memory("gone", "1 MiB"));
        perform(export("kept", "look"));
        perform(export("kept", "forget"));
        perform(new Operation.DeleteExport("forget"));
        perform(new Operation.DeleteVolume("gone"));

        for (var starts = 0; starts < 2; starts++) {
            var host = restart(SERVER);

            assertThat(host.storage().volumes())
                    .extracting(volume -> volume.name())
                    .containsExactly("kept");
            assertThat(host.volume("kept").orElseThrow().size()).isEqualTo(3 * MIB);
            assertThat(host.storage().exports()).containsOnlyKeys("look");
            assertThat(host.uris()).singleElement().asString().endsWith("/look");
            assertThat(host.notes()).isEmpty();
        }
    }

    @Test
    void aSizeThatWasChangedIsThereAfterTheNextStart() throws IOException {
        restart(SERVER);
        perform(memory("grown", "1 MiB"));
        perform(new Operation.CreateVolume(
                "shrunk", Map.of("size", "8 MiB", "store", Map.of("type", "memory", "limit", "4 MiB"))));
        perform(file("image", "1 MiB"));
        perform(new Operation.ResizeVolume("grown", "2 MiB", false));
        perform(new Operation.ResizeVolume("shrunk", "2 MiB", true));
        perform(new Operation.ResizeVolume("image", "2 MiB", false));

        var host = restart(SERVER);

        assertThat(host.notes()).isEmpty();
        assertThat(host.storage().volumes())
                .hasSize(3)
                .allSatisfy(volume -> assertThat(volume.size()).isEqualTo(2 * MIB));
    }

    @Test
    void whatWouldBeCutOffIsKeptUnlessItIsSaidThatItMayGo() throws IOException {
        restart(SERVER);
        perform(memory("disk", "4 MiB"));

        assertThatThrownBy(() -> perform(new Operation.ResizeVolume("disk", "2 MiB", false)))
                .hasMessage("volume disk has 4 MiB, and what is cut off is lost; if that is meant, say --shrink");
        perform(new Operation.ResizeVolume("disk", "8 MiB", false));

        assertThat(restart(SERVER).volume("disk").orElseThrow().size()).isEqualTo(8 * MIB);
    }

    @Test
    void anImageThatHasAnotherSizeThanWasKeptIsTakenAsItIs() throws IOException {
        restart(SERVER);
        perform(file("image", "1 MiB"));
        stop();
        // As after a crash between the change of the image and that of its definition.
        Files.write(folder.resolve("image.img"), new byte[2 * MIB]);

        assertThat(restart(SERVER).volume("image").orElseThrow().size()).isEqualTo(2 * MIB);
    }

    @Test
    void theConfigurationHasTheLastWordAndTheConflictIsNamed() throws IOException {
        restart(SERVER);
        perform(memory("disk", "1 MiB"));
        perform(export("disk", "disk"));
        var declared = """
                volumes { disk { size = 5 MiB, store { type = memory } } }
                exports { nbd { listen = ["127.0.0.1:0"], volumes = [disk] } }
                """;

        var host = restart(declared);

        assertThat(host.volume("disk").orElseThrow().size()).isEqualTo(5 * MIB);
        assertThat(host.vif("disk")
                        .orElseThrow()
                        .inspect()
                        .toCompletableFuture()
                        .join()
                        .attachment()
                        .readOnly())
                .isFalse();
        assertThat(host.notes())
                .containsExactly(
                        "volume disk is declared in the configuration and was also created by command: the configuration has the last word",
                        "export disk is declared in the configuration and was also created by command: the configuration has the last word");
        assertThat(perform(new Operation.ShowVolume("disk"))).matches(view -> ((Views.VolumeView) view).declared());

        // What is not served is not changed, and is served again when nothing overrules it.
        perform(new Operation.ResizeVolume("disk", "6 MiB", true));
        host = restart(SERVER);
        assertThat(host.volume("disk").orElseThrow().size()).isEqualTo(MIB);
        assertThat(host.storage().exports()).containsOnlyKeys("disk");

        // Deleted is deleted, also what is not served.
        restart(declared);
        assertThat(perform(new Operation.DeleteExport("disk"))).isEqualTo(new Views.DeletedView("disk", true));
        assertThat(perform(new Operation.DeleteVolume("disk"))).isEqualTo(new Views.DeletedView("disk", true));
        host = restart(declared);
        assertThat(host.notes()).isEmpty();
        assertThat(host.storage().exports()).containsOnlyKeys("disk");
        assertThat(restart(SERVER).storage().volumes()).isEmpty();
    }

    @Test
    void whatCannotBeServedIsNamedAndForgottenByCommandAndTheRestIsServed() throws IOException {
        restart(SERVER);
        perform(file("image", "1 MiB"));
        perform(memory("sound", "1 MiB"));
        perform(export("image", "image"));
        perform(export("sound", "sound"));
        stop();
        Files.delete(folder.resolve("image.img"));

        var host = restart(SERVER);

        assertThat(host.storage().exports()).containsOnlyKeys("sound");
        assertThat(host.notes())
                .hasSize(2)
                .satisfies(notes -> assertThat(notes.getFirst())
                        .startsWith("volume image was created by command and cannot be served (")
                        .contains(folder.resolve("image.img").toString())
                        .endsWith("or forget it with: sidecore volume delete image"))
                .satisfies(notes -> assertThat(notes.getLast())
                        .startsWith("export image was created by command and cannot be served (")
                        .contains("there is none of this name")
                        .endsWith("or forget it with: sidecore export delete image"));

        assertThat(folder.resolve("image.img")).doesNotExist();
        perform(new Operation.DeleteExport("image"));
        perform(new Operation.DeleteVolume("image"));
        assertThatThrownBy(() -> perform(new Operation.DeleteVolume("image")))
                .isInstanceOf(ControlException.class)
                .hasMessageContaining("there is no volume image");
        assertThat(restart(SERVER).notes()).isEmpty();
    }

    @Test
    void aSampleCountsRequestsAndTheBytesOfTheirPayloads() throws IOException {
        restart(SERVER);
        perform(memory("disk", "1 MiB"));
        perform(new Operation.CreateExport(Map.of("volume", "disk")));

        try (var client = NbdClient.connect(managed.host().uris().getFirst())) {
            client.batch(true, 10, 4096, new SplittableRandom(1));
            client.batch(false, 5, 512, new SplittableRandom(1));
            assertThat(client.refusals(3)).isEqualTo(3);

            assertThat(((Views.Sample) perform(new Operation.Sample())).vifs())
                    .singleElement()
                    .satisfies(vif -> {
                        // What lies behind the end is refused where it is decoded, and never becomes a request.
                        assertThat(vif.requests()).isEqualTo(15);
                        assertThat(vif.latencies().values().stream()
                                        .mapToLong(Long::longValue)
                                        .sum())
                                .isEqualTo(15);
                        assertThat(vif.bytes()).isEqualTo(10 * 4096 + 5 * 512);
                    });
        }
    }

    @Test
    void withoutAServerExportsAreKeptButNotServed() throws IOException {
        restart(SERVER);
        perform(memory("disk", "1 MiB"));
        perform(export("disk", "disk"));

        assertThat(restart("").notes()).singleElement().asString().contains("this host has no NBD server");
        assertThat(restart(SERVER).storage().exports()).containsOnlyKeys("disk");
    }

    @Test
    void aDamagedJournalIsNamedAndNothingIsStarted() throws IOException {
        restart(SERVER);
        perform(memory("one", "1 MiB"));
        perform(memory("two", "1 MiB"));
        stop();
        managed = null;
        var journal = folder.resolve("data/catalog.journal");
        var bytes = Files.readAllBytes(journal);
        bytes[bytes.length / 2] ^= 1;
        Files.write(journal, bytes);

        assertThatThrownBy(() -> ManagedHost.start(settings(SERVER)))
                .isInstanceOf(HostException.class)
                .hasMessageContaining("catalog.journal");

        // Everything was let go: a sound journal can be used at once.
        bytes[bytes.length / 2] ^= 1;
        Files.write(journal, bytes);
        assertThat(restart(SERVER).storage().volumes()).hasSize(2);
    }

    @Test
    void whatCannotBeKeptIsNotCreated() throws IOException {
        var host = restart(SERVER);
        perform(memory("there", "1 MiB"));
        var full = new Operations(host, new FullKeeper());

        assertThatThrownBy(() -> full.perform(memory("more", "1 MiB"), NOBODY))
                .isInstanceOf(ControlException.class)
                .hasMessage("volume more was not created: the disk is full");
        assertThatThrownBy(() -> full.perform(export("there", "more"), NOBODY))
                .isInstanceOf(ControlException.class)
                .hasMessage("export more was not created: the disk is full");
        assertThatThrownBy(() -> full.perform(new Operation.DeleteVolume("there"), NOBODY))
                .isInstanceOf(ControlException.class)
                .hasMessageContaining("is deleted, but will be there again after the next start: the disk is full");

        assertThat(host.volume("more")).isEmpty();
        assertThat(host.storage().exports()).isEmpty();
        assertThat(host.volume("there")).isEmpty();
        assertThat(restart(SERVER).volume("there")).isPresent();
    }

    @Test
    void anExportThatCannotBeForgottenHasEndedAllTheSameWhenThatIsSaid() throws IOException {
        var host = restart(SERVER);
        perform(memory("there", "1 MiB"));
        perform(export("there", "there"));
        var full = new Operations(host, new FullKeeper());
        try (var client = NbdClient.connect(host.uris("there").getFirst())) {
            client.batch(false, 16, 4096, new SplittableRandom(1));

            assertThatThrownBy(() -> full.perform(new Operation.DeleteExport("there"), NOBODY))
                    .isInstanceOf(ControlException.class)
                    .hasMessageContaining("is deleted, but will be there again after the next start");

            // Its volume is free.
            host.storage().delete("there");
        }
    }

    /** A keeper whose disk is full. */
    private static final class FullKeeper implements DefinitionKeeper {
        private static HostException full() {
            return new HostException("the disk is full");
        }

        @Override
        public void volume(String name, Config section) {
            throw full();
        }

        @Override
        public void volumeResized(String name, long bytes) {
            throw full();
        }

        @Override
        public boolean volumeDeleted(String name) {
            throw full();
        }

        @Override
        public void export(String name, Config section) {
            throw full();
        }

        @Override
        public boolean exportDeleted(String name) {
            throw full();
        }

        @Override
        public void vm(String name, Config section) {
            throw full();
        }

        @Override
        public boolean vmDeleted(String name) {
            throw full();
        }
    }
}
