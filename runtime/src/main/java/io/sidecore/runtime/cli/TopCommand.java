package io.sidecore.runtime.cli;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code sidecore top}. */
@Command(
        name = "top",
        mixinStandardHelpOptions = true,
        description = {
            "Shows what a running host does, again and again.",
            "Requests and bytes of each virtual interface, and how busy each core loop is, until Ctrl-C. With --json: what was",
            "counted since the host's start, a line for each look."
        },
        footerHeading = "%nExamples:%n",
        footer = {"  sidecore top", "  sidecore top --once --interval 10      what happened in the next ten seconds"})
final class TopCommand implements Callable<Integer> {
    private static final String CLEAR = "\033[H\033[2J";

    @Mixin
    private Connection host;

    @Option(names = "--once", description = "Look once and end.")
    private boolean once;

    @Option(
            names = "--interval",
            paramLabel = "SECONDS",
            defaultValue = "1",
            description = "Between two looks. Default: 1.")
    private double interval;

    @Override
    public Integer call() throws InterruptedException {
        var console = System.console();
        var clear = !once && !host.json() && console != null && console.isTerminal();
        var before = host.ask(Connection.request("sample"));
        do {
            Thread.sleep(Math.max(100, Math.round(interval * 1000)));
            var now = host.ask(Connection.request("sample"));
            if (host.json()) {
                host.out().println(Connection.line(now));
            } else {
                host.out().println((clear ? CLEAR : "") + text(before, now) + (once ? "" : "\n"));
            }
            host.out().flush();
            before = now;
        } while (!once && !host.out().checkError());
        return 0;
    }

    /** What happened between two looks. */
    static String text(JsonNode before, JsonNode now) {
        var seconds = (now.get("atNanos").asLong() - before.get("atNanos").asLong()) / 1e9;
        return "up for %s%n%n%s%n%n%s"
                .formatted(
                        Amounts.seconds(now.get("uptimeSeconds").asLong()),
                        vifs(before, now, seconds),
                        loops(before, now, seconds));
    }

    private static final class Sum {
        private String volume = "";
        private int queues;
        private long requests;
        private long bytes;
        private long timed;
        private long nanos;
    }

    private static Object vifs(JsonNode before, JsonNode now, double seconds) {
        var former = byKey(before.get("queues"), "queue");
        var sums = new LinkedHashMap<String, Sum>();
        for (var queue : now.get("queues")) {
            var sum = sums.computeIfAbsent(queue.get("vif").asText(), vif -> new Sum());
            var was = former.get(queue.get("queue").asText());
            sum.volume = queue.get("volume").asText();
            sum.queues++;
            sum.requests += since(was, queue, "requests");
            sum.bytes += since(was, queue, "bytes");
            sum.timed += since(was, queue, "timed");
            sum.nanos += since(was, queue, "timedNanos");
        }
        var table = new Table("VIF", "VOLUME", ">QUEUES", ">REQUESTS/s", ">BYTES/s", ">MEAN");
        sums.forEach((vif, sum) -> table.row(
                vif,
                sum.volume,
                sum.queues,
                Amounts.count(sum.requests / seconds),
                Amounts.bytes(sum.bytes / seconds),
                sum.timed == 0 ? "" : Amounts.nanos((double) sum.nanos / sum.timed)));
        return table.isEmpty() ? "nobody is connected" : table;
    }

    private static Table loops(JsonNode before, JsonNode now, double seconds) {
        var former = byKey(before.get("loops"), "loop");
        var table = new Table("LOOP", ">BUSY", ">REQUESTS/s", ">PARKS/s", ">LONGEST TURN");
        for (var loop : now.get("loops")) {
            var was = former.get(loop.get("loop").asText());
            table.row(
                    loop.get("loop").asText(),
                    Amounts.percent(since(was, loop, "busyNanos") / 1e9 / seconds),
                    Amounts.count(since(was, loop, "requests") / seconds),
                    Amounts.count(since(was, loop, "parks") / seconds),
                    Amounts.nanos(loop.get("longestTurnNanos").asLong()));
        }
        return table;
    }

    private static Map<String, JsonNode> byKey(JsonNode array, String key) {
        var map = new HashMap<String, JsonNode>();
        array.forEach(one -> map.put(one.get(key).asText(), one));
        return map;
    }

    /** What a counter has grown by; all of it if it was not there before. */
    private static long since(@Nullable JsonNode before, JsonNode now, String counter) {
        return now.get(counter).asLong()
                - (before == null ? 0 : before.get(counter).asLong());
    }
}
