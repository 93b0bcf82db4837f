package io.sidecore.runtime.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code sidecore core}. */
@Command(name = "core", mixinStandardHelpOptions = true, description = "Shows the cores of the machine as a running host uses them.")
final class CoreCommand {
    @Command(
            name = "list", mixinStandardHelpOptions = true,
            description = {
                "Lists the cores.",
                "The role service is a sidecore: a core that does nothing but serve.",
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
                    loop.isEmpty() ? "" : Amounts.percent(core.get("utilisation").asDouble()));
        }
        host.print(cores, table, "no core is known");
        return 0;
    }
}
