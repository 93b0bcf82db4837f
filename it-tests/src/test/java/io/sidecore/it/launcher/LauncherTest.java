package io.sidecore.it.launcher;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.it.Certificates;
import io.sidecore.it.NbdClient;
import java.io.IOException;
import java.net.BindException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LauncherTest {
    private static final Path ROOT =
            Path.of(System.getProperty("basedir", ".")).toAbsolutePath().getParent();

    @TempDir
    Path directory;

    private Process process;

    @AfterEach
    void stop() {
        if (process != null) {
            process.destroyForcibly();
        }
    }

    private void start(String... arguments) throws IOException {
        var command =
                new ArrayList<>(List.of(ROOT.resolve("runtime/bin/sidecore").toString()));
        command.addAll(List.of(arguments));
        var builder = new ProcessBuilder(command)
                .directory(directory.toFile())
                .redirectOutput(directory.resolve("out").toFile())
                .redirectError(directory.resolve("err").toFile());
        // The jars of this build, which is still going on.
        builder.environment().put("SIDECORE_NO_BUILD", "1");
        process = builder.start();
    }

    private int exitCode() throws InterruptedException {
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).as("it ended").isTrue();
        return process.exitValue();
    }

    private String out() throws IOException {
        return Files.readString(directory.resolve("out"));
    }

    private String err() throws IOException {
        return Files.readString(directory.resolve("err"));
    }

    private Path configuration(String text) throws IOException {
        return Files.writeString(directory.resolve("test.conf"), text);
    }

    @Test
    void runServesWhatAFileDeclaresUntilSigtermAndLeavesNothing() throws Exception {
        var file = configuration("""
                sidecore {
                  volumes { disk { size = 16 MiB, store { type = memory } } }
                  exports { nbd { listen = ["127.0.0.1:0", "unix:s"], volumes = [disk] } }
                }
                """);
        start("run", file.toString());
        awaitStart();
        var uri = out().lines()
                .map(String::strip)
                .filter(line -> line.startsWith("nbd://"))
                .findFirst()
                .orElseThrow(() -> new AssertionError(uncheckedErr()));
        try (var client = NbdClient.connect(uri)) {
            assertThat(client.size()).isEqualTo(16 << 20);
            client.batch(true, 10, 4096, new SplittableRandom(1));
        }
        assertThat(directory.resolve("sidecore-data/s")).exists();
        assertThat(out())
                .contains("nbd+unix:///disk?socket=" + directory.resolve("sidecore-data/s"))
                .as("nothing that is suggested writes to a disk that somebody declared")
                .doesNotContain("nbdcopy FILE");

        process.destroy();

        assertThat(exitCode()).isZero();
        assertThat(out()).endsWith("stopped." + System.lineSeparator());
        assertThat(directory.resolve("sidecore-data/s")).doesNotExist();
    }

    private void awaitStart() throws IOException {
        while (!out().contains("Stop it with Ctrl-C") && process.isAlive()) {
            Thread.onSpinWait();
        }
    }

    @Test
    void aHostWithTlsSaysWhatAClientOnThisMachineNeeds() throws Exception {
        var pki = Certificates.in(directory.resolve("pki")).folder();
        var file = configuration("""
                sidecore {
                  volumes { disk { size = 16 MiB, store { type = memory } } }
                  exports {
                    nbd {
                      listen = ["0.0.0.0:0"]
                      volumes = [disk]
                      tls {
                        mode = require, certificate = "PKI/server-cert.pem", key = "PKI/server-key.pem", client-ca = "PKI/ca-cert.pem"
                      }
                    }
                  }
                }
                """.replace("PKI", pki.toString()));
        start("run", file.toString());
        awaitStart();

        assertThat(out())
                .contains("nbdinfo 'nbds://localhost:", "/disk?tls-certificates=DIR'", "client-cert.pem")
                .doesNotContain("0.0.0.0");
    }

    private String uncheckedErr() {
        try {
            return err();
        } catch (IOException e) {
            return e.toString();
        }
    }

    @Test
    void aMistakeInTheFileIsNamedWithItsLineAndNothingIsStarted() throws Exception {
        var file = configuration("""
                sidecore {
                  volumes { disk { sise = 16 MiB, store { type = memory } } }
                }
                """);
        start("run", file.toString());

        assertThat(exitCode()).isEqualTo(2);
        assertThat(err())
                .contains("test.conf:2")
                .contains("sise")
                .contains("size")
                .doesNotContain("Exception");
        assertThat(out()).isEmpty();
    }

    @Test
    void anAddressInUseIsNamedWithItsLineAndNothingIsStarted() throws Exception {
        try (var taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            var file = configuration("""
                    sidecore {
                      volumes { disk { size = 16 MiB, store { type = memory } } }
                      exports { nbd { listen = ["127.0.0.1:%d"], volumes = [disk] } }
                    }
                    """.formatted(taken.getLocalPort()));
            start("run", file.toString());

            assertThat(exitCode()).isEqualTo(2);
            assertThat(err())
                    .contains("test.conf:3: sidecore.exports.nbd.listen[0]: cannot listen on 127.0.0.1:"
                            + taken.getLocalPort())
                    .contains("in use");
        }
    }

    @Test
    void whereTheBuiltInAddressIsTakenItIsSaidWhatToDo() throws Exception {
        try (var taken = new ServerSocket()) {
            try {
                taken.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 10809));
            } catch (BindException alreadyByAnother) {
                // As good.
            }
            start("run");

            assertThat(exitCode()).isEqualTo(2);
            assertThat(err())
                    .startsWith("sidecore-default.conf:")
                    .contains("in use", "built-in configuration", "run FILE")
                    .doesNotContain("jar:");
        }
    }

    @Test
    void helpTeachesWithExamples() throws Exception {
        start("run", "--help");

        assertThat(exitCode()).isZero();
        assertThat(out()).contains("Examples").contains("nbdinfo");
    }
}
