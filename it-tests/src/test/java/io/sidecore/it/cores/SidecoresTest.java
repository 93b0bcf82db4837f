package io.sidecore.it.cores;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.typesafe.config.ConfigFactory;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.PhysicalCore;
import io.sidecore.actors.core.PhysicalCore.Role;
import io.sidecore.actors.core.Topology;
import io.sidecore.actors.vif.VirtualInterface.QueueStatus;
import io.sidecore.conf.CoreChoice;
import io.sidecore.conf.CoreSettings;
import io.sidecore.conf.Settings;
import io.sidecore.it.NbdClient;
import io.sidecore.runtime.Sidecore;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** SC-1, SC-2: a sidecore is a thread of one core, and the streams placed on it run there. */
class SidecoresTest {
    @TempDir
    Path directory;

    private Sidecore host;

    @AfterEach
    void stop() {
        if (host != null) {
            host.close();
        }
    }

    private Settings settings() {
        assumeTrue(Topology.ofThisMachine().usableCores() > 1, "one core only: no sidecore");
        return Settings.read(ConfigFactory.parseString("""
                sidecore {
                  data-directory = "%s"
                  cores { service = 1 }
                  volumes { disk { size = 16 MiB, store { type = memory } } }
                  exports.nbd { listen = ["unix:s"], volumes = [disk], placement = sidecore }
                }
                """.formatted(directory)));
    }

    /** The same with these sidecores: also all cores of the machine, which a configuration may not take. */
    private static Settings with(Settings settings, List<Integer> sidecores) {
        return new Settings(
                settings.dataDirectory(),
                settings.host(),
                new CoreSettings(
                        new CoreChoice.Listed(sidecores), settings.cores().guest()),
                settings.loop(),
                settings.vif(),
                settings.volumes(),
                settings.nbd(),
                settings.vms(),
                settings.metrics(),
                settings.log());
    }

    private NbdClient client() throws IOException {
        return NbdClient.connect(host.uris().getFirst());
    }

    private List<QueueStatus> queues() {
        return host.vif("disk")
                .orElseThrow()
                .inspect()
                .toCompletableFuture()
                .join()
                .queues();
    }

    private static void ask(NbdClient client, int batches) throws IOException {
        var random = new SplittableRandom(batches);
        for (var i = 0; i < batches; i++) {
            client.batch(i % 2 == 0, 10, 4096, random);
        }
    }

    private PhysicalCore.Status sidecore() {
        return host.cores().stream()
                .filter(core -> core.role() == Role.SERVICE)
                .findFirst()
                .orElseThrow();
    }

    /** What the kernel says of a loop's thread. */
    private static String status(CoreLoop loop, String key) throws IOException {
        // A loop ties itself to its core before it runs its first task.
        var running = new CompletableFuture<Void>();
        loop.execute(() -> running.complete(null));
        running.join();
        try (var tasks = Files.list(Path.of("/proc/self/task"))) {
            var threads = tasks.filter(
                            task -> text(task.resolve("comm")).strip().equals(loop.name()))
                    .toList();
            assertThat(threads).as("threads named " + loop.name()).hasSize(1);
            return text(threads.getFirst().resolve("status"))
                    .lines()
                    .filter(line -> line.startsWith(key + ":"))
                    .map(line -> line.substring(key.length() + 1).strip())
                    .findFirst()
                    .orElseThrow();
        }
    }

    private static String text(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void theThreadOfASidecoreMayRunOnItsCoreOnly() throws Exception {
        host = Sidecore.start(settings());

        var sidecore = sidecore();

        var loop = host.loops().named(sidecore.loop().orElseThrow()).orElseThrow();
        assertThat(status(loop, "Cpus_allowed_list"))
                .isEqualTo("" + sidecore.core().id());
    }

    /** The last deadlines of a queue that ends are on its loop. */
    @Test
    void aLoopDoesNotEndBeforeTheQueuesThatEndOnIt() throws Exception {
        host = Sidecore.start(settings());
        var sidecore = sidecore();
        // It does not hang up when it is told to.
        try (var client = client()) {
            ask(client, 2);
            var ended = host.storage().unexport("disk");

            host.assign(sidecore.core().id(), Role.SHARED);

            ended.get(1, TimeUnit.MINUTES);
            host.storage().delete("disk");
        }
    }

    @Test
    void theSharedLoopMayRunWhereTheProcessMay() throws Exception {
        host = Sidecore.start(settings());

        assertThat(status(host.loops().shared(), "Cpus_allowed_list"))
                .isEqualTo(text(Path.of("/proc/self/status"))
                        .lines()
                        .filter(line -> line.startsWith("Cpus_allowed_list:"))
                        .map(line -> line.substring(line.indexOf(':') + 1).strip())
                        .findFirst()
                        .orElseThrow());
    }

    @Test
    void everyCoreTellsItsRoleItsKindItsMemoryNodeAndItsLoop() {
        host = Sidecore.start(settings());

        var cores = host.cores();

        assertThat(cores)
                .extracting(PhysicalCore.Status::core)
                .as("the cores of the machine, each with its number, kind and memory node")
                .isEqualTo(Topology.ofThisMachine().cores());
        assertThat(cores)
                .allMatch(core -> core.core().kind() != null && core.core().numaNode() >= 0);
        var sidecores =
                cores.stream().filter(core -> core.role() == Role.SERVICE).toList();
        assertThat(sidecores).hasSize(1);
        assertThat(sidecores.getFirst().loop())
                .contains(host.loops().service().getFirst().name());
        assertThat(sidecores.getFirst().utilisation()).isBetween(0.0, 1.0);
        assertThat(cores)
                .filteredOn(core -> core.role() != Role.SERVICE)
                .isNotEmpty()
                .allMatch(core -> core.role() == Role.SHARED && core.loop().isEmpty());
    }

    @Test
    void withoutSidecoresEveryCoreIsShared() {
        host = Sidecore.start(Settings.read(ConfigFactory.parseString("sidecore.cores.service = 0")));

        assertThat(host.loops().service()).isEmpty();
        assertThat(host.cores()).isNotEmpty().allMatch(core -> core.role() == Role.SHARED);
        assertThat(host.cores()).extracting(PhysicalCore.Status::loop).containsOnly(Optional.empty());
    }

    @Test
    void aQueuePlacedOnASidecoreIsServedThereAndNowhereElse() throws Exception {
        host = Sidecore.start(settings());
        var sidecore = host.loops().service().getFirst();

        try (var client = client()) {
            ask(client, 50);
            assertThat(queues()).extracting(QueueStatus::loop).containsExactly(sidecore.name());
        }

        assertThat(sidecore.counters().requests.get()).isEqualTo(500);
        assertThat(host.loops().shared().counters().requests.get()).isZero();
    }

    @Test
    void theQueuesOfAVifAreSpreadOverTheSidecoresAndEachServesItsOwn() throws Exception {
        var settings = settings();
        var two = Topology.ofThisMachine().allowed().stream()
                .limit(2)
                .map(Topology.Core::id)
                .toList();
        host = Sidecore.start(with(settings, two));
        var loops = host.loops().service();
        assertThat(loops).hasSize(2);

        try (var first = client();
                var second = client();
                var third = client()) {
            ask(first, 10);
            ask(second, 20);
            ask(third, 40);
            assertThat(queues())
                    .extracting(QueueStatus::loop)
                    .containsExactly(
                            loops.get(0).name(),
                            loops.get(1).name(),
                            loops.get(0).name());
            assertThat(queues()).extracting(queue -> queue.tally().requests()).containsExactly(100L, 200L, 400L);
        }

        assertThat(loops.get(0).counters().requests.get()).isEqualTo(500);
        assertThat(loops.get(1).counters().requests.get()).isEqualTo(200);
        assertThat(host.loops().shared().counters().requests.get()).isZero();
        for (var i = 0; i < 2; i++) {
            assertThat(status(loops.get(i), "Cpus_allowed_list")).isEqualTo("" + two.get(i));
        }
    }
}
