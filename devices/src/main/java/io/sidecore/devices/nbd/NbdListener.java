package io.sidecore.devices.nbd;

import io.sidecore.actors.block.SlabPool;
import io.sidecore.actors.core.Deadline;
import io.sidecore.actors.core.Loop;
import io.sidecore.conf.TlsSettings;
import io.sidecore.devices.tls.TlsAcceptor;
import io.sidecore.devices.transport.SocketTransport;
import java.io.IOException;
import java.nio.channels.Channel;
import java.nio.channels.SelectionKey;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Accepts connections on one or several sockets, negotiates with each on a core loop, and hands those that chose an export on. */
public final class NbdListener implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(NbdListener.class);

    /**
     * What a listener serves.
     *
     * @param exports what clients can choose
     * @param maxConnections at the same time; one more is closed at once
     * @param handshakeTimeout how long a client may take to choose
     * @param tls who begins TLS; empty: nobody
     * @param tlsRequired whether clients must
     */
    public record Service(
            List<NbdExport> exports,
            int maxConnections,
            Duration handshakeTimeout,
            Optional<TlsAcceptor> tls,
            boolean tlsRequired) {
        /** Without TLS. */
        public Service(List<NbdExport> exports, int maxConnections, Duration handshakeTimeout) {
            this(exports, maxConnections, handshakeTimeout, Optional.empty(), false);
        }

        TlsSettings.Mode tlsMode() {
            if (tls.isEmpty()) {
                return TlsSettings.Mode.OFF;
            }
            return tlsRequired ? TlsSettings.Mode.REQUIRE : TlsSettings.Mode.ALLOW;
        }
    }

    private static final int ACCEPTED_AT_ONCE = 16;
    private static final long RETRY_NANOS = 100_000_000;

    private final Loop loop;
    private final Service service;
    private final SlabPool pool;
    private final BiConsumer<NbdExport, NbdConnection> onConnection;
    private final List<ServerSocketChannel> channels = new CopyOnWriteArrayList<>();
    private final Map<ServerSocketChannel, SelectionKey> keys = new HashMap<>();
    private final Set<Object> connections = ConcurrentHashMap.newKeySet();
    private final LogQuota log = new LogQuota();

    private volatile boolean stopping;

    /** A listener on no socket yet; {@code onConnection} is called on the loop. */
    public NbdListener(Loop loop, Service service, SlabPool pool, BiConsumer<NbdExport, NbdConnection> onConnection) {
        this.loop = loop;
        this.service = service;
        this.pool = pool;
        this.onConnection = onConnection;
    }

    /** Accepts on a bound channel too. Any thread. */
    public void listen(ServerSocketChannel channel) throws IOException {
        channel.configureBlocking(false);
        channels.add(channel);
        loop.execute(() -> {
            if (channel.isOpen()) {
                keys.put(channel, loop.register(channel, SelectionKey.OP_ACCEPT, operations -> accept(channel)));
            }
        });
    }

    /** Connections at present, those that still negotiate included. */
    public int connections() {
        return connections.size();
    }

    private void accept(ServerSocketChannel channel) {
        try {
            for (var i = 0; i < ACCEPTED_AT_ONCE; i++) {
                var socket = channel.accept();
                if (socket == null) {
                    return;
                }
                greet(socket);
            }
        } catch (IOException e) {
            if (channel.isOpen()) {
                say(more -> LOG.warn("accepting a connection failed, trying again soon: {}{}", e.getMessage(), more));
                pause(channel);
            }
        }
    }

    /** Out of file descriptors, say: the channel stays ready, so it is not looked at for a while. */
    private void pause(ServerSocketChannel channel) {
        var key = keys.get(channel);
        assert key != null : channel;
        key.interestOps(0);
        loop.arm(
                new Deadline(() -> {
                    if (key.isValid()) {
                        key.interestOps(SelectionKey.OP_ACCEPT);
                    }
                }),
                loop.clock().nanos() + RETRY_NANOS);
    }

    private void say(Consumer<String> line) {
        log.say(loop.clock().nanos(), line);
    }

    private void greet(SocketChannel socket) {
        try {
            if (connections.size() >= service.maxConnections()) {
                say(more -> LOG.warn(
                        "refused a connection: {} are open, and exports.nbd.max-connections allows no more{}",
                        service.maxConnections(),
                        more));
                socket.close();
                return;
            }
            var transport = new SocketTransport(socket);
            var negotiation = new NbdNegotiation(transport, service, loop, this::chosen, connections::remove, log);
            connections.add(negotiation);
            // Not from within the selection: registering with it needs the loop itself.
            loop.execute(negotiation::start);
        } catch (IOException e) {
            LOG.debug("a connection was gone before it was greeted", e);
            close(socket);
        }
    }

    private static void close(Channel channel) {
        try {
            channel.close();
        } catch (IOException e) {
            LOG.warn("closing {} failed: {}", channel, e.getMessage());
        }
    }

    private void chosen(NbdNegotiation negotiation, NbdSession session) {
        var connection = new NbdConnection(negotiation.transport(), session, pool, negotiation.early(), this::ended);
        connections.add(connection);
        connections.remove(negotiation);
        if (stopping) {
            connection.close("the host is stopping");
        } else {
            onConnection.accept(session.export(), connection);
        }
    }

    /** Told on the connection's own loop. */
    private void ended(NbdConnection connection) {
        connections.remove(connection);
        say(more -> LOG.info("{} ended: {}{}", connection, connection.closedBecause(), more));
    }

    /** Stops accepting, and ends the connections that still negotiate. */
    @Override
    public void close() {
        stopping = true;
        channels.forEach(NbdListener::close);
        loop.execute(() -> {
            for (var connection : connections) {
                if (connection instanceof NbdNegotiation negotiation) {
                    negotiation.shutDown();
                }
            }
        });
    }
}
