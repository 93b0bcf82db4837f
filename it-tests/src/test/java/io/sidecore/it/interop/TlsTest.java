package io.sidecore.it.interop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.typesafe.config.ConfigFactory;
import io.sidecore.conf.Settings;
import io.sidecore.it.Certificates;
import io.sidecore.it.Peers;
import io.sidecore.it.Peers.ShortDirectory;
import io.sidecore.it.Peers.Tool;
import io.sidecore.it.Peers.Verified;
import io.sidecore.runtime.HostException;
import io.sidecore.runtime.Sidecore;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** PL-5 for NBD: foreign clients over TLS, with certificates made by openssl, on TCP and Unix sockets; and who is refused. */
class TlsTest {
    enum Over {
        TCP,
        UNIX
    }

    private static final int COPY = 64 << 20;
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    private static ShortDirectory directory;
    private static Path random;
    private static Sidecore required;
    private static Sidecore mutual;
    private static Sidecore allowed;

    @BeforeAll
    static void startHosts() throws IOException {
        directory = new ShortDirectory();
        pki("pki");
        pki("stranger");
        // Who trusts the server, and has no certificate.
        Files.createDirectory(file("nobody"));
        Files.copy(file("pki/ca-cert.pem"), file("nobody/ca-cert.pem"));
        // Who trusts the server, and has a certificate of somebody else's.
        Files.createDirectory(file("intruder"));
        Files.copy(file("pki/ca-cert.pem"), file("intruder/ca-cert.pem"));
        Files.copy(file("stranger/client-cert.pem"), file("intruder/client-cert.pem"));
        Files.copy(file("stranger/client-key.pem"), file("intruder/client-key.pem"));
        // libnbd looks for them here, where nothing tells it: fio has no way to.
        Files.createDirectories(file("home/.pki"));
        Files.createSymbolicLink(file("home/.pki/libnbd"), file("pki"));
        random = file("random");
        var bytes = new byte[COPY];
        new Random(1).nextBytes(bytes);
        Files.write(random, bytes);
        required = host("required", "mode = require", "pki", "");
        mutual = host("mutual", "mode = require", "pki", "client-ca = \"%s\"".formatted(file("pki/ca-cert.pem")));
        allowed = host("allowed", "mode = allow", "pki", "");
    }

    @AfterAll
    static void stopHosts() {
        for (var host : new Sidecore[] {required, mutual, allowed}) {
            if (host != null) {
                host.close();
            }
        }
        directory.close();
    }

    private static Path file(String name) {
        return directory.path().resolve(name);
    }

    private static Sidecore host(String name, String mode, String pki, String more) {
        return Sidecore.start(Settings.read(ConfigFactory.parseString("""
                sidecore {
                  data-directory = "%s"
                  volumes {
                    disk { size = 1 GiB, store { type = memory } }
                    copy { size = %d B, store { type = memory } }
                  }
                  exports.nbd {
                    listen = ["127.0.0.1:0", "unix:%s.sock"]
                    volumes = [disk, copy]
                    handshake-timeout = 10 s
                    tls {
                      %s
                      certificate = "%s"
                      key = "%s"
                      %s
                    }
                  }
                }
                """.formatted(
                        directory.path(),
                        COPY,
                        name,
                        mode,
                        file(pki + "/server-cert.pem"),
                        file(pki + "/server-key.pem"),
                        more))));
    }

    private static void pki(String name) throws IOException {
        Certificates.in(file(name));
    }

    private static String announced(Sidecore host, String scheme, String export) {
        return host.uris().stream()
                .filter(uri -> uri.startsWith(scheme + "://")
                        && URI.create(uri).getPath().equals("/" + export))
                .findFirst()
                .orElseThrow();
    }

    private static String uri(Sidecore host, Over over, String export) {
        return announced(host, over == Over.TCP ? "nbds" : "nbds+unix", export);
    }

    /** As a client that has the certificates of a directory. */
    private static String as(String client, String uri) {
        return uri + (uri.contains("?") ? "&" : "?") + "tls-certificates=" + file(client);
    }

    private static List<String> qemu(String client, Over over, String export, String... more) {
        var uri = URI.create(uri(required, over, export));
        var server = over == Over.TCP
                ? "server.type=inet,server.host=localhost,server.port=" + uri.getPort()
                : "server.type=unix,server.path=%s,tls-hostname=localhost"
                        .formatted(uri.getQuery().substring("socket=".length()));
        var arguments = new ArrayList<>(List.of(more));
        arguments.addAll(List.of(
                "--object",
                "tls-creds-x509,id=tls0,endpoint=client,dir=" + file(client),
                "--image-opts",
                "driver=nbd,%s,export=%s,tls-creds=tls0".formatted(server, export)));
        return arguments;
    }

    // --- who is served

    @ParameterizedTest
    @EnumSource
    void nbdinfoIsToldThatItIsTls(Over over) {
        var info = Peers.run(Tool.NBDINFO, as("nobody", uri(required, over, "disk")))
                .ok();
        assertThat(info).contains("newstyle-fixed with TLS", "export=\"disk\"");
        var list = Peers.run(
                Tool.NBDINFO,
                "--list",
                as("nobody", uri(required, over, "" + "disk").replace("/disk", "/")));
        assertThat(list.ok()).contains("export=\"disk\"", "export=\"copy\"");
        System.out.printf(
                "nbdinfo over TLS on %s: %s%n", over, info.lines().findFirst().orElse(""));
    }

    @ParameterizedTest
    @EnumSource
    void nbdcopyInAndOutGivesTheSameBytes(Over over) throws IOException {
        var copy = as("nobody", uri(required, over, "copy"));
        var back = file("back-" + over);
        for (var connections : List.of("--connections=1", "--connections=4")) {
            Peers.run(Tool.NBDCOPY, connections, random.toString(), copy).ok();
            Peers.run(Tool.NBDCOPY, connections, copy, back.toString()).ok();
            assertThat(Files.mismatch(random, back))
                    .as("first byte that differs")
                    .isEqualTo(-1);
            Files.delete(back);
        }
    }

    @ParameterizedTest
    @EnumSource
    void qemuReadsBackWhatItWrote(Over over) {
        var info =
                Peers.run(Tool.QEMU_IMG, qemu("nobody", over, "disk", "info")).ok();
        assertThat(info).contains("1 GiB");
        var io = Peers.run(
                Tool.QEMU_IO,
                qemu(
                        "nobody",
                        over,
                        "disk",
                        "-c",
                        "write -P 0x5a 100m 5m",
                        "-c",
                        "flush",
                        "-c",
                        "read -P 0x5a 100m 5m",
                        "-c",
                        "read -P 0 200m 1m"));
        assertThat(io.ok()).doesNotContain("verification failed");
    }

    @ParameterizedTest
    @EnumSource
    void fioReadsBackWhatItWrote(Over over) {
        for (var sizes : List.of("--bs=4k", "--bsrange=512-256k")) {
            var command = new ArrayList<String>();
            if ("root".equals(System.getProperty("user.name"))) {
                // libnbd looks in the home of everybody but root.
                command.addAll(List.of("unshare", "--user", "--map-user=1000"));
            }
            command.addAll(List.of("env", "HOME=" + file("home"), "fio"));
            Peers.need(Tool.FIO);
            command.addAll(Peers.fioVerify(
                    uri(mutual, over, "disk"),
                    sizes,
                    "--iodepth=32",
                    "--numjobs=2",
                    "--size=32m",
                    "--offset_increment=64m"));
            try (var fio = Peers.start(command)) {
                var verified = Verified.of(fio.await(PATIENCE.multipliedBy(4)));
                assertThat(verified.written()).isPositive();
                assertThat(verified.read()).isEqualTo(verified.written());
                System.out.printf(
                        "fio crc32c over TLS on %s, %s: %,d written and verified%n", over, sizes, verified.written());
            }
        }
    }

    @Test
    void whereTlsIsAllowedBothAreServed() {
        assertThat(allowed.uris()).hasSize(8);
        Peers.run(Tool.NBDINFO, announced(allowed, "nbd", "disk")).ok();
        Peers.run(Tool.NBDINFO, announced(allowed, "nbd+unix", "disk")).ok();
        Peers.run(Tool.NBDINFO, as("nobody", announced(allowed, "nbds", "disk")))
                .ok();
        Peers.run(Tool.NBDINFO, as("nobody", announced(allowed, "nbds+unix", "disk")))
                .ok();
    }

    // --- who is refused

    @ParameterizedTest
    @EnumSource
    void aPlainClientIsRefusedWhereTlsIsRequired(Over over) {
        assertThat(required.uris()).hasSize(4).allMatch(uri -> uri.startsWith("nbds"));
        var plain = uri(required, over, "disk").replaceFirst("nbds", "nbd");
        assertThat(Peers.run(Tool.NBDINFO, plain).exit()).isNotZero();
        assertThat(Peers.run(Tool.NBDINFO, "--list", plain.replace("/disk", "/"))
                        .exit())
                .isNotZero();
        var qemu = Peers.run(Tool.QEMU_IMG, "info", plain);
        assertThat(qemu.exit()).isNotZero();
        assertThat(qemu.err()).contains("TLS");
    }

    @ParameterizedTest
    @EnumSource
    void whereClientsNeedACertificateOthersAreRefused(Over over) {
        var disk = uri(mutual, over, "disk");
        Peers.run(Tool.NBDINFO, as("pki", disk)).ok();
        for (var refused : List.of("nobody", "intruder")) {
            assertThat(Peers.run(Tool.NBDINFO, as(refused, disk)).exit())
                    .as(refused)
                    .isNotZero();
        }
        Peers.run(Tool.NBDINFO, as("pki", disk)).ok();
    }

    @Test
    void aClientThatKnowsAnotherAuthorityRefusesTheServer() {
        assertThat(Peers.run(Tool.NBDINFO, as("stranger", uri(required, Over.TCP, "disk")))
                        .exit())
                .isNotZero();
    }

    /** A client as far as the acknowledgement of STARTTLS. */
    private static Socket started(byte... behind) throws IOException {
        var socket = new Socket(
                InetAddress.getLoopbackAddress(),
                URI.create(uri(required, Over.TCP, "disk")).getPort());
        socket.setSoTimeout((int) PATIENCE.toMillis());
        var in = new DataInputStream(socket.getInputStream());
        var out = new DataOutputStream(socket.getOutputStream());
        in.readFully(new byte[18]);
        var said = java.nio.ByteBuffer.allocate(4 + 16 + behind.length)
                .putInt(3)
                .putLong(0x49484156454F5054L)
                .putInt(5)
                .putInt(0)
                .put(behind);
        out.write(said.array());
        return socket;
    }

    @Test
    void aClientThatNeverSaysHelloIsDisconnected() throws IOException {
        try (var socket = started()) {
            assertThat(socket.getInputStream().readNBytes(20)).endsWith(0, 0, 0, 1, 0, 0, 0, 0);
            // Nothing but an alert (RFC 8446, 6) comes before the end, which comes with the time-out.
            assertThat(socket.getInputStream().readAllBytes()).startsWith(21);
        }
    }

    @Test
    void whatIsInjectedBehindStarttlsIsNotTakenForTheClients() throws IOException {
        try (var socket = started(new byte[16])) {
            assertThat(socket.getInputStream().readAllBytes()).isEmpty();
        }
    }

    // --- certificates that change, or cannot be used

    @Test
    void newCertificatesAreUsedWithoutARestartAndBrokenOnesAreNot() throws IOException {
        pki("old");
        pki("new");
        try (var host = host("renewed", "mode = require", "old", "")) {
            var disk = uri(host, Over.TCP, "disk");
            Peers.run(Tool.NBDINFO, as("old", disk)).ok();
            for (var file : List.of("server-cert.pem", "server-key.pem")) {
                Files.copy(file("new/" + file), file("old/" + file), StandardCopyOption.REPLACE_EXISTING);
            }
            Peers.until(
                    "the new certificate is used",
                    PATIENCE,
                    () -> Peers.run(Tool.NBDINFO, as("new", disk)).exit() == 0);
            assertThat(Peers.run(Tool.NBDINFO, as("old", disk)).exit()).isNotZero();
            Files.writeString(file("old/server-key.pem"), "nonsense");
            // Longer than the interval between two looks at the files.
            var end = System.nanoTime() + Duration.ofMillis(1_500).toNanos();
            while (System.nanoTime() < end) {
                Peers.run(Tool.NBDINFO, as("new", disk)).ok();
            }
        }
    }

    @Test
    void aHostWhoseKeyCannotBeUsedDoesNotStartAndSaysWhy() throws IOException {
        Files.createDirectory(file("broken"));
        Files.copy(file("pki/server-cert.pem"), file("broken/server-cert.pem"));
        Files.copy(file("stranger/server-key.pem"), file("broken/server-key.pem"));
        assertThatThrownBy(() -> host("broken", "mode = require", "broken", ""))
                .isInstanceOf(HostException.class)
                .hasMessageContaining("sidecore.exports.nbd.tls: ")
                .hasMessageContaining("broken/server-key.pem is not the key of the certificate in");
    }
}
