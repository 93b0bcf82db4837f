package io.sidecore.it.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.it.Peers;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class HostProcessTest {
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    private Peers.ShortDirectory directory;
    private Terminal terminal;

    @BeforeEach
    void open() throws IOException {
        directory = new Peers.ShortDirectory();
        terminal = new Terminal(directory.path());
    }

    @AfterEach
    void close() {
        terminal.close();
        directory.close();
    }

    private void host(String dataDirectory) throws IOException {
        var file = Files.createTempFile(directory.path(), "host", ".conf");
        Files.writeString(file, """
                sidecore {
                  data-directory = "%s"
                  volumes { disk { size = 16 MiB, store { type = memory } } }
                  exports { nbd { listen = ["127.0.0.1:0"], volumes = [disk] } }
                }
                """.formatted(dataDirectory));
        var output = terminal.startInBackground("sidecore run " + file);
        Peers.until(
                "the host runs",
                PATIENCE,
                () -> Terminal.read(output).contains("Stop it with Ctrl-C")
                        || !terminal.last().isAlive());
        assertThat(terminal.last().isAlive()).as(Terminal.read(output)).isTrue();
    }

    private Path socket() {
        return directory.path().resolve("sidecore-data/control.sock");
    }

    private String raw(String line) throws IOException {
        try (var channel = SocketChannel.open(UnixDomainSocketAddress.of(socket()))) {
            channel.write(ByteBuffer.wrap(line.getBytes(StandardCharsets.UTF_8)));
            channel.shutdownOutput();
            var answer = ByteBuffer.allocate(1 << 20);
            while (channel.read(answer) >= 0) {
                // Until the host has said everything.
            }
            return new String(answer.array(), 0, answer.position(), StandardCharsets.UTF_8);
        }
    }

    @Test
    void theControlSocketIsForItsOwnerAloneAndGoesWithTheHost() throws Exception {
        host("sidecore-data");

        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(socket())))
                .isEqualTo("rw-------");
        assertThat(PosixFilePermissions.toString(
                        Files.getPosixFilePermissions(directory.path().resolve("run/sidecore"))))
                .isEqualTo("rwx------");

        terminal.last().destroy();
        assertThat(terminal.last().waitFor()).isZero();
        assertThat(socket()).doesNotExist();
        assertThat(directory.path().resolve("run/sidecore")).isEmptyDirectory();
    }

    @Test
    void aHostThatWasKilledIsNotFoundAndTheNextOneStartsInItsPlace() throws Exception {
        host("sidecore-data");
        terminal.last().destroyForcibly().waitFor();
        assertThat(socket()).exists();

        var none = terminal.run("sidecore status");
        assertThat(none.exit()).isEqualTo(1);
        assertThat(none.text()).isEqualTo("sidecore: no host runs here; start one with: sidecore run\n");

        host("sidecore-data");
        assertThat(terminal.run("sidecore status").exit()).isZero();
    }

    @Test
    void aSecondHostOnADataDirectoryIsRefusedInASentenceAndTheFirstGoesOn() throws Exception {
        host("sidecore-data");
        var first = terminal.last().pid();

        var second = terminal.run("sidecore run");

        assertThat(second.exit()).isEqualTo(1);
        assertThat(second.text())
                .startsWith(
                        "sidecore: the data directory sidecore-data belongs to another host (process " + first + ")")
                .hasLineCount(1);
        assertThat(terminal.run("sidecore status").exit()).isZero();
    }

    @Test
    void ofSeveralHostsOneMustBeNamed() throws Exception {
        host("one");
        host("two");

        var which = terminal.run("sidecore status");
        assertThat(which.exit()).isEqualTo(1);
        assertThat(which.text())
                .contains("several hosts run here")
                .contains("--host " + directory.path().resolve("one"))
                .contains("--host " + directory.path().resolve("two"));
        assertThat(terminal.run("sidecore status --host two").text())
                .startsWith("host     " + directory.path().resolve("two") + "\n");
        assertThat(terminal.run("sidecore status --host three").text())
                .startsWith("sidecore: there is no directory three")
                .contains("hosts run on " + directory.path().resolve("one"));
    }

    @Test
    void theOnlyHostIsFoundFromElsewhere() throws Exception {
        host("deep");

        assertThat(terminal.run("cd / && sidecore volume list").text()).contains("disk");
    }

    @Test
    void whereAHostHasStoppedNoOtherIsAskedInItsPlace() throws Exception {
        host("deep");
        Files.createDirectories(directory.path().resolve("sidecore-data"));

        var asked = terminal.run("sidecore volume list");

        assertThat(asked.exit()).isEqualTo(1);
        assertThat(asked.text())
                .isEqualTo("sidecore: no host runs on sidecore-data, which is here; hosts run on "
                        + directory.path().resolve("deep") + "; say --host DIR if one of them is meant\n");
    }

    @Test
    void aDataDirectoryMayHaveAPathThatIsTooLongForASocket() throws Exception {
        var deep = directory.path().resolve("long".repeat(30));
        host(deep.toString());

        assertThat(deep.resolve("control.sock")).exists();
        assertThat(terminal.run("sidecore status --host " + deep).exit()).isZero();
    }

    @Test
    void whoeverSpeaksTheProtocolByHandIsAnsweredInSentences() throws Exception {
        host("sidecore-data");

        assertThat(raw("{\"do\":\"list-volumes\"}\n"))
                .startsWith("{\"item\":{\"name\":\"disk\",\"size\":16777216,")
                .endsWith("{\"done\":{\"count\":1}}\n");
        assertThat(raw("{\"do\":\"list-volume\"}\n")).contains("did you mean \\\"list-volumes\\\"?");
        assertThat(raw("hello\n")).startsWith("{\"").contains("expected a JSON object on a line");
        assertThat(raw("x".repeat(70_000))).contains("a line is longer than 65536 bytes");
        assertThat(terminal.run("sidecore status").exit()).isZero();
    }

    @Test
    void aCopyIsGivenUpWhenWhoeverAskedForItIsKilled() throws Exception {
        host("sidecore-data");
        // Takes minutes to read, and no space.
        var made = terminal.run("truncate -s 1T empty && sidecore volume create big --size 1TiB");
        assertThat(made.exit()).as(made.text()).isZero();
        terminal.startInBackground("sidecore volume import big empty");
        Peers.until("the import holds the volume", PATIENCE, () -> holders().contains("import/big"));

        terminal.last().destroyForcibly();

        Peers.until("the volume is free", PATIENCE, () -> !holders().contains("import/big"));
    }

    private String holders() {
        try {
            return raw("{\"do\":\"list-volumes\"}\n");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void commandsThatAskAHostLoadNeitherActorsNorLogging() throws Exception {
        host("sidecore-data");

        // From the start cache all classes come that are in it, whether they are needed or not.
        var status =
                terminal.run("SIDECORE_CACHE=off SIDECORE_JAVA_OPTS=-Xlog:class+load:file=classes sidecore status");

        assertThat(status.exit()).as(status.text()).isZero();
        assertThat(Files.readString(directory.path().resolve("classes")))
                .contains("io.sidecore.runtime.cli.StatusCommand")
                .doesNotContain("org.apache.pekko", "ch.qos.logback", "org.slf4j", "scala.");
    }

    @Test
    void eventsAreToldAsTheyHappen() throws Exception {
        host("sidecore-data");
        var events = terminal.startInBackground("sidecore events --follow --json");
        Peers.until("the past is told", PATIENCE, () -> Terminal.read(events).contains("\"kind\":\"export\""));

        terminal.run("sidecore volume create more --size 1MiB");

        Peers.until(
                "it is told",
                PATIENCE,
                () -> Terminal.read(events).contains("\"kind\":\"volume\",\"name\":\"more\",\"what\":\"created\""));
    }
}
