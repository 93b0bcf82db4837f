package io.sidecore.runtime.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sidecore.conf.Amounts;
import io.sidecore.runtime.control.ControlException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code sidecore vm}. */
@Command(
        name = "vm",
        mixinStandardHelpOptions = true,
        description = "Virtual machines of a running host.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  sidecore vm list",
            "  sidecore vm create web --qemu --kernel vmlinuz --initrd initrd.img --disk root --start",
            "  sidecore vm history web           what happened to it, and why",
            "  sidecore vm snapshot web before   keep it as it is, with its disks",
            "  sidecore console web              its serial console"
        })
final class VmCommand {
    private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss");

    @Command(
            name = "list",
            mixinStandardHelpOptions = true,
            description = "Lists the virtual machines and their states.")
    int list(@Mixin Connection host) {
        var vms = host.list("list-vms");
        var table = new Table("NAME", "STATE", ">FOR", "GUEST", ">MEMORY", "DISKS", "CAUSE");
        for (var vm : vms) {
            table.row(
                    vm.get("name").asText(),
                    vm.get("state").asText(),
                    since(vm),
                    vm.get("guest").asText(),
                    Amounts.size(vm.get("memory").asLong()),
                    String.join(", ", Fields.texts(vm.get("disks"))),
                    vm.get("cause").asText());
        }
        host.print(vms, table, "there are no virtual machines; sidecore vm create makes one");
        return 0;
    }

    private static String since(JsonNode vm) {
        var since = Duration.between(Instant.parse(vm.get("since").asText()), Instant.now());
        return Amounts.seconds(Math.max(0, since.toSeconds()));
    }

    @Command(name = "show", mixinStandardHelpOptions = true, description = "Shows what is known of one.")
    int show(@Parameters(paramLabel = "VM", description = "Its name.") String name, @Mixin Connection host) {
        var vm = host.ask(named("show-vm", name));
        var restart = vm.get("restartAt").asText();
        host.print(
                vm,
                new Fields()
                        .add("name", vm.get("name").asText())
                        .add("state", vm.get("state").asText() + " for " + since(vm))
                        .add("cause", vm.get("cause").asText())
                        .add("starts again", restart.isEmpty() ? "" : time(restart))
                        .add("guest", vm.get("guest").asText())
                        .add("memory", Amounts.size(vm.get("memory").asLong()))
                        .add("disks", Fields.texts(vm.get("disks")))
                        .add("starts", Integer.toString(vm.get("starts").asInt()))
                        .add("autostart", vm.get("autostart").asBoolean() ? "yes" : "no")
                        .add("declared", vm.get("declared").asBoolean() ? "in the configuration" : "by command")
                        .add("snapshots", Fields.texts(vm.get("snapshots")))
                        .toString());
        return 0;
    }

    private static String time(String instant) {
        return TIME.format(Instant.parse(instant).atZone(ZoneId.systemDefault()));
    }

    private static ObjectNode named(String operation, String name) {
        return Connection.request(operation).put("name", name);
    }

    @Command(
            name = "create",
            mixinStandardHelpOptions = true,
            description = {
                "Defines a virtual machine, which is there again after the host's next start, and starts with it (--set autostart=false: it does not).",
                "It takes the same values as sidecore.vms.NAME in a file (sidecore config explain vms.NAME)."
            },
            footerHeading = "%nExamples:%n",
            footer = {
                "  sidecore volume create small --size 64MiB && sidecore vm create box --wasm demo --disk small --start",
                "  sidecore vm create web --qemu --kernel vmlinuz --initrd initrd.img --disk root",
                "  sidecore vm create web --qemu --disk root --memory 1GiB --set guest.vcpus=2 --set restart.policy=on-failure"
            })
    int create(
            @Parameters(paramLabel = "NAME", description = "What it is called.") String name,
            @Option(names = "--qemu", description = "A machine that QEMU makes.") boolean qemu,
            @Option(
                            names = "--wasm",
                            paramLabel = "FILE",
                            description = "A WebAssembly module; demo: the one that comes with Sidecore.")
                    Optional<String> wasm,
            @Option(names = "--java", paramLabel = "CLASS", description = "A program in Java on the host's class path.")
                    Optional<String> java,
            @Option(names = "--memory", paramLabel = "SIZE", description = "Its memory.") Optional<String> memory,
            @Option(names = "--kernel", paramLabel = "FILE", description = "A Linux kernel that QEMU starts.")
                    Optional<Path> kernel,
            @Option(names = "--initrd", paramLabel = "FILE", description = "Its initial RAM disk.")
                    Optional<Path> initrd,
            @Option(
                            names = "--cmdline",
                            paramLabel = "TEXT",
                            description = "What the kernel is told. Default: console=ttyS0.")
                    Optional<String> commandLine,
            @Option(names = "--disk", paramLabel = "VOLUME", description = "A volume that it holds; may be said again.")
                    List<String> disks,
            @Option(names = "--set", paramLabel = "KEY=VALUE", description = "Any other key of it.")
                    List<String> settings,
            @Option(names = "--start", description = "Also start it.") boolean start,
            @Mixin Connection host) {
        var types = new ArrayList<String>();
        if (qemu) {
            types.add("qemu");
        }
        wasm.ifPresent(module -> types.add("wasm"));
        java.ifPresent(program -> types.add("java"));
        if (types.size() != 1 && (!types.isEmpty() || settings == null || settings.isEmpty())) {
            throw ControlException.mistake(
                    "say what runs inside, one of: --qemu, --wasm FILE, --java CLASS (--wasm demo needs nothing installed)");
        }
        var section = new Section()
                .put("guest.type", types.stream().findFirst())
                .put("guest.module", wasm)
                .put("guest.class", java)
                .put("guest.memory", memory)
                .put("guest.kernel", kernel.map(Path::toString))
                .put("guest.initrd", initrd.map(Path::toString))
                .put("guest.cmdline", commandLine)
                .put("disks", disks == null ? List.of() : disks)
                .putAll(settings == null ? List.of() : settings)
                // The host is in another folder.
                .change("guest.module", module -> module.equals("demo") ? module : absolute(module))
                .change("guest.kernel", VmCommand::absolute)
                .change("guest.initrd", VmCommand::absolute)
                .change("guest.program", program -> program.contains("/") ? absolute(program) : program);
        var request = named("create-vm", name);
        request.set("section", section.json());
        var vm = host.ask(request);
        if (start) {
            try {
                vm = watched(named("start-vm", name), host);
            } catch (ControlException e) {
                throw ControlException.failure(
                        e.getMessage() + "\nIt is created all the same. To try again: sidecore vm start " + name
                                + ". To change it: sidecore vm delete " + name + ", and create it again");
            }
        }
        host.print(
                vm,
                "VM " + name + " created"
                        + (start
                                ? ", and it runs"
                                : "; sidecore vm start " + name + " starts it, as does the next start of the host"));
        return 0;
    }

    private static String absolute(String file) {
        return Path.of(file).toAbsolutePath().normalize().toString();
    }

    @Command(
            name = "delete",
            mixinStandardHelpOptions = true,
            description = {
                "Forgets a virtual machine that does not run, with its history and snapshots.",
                "Its volumes stay."
            })
    int delete(@Parameters(paramLabel = "VM", description = "Its name.") String name, @Mixin Connection host) {
        var done = host.ask(named("delete-vm", name));
        host.print(done, "VM " + name + " deleted" + Connection.untilStart(done));
        return 0;
    }

    /** Asks for what may take long; how far it is is shown at a terminal. */
    private static JsonNode watched(ObjectNode request, Connection host) {
        var progress = host.json() ? new ProgressLine(host.err(), false) : ProgressLine.onTerminal(host.err());
        var left = new Thread(() -> {
            progress.end();
            host.err().println("\nsidecore: nobody waits for it any more; the host goes on with what was asked");
            host.err().flush();
        });
        Runtime.getRuntime().addShutdownHook(left);
        try {
            return host.ask(request, item -> progress.show(progress(item)));
        } finally {
            forget(left);
            progress.end();
        }
    }

    private static void forget(Thread hook) {
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException runsAlready) {
            // Ctrl-C: it says so.
        }
    }

    /** What is shown while a change of a VM goes on. */
    static String progress(JsonNode item) {
        var state = item.get("state").asText();
        var done = item.get("done").asLong();
        var total = item.get("total").asLong();
        if (done < total) {
            return item.get("what").asText() + " "
                    + ProgressLine.line(done, total, 0).strip();
        }
        return state.equals("starting") || state.equals("stopping") ? state + " for " + since(item) : "under way";
    }

    private static int change(ObjectNode request, String what, Connection host) {
        var vm = watched(request, host);
        var cause = vm.get("cause").asText();
        var failed = vm.get("state").asText().equals("failed");
        host.print(
                vm,
                "VM " + vm.get("name").asText() + " "
                        + (failed ? "has failed" : what + vm.get("state").asText())
                        + (cause.isEmpty() ? "" : ": " + cause));
        return 0;
    }

    @Command(
            name = "start",
            mixinStandardHelpOptions = true,
            description = "Starts a virtual machine, and waits until it runs.")
    int start(@Parameters(paramLabel = "VM", description = "Its name.") String name, @Mixin Connection host) {
        return change(named("start-vm", name), "is ", host);
    }

    @Command(
            name = "stop",
            mixinStandardHelpOptions = true,
            description = {
                "Asks the guest to end, and waits until it has; one that does not within its stop-timeout is killed.",
                "It stays stopped until it is started, or the host is started again."
            })
    int stop(
            @Parameters(paramLabel = "VM", description = "Its name.") String name,
            @Option(names = "--kill", description = "Do not ask: end it at once.") boolean kill,
            @Mixin Connection host) {
        return change(named("stop-vm", name).put("kill", kill), "is ", host);
    }

    @Command(
            name = "pause",
            mixinStandardHelpOptions = true,
            description = "Halts a virtual machine; it keeps its memory and its disks.")
    int pause(@Parameters(paramLabel = "VM", description = "Its name.") String name, @Mixin Connection host) {
        return change(named("pause-vm", name), "is ", host);
    }

    @Command(name = "resume", mixinStandardHelpOptions = true, description = "Lets one go on that is paused.")
    int resume(@Parameters(paramLabel = "VM", description = "Its name.") String name, @Mixin Connection host) {
        return change(named("resume-vm", name), "is ", host);
    }

    @Command(
            name = "snapshot",
            mixinStandardHelpOptions = true,
            description = {
                "Keeps a virtual machine as it is now: memory, devices, and the contents of the disks that it can write.",
                "It stands still meanwhile, and then goes on."
            },
            footerHeading = "%nExamples:%n",
            footer = {
                "  sidecore vm snapshot web before-upgrade",
                "  sidecore vm snapshot web before-upgrade --delete    forget it again"
            })
    int snapshot(
            @Parameters(paramLabel = "VM", description = "Its name.") String name,
            @Parameters(paramLabel = "SNAPSHOT", description = "What it is called.") String snapshot,
            @Option(names = "--delete", description = "Forget the snapshot of this name.") boolean delete,
            @Mixin Connection host) {
        var vm = watched(named(delete ? "delete-snapshot" : "snapshot-vm", name).put("snapshot", snapshot), host);
        host.print(vm, "snapshot " + snapshot + " of VM " + name + (delete ? " deleted" : " taken"));
        return 0;
    }

    @Command(
            name = "restore",
            mixinStandardHelpOptions = true,
            description = {
                "Starts a stopped virtual machine as it was when the snapshot was taken.",
                "What was written to its disks since then is lost."
            })
    int restore(
            @Parameters(paramLabel = "VM", description = "Its name.") String name,
            @Parameters(paramLabel = "SNAPSHOT", description = "Which one; vm show lists them.") String snapshot,
            @Mixin Connection host) {
        return change(named("restore-vm", name).put("snapshot", snapshot), "was restored and is ", host);
    }

    @Command(
            name = "history",
            mixinStandardHelpOptions = true,
            description = {
                "Tells what happened to a virtual machine, and why: the last 1,000 entries, those of earlier starts of the host too.",
                "With --json: a line for each."
            })
    int history(@Parameters(paramLabel = "VM", description = "Its name.") String name, @Mixin Connection host) {
        host.ask(
                named("vm-history", name),
                entry -> host.out().println(host.json() ? Connection.line(entry) : text(entry)));
        host.out().flush();
        return 0;
    }

    private static String text(JsonNode entry) {
        var event = entry.get("event").asText();
        var state = entry.get("state").asText();
        var cause = entry.get("cause").asText();
        return time(entry.get("at").asText()) + "  " + event
                + (event.equals(state) ? "" : " (" + state + ")")
                + (cause.isEmpty() ? "" : ": " + cause);
    }

    @Command(
            name = "screenshot",
            mixinStandardHelpOptions = true,
            description =
                    "Takes a picture of the screen of a QEMU guest that has one (guest.screen = true): a PNG file.")
    int screenshot(
            @Parameters(paramLabel = "VM", description = "Its name.") String name,
            @Parameters(paramLabel = "FILE", description = "Where it is written.") Path file,
            @Mixin Connection host) {
        var taken = host.ask(named("screenshot-vm", name).put("file", absolute(file.toString())));
        host.print(taken, "screen of VM " + name + " in " + file);
        return 0;
    }

    @Command(
            name = "top",
            mixinStandardHelpOptions = true,
            description =
                    "Shows how much processor time and memory the virtual machines use, again and again until Ctrl-C.")
    int top(
            @Option(names = "--once", description = "Look once and end.") boolean once,
            @Option(
                            names = "--interval",
                            paramLabel = "SECONDS",
                            defaultValue = "1",
                            description = "Between two looks. Default: 1.")
                    double interval,
            @Mixin Connection host)
            throws InterruptedException {
        var before = new HashMap<String, JsonNode>();
        host.list("sample-vms").forEach(vm -> before.put(vm.get("name").asText(), vm));
        do {
            Thread.sleep(Math.max(100, Math.round(interval * 1000)));
            var now = host.list("sample-vms");
            var table = new Table("NAME", "STATE", ">CPU", ">RESIDENT", "CORES");
            for (var vm : now) {
                var was = before.put(vm.get("name").asText(), vm);
                var resident = vm.get("residentBytes").asLong();
                table.row(
                        vm.get("name").asText(),
                        vm.get("state").asText(),
                        was == null
                                ? ""
                                : Amounts.percent(Math.max(0, since(was, vm, "cpuNanos") / since(was, vm, "atNanos"))),
                        resident < 0 ? "" : Amounts.bytes(resident),
                        vm.get("cores").asText());
            }
            if (host.json()) {
                now.forEach(vm -> host.out().println(Connection.line(vm)));
                host.out().flush();
            } else {
                host.print(now, table, "there are no virtual machines");
            }
        } while (!once && !host.out().checkError());
        return 0;
    }

    private static double since(JsonNode was, JsonNode now, String counter) {
        return now.get(counter).asLong() - was.get(counter).asLong();
    }
}
