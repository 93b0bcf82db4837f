package io.sidecore.runtime.control;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sidecore.conf.Surroundings;
import java.io.IOException;
import java.net.ConnectException;
import java.net.StandardProtocolFamily;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/** Asks a running host. One object asks any number of times; each time it connects anew. */
public final class ControlClient {
    /** Where a host keeps its state unless it is told otherwise. */
    private static final Path USUAL = Path.of("sidecore-data");

    /** Bytes of an answer's line, at most. */
    private static final int MAX_LINE = 16 << 20;

    private final Path dataDirectory;

    private ControlClient(Path dataDirectory) {
        this.dataDirectory = dataDirectory;
    }

    /**
     * The host of a data directory.
     *
     * @throws ControlException if none runs on it
     */
    public static ControlClient of(Path dataDirectory) {
        if (!Files.exists(dataDirectory)) {
            throw ControlException.failure("there is no directory " + dataDirectory
                    + ": --host takes the data directory of a running host" + others());
        }
        if (!listens(dataDirectory)) {
            throw ControlException.failure("no host runs on " + dataDirectory + others());
        }
        return new ControlClient(dataDirectory);
    }

    /**
     * The host of {@code sidecore-data} in the working directory; where there is no such directory, the only one that this user runs.
     *
     * @throws ControlException if there is none, or several
     */
    public static ControlClient find() {
        if (listens(USUAL)) {
            return new ControlClient(USUAL);
        }
        var running = running();
        if (running.isEmpty()) {
            throw ControlException.failure("no host runs here; start one with: sidecore run");
        }
        if (Files.isDirectory(USUAL)) {
            // To ask another one would be a surprise.
            throw ControlException.failure("no host runs on " + USUAL + ", which is here" + others()
                    + "; say --host DIR if one of them is meant");
        }
        if (running.size() > 1) {
            throw ControlException.failure("several hosts run here; say which one:\n"
                    + running.stream().map(host -> "  --host " + host).collect(Collectors.joining("\n")));
        }
        return new ControlClient(running.getFirst());
    }

    /** What a start on a data directory meets: a host that runs there has its addresses already. */
    public static Surroundings surroundings(Path dataDirectory) {
        try {
            return listens(dataDirectory) ? Surroundings.FILES : Surroundings.ALL;
        } catch (ControlException unreachable) {
            return Surroundings.FILES;
        }
    }

    private static String others() {
        var running = running();
        return running.isEmpty()
                ? "; start one with: sidecore run"
                : "; hosts run on " + running.stream().map(Path::toString).collect(Collectors.joining(", "));
    }

    private static List<Path> running() {
        try {
            var running = new ArrayList<Path>();
            for (var entered : HostRegistry.ofThisUser().dataDirectories()) {
                if (listens(entered)) {
                    running.add(entered);
                }
            }
            return running;
        } catch (IOException e) {
            throw ControlException.failure(
                    "cannot look for running hosts: " + e.getMessage() + "; say which one with --host", e);
        }
    }

    private static boolean listens(Path dataDirectory) {
        if (!Files.exists(ControlSocket.path(dataDirectory))) {
            return false;
        }
        try (var channel = connect(dataDirectory)) {
            return channel.isConnected();
        } catch (ConnectException nobody) {
            return false;
        } catch (IOException e) {
            throw ControlException.failure("cannot reach the host on " + dataDirectory + ": " + e.getMessage(), e);
        }
    }

    private static SocketChannel connect(Path dataDirectory) throws IOException {
        var channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            channel.connect(ControlSocket.address(dataDirectory));
            return channel;
        } catch (IOException | RuntimeException e) {
            channel.close();
            throw e;
        }
    }

    /** The data directory of the host. */
    public Path dataDirectory() {
        return dataDirectory;
    }

    /** A request, to be filled and {@link #ask asked}. */
    public static ObjectNode request(String operation) {
        return ControlLines.JSON.createObjectNode().put("do", operation);
    }

    /** The mapper for what is said and heard. */
    public static ObjectMapper json() {
        return ControlLines.JSON;
    }

    /**
     * Asks, and waits until it is done.
     *
     * @param items is given each item as it comes
     * @return the answer
     * @throws ControlException if the host refuses, fails or goes away
     */
    public JsonNode ask(ObjectNode request, Consumer<JsonNode> items) {
        try (var conversation = converse(request)) {
            return conversation.answer(items);
        }
    }

    /**
     * Asks for what goes on while more is said.
     *
     * @throws ControlException if the host cannot be reached
     */
    public Conversation converse(ObjectNode request) {
        try {
            var conversation = new Conversation(new ControlLines(connect(dataDirectory), MAX_LINE));
            conversation.say(request);
            return conversation;
        } catch (IOException e) {
            throw failed(e);
        }
    }

    private ControlException failed(IOException e) {
        return ControlException.failure(
                "the connection to the host on " + dataDirectory + " failed: " + e.getMessage(), e);
    }

    /** What one connection hears and says. One thread hears, one says; any may close it, which ends both. */
    public final class Conversation implements AutoCloseable {
        private final ControlLines lines;

        private Conversation(ControlLines lines) {
            this.lines = lines;
        }

        /**
         * Says more; waits if the host is slow to hear it.
         *
         * @throws ControlException if the host has gone
         */
        public void say(ObjectNode line) {
            try {
                lines.write(line);
            } catch (IOException e) {
                throw failed(e);
            }
        }

        /**
         * Waits until it is done.
         *
         * @param items is given each item as it comes
         * @return the answer
         * @throws ControlException if the host refuses, fails or goes away
         */
        public JsonNode answer(Consumer<JsonNode> items) {
            try {
                return read(items);
            } catch (IOException e) {
                throw failed(e);
            }
        }

        private JsonNode read(Consumer<JsonNode> items) throws IOException {
            for (Optional<JsonNode> line; (line = lines.read()).isPresent(); ) {
                var answer = line.get();
                if (answer.has("item")) {
                    items.accept(answer.get("item"));
                } else if (answer.has("done")) {
                    return answer.get("done");
                } else if (answer.has("error")) {
                    var sentence = answer.get("error").asText();
                    throw answer.path("mistake").asBoolean()
                            ? ControlException.mistake(sentence)
                            : ControlException.failure(sentence);
                }
            }
            throw ControlException.failure("the host on " + dataDirectory + " has ended before this was done");
        }

        @Override
        public void close() {
            try {
                lines.close();
            } catch (IOException e) {
                // Nothing more is said or heard in any case.
            }
        }
    }
}
