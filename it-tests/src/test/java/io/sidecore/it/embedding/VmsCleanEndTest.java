package io.sidecore.it.embedding;

import static org.assertj.core.api.Assertions.assertThat;

import com.typesafe.config.ConfigFactory;
import io.sidecore.actors.vm.GuestContext;
import io.sidecore.actors.vm.GuestProgram;
import io.sidecore.actors.vm.VirtualMachine.State;
import io.sidecore.conf.Settings;
import io.sidecore.it.Peers;
import io.sidecore.runtime.Sidecore;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** No thread, no descriptor, no memory is left of VMs that ran when their host was closed; their histories and snapshots are. */
class VmsCleanEndTest {
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    /** Of each of them: so much that what else comes and goes in this process does not matter beside it. */
    private static final long MEMORY = 512L << 20;

    private final Peers.ShortDirectory place = new Peers.ShortDirectory();

    @AfterEach
    void clear() {
        place.close();
    }

    /** A guest that does not heed. */
    public static final class Deaf implements GuestProgram {
        @Override
        public void onStart(GuestContext context) {
            context.timer(0, Duration.ofMillis(1));
        }

        @Override
        public void onTimer(GuestContext context, int timer) {
            context.timer(0, Duration.ofMillis(1));
        }

        @Override
        public void onStop(GuestContext context) {}
    }

    private Sidecore start() {
        var host = Sidecore.start(Settings.read(ConfigFactory.parseString(
                """
                sidecore {
                  data-directory = "%s"
                  volumes { a { size = 1 MiB, store.type = memory }, b { size = 1 MiB, store.type = memory } }
                  vms {
                    shared { guest { type = wasm, module = demo, memory = %3$d }, disks = [ a ] }
                    inline {
                      guest { type = wasm, module = demo, memory = %3$d }
                      disks = [ { volume = b, placement = inline } ]
                    }
                    program { guest { type = wasm, module = "%4$s", memory = %3$d }, stop-timeout = 50 ms }
                    deaf { guest { type = java, class = "%2$s", memory = %3$d }, stop-timeout = 50 ms }
                  }
                }
                """.formatted(place.path().resolve("data"), Deaf.class.getName(), MEMORY, program()))));
        for (var name : List.of("shared", "inline", "deaf", "program")) {
            var vm = host.vms().vm(name).orElseThrow();
            Peers.until(
                    name + " runs",
                    PATIENCE,
                    () -> vm.inspect().toCompletableFuture().join().state() == State.RUNNING);
        }
        return host;
    }

    /** A program of WASI that loops for ever. */
    private Path program() {
        try {
            return Files.write(
                    place.path().resolve("loop.wasm"),
                    HexFormat.of()
                            .parseHex("0061736d01000000" + "010401600000" + "03020100" + "0503010001"
                                    + "071302066d656d6f72790200065f73746172740000" + "0a0901070003400c000b0b"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Bytes that are mapped in this process, whether or not they are in memory. */
    private static long mapped() {
        try (var status = Files.lines(Path.of("/proc/self/status"))) {
            var kibibytes = status.filter(line -> line.startsWith("VmSize:"))
                    .findFirst()
                    .orElseThrow()
                    .replaceAll("\\D", "");
            return Long.parseLong(kibibytes) << 10;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void nothingIsLeftOfVmsThatRan() {
        // A first life loads what stays with the process, and begins the histories.
        start().close();
        var before = Possessions.now(place.path());
        var mappedBefore = mapped();

        var host = start();
        host.vms()
                .vm("shared")
                .orElseThrow()
                .pause("wait")
                .toCompletableFuture()
                .join();
        assertThat(mapped()).isGreaterThan(mappedBefore + 4 * MEMORY - MEMORY / 2);
        host.close();

        assertThat(host.closedWell()).isTrue();
        Peers.until("their memory is gone", PATIENCE, () -> mapped() < mappedBefore + MEMORY / 2);
        Possessions.assertNothingBeyond(before, place.path());
    }
}
