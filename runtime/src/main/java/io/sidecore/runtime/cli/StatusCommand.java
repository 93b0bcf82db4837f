package io.sidecore.runtime.cli;

import com.fasterxml.jackson.databind.JsonNode;
import io.sidecore.conf.Amounts;
import java.util.ArrayList;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code sidecore status}. */
@Command(
        name = "status",
        mixinStandardHelpOptions = true,
        description = {
            "Says how a running host is and what it serves.",
            "The exit code is 1 if something of it has failed: a volume, or a loop that one task holds. A virtual machine that",
            "has failed is told, and leaves it at 0."
        },
        footerHeading = "%nExamples:%n",
        footer = {"  sidecore status", "  sidecore status --host /var/lib/sidecore --json"})
final class StatusCommand implements Callable<Integer> {
    @Mixin
    private Connection host;

    @Override
    public Integer call() {
        var status = host.ask(Connection.request("status"));
        var failed = Fields.texts(status.get("failedVolumes"));
        var health = status.get("health").asText();
        var troubles = new ArrayList<String>();
        status.get("troubles")
                .forEach(one -> troubles.add(one.get("kind").asText() + " "
                        + one.get("name").asText() + " (" + one.get("state").asText() + "): "
                        + one.get("detail").asText()));
        var fields = new Fields()
                .add("host", status.get("dataDirectory").asText())
                .add(
                        "process",
                        "%d, sidecore %s, up for %s"
                                .formatted(
                                        status.get("pid").asLong(),
                                        status.get("version").asText(),
                                        Amounts.seconds(
                                                status.get("uptimeSeconds").asLong())))
                .add("health", health)
                .add("trouble", troubles)
                .add(
                        "cores",
                        status.get("cores").asInt() + " usable; loops: "
                                + String.join(", ", Fields.texts(status.get("loops"))))
                .add(
                        "volumes",
                        status.get("volumes").asInt()
                                + (failed.isEmpty() ? "" : "; failed: " + String.join(", ", failed)))
                .add(
                        "exports",
                        status.get("exports").asInt() + " with "
                                + status.get("queues").asInt() + " queues")
                .add("vms", vms(status))
                .add("serves", Fields.texts(status.get("uris")))
                .add("metrics", status.get("metrics").asText())
                .add("note", Fields.texts(status.get("notes")));
        host.print(status, fields.toString());
        return health.equals("failed") ? 1 : 0;
    }

    private static String vms(JsonNode status) {
        var count = status.get("vms").asInt();
        var running = status.get("runningVms").asInt();
        var failed = Fields.texts(status.get("failedVms"));
        return count == 0
                ? ""
                : count + ", " + (running == 1 ? "1 runs" : running + " run")
                        + (failed.isEmpty() ? "" : "; failed: " + String.join(", ", failed));
    }
}
