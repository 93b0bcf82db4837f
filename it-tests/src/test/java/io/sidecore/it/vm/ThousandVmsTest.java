package io.sidecore.it.vm;

import static io.sidecore.it.vm.VmPlace.done;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.vif.GuestPort;
import io.sidecore.actors.vm.GuestContext;
import io.sidecore.actors.vm.GuestProgram;
import io.sidecore.conf.Placement;
import io.sidecore.conf.StoreSettings;
import io.sidecore.conf.VmSettings;
import io.sidecore.conf.VolumeSettings;
import io.sidecore.it.Peers;
import io.sidecore.runtime.VmHandle;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** Many guests on one host: what each costs, and what each is given of the cores. */
class ThousandVmsTest {
    private static final int CROWD = 1_000;
    private static final int KEPT = 20;
    private static final Duration TIME = Duration.ofSeconds(Boolean.getBoolean("it.long") ? 30 : 5);
    private static final Path ROOT =
            Path.of(System.getProperty("basedir", ".")).toAbsolutePath().getParent();

    @Test
    void aThousandGuestsOnOneHostLiveAndTakeLessThanAMebibyteEach() {
        try (var directory = new Peers.ShortDirectory();
                var process = Peers.start(List.of(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "@" + ROOT.resolve("runtime/bin/jvm-options"),
                        "-cp",
                        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                        VmCrowd.class.getName(),
                        directory.path().toString(),
                        String.valueOf(CROWD),
                        String.valueOf(KEPT)))) {
            var output = process.await(Duration.ofMinutes(10)).ok();
            Map<String, Long> found = output.lines()
                    .filter(line -> line.matches("[a-z-]+ -?\\d+"))
                    .map(line -> line.split(" "))
                    .collect(Collectors.toMap(words -> words[0], words -> Long.parseLong(words[1])));
            System.out.println(CROWD + " demo guests with a disk of 64 KiB each: " + found);

            // What they have touched of their linear memory, and their disks, are among it.
            assertThat(found.get("resident-bytes-each")).isLessThan(1 << 20);
            assertThat(found)
                    .containsEntry("well", (long) CROWD)
                    .containsEntry("stopped", (long) CROWD)
                    .containsEntry("failed-checks", 0L);
        }
    }

    /** Has always something to do, for some tenth of a millisecond each time. */
    private static final class Busy implements GuestProgram {
        private final GuestPort.Answer answer = new GuestPort.Answer();

        @Override
        public void onStart(GuestContext context) {
            go(context);
        }

        @Override
        public void onBlock(GuestContext context, int vif) {
            while (context.vif(0).recv(answer)) {}
            var until = System.nanoTime() + 100_000;
            while (System.nanoTime() < until) {
                Thread.onSpinWait();
            }
            go(context);
        }

        private static void go(GuestContext context) {
            // Served inline: its answer is there at once.
            context.vif(0).send(BlockOp.FLUSH, 0, 0, 0, 0, 0);
        }
    }

    private static VmHandle busy(VmPlace place, String name, int weight, OptionalDouble cap) {
        place.host.storage().create(name, new VolumeSettings(4096, new StoreSettings.MemoryStore(4096)));
        var settings = VmPlace.settings(VmPlace.java(Duration.ofSeconds(10)), VmPlace.disk(name, Placement.INLINE));
        return place.host
                .vms()
                .create(
                        name,
                        new VmSettings(
                                settings.guest(),
                                settings.disks(),
                                false,
                                weight,
                                cap,
                                settings.restart(),
                                settings.startTimeout(),
                                settings.stopTimeout()),
                        Busy::new);
    }

    /** What each was given so far, all asked at once. */
    private static long[] granted(List<VmHandle> vms) {
        return vms.stream().map(VmHandle::statistics).toList().stream()
                .mapToLong(statistics -> done(statistics).cpuNanos())
                .toArray();
    }

    /** Until all of them together were given so much. */
    private static double[] granted(List<VmHandle> vms, Duration time) {
        var before = granted(vms);
        var wanted = Arrays.stream(before).sum() + time.toNanos();
        Peers.until(
                "they were given " + time,
                time.multipliedBy(10),
                () -> Arrays.stream(granted(vms)).sum() > wanted);
        var after = granted(vms);
        var seconds = new double[before.length];
        for (var i = 0; i < before.length; i++) {
            seconds[i] = (after[i] - before[i]) / 1e9;
        }
        return seconds;
    }

    @Test
    void guestsThatAreAlwaysBusyAreGivenTheirWeights() {
        try (var place = new VmPlace("cores { guest = 1 }")) {
            var vms = List.of(
                    busy(place, "one", 100, OptionalDouble.empty()),
                    busy(place, "two", 200, OptionalDouble.empty()),
                    busy(place, "four", 400, OptionalDouble.empty()));
            vms.forEach(vm -> done(vm.start("wanted")));

            var given = granted(vms, TIME);

            System.out.printf("weights 1:2:4: %.2f, %.2f, %.2f s%n", given[0], given[1], given[2]);
            var unit = (given[0] + given[1] + given[2]) / 7;
            assertThat(given[0]).isCloseTo(unit, within(unit * 0.1));
            assertThat(given[1]).isCloseTo(2 * unit, within(2 * unit * 0.1));
            assertThat(given[2]).isCloseTo(4 * unit, within(4 * unit * 0.1));
        }
    }

    @Test
    void aGuestWithACapIsNotGivenMoreAlsoOnAnIdleCore() {
        try (var place = new VmPlace("cores { guest = 1 }")) {
            var capped = busy(place, "capped", 10_000, OptionalDouble.of(0.25));
            done(capped.start("wanted"));

            var began = System.nanoTime();
            var given = granted(List.of(capped), TIME.dividedBy(4))[0];
            var share = given * 1e9 / (System.nanoTime() - began);

            System.out.printf("cap 0.25: %.3f%n", share);
            assertThat(share).isLessThan(0.26);
        }
    }
}
