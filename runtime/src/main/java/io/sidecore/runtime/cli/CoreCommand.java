package io.sidecore.runtime.cli;

import io.sidecore.conf.Amounts;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code sidecore core}. */
@Command(
        name = "core",
        mixinStandardHelpOptions = true,
        description = "Shows the cores of the machine as a running host uses them, and changes their roles.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  sidecore core list",
            "  sidecore core role 3 service       core 3 becomes a sidecore",
            "  sidecore core role 3 shared        and is no longer one"
        })
final class CoreCommand {
    @Command(
            name = "list",
            mixinStandardHelpOptions = true,
            description = {
                "Lists the cores.",
                "The role service is a sidecore: a core that does nothing but serve. guest: guests run on such cores, and on no other.",
                "BUSY is the share of the time in which its loop worked, not only polled."
            })
    int list(@Mixin Connection host) {
        var cores = host.list("list-cores");
        var table = new Table(">CORE", "ROLE", "KIND", ">NUMA", "LOOP", ">BUSY");
        for (var core : cores) {
            var loop = core.get("loop").asText();
            table.row(
                    core.get("id").asInt(),
                    core.get("allowed").asBoolean() ? core.get("role").asText() : "not allowed",
                    core.get("kind").asText(),
                    core.get("numaNode").asInt(),
                    loop,
                    loop.isEmpty()
                            ? ""
                            : Amounts.percent(core.get("utilisation").asDouble()));
        }
        host.print(cores, table, "no core is known");
        return 0;
    }

    @Command(
            name = "role",
            mixinStandardHelpOptions = true,
            description = {
                "Gives a core another role while everything is served on.",
                "It holds until the host stops; for good it is said by sidecore.cores in the configuration.",
                "A sidecore that is added takes part in what is placed on sidecores from then on; sidecore vif place spreads",
                "connections anew that are there already."
            },
            footerHeading = "%nExamples:%n",
            footer = {
                "  sidecore core role 3 service && sidecore vif place nbd/data sidecore",
                "  sidecore core role 3 shared"
            })
    int role(
            @Parameters(paramLabel = "CORE", description = "Its number, as core list shows it.") int core,
            @Parameters(
                            paramLabel = "ROLE",
                            description =
                                    "service: a sidecore, pinned and polling. guest: for guests, which run nowhere else once there is one. shared: for whatever the operating system puts there.")
                    String role,
            @Mixin Connection host) {
        var now = host.ask(Connection.request("assign-core").put("core", core).put("role", role));
        var loop = now.get("loop").asText();
        host.print(now, "core " + core + " is " + now.get("role").asText() + (loop.isEmpty() ? "" : ": loop " + loop));
        return 0;
    }
}
