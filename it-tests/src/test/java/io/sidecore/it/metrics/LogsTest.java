package io.sidecore.it.metrics;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.sidecore.it.HostProcess;
import io.sidecore.it.NbdClient;
import io.sidecore.it.Peers;
import io.sidecore.it.Peers.ShortDirectory;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** PL-4: what a host in a process of its own logs. */
class LogsTest {
    private static final Duration PATIENCE = Duration.ofMinutes(2);
    private static final String DISK = """
            volumes { disk { size = 1 MiB, store { type = memory } } }
            exports.nbd { listen = ["unix:s"], volumes = [disk] }
            """;

    private static void comeAndGo(HostProcess host) throws IOException {
        try (var client = NbdClient.connect(host.uri())) {
            client.batch(true, 1, 4096, new SplittableRandom(1));
        }
    }

    private static List<JsonNode> objects(HostProcess host) {
        return host.output()
                .lines()
                .filter(line -> line.startsWith("{"))
                .map(line -> {
                    try {
                        return new JsonMapper().readTree(line);
                    } catch (IOException e) {
                        throw new UncheckedIOException(line, e);
                    }
                })
                .toList();
    }

    @Test
    void aLineIsForPeopleUnlessItIsToBeForPrograms() throws IOException {
        try (var directory = new ShortDirectory();
                var host = new HostProcess(directory.path(), DISK)) {
            comeAndGo(host);

            Peers.until(
                    "the host says that its client has left",
                    PATIENCE,
                    () -> host.output()
                            .lines()
                            .anyMatch(
                                    line -> line.matches(
                                            "\\d\\d:\\d\\d:\\d\\d\\.\\d{3} INFO  NbdListener: nbd/disk#0 ended: the client .*")));
        }
    }

    @Test
    void forProgramsALineIsAnObjectThatNamesHostAndConnection() throws IOException {
        try (var directory = new ShortDirectory();
                var host = new HostProcess(directory.path(), "log.format = json, " + DISK)) {
            comeAndGo(host);

            Peers.until(
                    "the host says that its client has left",
                    PATIENCE,
                    () -> objects(host).stream()
                            .anyMatch(line -> line.get("message").asText().contains("nbd/disk#0 ended")));
            assertThat(objects(host))
                    .filteredOn(line -> line.get("message").asText().contains("nbd/disk#0 ended"))
                    .singleElement()
                    .satisfies(line -> {
                        assertThat(line.get("level").asText()).isEqualTo("INFO");
                        assertThat(line.get("host").asText())
                                .isEqualTo(directory.path().toString());
                        assertThat(line.get("export").asText()).isEqualTo("disk");
                        assertThat(line.get("connection").asText()).isEqualTo("nbd/disk#0");
                    });
        }
    }

    @Test
    void whatIsLoggedIsNoMoreThanTheLevelAllows() throws IOException {
        try (var directory = new ShortDirectory();
                var host = new HostProcess(directory.path(), "log.level = debug, log.format = json, " + DISK)) {
            comeAndGo(host);

            Peers.until(
                    "the host says what it debugs",
                    PATIENCE,
                    () -> objects(host).stream()
                            .anyMatch(line -> line.get("level").asText().equals("DEBUG")
                                    && line.get("logger").asText().startsWith("io.sidecore.")));
        }
    }
}
