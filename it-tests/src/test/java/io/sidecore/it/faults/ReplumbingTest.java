package io.sidecore.it.faults;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.typesafe.config.ConfigFactory;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.PhysicalCore;
import io.sidecore.actors.vif.Interposer;
import io.sidecore.actors.vif.Queue;
import io.sidecore.actors.vif.VirtualInterface;
import io.sidecore.conf.Placement;
import io.sidecore.conf.Settings;
import io.sidecore.devices.interpose.FaultInjector;
import io.sidecore.devices.interpose.FaultPlan;
import io.sidecore.devices.interpose.RateLimit;
import io.sidecore.it.Peers;
import io.sidecore.it.Peers.Running;
import io.sidecore.it.Peers.ShortDirectory;
import io.sidecore.it.Peers.Tool;
import io.sidecore.it.Peers.Verified;
import io.sidecore.runtime.HostException;
import io.sidecore.runtime.Sidecore;
import java.net.URI;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** SV-7, RS-4: chains, loops, placements and stores change under a client that verifies what it reads, and the client sees no error. */
class ReplumbingTest {
    private static final Duration TIME = Duration.ofSeconds(Boolean.getBoolean("it.long") ? 60 : 5);
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    /** A client that writes and verifies for longer than the changes take, in one process on one connection. */
    private static final class Client implements AutoCloseable {
        private final String uri;
        private final Supplier<VirtualInterface.Status> vif;
        private final Running fio;
        private String queue;
        private int firstGeneration;
        private Set<String> sockets;

        Client(String uri, Supplier<VirtualInterface.Status> vif) {
            this.uri = uri;
            this.vif = vif;
            this.fio = Peers.start(
                    Tool.FIO,
                    Peers.fioVerify(
                            uri,
                            "--bs=4k",
                            "--iodepth=16",
                            "--offset=8g",
                            "--size=32m",
                            "--verify_backlog=512",
                            "--loops=1000000",
                            "--runtime=" + (TIME.toSeconds() + 4)));
            // What fio opens first, to learn the size, it closes again: only a queue that moves data is its queue.
            Peers.until("fio writes: " + fio.output(), PATIENCE, () -> {
                var queues = vif.get().queues();
                if (queues.size() == 1 && queues.getFirst().tally().requests() > 100) {
                    queue = queues.getFirst().name();
                    firstGeneration = queues.getFirst().generation();
                    return true;
                }
                assertThat(fio.alive()).as("fio runs: %s", fio.output()).isTrue();
                return false;
            });
            sockets = fio.sockets();
        }

        VirtualInterface.QueueStatus status() {
            var queues = vif.get().queues();
            assertThat(queues).as("queues while fio says: %s", fio.output()).hasSize(1);
            return queues.getFirst();
        }

        /** After the changes: still the same process, socket and queue, in a later generation. */
        void isUndisturbed(int changes) {
            assertThat(fio.alive()).as("fio runs: %s", fio.output()).isTrue();
            assertThat(sockets).isNotEmpty();
            assertThat(fio.sockets()).as("fio's sockets").isEqualTo(sockets);
            assertThat(status().name()).isEqualTo(queue);
            assertThat(status().generation() - firstGeneration).isGreaterThanOrEqualTo(changes);
        }

        Verified ends() {
            var verified = Verified.of(fio.await(TIME.plus(PATIENCE)));
            assertThat(verified.read()).as("blocks verified").isPositive();
            return verified;
        }

        String over() {
            return URI.create(uri).getScheme().equals("nbd") ? "TCP" : "Unix";
        }

        @Override
        public void close() {
            fio.close();
        }
    }

    /** What the changes did. */
    private static final class Changes {
        private final List<Queue.Changed> all = new ArrayList<>();

        void add(VirtualInterface.Done done) {
            assertThat(done.queues()).as("queues changed").hasSize(1);
            all.addAll(done.queues());
        }

        int count() {
            return all.size();
        }

        long lost() {
            return all.stream().filter(Queue.Changed::lost).count();
        }

        private double stallMillis(double share) {
            var sorted =
                    all.stream().mapToLong(Queue.Changed::stallNanos).sorted().toArray();
            return sorted.length == 0 ? 0 : sorted[(int) Math.min(sorted.length - 1, sorted.length * share)] / 1e6;
        }

        void print(String what, Verified verified) {
            System.out.printf(
                    "%s: %,d changes, stall p50 %.2f ms, p99 %.2f ms, %,d requests replayed, %d chains lost; fio: %,d written, %,d verified, 0 errors%n",
                    what,
                    count(),
                    stallMillis(0.5),
                    stallMillis(0.99),
                    all.stream().mapToLong(Queue.Changed::replayed).sum(),
                    lost(),
                    verified.written(),
                    verified.read());
        }
    }

    /** Does something every {@code pace} until the time is over; what takes longer than the pace delays what follows. */
    private static void every(Duration pace, Runnable something) {
        var end = System.nanoTime() + TIME.toNanos();
        for (var next = System.nanoTime(); next - end < 0; ) {
            something.run();
            next = Math.max(next + pace.toNanos(), System.nanoTime());
            for (long left; (left = next - System.nanoTime()) > 0; ) {
                LockSupport.parkNanos(left);
            }
        }
    }

    private static Sidecore host(ShortDirectory directory, int sidecores) {
        return Sidecore.start(Settings.read(ConfigFactory.parseString("""
                sidecore {
                  data-directory = "%s"
                  cores { service = %d }
                  volumes { disk { size = 64 GiB, store { type = memory } } }
                  exports.nbd { listen = ["127.0.0.1:0", "unix:nbd.sock"], volumes = [disk] }
                }
                """.formatted(directory.path(), sidecores))));
    }

    private static String uri(Sidecore host, String scheme) {
        return host.uris().stream()
                .filter(uri -> URI.create(uri).getScheme().equals(scheme))
                .findFirst()
                .orElseThrow();
    }

    /** Interposers in turn, each with its name: two that do their work and let everything pass. */
    private static Interposer passing(int number) {
        return number % 2 == 0
                ? new RateLimit("limit", 1_000_000_000, 0, Duration.ofMillis(10))
                : new FaultInjector("faults", FaultPlan.none(number));
    }

    @ParameterizedTest
    @ValueSource(strings = {"nbd+unix", "nbd"})
    void anInterposerComesAndGoesEveryTenMilliseconds(String scheme) {
        try (var directory = new ShortDirectory();
                var host = host(directory, 0)) {
            var vif = host.vif("disk").orElseThrow();
            try (var client = new Client(uri(host, scheme), () -> FaultyHost.await(vif.inspect()))) {
                var changes = new Changes();
                every(Duration.ofMillis(10), () -> {
                    var interposer = passing(changes.count() / 2);
                    changes.add(FaultyHost.await(
                            changes.count() % 2 == 0 ? vif.insert(interposer, 0) : vif.remove(interposer.name())));
                });
                client.isUndisturbed(changes.count());
                assertThat(changes.lost()).as("chains lost").isZero();
                changes.print("interposer in and out over " + client.over(), client.ends());
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"nbd+unix", "nbd"})
    void theQueueMovesBetweenLoopsAndPlacementsEveryTwentyMilliseconds(String scheme) {
        try (var directory = new ShortDirectory();
                var host = host(directory, 1)) {
            Assumptions.assumeFalse(host.loops().service().isEmpty(), "one core only: no second loop to move to");
            var shared = host.loops().shared();
            var sidecore = host.loops().service().getFirst();
            var vif = host.vif("disk").orElseThrow();
            try (var client = new Client(uri(host, scheme), () -> FaultyHost.await(vif.inspect()))) {
                var changes = new Changes();
                every(Duration.ofMillis(20), () -> {
                    var step = changes.count();
                    var toSidecore = step % 2 == 0;
                    var to = toSidecore ? sidecore : shared;
                    var from = toSidecore ? shared : sidecore;
                    changes.add(FaultyHost.await(
                            step % 4 < 2
                                    ? vif.move(client.queue, to.name())
                                    : vif.place(toSidecore ? Placement.SIDECORE : Placement.SHARED)));
                    servesAlone(to, from);
                });
                client.isUndisturbed(changes.count());
                assertThat(changes.lost()).as("chains lost").isZero();
                assertThat(client.status().loop()).isEqualTo((changes.count() % 2 == 1 ? sidecore : shared).name());
                changes.print("moved between loops and placements over " + client.over(), client.ends());
            }
        }
    }

    @Test
    void aCoreBecomesASidecoreAndGoesBackEveryTwentyMilliseconds() {
        try (var directory = new ShortDirectory();
                var host = host(directory, 0)) {
            Assumptions.assumeTrue(host.topology().usableCores() > 1, "one core only: none can be a sidecore");
            var core = host.topology().allowed().getLast().id();
            var vif = host.vif("disk").orElseThrow();
            try (var client = new Client(uri(host, "nbd+unix"), () -> FaultyHost.await(vif.inspect()))) {
                var changes = new Changes();
                every(Duration.ofMillis(20), () -> {
                    var loop =
                            host.assign(core, PhysicalCore.Role.SERVICE).loop().orElseThrow();
                    var sidecore = host.loops().named(loop).orElseThrow();
                    changes.add(FaultyHost.await(vif.move(client.queue, loop)));
                    servesAlone(sidecore, host.loops().shared());

                    host.assign(core, PhysicalCore.Role.SHARED);
                    assertThat(sidecore.thread().isAlive()).as("%s runs", loop).isFalse();
                    servesAlone(host.loops().shared(), sidecore);
                });
                client.isUndisturbed(2 * changes.count());
                assertThat(changes.lost()).as("chains lost").isZero();
                assertThat(host.cores())
                        .as("cores in the end")
                        .allMatch(status -> status.role() == PhysicalCore.Role.SHARED
                                && status.loop().isEmpty());
                changes.print("a core became a sidecore and went back", client.ends());
            }
        }
    }

    @Test
    void theLastSidecoreStaysWhileSomethingIsPlacedOnSidecores() {
        try (var directory = new ShortDirectory();
                var host = host(directory, 1)) {
            Assumptions.assumeFalse(host.loops().service().isEmpty(), "one core only: none can be a sidecore");
            var core = host.cores().stream()
                    .filter(status -> status.role() == PhysicalCore.Role.SERVICE)
                    .findFirst()
                    .orElseThrow()
                    .core()
                    .id();
            var vif = host.vif("disk").orElseThrow();
            FaultyHost.await(vif.place(Placement.SIDECORE));

            assertThatThrownBy(() -> host.assign(core, PhysicalCore.Role.SHARED))
                    .isInstanceOf(HostException.class)
                    .hasMessage(
                            "core %d is the last sidecore, and VIF nbd/disk is placed on sidecores; place it shared first"
                                    .formatted(core));
            assertThat(host.loops().service()).hasSize(1);

            FaultyHost.await(vif.place(Placement.SHARED));
            assertThat(host.assign(core, PhysicalCore.Role.SHARED).role()).isEqualTo(PhysicalCore.Role.SHARED);
            assertThatThrownBy(() -> host.assign(8191, PhysicalCore.Role.SERVICE))
                    .hasMessageContaining("there is no core 8191");
        }
    }

    @Test
    void oneCoreIsLeftForEverythingElse() {
        try (var directory = new ShortDirectory();
                var host = host(directory, 0)) {
            var all = host.topology().allowed();
            var usable = host.topology().usableCores();

            all.stream().limit(usable - 1).forEach(core -> host.assign(core.id(), PhysicalCore.Role.SERVICE));

            assertThat(host.loops().service()).hasSize(usable - 1);
            assertThatThrownBy(() -> host.assign(all.get(usable - 1).id(), PhysicalCore.Role.SERVICE))
                    .isInstanceOf(HostException.class)
                    .hasMessageContaining("one is left for everything else");
        }
    }

    /** From a change on the new loop counts the requests, and the old one none. */
    private static void servesAlone(CoreLoop to, CoreLoop from) {
        var there = to.counters().requests.get();
        var here = from.counters().requests.get();
        Peers.until(
                "requests on " + to.name(),
                PATIENCE,
                () -> to.counters().requests.get() > there);
        assertThat(from.counters().requests.get())
                .as("requests on " + from.name() + " after the queue has left")
                .isEqualTo(here);
    }

    @Test
    void aStoreThatDelaysSomeOfItsWorkIsDrainedByEveryChange() throws Exception {
        try (var host = new FaultyHost(FaultPlan.none(1).withDelay(0.02, Duration.ofMillis(5)));
                var client = new Client(host.uri(), host::inspect)) {
            var changes = new Changes();
            every(Duration.ofMillis(10), () -> {
                var interposer = passing(changes.count() / 2);
                changes.add(changes.count() % 2 == 0 ? host.insert(interposer) : host.remove(interposer.name()));
            });
            client.isUndisturbed(changes.count());
            assertThat(host.volume().failure()).isEmpty();
            changes.print("interposer in and out over a store that delays 2 % by 5 ms", client.ends());
        }
    }

    @Test
    void aStoreThatHangsIsFencedAndReplaced() throws Exception {
        try (var host = new FaultyHost(FaultPlan.none(1).withHang(0.0002));
                var client = new Client(host.uri(), host::inspect)) {
            var changes = new Changes();
            var progress = new Progress(client.status());
            var replacedAtOnce = 0;
            var end = System.nanoTime() + TIME.toNanos();
            while (System.nanoTime() - end < 0) {
                Peers.until(
                        "nothing moves any more, or the time is over",
                        TIME.plus(PATIENCE),
                        () -> progress.hangs(client.status()) || System.nanoTime() - end >= 0);
                if (System.nanoTime() - end >= 0) {
                    break;
                }
                // In turn: somebody replaces the store, or a change finds that its chain does not drain.
                var before = host.stores();
                if (before % 2 == 1) {
                    FaultyHost.await(host.volume().replace());
                    replacedAtOnce++;
                } else {
                    changes.add(changes.count() % 2 == 0 ? host.insert(passing(0)) : host.remove("limit"));
                }
                assertThat(host.stores()).as("stores opened").isGreaterThan(before);
                host.wakeOldStores();
                progress.begin(client.status());
            }
            assertThat(host.stores()).as("stores opened").isGreaterThan(2);
            assertThat(host.volume().failure()).isEmpty();
            client.isUndisturbed(host.stores() - 1);
            replacedAtOnce += rescue(host, client, progress);
            changes.print(
                    "a store that hangs: %d replaced, %d of them by request"
                            .formatted(host.stores() - 1, replacedAtOnce),
                    client.ends());
        }
    }

    /** Until the client has ended, what hangs is replaced; returns how often. */
    private static int rescue(FaultyHost host, Client client, Progress progress) {
        var before = host.stores();
        Peers.until("fio ends: " + client.fio.output(), TIME.plus(PATIENCE), () -> {
            var queues = host.inspect().queues();
            if (queues.size() == 1 && progress.hangs(queues.getFirst())) {
                FaultyHost.await(host.volume().replace());
                host.wakeOldStores();
                progress.begin(queues.getFirst());
            }
            return !client.fio.alive();
        });
        return host.stores() - before;
    }

    /** Whether a queue has answered nothing for a while. */
    private static final class Progress {
        private static final long HANGS_NANOS = 300_000_000;
        private long answered;
        private long since;

        Progress(VirtualInterface.QueueStatus queue) {
            begin(queue);
        }

        void begin(VirtualInterface.QueueStatus queue) {
            answered = queue.tally().requests();
            since = System.nanoTime();
        }

        boolean hangs(VirtualInterface.QueueStatus queue) {
            if (queue.tally().requests() != answered) {
                begin(queue);
            }
            return System.nanoTime() - since > HANGS_NANOS;
        }
    }
}
