package io.sidecore.runtime.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sidecore.runtime.control.ControlClient;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** What all commands have that ask a running host: which one, and in which form its answer is printed. */
final class Connection {
    @Option(
            names = "--host",
            paramLabel = "DIR",
            description =
                    "The data directory of the host to ask. Default: sidecore-data here; where there is none, the only host you run.")
    private Optional<Path> host = Optional.empty();

    @Option(names = "--json", description = "JSON for programs, in place of text.")
    private boolean json;

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    private @Nullable ControlClient client;

    boolean json() {
        return json;
    }

    PrintWriter out() {
        return command.commandLine().getOut();
    }

    PrintWriter err() {
        return command.commandLine().getErr();
    }

    static ObjectNode request(String operation) {
        return ControlClient.request(operation);
    }

    private ControlClient client() {
        if (client == null) {
            client = host.map(ControlClient::of).orElseGet(ControlClient::find);
        }
        return client;
    }

    /** Asks; what comes before the answer goes to {@code items}. */
    JsonNode ask(ObjectNode request, Consumer<JsonNode> items) {
        return client().ask(request, items);
    }

    /** Asks for what goes on while more is said. */
    ControlClient.Conversation converse(ObjectNode request) {
        return client().converse(request);
    }

    JsonNode ask(ObjectNode request) {
        return ask(request, item -> {});
    }

    /** Asks for a list. */
    List<JsonNode> list(String operation) {
        var all = new ArrayList<JsonNode>();
        ask(request(operation), all::add);
        return all;
    }

    /** Prints as JSON, or as text. */
    void print(Object view, String text) {
        out().println(json ? pretty(view) : text);
        out().flush();
    }

    /** Prints a list as JSON, or as a table; a sentence where there is nothing to tabulate. */
    void print(List<JsonNode> views, Table table, String ifEmpty) {
        print(views, table.isEmpty() ? ifEmpty : table.toString());
    }

    /** What there is to add about something that was deleted. */
    static String untilStart(JsonNode deleted) {
        return deleted.get("declared").asBoolean()
                ? "; the configuration still declares it, so it is there again after the next start"
                : "";
    }

    /** On one line. */
    static String line(JsonNode view) {
        return view.toString();
    }

    private static String pretty(Object view) {
        try {
            return ControlClient.json().writerWithDefaultPrettyPrinter().writeValueAsString(view);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("what was read as JSON can be written as JSON", e);
        }
    }
}
