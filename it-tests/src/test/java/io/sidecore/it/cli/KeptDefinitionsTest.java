package io.sidecore.it.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.it.Peers;
import io.sidecore.runtime.control.ControlClient;
import io.sidecore.runtime.control.ControlException;
import java.io.IOException;
import java.nio.file.Files;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class KeptDefinitionsTest {
    private static final Duration PATIENCE = Duration.ofMinutes(2);
    private static final int CUTS = 3;

    private Peers.ShortDirectory directory;
    private Terminal terminal;

    @BeforeEach
    void open() throws IOException {
        directory = new Peers.ShortDirectory();
        terminal = new Terminal(directory.path());
        Files.writeString(
                directory.path().resolve("host.conf"),
                "sidecore { exports { nbd { listen = [\"127.0.0.1:0\", \"unix:nbd.sock\"] } } }");
    }

    @AfterEach
    void close() {
        terminal.close();
        directory.close();
    }

    private String start() {
        var output = terminal.startInBackground("sidecore run host.conf");
        Peers.until(
                "the host runs",
                PATIENCE,
                () -> Terminal.read(output).contains("Stop it with Ctrl-C")
                        || !terminal.last().isAlive());
        assertThat(terminal.last().isAlive()).as(Terminal.read(output)).isTrue();
        return Terminal.read(output);
    }

    private String ok(String command) {
        var result = terminal.run(command);
        assertThat(result.exit()).as("%s: %s", command, result.text()).isZero();
        return result.text();
    }

    @Test
    void whatCommandsMadeIsThereAfterAStopAndAfterAKill() throws Exception {
        assertThat(start()).contains("It serves nothing yet");
        ok("head -c 3000000 /dev/urandom > image && sidecore volume create root --size 4MiB --path root.img");
        ok("sidecore volume import root image && sidecore export create root --name disk");

        terminal.last().destroyForcibly().waitFor();
        assertThat(start()).contains("nbd+unix:///disk?socket=" + directory.path() + "/sidecore-data/nbd.sock");
        ok("sidecore export delete disk && sidecore volume resize root 5MiB && sidecore export create root");

        terminal.last().destroy();
        assertThat(terminal.last().waitFor()).isZero();
        assertThat(start())
                .contains("nbd+unix:///root?socket=" + directory.path() + "/sidecore-data/nbd.sock")
                .doesNotContain("/disk");
        assertThat(ok("sidecore volume show root")).contains("5 MiB (5242880 bytes)", "defined   by command");
        ok("sidecore volume export root copy --live && cmp -n 3000000 image copy");
    }

    /** Creates and deletes as fast as the host answers until it is killed: what was answered is so, and no more than one thing besides. */
    @Test
    void whateverWasAnsweredWhenTheHostWasKilledIsSo() throws Exception {
        var random = new SplittableRandom(4);
        var expected = new ArrayList<String>();
        for (var cut = 0; cut < CUTS; cut++) {
            start();
            var client = ControlClient.of(directory.path().resolve("sidecore-data"));
            var host = terminal.last();
            var killer = Thread.ofPlatform().start(() -> {
                try {
                    Thread.sleep(200 + random.nextInt(300));
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
                host.destroyForcibly();
            });
            var inDoubt = changeUntilCut(client, cut, expected);
            killer.join();
            host.waitFor();

            start();
            var there = names(client);
            var withoutDoubt = new ArrayList<>(there);
            withoutDoubt.remove(inDoubt);
            expected.remove(inDoubt);
            assertThat(withoutDoubt).containsExactlyInAnyOrderElementsOf(expected);
            expected.clear();
            expected.addAll(there);
            terminal.last().destroyForcibly().waitFor();
        }
        assertThat(expected).isNotEmpty();
    }

    /** Returns the name of what was not answered. */
    private static String changeUntilCut(ControlClient client, int cut, List<String> expected) {
        for (var n = 0; ; n++) {
            var name = "v-" + cut + "-" + n;
            try {
                var request = ControlClient.request("create-volume").put("name", name);
                request.putObject("section")
                        .put("size", "1 MiB")
                        .putObject("store")
                        .put("type", "memory");
                client.ask(request, item -> {});
                expected.add(name);
                if (n % 3 == 2) {
                    name = expected.removeFirst();
                    client.ask(ControlClient.request("delete-volume").put("name", name), item -> {});
                }
            } catch (ControlException killed) {
                return name;
            }
        }
    }

    private static List<String> names(ControlClient client) {
        var names = new ArrayList<String>();
        client.ask(
                ControlClient.request("list-volumes"),
                volume -> names.add(volume.get("name").asText()));
        return names;
    }
}
