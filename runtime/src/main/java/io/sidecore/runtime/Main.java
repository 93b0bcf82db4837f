package io.sidecore.runtime;

import io.sidecore.actors.core.CoreLoop;
import io.sidecore.conf.Settings;
import io.sidecore.conf.SettingsException;
import io.sidecore.conf.TlsSettings;
import io.sidecore.devices.linux.OffHeap;
import io.sidecore.devices.linux.SystemCallException;
import io.sidecore.runtime.cli.Cli;
import io.sidecore.runtime.control.ControlClient;
import io.sidecore.runtime.control.ManagedHost;
import java.io.PrintWriter;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
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
        System.exit(plain(args) ? run(args) : Cli.execute(Run::new, args));
    }

    /** {@code run} or {@code run FILE}: how services start hosts. */
    private static boolean plain(String[] args) {
        return args.length >= 1
                && args.length <= 2
                && args[0].equals("run")
                // What picocli has a meaning for: an option, a file of arguments, nothing.
                && (args.length == 1 || !args[1].matches("[-@].*|"));
    }

    /** The same as through picocli, which would take a fifth of the time until it serves: no start cache keeps classes as old as picocli's. */
    private static int run(String[] args) {
        var run = new Run();
        run.file = args.length == 1 ? Optional.empty() : Optional.of(Path.of(args[1]));
        // On another core, while this one reads the configuration: it takes a tenth of a start, and depends on nothing.
        Thread.ofPlatform().daemon().name("sidecore-libc").start(Main::findLibrary);
        try {
            return run.call();
        } catch (Exception e) {
            return Cli.failed(e, new PrintWriter(System.err, true, System.err.charset()));
        }
    }

    /** What a host needs of the C library; whoever misses something of it later says so. */
    private static void findLibrary() {
        try (var arena = Arena.ofConfined()) {
            OffHeap.map(1, arena);
        } catch (SystemCallException e) {
            // No room for a page: the host will meet that too.
        }
    }

    /** {@code sidecore run}. */
    @Command(
            name = "run",
            mixinStandardHelpOptions = true,
            description = "Runs a host until Ctrl-C or SIGTERM.",
            footerHeading = "%nExamples:%n",
            footer = {
                "  sidecore run                               serve a 1 GiB memory disk on 127.0.0.1:10809, run a demo VM",
                "  sidecore run conf/examples/memory-disk.conf   serve what a file declares",
                "  sidecore status                            look at it from another terminal",
                "  nbdinfo nbd://127.0.0.1:10809/scratch      look at its disk",
                "  sidecore console demo                      talk to its virtual machine; Ctrl-] ends that"
            })
    static final class Run implements Callable<Integer> {
        /** In the built-in configuration. */
        private static final String SCRATCH = "scratch";

        /** How hints name the command: as the launcher was called. */
        private static final String NAME = System.getProperty("io.sidecore.command", "sidecore");

        @Parameters(
                arity = "0..1",
                paramLabel = "FILE",
                description =
                        "What to serve, in HOCON. Without it: a memory disk and a virtual machine, to try things on.")
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
                if (file.isEmpty()) {
                    System.err.println(
                            "This is the built-in configuration, for want of a FILE. To serve otherwise, write one (the README shows how) and name it: %s run FILE"
                                    .formatted(NAME));
                }
                return Cli.WRONG;
            } catch (HostException e) {
                System.err.println("sidecore: " + e.getMessage());
                return Cli.FAILED;
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
            System.out.println(announcement(managed.host()));
            stopped.await();
            return Cli.DONE;
        }

        private String announcement(Sidecore host) {
            var lines = new ArrayList<String>();
            var sidecores = host.loops().service().stream().map(CoreLoop::name).toList();
            lines.add("sidecore runs on %d of %d cores, %s"
                    .formatted(
                            host.topology().usableCores(),
                            host.topology().cores().size(),
                            sidecores.isEmpty() ? "no sidecore" : "sidecores: " + String.join(", ", sidecores)));
            host.notes().forEach(note -> lines.add("note: " + note));
            if (!host.uris().isEmpty()) {
                lines.add("It serves" + (host.everywhere() ? ", to other machines by this one's name," : ""));
                host.uris().forEach(uri -> lines.add("  " + uri));
                lines.add("Try, in another terminal (nbdinfo and nbdcopy are in Debian's libnbd-bin):");
                lines.addAll(trials(host));
            } else if (host.settings().nbd().isPresent()) {
                lines.add("It serves nothing yet: %s volume create and export create change that.".formatted(NAME));
            } else if (host.settings().vms().isEmpty()) {
                lines.add("It serves nothing: the configuration has no exports.");
            }
            lines.addAll(machines(host));
            host.metricsUri()
                    .ifPresent(uri -> lines.add("It is observed at %s/metrics, /health and /ready.".formatted(uri)));
            lines.add("Manage it from another terminal with: %s status, volume, export, vm, top (%s --help)."
                    .formatted(NAME, NAME));
            lines.add("Stop it with Ctrl-C.");
            return String.join(System.lineSeparator(), lines);
        }

        /** They start meanwhile. */
        private static List<String> machines(Sidecore host) {
            var names = host.vms().vms().keySet();
            return names.isEmpty()
                    ? List.of()
                    : List.of(
                            names.size() == 1
                                    ? "It has a virtual machine, "
                                            + names.iterator().next() + ":"
                                    : "It has " + names.size() + " virtual machines:",
                            "  %s vm list".formatted(NAME),
                            "  %s console %s     # Ctrl-] ends it"
                                    .formatted(NAME, names.iterator().next()));
        }

        /** Only what changes no disk by itself, unless the disk is there to try things on. */
        private List<String> trials(Sidecore host) {
            var uri = host.uris().getFirst();
            if (uri.startsWith("nbds")) {
                var clients =
                        host.settings().nbd().flatMap(nbd -> nbd.tls().files()).flatMap(TlsSettings.Files::clientCa);
                return List.of(
                        "  nbdinfo '%s%stls-certificates=DIR'".formatted(uri, uri.contains("?") ? "&" : "?"),
                        clients.isEmpty()
                                ? "  DIR has ca-cert.pem, which vouches for this host"
                                : "  DIR has ca-cert.pem, which vouches for this host, and client-cert.pem and client-key.pem, which this host asks for");
            }
            var trials = new ArrayList<>(List.of(
                    "  nbdinfo '%s'".formatted(uri),
                    "  qemu-system-x86_64 -drive 'file=%s,format=raw,if=virtio'".formatted(uri)));
            if (file.isEmpty() && host.uris(SCRATCH).contains(uri)) {
                trials.add(1, "  nbdcopy FILE '%s'     # writes FILE to the beginning of the disk".formatted(uri));
            }
            return trials;
        }
    }
}
