package io.sidecore.runtime.cli;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code sidecore events}. */
@Command(
        name = "events",
        mixinStandardHelpOptions = true,
        description = {
            "Tells what happened to a running host.",
            "The last 1,000 events at most, the oldest first. With --json: a line for each."
        },
        footerHeading = "%nExamples:%n",
        footer = {"  sidecore events", "  sidecore events -f         go on telling, until Ctrl-C"})
final class EventsCommand implements Callable<Integer> {
    private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss");

    @Mixin
    private Connection host;

    @Option(
            names = {"-f", "--follow"},
            description = "Also tell what happens from now on.")
    private boolean follow;

    @Override
    public Integer call() {
        host.ask(Connection.request("events").put("follow", follow), event -> {
            host.out().println(host.json() ? Connection.line(event) : text(event, ZoneId.systemDefault()));
            host.out().flush();
        });
        return 0;
    }

    static String text(JsonNode event, ZoneId zone) {
        var detail = event.get("detail").asText();
        return "%s  %s %s %s%s"
                .formatted(
                        TIME.format(Instant.parse(event.get("at").asText()).atZone(zone)),
                        event.get("kind").asText(),
                        event.get("name").asText(),
                        event.get("what").asText(),
                        detail.isEmpty() ? "" : ": " + detail);
    }
}
