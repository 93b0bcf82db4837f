package io.sidecore.it.embedding;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.typesafe.config.ConfigFactory;
import io.sidecore.conf.Settings;
import io.sidecore.it.NbdClient;
import io.sidecore.it.Peers;
import io.sidecore.runtime.HostException;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.control.ManagedHost;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** No thread, no descriptor, no file is left of a host: when it has lived, and when it could not start. */
class CleanEndTest {
    private static final String VOLUMES = """
            volumes {
              disk { size = 16 MiB, store { type = memory } }
              image { size = 4 MiB, store { type = file, path = "image" } }
            }
            """;

    private final Peers.ShortDirectory place = new Peers.ShortDirectory();
    private final Path directory = place.path();
    private ServerSocket taken;
    private Possessions before;

    @BeforeEach
    void live() throws IOException {
        taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        // A first life loads what stays with the process.
        Files.createDirectory(directory.resolve("data"));
        try (var host = ManagedHost.start(settings(VOLUMES + server("127.0.0.1:0")))) {
            use(host.host());
        }
        before = Possessions.now(directory);
    }

    @AfterEach
    void clear() throws IOException {
        taken.close();
        place.close();
    }

    private Settings settings(String sections) {
        return Settings.read(ConfigFactory.parseString(
                "sidecore { data-directory = \"" + directory.resolve("data") + "\"\n" + sections + "}"));
    }

    private static String server(String... addresses) {
        return "exports { nbd { listen = [\"" + String.join("\", \"", addresses) + "\"], volumes = [disk, image] } }\n";
    }

    private static void use(Sidecore host) throws IOException {
        for (var uri : host.uris()) {
            try (var client = NbdClient.connectStructured(uri)) {
                client.batch(true, 16, 4096, new SplittableRandom(1));
                client.batch(false, 16, 65536, new SplittableRandom(2));
            }
        }
    }

    // --- lives

    @Test
    void nothingIsLeftOfAHostThatServedAndWasClosedUnderItsClients() throws IOException {
        var host = Sidecore.start(settings(VOLUMES + server("127.0.0.1:0", "unix:nbd.sock") + "cores { service = 1 }"));
        use(host);
        try (var connected = NbdClient.connect(host.uris("image").getFirst())) {
            connected.batch(true, 4, 4096, new SplittableRandom(3));
            connected.asks(32, 65536);
            host.close();
        }

        assertThat(host.closedWell()).isTrue();
        Possessions.assertNothingBeyond(before, directory);
    }

    @Test
    void nothingIsLeftOfAHostWithoutTheCoreThatItsSettingsName() throws IOException {
        try (var host = Sidecore.start(settings(VOLUMES + server("unix:nbd.sock") + "cores { service = [4000] }"))) {
            assertThat(host.notes()).anyMatch(note -> note.contains("core 4000"));
            use(host);
        }

        Possessions.assertNothingBeyond(before, directory);
    }

    @Test
    void nothingIsLeftOfAManagedHostInTheApplicationsActorSystem() throws IOException {
        var system = ActorSystem.create(Behaviors.<Void>empty(), "application");
        try (var managed = ManagedHost.start(settings(VOLUMES + server("127.0.0.1:0")), system)) {
            use(managed.host());
        }
        assertThat(system.getWhenTerminated().toCompletableFuture()).isNotDone();
        system.terminate();
        system.getWhenTerminated().toCompletableFuture().join();

        Possessions.assertNothingBeyond(before, directory);
    }

    // --- starts that fail

    /** On what. */
    enum Failure {
        SECOND_ADDRESS_TAKEN,
        A_FILE_WHERE_THE_SOCKET_SHOULD_BE,
        IMAGE_MISSING,
        IMAGE_TAKEN_BY_ANOTHER_VOLUME,
        CERTIFICATE_DAMAGED,
        CORE_MISSING_AND_ADDRESS_TAKEN
    }

    private String sections(Failure failure) {
        var busy = "127.0.0.1:" + taken.getLocalPort();
        return VOLUMES
                + switch (failure) {
                    case SECOND_ADDRESS_TAKEN -> server("unix:nbd.sock", busy);
                    case A_FILE_WHERE_THE_SOCKET_SHOULD_BE -> server("127.0.0.1:0", "unix:" + file("plain"));
                    case IMAGE_MISSING ->
                        server("unix:nbd.sock")
                                + "volumes { last { store { type = file, path = missing, create = false } } }";
                    case IMAGE_TAKEN_BY_ANOTHER_VOLUME ->
                        server("unix:nbd.sock") + "volumes { second { store { type = file, path = image } } }";
                    case CERTIFICATE_DAMAGED ->
                        server("127.0.0.1:0", "unix:nbd.sock")
                                + "exports.nbd.tls { mode = require, certificate = \"%1$s\", key = \"%1$s\" }"
                                        .formatted(file("damaged.pem"));
                    case CORE_MISSING_AND_ADDRESS_TAKEN -> server(busy) + "cores { service = [4000] }";
                };
    }

    private Path file(String name) {
        try {
            return Files.writeString(directory.resolve(name), "neither a socket nor a certificate");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @ParameterizedTest
    @EnumSource
    void nothingIsLeftOfAHostThatCouldNotStart(Failure failure) {
        var settings = settings(sections(failure));
        before = Possessions.now(directory);

        assertThatThrownBy(() -> Sidecore.start(settings)).isInstanceOf(HostException.class);
        Possessions.assertNothingBeyond(before, directory);
        assertThatThrownBy(() -> ManagedHost.start(settings)).isInstanceOf(HostException.class);
        Possessions.assertNothingBeyond(before, directory);
    }

    @ParameterizedTest
    @EnumSource
    void nothingIsLeftInTheApplicationsActorSystemOfAHostThatCouldNotStart(Failure failure) {
        var settings = settings(sections(failure));
        var system = ActorSystem.create(Behaviors.<Void>empty(), "application");
        try {
            var tree = ApplicationSystemTest.tree(system);

            assertThatThrownBy(() -> Sidecore.start(settings, system)).isInstanceOf(HostException.class);

            assertThat(ApplicationSystemTest.tree(system)).isEqualTo(tree);
        } finally {
            system.terminate();
            system.getWhenTerminated().toCompletableFuture().join();
        }
    }

    @Test
    void nothingIsLeftWhenWhatIsStartedBesidesFails() {
        var settings = settings(VOLUMES + server("unix:nbd.sock"));

        assertThatThrownBy(() -> Sidecore.start(settings, host -> {
                    host.storage().export("nothing");
                    return List.of();
                }))
                .hasMessageContaining("there is no volume nothing");

        Possessions.assertNothingBeyond(before, directory);
    }

    @Test
    void nothingIsLeftWhenTheControlSocketCannotBe() throws IOException {
        var control = Files.createDirectories(directory.resolve("data/control.sock/full"));
        before = Possessions.now(directory);

        assertThatThrownBy(() -> ManagedHost.start(settings(VOLUMES + server("unix:nbd.sock"))))
                .isInstanceOf(HostException.class)
                .hasMessageContaining("control socket");

        assertThat(control).isDirectory();
        Possessions.assertNothingBeyond(before, directory);
    }

    @Test
    void nothingIsLeftWhenTheActorSystemHasEnded() {
        var system = ActorSystem.create(Behaviors.<Void>empty(), "application");
        system.terminate();
        system.getWhenTerminated().toCompletableFuture().join();

        assertThatThrownBy(() -> Sidecore.start(settings(VOLUMES + server("unix:nbd.sock")), system))
                .hasMessage("the actor system application has ended; give one that runs");

        Possessions.assertNothingBeyond(before, directory);
    }
}
