package io.sidecore.runtime;

import io.sidecore.actors.core.CoreLoop;
import io.sidecore.conf.Settings;
import io.sidecore.conf.SettingsException;
import io.sidecore.runtime.cli.Cli;
import io.sidecore.runtime.control.ControlClient;
import io.sidecore.runtime.control.ManagedHost;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** Where the program begins. */
public final class Main {
    private Main() {}

    /** Runs a command and exits with its code: 0 done, 1 it failed, 2 the configuration or the command is wrong. */
    public static void main(String[] args) {
        System.exit(Cli.execute(Run::new, args));
    }

    /** {@code sidecore run}. */
    @Command(
            name = "run",
            mixinStandardHelpOptions = true,
            description = "Runs a host until Ctrl-C or SIGTERM.",
            footerHeading = "%nExamples:%n",
            footer = {
                "  sidecore run                               serve a 1 GiB memory disk on 127.0.0.1:10809",
                "  sidecore run conf/examples/memory-disk.conf   serve what a file declares",
                "  sidecore status                            look at it from another terminal",
                "  nbdinfo nbd://127.0.0.1:10809/scratch      look at its disk"
            })
    static final class Run implements Callable<Integer> {
        @Parameters(
                arity = "0..1",
                paramLabel = "FILE",
                description = "What to serve, in HOCON. Without it: a memory disk, to try things on.")
        private Optional<Path> file = Optional.empty();

        @Override
        public Integer call() throws InterruptedException {
            ManagedHost managed;
            try {
                var settings = file.map(named -> Settings.load(named, ControlClient::surroundings))
                        .orElseGet(() -> Settings.embedded(ControlClient::surroundings));
                LauncherLogging.follow(settings.log(), settings.dataDirectory());
                managed = ManagedHost.start(settings);
            } catch (SettingsException e) {
                System.err.println(e.getMessage());
                return 2;
            } catch (HostException e) {
                System.err.println("sidecore: " + e.getMessage());
                return 1;
            }
            var stopped = new CountDownLatch(1);
            Runtime.getRuntime()
                    .addShutdownHook(new Thread(
                            () -> {
                                System.out.println("stopping ...");
                                managed.close();
                                System.out.println("stopped.");
                                System.out.flush();
                                // A stop that was asked for and went well is a success, whatever signal asked for it.
                                Runtime.getRuntime().halt(managed.closedWell() ? 0 : 1);
                            },
                            "sidecore-stop"));
            announce(managed.host());
            stopped.await();
            return 0;
        }

        private void announce(Sidecore host) {
            var out = new StringBuilder();
            var loops = host.loops();
            out.append("sidecore runs on %d of %d cores, %s%n"
                    .formatted(
                            host.topology().usableCores(),
                            host.topology().cores().size(),
                            loops.service().isEmpty()
                                    ? "no sidecore"
                                    : "sidecores: "
                                            + String.join(
                                                    ", ",
                                                    loops.service().stream()
                                                            .map(CoreLoop::name)
                                                            .toList())));
            host.notes().forEach(note -> out.append("note: ").append(note).append(System.lineSeparator()));
            if (host.uris().isEmpty()) {
                out.append(
                        host.settings().nbd().isPresent()
                                ? "It serves nothing yet: sidecore volume create and export create change that.%n"
                                        .formatted()
                                : "It serves nothing: the configuration has no exports.%n".formatted());
            } else {
                out.append("It serves%n".formatted());
                host.uris().forEach(uri -> out.append("  ").append(uri).append(System.lineSeparator()));
                var uri = host.uris().getFirst();
                out.append("Try, in another terminal (nbdinfo and nbdcopy are in Debian's libnbd-bin):%n".formatted());
                if (uri.startsWith("nbds")) {
                    var trusted = uri + (uri.contains("?") ? "&" : "?") + "tls-certificates=DIR";
                    out.append("  nbdinfo '%s'     # DIR has the ca-cert.pem that vouches for this host%n"
                            .formatted(trusted));
                    out.append("  nbdcopy README.md '%s'%n".formatted(trusted));
                } else {
                    out.append("  nbdinfo '%s'%n".formatted(uri));
                    out.append("  nbdcopy README.md '%s'%n".formatted(uri));
                    out.append("  qemu-system-x86_64 -drive 'file=%s,format=raw,if=virtio'%n".formatted(uri));
                }
            }
            host.metricsUri()
                    .ifPresent(uri -> out.append("It is observed at %s/metrics, /health and /ready.%n".formatted(uri)));
            out.append("Manage it from another terminal with: sidecore status, volume, export, top (sidecore --help).%n"
                    .formatted());
            out.append("Stop it with Ctrl-C.");
            System.out.println(out);
        }
    }
}
