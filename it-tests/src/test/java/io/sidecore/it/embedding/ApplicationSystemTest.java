package io.sidecore.it.embedding;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.conf.Placement;
import io.sidecore.conf.Settings;
import io.sidecore.it.NbdClient;
import io.sidecore.it.Peers;
import io.sidecore.runtime.Sidecore;
import java.io.IOException;
import java.time.Duration;
import java.util.SplittableRandom;
import org.apache.pekko.actor.ExtendedActorSystem;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.apache.pekko.stream.SystemMaterializer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class ApplicationSystemTest {
    private static final Settings SETTINGS = Settings.builder()
            .serviceCores(1)
            .volume("disk", volume -> volume.size(16 << 20).memory())
            .nbd(nbd -> nbd.listen("127.0.0.1:0").export("disk").placement(Placement.SIDECORE))
            .build();

    private final ActorSystem<Void> system = ActorSystem.create(Behaviors.empty(), "application");

    @AfterEach
    void end() {
        system.terminate();
        system.getWhenTerminated().toCompletableFuture().join();
    }

    /** The names of all actors of a system, as an indented tree. */
    static String tree(ActorSystem<?> system) {
        // Pekko's own materializer comes when it comes, and is seen a moment later still.
        SystemMaterializer.get(system).materializer();
        var classic = (ExtendedActorSystem) system.classicSystem();
        Peers.until(
                "Pekko's own materializer is there",
                Duration.ofMinutes(1),
                () -> classic.printTree().contains("StreamSupervisor"));
        return classic.printTree()
                .lines()
                // A system's own actors tell how many messages they have, and an ask its temporary one.
                .filter(line -> line.contains("sidecore") || line.contains("vif") || line.contains("StreamSupervisor"))
                // Behind the name stands how it is just now.
                .map(line -> line.replaceFirst("(-> \\S+).*", "$1"))
                .toList()
                .toString();
    }

    private static void use(Sidecore host) throws IOException {
        try (var client = NbdClient.connectStructured(host.uris().getFirst())) {
            client.batch(true, 64, 4096, new SplittableRandom(1));
            client.batch(false, 64, 4096, new SplittableRandom(2));
        }
    }

    @Test
    void aHostServesInIt_andLeavesItAsItWas() throws IOException {
        var before = tree(system);

        try (var host = Sidecore.start(SETTINGS, system)) {
            assertThat(tree(system)).contains("sidecore-", "vif-nbd-disk");
            use(host);
        }

        assertThat(tree(system)).isEqualTo(before);
        assertThat(system.getWhenTerminated().toCompletableFuture()).isNotDone();
    }

    @Test
    void severalHostsShareIt_andEndOneByOne() throws IOException {
        try (var first = Sidecore.start(SETTINGS, system)) {
            try (var second = Sidecore.start(SETTINGS, system);
                    var alone = Sidecore.start(SETTINGS)) {
                use(first);
                use(second);
                use(alone);
            }
            use(first);
        }
    }

    @Test
    void itIsClosedUnderItsClientsWithinIt() throws IOException {
        var host = Sidecore.start(SETTINGS, system);
        try (var connected = NbdClient.connect(host.uris().getFirst())) {
            connected.asks(64, 4096);
            host.close();
        }

        assertThat(host.closedWell()).isTrue();
        assertThat(tree(system)).doesNotContain("sidecore-");
    }
}
