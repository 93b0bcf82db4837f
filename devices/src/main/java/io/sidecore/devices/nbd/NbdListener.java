package io.sidecore.devices.nbd;

import io.sidecore.actors.block.SlabPool;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.devices.transport.SocketTransport;
import java.io.IOException;
import java.nio.channels.SelectionKey;
import java.nio.channels.ServerSocketChannel;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.BiConsumer;
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
     */
    public record Service(List<NbdExport> exports, int maxConnections, Duration handshakeTimeout) {}

    private final CoreLoop loop;
    private final Service service;
    private final SlabPool pool;
    private final BiConsumer<NbdExport, NbdConnection> onConnection;
    private final List<ServerSocketChannel> channels = new CopyOnWriteArrayList<>();
    private final Set<Object> connections = ConcurrentHashMap.newKeySet();

    /** A listener on no socket yet; {@code onConnection} is called on the loop. */
    public NbdListener(
            CoreLoop loop, Service service, SlabPool pool, BiConsumer<NbdExport, NbdConnection> onConnection) {
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
                loop.register(channel, SelectionKey.OP_ACCEPT, operations -> accept(channel));
            }
        });
    }

    /** Connections at present, those that still negotiate included. */
    public int connections() {
        return connections.size();
    }

    private void accept(ServerSocketChannel channel) {
        try {
            for (var socket = channel.accept(); socket != null; socket = channel.accept()) {
                if (connections.size() >= service.maxConnections()) {
                    LOG.warn(
                            "refused a connection: {} are open, and exports.nbd.max-connections allows no more",
                            connections.size());
                    socket.close();
                    continue;
                }
                var transport = new SocketTransport(socket);
                var negotiation = new NbdNegotiation(transport, service, loop, this::chosen, connections::remove);
                connections.add(negotiation);
                // Not from within the selection: registering with it needs the loop itself.
                loop.execute(negotiation::start);
            }
        } catch (IOException e) {
            LOG.warn("accepting a connection failed: {}", e.getMessage());
        }
    }

    private void chosen(NbdNegotiation negotiation, NbdExport export) {
        var connection =
                new NbdConnection(negotiation.transport(), export, pool, negotiation.early(), connections::remove);
        connections.add(connection);
        connections.remove(negotiation);
        onConnection.accept(export, connection);
    }

    /** Stops accepting, and ends the connections that still negotiate. */
    @Override
    public void close() {
        for (var channel : channels) {
            try {
                channel.close();
            } catch (IOException e) {
                LOG.warn("closing {} failed: {}", channel, e.getMessage());
            }
        }
        loop.execute(() -> {
            for (var connection : connections) {
                if (connection instanceof NbdNegotiation negotiation) {
                    negotiation.close();
                }
            }
        });
    }
}
