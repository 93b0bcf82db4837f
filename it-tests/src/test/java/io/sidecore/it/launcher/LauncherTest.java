package io.sidecore.it.launcher;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.it.Certificates;
import java.io.IOException;
import java.net.BindException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LauncherTest {
    @TempDir
    Path directory;

    private Launched launched;

    @AfterEach
    void stop() {
        if (launched != null) {
            launched.close();
        }
    }

    private void start(String... arguments) throws IOException {
        launched = Launched.start(Launched.LAUNCHER, directory, Map.of(), arguments);
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
        launched.serves();
        assertThat(directory.resolve("sidecore-data/s")).exists();
        assertThat(launched.out())
                .contains("nbd+unix:///disk?socket=" + directory.resolve("sidecore-data/s"))
                .as("nothing that is suggested writes to a disk that somebody declared")
                .doesNotContain("nbdcopy FILE");

        assertThat(launched.terminate().exitCode()).isZero();
        assertThat(launched.out()).endsWith("stopped." + System.lineSeparator());
        assertThat(directory.resolve("sidecore-data/s")).doesNotExist();
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
        launched.starts();

        assertThat(launched.out())
                .contains("nbdinfo 'nbds://localhost:", "/disk?tls-certificates=DIR'", "client-cert.pem")
                .doesNotContain("0.0.0.0");
    }

    @Test
    void aMistakeInTheFileIsNamedWithItsLineAndNothingIsStarted() throws Exception {
        var file = configuration("""
                sidecore {
                  volumes { disk { sise = 16 MiB, store { type = memory } } }
                }
                """);
        start("run", file.toString());

        assertThat(launched.exitCode()).isEqualTo(2);
        assertThat(launched.err())
                .contains("test.conf:2")
                .contains("sise")
                .contains("size")
                .doesNotContain("Exception");
        assertThat(launched.out()).isEmpty();
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

            assertThat(launched.exitCode()).isEqualTo(2);
            assertThat(launched.err())
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

            assertThat(launched.exitCode()).isEqualTo(2);
            assertThat(launched.err())
                    .startsWith("sidecore-default.conf:")
                    .contains("in use", "built-in configuration", "run FILE")
                    .doesNotContain("jar:");
        }
    }

    @Test
    void helpTeachesWithExamples() throws Exception {
        start("run", "--help");

        assertThat(launched.exitCode()).isZero();
        assertThat(launched.out()).contains("Examples").contains("nbdinfo");
    }
}
