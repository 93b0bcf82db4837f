package io.sidecore.devices.nbd;

import io.sidecore.actors.core.Loop;
import io.sidecore.actors.core.Deadline;
import io.sidecore.devices.transport.Transport;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A connection in its handshake phase, on a loop, with a time-out. */
final class NbdNegotiation implements Transport.Listener {
    private static final Logger LOG = LoggerFactory.getLogger(NbdNegotiation.class);

    private final Transport transport;
    private final NbdHandshake handshake;
    private final NbdListener.Service service;
    private final Loop loop;
    private final BiConsumer<NbdNegotiation, NbdExport> onChosen;
    private final Consumer<NbdNegotiation> onClosed;
    private final ByteBuffer in = ByteBuffer.allocate(2 * NbdHandshake.MAX_OPTION);
    private final Deadline timeout = new Deadline(() -> close("it chose no export in time"));
    private boolean over;

    NbdNegotiation(
            Transport transport,
            NbdListener.Service service,
            Loop loop,
            BiConsumer<NbdNegotiation, NbdExport> onChosen,
            Consumer<NbdNegotiation> onClosed) {
        this.transport = transport;
        this.service = service;
        this.loop = loop;
        this.onChosen = onChosen;
        this.onClosed = onClosed;
        this.handshake = new NbdHandshake(service.exports());
    }

    void start() {
        transport.attach(loop, this);
        loop.arm(timeout, loop.clock().nanos() + service.handshakeTimeout().toNanos());
        proceed();
    }

    Transport transport() {
        return transport;
    }

    /** What the client sent behind its choice. */
    ByteBuffer early() {
        return in;
    }

    @Override
    public void readable() {
        if (over) {
            return;
        }
        try {
            var bytes = transport.read(in);
            if (bytes < 0) {
                close("the client left without choosing an export");
                return;
            }
            in.flip();
            handshake.feed(in);
            in.compact();
            proceed();
        } catch (NbdProtocolException | IOException e) {
            close(e.getMessage());
        }
    }

    @Override
    public void writable() {
        proceed();
    }

    private void proceed() {
        if (over) {
            return;
        }
        try {
            var out = handshake.output();
            if (out.hasRemaining()) {
                handshake.sent(transport.write(out));
            }
            var unsent = handshake.output().hasRemaining();
            if (!unsent && handshake.done()) {
                finish();
            } else {
                // A client that does not take our answers gets no more of them.
                transport.interest(!unsent, unsent);
            }
        } catch (IOException e) {
            close(e.getMessage());
        }
    }

    private void finish() {
        var chosen = handshake.chosen();
        if (chosen.isEmpty()) {
            close("the client left without choosing an export");
            return;
        }
        over = true;
        loop.disarm(timeout);
        transport.interest(false, false);
        transport.detach();
        in.flip();
        onChosen.accept(this, chosen.get());
    }

    private void close(String reason) {
        LOG.info("connection {} ended in its handshake: {}", transport, reason);
        close();
    }

    /** Ends it without a choice. */
    void close() {
        if (!over) {
            over = true;
            loop.disarm(timeout);
            transport.detach();
            transport.close();
            onClosed.accept(this);
        }
    }
}
