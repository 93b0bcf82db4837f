package io.sidecore.it.model;

import static org.assertj.core.api.Assertions.assertThat;

import com.typesafe.config.ConfigFactory;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.vif.Volume;
import io.sidecore.conf.Placement;
import io.sidecore.conf.Settings;
import io.sidecore.devices.interpose.FaultInjector;
import io.sidecore.devices.interpose.FaultPlan;
import io.sidecore.devices.interpose.RateLimit;
import io.sidecore.it.Peers;
import io.sidecore.it.Peers.ShortDirectory;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.VifHandle;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** RS-1, RS-4, RS-9: random programs of all commands over real sockets, while connections are killed, chains and placements changed and the volume resized, hold against the model. */
class ModelOverSocketsTest {
    private static final int STEPS =
            Integer.getInteger("it.model.steps", Boolean.getBoolean("it.long") ? 200_000 : 20_000);
    private static final int PART = 1 << 20;
    private static final int CLIENTS = 3;
    private static final int LARGEST = CLIENTS * PART + PART;
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    private record Tally(long steps, long answers, int kills, int resizes, List<String> violations) {}

    @ParameterizedTest
    @ValueSource(
            strings = {"type = memory", "type = file, path = disk.img", "type = file, path = disk.img, direct = true"})
    void everyAnswerIsOneThatTheModelAllows(String store) throws Exception {
        var seed = Long.getLong("it.model.seed", 1);
        try (var directory = new ShortDirectory();
                var host = host(directory.path(), store);
                var threads = Executors.newVirtualThreadPerTaskExecutor()) {
            var volume = host.volume("disk").orElseThrow();
            var over = new AtomicBoolean();
            var changes = threads.submit(() -> change(host, new SplittableRandom(seed), over));
            var clients = new ArrayList<Callable<Tally>>();
            for (var i = 0; i < CLIENTS; i++) {
                var number = i;
                clients.add(() -> client(host, directory.path().resolve("s"), volume, number, seed));
            }
            var tallies = new ArrayList<Tally>();
            for (var running : threads.invokeAll(clients, 10, TimeUnit.MINUTES)) {
                tallies.add(running.get());
            }
            over.set(true);
            System.out.printf(
                    "%s: %,d steps over sockets, seed %d, %,d answers, %,d changes of chain and placement, %d connections killed, %d resizes%n",
                    store,
                    tallies.stream().mapToLong(Tally::steps).sum(),
                    seed,
                    tallies.stream().mapToLong(Tally::answers).sum(),
                    changes.get(),
                    tallies.stream().mapToInt(Tally::kills).sum(),
                    tallies.stream().mapToInt(Tally::resizes).sum());
            assertThat(tallies)
                    .flatExtracting(Tally::violations)
                    .as("seed %d", seed)
                    .isEmpty();
            assertThat(volume.failure()).isEmpty();
        }
    }

    private static Sidecore host(Path directory, String store) {
        var exports = new StringBuilder();
        for (var i = 0; i < CLIENTS; i++) {
            exports.append("{ volume = disk, name = c").append(i).append(", mode = shared }\n");
        }
        return Sidecore.start(Settings.read(
                ConfigFactory.parseString("""
                sidecore {
                  data-directory = "%s"
                  cores.service = 1
                  volumes { disk { size = %d B, store { %s } } }
                  exports { nbd { listen = ["unix:%s/s"], volumes = [ %s ] } }
                }
                """.formatted(directory, CLIENTS * PART, store, directory, exports))));
    }

    private static Tally client(Sidecore host, Path socket, Volume volume, int number, long seed) throws IOException {
        var random = new SplittableRandom(31 * seed + number);
        var last = number == CLIENTS - 1;
        var model = new DiskModel(CLIENTS * PART, LARGEST);
        var client = new ModelClient(
                "client " + number, random, model, number * PART, last ? LARGEST : (number + 1) * PART, 12, true);
        var vif = host.vif("c" + number).orElseThrow();
        var kills = 0;
        var resizes = 0;
        while (client.steps() < STEPS / CLIENTS && client.violations().isEmpty()) {
            try (var connection = new ModelConnection(socket, "c" + number, random.nextInt(3) > 0)) {
                client.connected(connection.negotiated());
                exchange(connection, client, 50 + random.nextInt(1_000));
                if (last && random.nextBoolean()) {
                    client.pause(true);
                    while (!client.idle() && client.violations().isEmpty()) {
                        connection.exchange(client);
                    }
                    client.pause(false);
                    var size = (CLIENTS - 1) * PART + 4096 + 512 * random.nextInt((2 * PART - 4096) / 512);
                    volume.resize(size);
                    model.resize(size);
                    resizes++;
                    // It goes on with the size it was told; what a new connection is told is the new one.
                    exchange(connection, client, random.nextInt(300));
                }
            }
            kills++;
            awaitNoQueue(vif);
            client.disconnected();
        }
        return new Tally(client.steps(), client.answers(), kills, resizes, client.violations());
    }

    private static void exchange(ModelConnection connection, ModelClient client, int steps) throws IOException {
        var until = client.steps() + steps;
        while (client.steps() < until && client.violations().isEmpty()) {
            connection.exchange(client);
        }
    }

    /** Nothing of a connection reaches the disk once its queue has ended. */
    private static void awaitNoQueue(VifHandle vif) {
        Peers.until(
                "the end of the queue",
                PATIENCE,
                () -> vif.inspect().toCompletableFuture().join().queues().isEmpty());
    }

    /** Changes something every few milliseconds; returns how often. */
    private static int change(Sidecore host, SplittableRandom random, AtomicBoolean over) {
        var changes = 0;
        while (!over.get()) {
            var vif = host.vif("c" + random.nextInt(CLIENTS)).orElseThrow();
            var present = vif.inspect().toCompletableFuture().join().interposers();
            var done = switch (random.nextInt(3)) {
                case 0 -> vif.place(random.nextBoolean() ? Placement.SHARED : Placement.SIDECORE);
                case 1 ->
                    present.isEmpty()
                            ? vif.insert(new RateLimit("limit", 1_000_000, 0, Duration.ofMillis(10)), 0)
                            : vif.remove(present.getFirst());
                default ->
                    present.contains("faults")
                            ? vif.remove("faults")
                            : vif.insert(
                                    new FaultInjector(
                                            "faults",
                                            FaultPlan.none(random.nextLong())
                                                    .withDelay(0.05, Duration.ofMillis(1))
                                                    .withError(0.02, Errno.EIO)),
                                    0);
            };
            done.toCompletableFuture().join();
            changes++;
            LockSupport.parkNanos(3_000_000);
        }
        return changes;
    }
}
