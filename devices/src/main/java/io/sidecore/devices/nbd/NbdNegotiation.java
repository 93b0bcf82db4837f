package io.sidecore.devices.nbd;

import io.sidecore.actors.core.Deadline;
import io.sidecore.actors.core.Loop;
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

    private Transport transport;
    private final NbdHandshake handshake;
    private final NbdListener.Service service;
    private final Loop loop;
    private final BiConsumer<NbdNegotiation, NbdSession> onChosen;
    private final Consumer<NbdNegotiation> onClosed;
    private final LogQuota log;
    private final ByteBuffer in = ByteBuffer.allocate(2 * NbdHandshake.MAX_OPTION);
    private final Deadline timeout = new Deadline(() -> close("it chose no export in time"));
    private boolean over;

    NbdNegotiation(
            Transport transport,
            NbdListener.Service service,
            Loop loop,
            BiConsumer<NbdNegotiation, NbdSession> onChosen,
            Consumer<NbdNegotiation> onClosed,
            LogQuota log) {
        this.transport = transport;
        this.service = service;
        this.loop = loop;
        this.onChosen = onChosen;
        this.onClosed = onClosed;
        this.log = log;
        this.handshake = new NbdHandshake(service.exports(), service.tlsMode());
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
        if (over || handshake.startsTls()) {
            // What comes behind STARTTLS is TLS, or injected: it is not for us to read.
            return;
        }
        try {
            var bytes = transport.read(in);
            if (bytes < 0) {
                close("the client left without choosing an export");
                return;
            }
            feed();
            proceed();
        } catch (NbdProtocolException | IOException e) {
            close(e.getMessage());
        }
    }

    private void feed() throws NbdProtocolException {
        in.flip();
        handshake.feed(in);
        in.compact();
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
            send();
            while (!handshake.output().hasRemaining() && !handshake.done() && in.position() > 0) {
                // What it held back while there was much to send.
                var before = in.position();
                feed();
                send();
                if (in.position() == before) {
                    break;
                }
            }
            var unsent = handshake.output().hasRemaining();
            if (!unsent && handshake.done()) {
                finish();
            } else if (!unsent && handshake.startsTls()) {
                transport.interest(false, false);
                // Not from within the selection: registering with it again needs the loop itself.
                loop.execute(this::secure);
            } else {
                // A client that does not take our answers gets no more of them.
                transport.interest(!unsent, unsent);
            }
        } catch (NbdProtocolException | IOException e) {
            close(e.getMessage());
        }
    }

    private void send() throws IOException {
        var out = handshake.output();
        if (out.hasRemaining()) {
            handshake.sent(transport.write(out));
        }
    }

    private void secure() {
        if (over) {
            return;
        }
        if (in.position() > 0) {
            // The handshake refuses this already; to take it for the client's would undo all that follows.
            close(in.position() + " bytes came in plain before TLS began");
            return;
        }
        transport.detach();
        transport = service.tls().orElseThrow().accept(transport);
        handshake.secured();
        transport.attach(loop, this);
        transport.interest(true, false);
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
        log.say(
                loop.clock().nanos(),
                more -> LOG.info("connection {} ended in its handshake: {}{}", transport, reason, more));
        close();
    }

    /** Ends it because the host stops: what the client has asked already is refused in so many words, if it takes them at once. */
    void shutDown() {
        if (over) {
            return;
        }
        handshake.shutDown();
        readable();
        if (!over) {
            close("the host is stopping");
        }
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
