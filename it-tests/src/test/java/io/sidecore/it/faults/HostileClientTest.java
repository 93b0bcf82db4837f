package io.sidecore.it.faults;

import static org.assertj.core.api.Assertions.assertThat;

import com.typesafe.config.ConfigFactory;
import io.sidecore.actors.vif.VirtualInterface.QueueStatus;
import io.sidecore.conf.Settings;
import io.sidecore.it.NbdClient;
import io.sidecore.it.Peers;
import io.sidecore.runtime.Sidecore;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** SV-11: clients that flood, stall or vanish cost the others nothing but time, and the host no more than its bounds. */
class HostileClientTest {
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    @TempDir
    Path directory;

    private Sidecore host;

    @AfterEach
    void stop() {
        host.close();
    }

    private void start(String more) {
        host = Sidecore.start(Settings.read(ConfigFactory.parseString("""
                sidecore {
                  data-directory = "%s"
                  volumes { disk { size = 256 MiB, store { type = memory } } }
                  exports.nbd { listen = ["127.0.0.1:0", "unix:s"], volumes = [disk] }
                  %s
                }
                """.formatted(directory, more))));
    }

    private NbdClient client(int address) throws Exception {
        return NbdClient.connect(host.uris().get(address));
    }

    private List<QueueStatus> queues() {
        return host.vif("disk")
                .orElseThrow()
                .inspect()
                .toCompletableFuture()
                .join()
                .queues();
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1})
    void aClientThatNeverReadsItsAnswersIsDisconnectedAndOthersAreServedMeanwhile(int address) throws Exception {
        start("vif.send-timeout = 500 ms");
        try (var deaf = client(address);
                var other = client(address)) {
            deaf.asks(200, 512 << 10);
            Peers.until(
                    "its requests arrive",
                    PATIENCE,
                    () -> queues().getFirst().tally().requests() > 0);
            for (var i = 0; i < 100 || queues().size() > 1; i++) {
                other.batch(i % 2 == 0, 4, 4096, new SplittableRandom(i));
            }

            assertThat(queues()).extracting(QueueStatus::name).containsExactly("nbd/disk#1");
        }
    }

    @Test
    void aClientThatVanishesInTheMiddleOfALargeWriteLeavesTheOthersAlone() throws Exception {
        start("");
        try (var other = client(1)) {
            for (var i = 0; i < 20; i++) {
                try (var vanishing = client(i % 2)) {
                    vanishing.begins(8 << 20, 100_000 * i);
                    other.batch(true, 4, 128 << 10, new SplittableRandom(i));
                    other.batch(false, 4, 128 << 10, new SplittableRandom(i));
                }
            }
            Peers.until("the others have gone", PATIENCE, () -> queues().size() == 1);
        }
    }

    /** Through an interposer nothing is lent, and what is delayed holds its memory: sixteen clients ask for eight times what there is. */
    @Test
    void clientsThatAskForMoreThanThePayloadMemoryAreAllServed() throws Exception {
        start("""
                host.payload-memory = 16 MiB
                exports.nbd.volumes = [{
                  volume = disk
                  interposers = [{ type = fault-plan, delay { ratio = 1, by = 1 ms } }]
                }]
                """);
        var clients = IntStream.range(0, 16)
                .mapToObj(number -> CompletableFuture.runAsync(
                        () -> {
                            try (var client = client(number % 2)) {
                                for (var i = 0; i < 6; i++) {
                                    client.batch(i % 2 == 0, 16, 512 << 10, new SplittableRandom(number));
                                }
                            } catch (Exception e) {
                                throw new AssertionError("client " + number, e);
                            }
                        },
                        task -> Thread.ofPlatform().start(task)))
                .toList();
        CompletableFuture.allOf(clients.toArray(CompletableFuture[]::new)).join();
    }
}
