package io.sidecore.it.embedding;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.conf.Settings;
import io.sidecore.it.NbdClient;
import io.sidecore.it.Peers;
import io.sidecore.runtime.Sidecore;
import java.io.IOException;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.junit.jupiter.api.Test;

/** How long a test waits for its host. Printed, and what is asserted is that each of them serves. */
class WarmStartTest {
    private static final int STARTS = 20;

    @FunctionalInterface
    private interface Starting {
        Sidecore start(Settings settings);
    }

    @Test
    void aHostIsThereQuickly() throws IOException {
        var system = ActorSystem.create(Behaviors.<Void>empty(), "application");
        try (var directory = new Peers.ShortDirectory()) {
            var settings = Settings.builder()
                    .dataDirectory(directory.path())
                    .volume("disk", volume -> volume.size(64 << 20).memory())
                    .nbd(nbd -> nbd.listen("unix:nbd.sock", "127.0.0.1:0").export("disk"))
                    .build();
            measure("in an actor system of its own", settings, Sidecore::start);
            measure("in the application's", settings, it -> Sidecore.start(it, system));
        } finally {
            system.terminate();
        }
    }

    private static void measure(String where, Settings settings, Starting starting) throws IOException {
        var starts = new double[STARTS];
        var ends = new double[STARTS];
        for (var i = 0; i < STARTS; i++) {
            var began = System.nanoTime();
            var host = starting.start(settings);
            starts[i] = (System.nanoTime() - began) / 1e6;
            try (var client = NbdClient.connect(host.uris().getFirst())) {
                client.batch(true, 1, 4096, new SplittableRandom(i));
                assertThat(client.size()).isEqualTo(64 << 20);
            }
            began = System.nanoTime();
            host.close();
            ends[i] = (System.nanoTime() - began) / 1e6;
        }
        System.out.printf(
                "   a host %s starts in %.0f ms the first time, %.0f ms after that (median of %d); it ends in %.0f ms%n",
                where, starts[0], median(starts), STARTS, median(ends));
    }

    private static double median(double[] all) {
        var sorted = all.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }
}
