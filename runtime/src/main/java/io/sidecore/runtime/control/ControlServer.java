package io.sidecore.runtime.control;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sidecore.conf.Spelling;
import io.sidecore.runtime.HostException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The control socket of a host, for its owner only. Every connection has a thread of its own, which may wait, and asks for one thing. */
public final class ControlServer implements AutoCloseable {
    /** Connections at the same time; one more is told so and closed. */
    public static final int MAX_CONNECTIONS = 64;

    /** Bytes of a request, and of each line that may follow it, at most. */
    public static final int MAX_REQUEST = 64 << 10;

    private static final Logger LOG = LoggerFactory.getLogger(ControlServer.class);
    private static final Duration REQUEST_TIME = Duration.ofSeconds(10);
    private static final Duration PATIENCE = Duration.ofSeconds(10);
    private static final JsonMapper REQUESTS = JsonMapper.builder()
            .enable(DeserializationFeature.FAIL_ON_NULL_CREATOR_PROPERTIES)
            .build();

    private static final Map<String, Class<?>> OPERATIONS = new TreeMap<>();

    static {
        for (var operation : Operation.class.getPermittedSubclasses()) {
            OPERATIONS.put(Operation.name(operation), operation);
        }
    }

    private final Path dataDirectory;
    private final Operations operations;
    private final ServerSocketChannel listening;
    private final Map<SocketChannel, Thread> connections = new ConcurrentHashMap<>();
    private volatile boolean stopping;

    private ControlServer(Path dataDirectory, Operations operations, ServerSocketChannel listening) {
        this.dataDirectory = dataDirectory;
        this.operations = operations;
        this.listening = listening;
    }

    /**
     * Listens in a data directory that was claimed.
     *
     * @throws HostException if that cannot be
     */
    public static ControlServer open(DataDirectory claim, Operations operations) {
        var dataDirectory = claim.path();
        var socket = ControlSocket.path(dataDirectory);
        try {
            enter(dataDirectory);
            // Whoever has the claim knows that nobody listens there: it was left by a host that was killed.
            Files.deleteIfExists(socket);
            var server = new ControlServer(dataDirectory, operations, bind(dataDirectory, socket));
            Thread.ofVirtual().name("sidecore-control").start(server::accept);
            return server;
        } catch (IOException e) {
            leave(dataDirectory);
            throw new HostException("cannot listen on the control socket " + socket + ": " + e.getMessage(), e);
        }
    }

    /** Without an entry in the registry the host is still found by its data directory. */
    private static void enter(Path dataDirectory) {
        try {
            HostRegistry.ofThisUser().add(dataDirectory);
        } catch (IOException e) {
            LOG.warn("commands find this host only with --host {}: {}", dataDirectory, e.getMessage());
        }
    }

    private static void leave(Path dataDirectory) {
        try {
            HostRegistry.ofThisUser().remove(dataDirectory);
        } catch (IOException e) {
            LOG.debug("the entry of {} in the registry stays: {}", dataDirectory, e.getMessage());
        }
    }

    private static ServerSocketChannel bind(Path dataDirectory, Path socket) throws IOException {
        var channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            // Its permissions are set before anybody can be served, but not before anybody could connect: whoever was
            // faster is in a queue that is thrown away.
            channel.bind(ControlSocket.address(dataDirectory));
            Files.setPosixFilePermissions(socket, PosixFilePermissions.fromString("rw-------"));
            return channel;
        } catch (IOException | RuntimeException e) {
            channel.close();
            Files.deleteIfExists(socket);
            throw e;
        }
    }

    private void accept() {
        while (!stopping) {
            try {
                var channel = listening.accept();
                if (connections.size() >= MAX_CONNECTIONS) {
                    refuse(channel);
                    continue;
                }
                var thread =
                        Thread.ofVirtual().name("sidecore-control-connection").unstarted(() -> serve(channel));
                connections.put(channel, thread);
                if (stopping) {
                    // close() may have looked already.
                    channel.close();
                }
                thread.start();
            } catch (ClosedChannelException closed) {
                return;
            } catch (IOException e) {
                // No descriptors left, say. Those that are served go on, and end.
                LOG.warn("a control connection could not be accepted: {}", e.getMessage());
                pause();
            }
        }
    }

    private static void pause() {
        try {
            Thread.sleep(100);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void refuse(SocketChannel channel) throws IOException {
        try (var lines = new ControlLines(channel, MAX_REQUEST)) {
            lines.write(error(
                    "this host has " + MAX_CONNECTIONS + " control connections already; end some of them", false));
        }
    }

    private void serve(SocketChannel channel) {
        try (var lines = new ControlLines(channel, MAX_REQUEST)) {
            var asked = new CompletableFuture<Void>();
            var _ = asked.orTimeout(REQUEST_TIME.toMillis(), TimeUnit.MILLISECONDS)
                    .whenComplete((done, late) -> {
                        if (late != null) {
                            closeSilent(channel);
                        }
                    });
            answer(lines, asked);
        } catch (IOException gone) {
            LOG.debug("a control connection ended: {}", gone.getMessage());
        } catch (RuntimeException e) {
            LOG.error("a control connection failed", e);
        } finally {
            connections.remove(channel);
        }
    }

    private static void closeSilent(SocketChannel channel) {
        try {
            channel.close();
        } catch (IOException e) {
            LOG.debug("closing a control connection that asked nothing: {}", e.getMessage());
        }
    }

    private void answer(ControlLines lines, CompletableFuture<Void> asked) throws IOException {
        JsonNode request;
        try {
            var line = lines.read();
            asked.complete(null);
            if (line.isEmpty()) {
                return;
            }
            request = line.get();
        } catch (IOException e) {
            asked.complete(null);
            lines.write(error(e.getMessage(), true));
            return;
        }
        try {
            lines.write(Map.of("done", operations.perform(operation(request), new Answers() {
                @Override
                public void item(Object view) throws IOException {
                    lines.write(Map.of("item", view));
                }

                @Override
                public void stillHere() throws IOException {
                    lines.write(Map.of());
                }

                @Override
                public Optional<JsonNode> hear() throws IOException {
                    return lines.read();
                }
            })));
        } catch (ControlException e) {
            lines.write(error(e.getMessage(), e.isMistake()));
        } catch (RuntimeException e) {
            LOG.error("the control request {} failed", request.path("do").asText(), e);
            lines.write(error("the host failed to do this: " + e + "; its log says more", false));
        }
    }

    private static Map<String, Object> error(String sentence, boolean mistake) {
        return mistake ? Map.of("error", sentence, "mistake", true) : Map.of("error", sentence);
    }

    /**
     * What a request asks for.
     *
     * @throws ControlException if it is none
     */
    static Operation operation(JsonNode request) {
        if (!(request instanceof ObjectNode object)) {
            throw ControlException.mistake("expected a JSON object with the key \"do\"");
        }
        var name = object.path("do").asText();
        var type = OPERATIONS.get(name);
        if (type == null) {
            throw ControlException.mistake(
                    "there is no operation \"" + name + "\"" + Spelling.hint(name, OPERATIONS.keySet()));
        }
        object.remove("do");
        for (var component : type.getRecordComponents()) {
            if (!component.getType().isPrimitive() && !object.hasNonNull(component.getName())) {
                throw ControlException.mistake(name + ": \"" + component.getName() + "\" is required");
            }
        }
        try {
            return (Operation) REQUESTS.treeToValue(object, type);
        } catch (JsonMappingException e) {
            var at = e.getPath().isEmpty()
                    ? ""
                    : " at \"" + e.getPath().getLast().getFieldName() + "\"";
            throw ControlException.mistake(name + at + ": " + e.getOriginalMessage());
        } catch (JsonProcessingException e) {
            throw ControlException.mistake(name + ": " + e.getOriginalMessage());
        }
    }

    /** Ends all connections, and what they had asked for and was not done; returns when their threads have ended. */
    @Override
    public void close() throws IOException {
        stopping = true;
        listening.close();
        var threads = Set.copyOf(connections.values());
        for (var channel : connections.keySet()) {
            channel.close();
        }
        var end = System.nanoTime() + PATIENCE.toNanos();
        try {
            for (var thread : threads) {
                thread.join(Duration.ofNanos(Math.max(1, end - System.nanoTime())));
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        Files.deleteIfExists(ControlSocket.path(dataDirectory));
        HostRegistry.ofThisUser().remove(dataDirectory);
    }
}
