package io.sidecore.runtime.cli;

import com.fasterxml.jackson.databind.JsonNode;
import io.sidecore.conf.Amounts;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code sidecore vif}. */
@Command(
        name = "vif",
        mixinStandardHelpOptions = true,
        description = {
            "Shows virtual interfaces and changes them while I/O goes on.",
            "A virtual interface is the end of a device that a guest holds; each connection is one of its queues.",
            "What is changed here holds until the host stops; for good it is said in the configuration, or with --set when an",
            "export is created."
        },
        footerHeading = "%nExamples:%n",
        footer = {
            "  sidecore vif list",
            "  sidecore vif limit nbd/data --iops 500            all its connections together",
            "  sidecore vif limit nbd/data --off",
            "  sidecore vif move nbd/data#0 h1-core-3            one queue to another loop",
            "  sidecore vif interpose nbd/data fault-plan error.ratio=0.01"
        })
final class VifCommand {
    private static final String VIF = "Its id as vif list shows it, or the name of its export.";

    @Spec
    private CommandSpec spec;

    @Command(name = "list", mixinStandardHelpOptions = true, description = "Lists the virtual interfaces.")
    int list(@Mixin Connection host) {
        var vifs = host.list("list-vifs");
        var table = new Table("VIF", "VOLUME", "MODE", "PLACEMENT", ">QUEUES", ">REQUESTS", "INTERPOSERS");
        for (var vif : vifs) {
            var requests = 0L;
            for (var op : vif.get("operations")) {
                requests += op.get("requests").asLong();
            }
            table.row(
                    vif.get("id").asText(),
                    vif.get("volume").asText(),
                    vif.get("mode").asText(),
                    vif.get("placement").asText(),
                    vif.get("queues").size(),
                    requests,
                    String.join(", ", interposers(vif)));
        }
        host.print(vifs, table, "there are no virtual interfaces: nothing is exported");
        return 0;
    }

    private static List<String> interposers(JsonNode vif) {
        var all = new ArrayList<String>();
        vif.get("interposers").forEach(one -> all.add(one.get("name").asText() + limits(one.get("limits"))));
        return all;
    }

    private static String limits(JsonNode limits) {
        var said = new ArrayList<String>();
        if (limits.has("iops")) {
            said.add(limits.get("iops").asLong() + " requests/s");
        }
        if (limits.has("bandwidth")) {
            said.add(Amounts.bytes(limits.get("bandwidth").asLong()) + "/s");
        }
        return said.isEmpty() ? "" : " (" + String.join(", ", said) + ")";
    }

    @Command(
            name = "show",
            mixinStandardHelpOptions = true,
            description = "Shows one virtual interface and its queues.")
    int show(@Parameters(paramLabel = "VIF", description = VIF) String name, @Mixin Connection host) {
        var vif = host.ask(Connection.request("show-vif").put("vif", name));
        var fields = new Fields()
                .add("vif", vif.get("id").asText())
                .add("state", vif.get("state").asText())
                .add(
                        "volume",
                        vif.get("volume").asText() + " (" + vif.get("mode").asText() + ")")
                .add("placement", vif.get("placement").asText())
                .add("interposers", interposers(vif));
        if (vif.get("refused").asLong() > 0) {
            fields.add(
                    "refused",
                    vif.get("refused").asLong() + " requests that make no sense, or lie outside of disk or memory");
        }
        var queues = new Table("QUEUE", "LOOP", "STATE", ">GENERATION", ">REQUESTS", ">MEAN", ">P99");
        for (var queue : vif.get("queues")) {
            queues.row(
                    queue.get("name").asText(),
                    queue.get("loop").asText(),
                    queue.get("state").asText(),
                    queue.get("generation").asInt(),
                    queue.get("requests").asLong(),
                    micros(queue, "meanMicros"),
                    micros(queue, "p99Micros"));
        }
        var operations = new Table("OPERATION", ">REQUESTS", ">BYTES", ">ERRORS", ">MEAN", ">P50", ">P99", ">MAX");
        for (var op : vif.get("operations")) {
            var errors = 0L;
            for (var error : op.get("errors")) {
                errors += error.asLong();
            }
            operations.row(
                    op.get("op").asText(),
                    op.get("requests").asLong(),
                    Amounts.bytes(op.get("bytes").asLong()),
                    errors,
                    micros(op, "meanMicros"),
                    micros(op, "p50Micros"),
                    micros(op, "p99Micros"),
                    micros(op, "maxMicros"));
        }
        var served = operations.isEmpty() ? "" : "\n\n" + operations;
        host.print(vif, fields + "\n" + (queues.isEmpty() ? "it has no queues: nobody is connected" : queues) + served);
        return 0;
    }

    /** Nothing where nothing was served. */
    private static String micros(JsonNode of, String key) {
        return of.get("requests").asLong() == 0
                ? ""
                : Amounts.nanos(1000 * of.get("latency").get(key).asDouble());
    }

    @Command(
            name = "limit",
            mixinStandardHelpOptions = true,
            description = {
                "Limits requests and bytes per second.",
                "The limit holds for all connections together; requests above it wait.",
                "If it is limited already, however that came, this limit takes the place of that one."
            },
            footerHeading = "%nExamples:%n",
            footer = {
                "  sidecore vif limit nbd/data --iops 500 --bandwidth 20MiB",
                "  sidecore vif limit nbd/data --off"
            })
    int limit(
            @Parameters(paramLabel = "VIF", description = VIF) String name,
            @Option(names = "--iops", paramLabel = "N", description = "Requests per second.") Optional<String> iops,
            @Option(names = "--bandwidth", paramLabel = "SIZE", description = "Payload per second, such as 100MiB.")
                    Optional<String> bandwidth,
            @Option(
                            names = "--burst",
                            paramLabel = "TIME",
                            description = "How much unused allowance may be saved up, as time. Default: 10ms.")
                    Optional<String> burst,
            @Option(names = "--off", description = "No limit any more.") boolean off,
            @Mixin Connection host) {
        var section =
                new Section().put("iops", iops).put("bandwidth", bandwidth).put("burst", burst);
        if (off != section.json().isEmpty()) {
            throw new ParameterException(
                    spec.subcommands().get("limit"), "expected --iops, --bandwidth or both; or --off alone");
        }
        var request = Connection.request("limit-vif").put("vif", name);
        request.set("section", section.json());
        host.print(host.ask(request), "VIF " + name + (off ? " is not limited any more" : " is limited"));
        return 0;
    }

    @Command(
            name = "move",
            mixinStandardHelpOptions = true,
            description = "Moves one queue to another core loop.",
            footerHeading = "%nExample:%n",
            footer = "  sidecore vif move nbd/data#0 h1-shared     (vif show and core list have the names)")
    int move(
            @Parameters(paramLabel = "QUEUE", description = "A queue as vif show shows it.") String queue,
            @Parameters(paramLabel = "LOOP", description = "A loop as status and core list show it.") String loop,
            @Mixin Connection host) {
        var change =
                host.ask(Connection.request("move-queue").put("queue", queue).put("loop", loop));
        host.print(change, "queue " + queue + " is on " + loop + changed(change));
        return 0;
    }

    @Command(
            name = "place",
            mixinStandardHelpOptions = true,
            description = "Places all queues of a virtual interface anew.")
    int place(
            @Parameters(paramLabel = "VIF", description = VIF) String name,
            @Parameters(
                            paramLabel = "PLACEMENT",
                            description =
                                    "shared: on the one loop that has no core of its own. sidecore: on the loops of sidecores.")
                    String placement,
            @Mixin Connection host) {
        var change = host.ask(Connection.request("place-vif").put("vif", name).put("placement", placement));
        host.print(change, "VIF " + name + " is placed " + placement + changed(change));
        return 0;
    }

    @Command(
            name = "interpose",
            mixinStandardHelpOptions = true,
            description = {
                "Puts something between guest and volume, or takes it out.",
                "(sidecore config explain interposers)"
            },
            footerHeading = "%nExamples:%n",
            footer = {
                "  sidecore vif interpose nbd/data rate-limit iops=500 burst=1s",
                "  sidecore vif interpose nbd/data fault-plan delay.ratio=0.02 delay.by=5ms",
                "  sidecore vif interpose nbd/data --remove fault-plan-0"
            })
    int interpose(
            @Parameters(paramLabel = "VIF", description = VIF) String name,
            @Parameters(paramLabel = "TYPE", arity = "0..1", description = "rate-limit or fault-plan.")
                    Optional<String> type,
            @Parameters(
                            paramLabel = "KEY=VALUE",
                            arity = "0..*",
                            index = "2..*",
                            description = "Its keys, as in a file.")
                    List<String> settings,
            @Option(
                            names = "--at",
                            paramLabel = "N",
                            defaultValue = "0",
                            description = "Its position; 0, the default, is nearest to the guest.")
                    int position,
            @Option(names = "--remove", paramLabel = "NAME", description = "Take the one of this name out.")
                    Optional<String> remove,
            @Mixin Connection host) {
        if (type.isPresent() == remove.isPresent()) {
            throw new ParameterException(
                    spec.subcommands().get("interpose"), "expected TYPE and its keys, or --remove NAME");
        }
        if (remove.isPresent()) {
            var change = host.ask(
                    Connection.request("remove-interposer").put("vif", name).put("interposer", remove.get()));
            host.print(change, remove.get() + " is out of VIF " + name + changed(change));
            return 0;
        }
        var section = new Section().put("type", type).putAll(settings == null ? List.of() : settings);
        var request = Connection.request("interpose-vif").put("vif", name).put("position", position);
        request.set("section", section.json());
        var change = host.ask(request);
        host.print(change, type.get() + " is in VIF " + name + changed(change));
        return 0;
    }

    private static String changed(JsonNode change) {
        var queues = change.get("queues").asInt();
        return queues == 0
                ? "; it has no queues at present"
                : "; %d %s stalled for %.1f ms at most"
                        .formatted(
                                queues,
                                queues == 1 ? "queue" : "queues",
                                change.get("stallMillis").asDouble());
    }
}
