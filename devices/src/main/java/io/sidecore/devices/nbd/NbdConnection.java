package io.sidecore.devices.nbd;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.SlabPool;
import io.sidecore.actors.core.Deadline;
import io.sidecore.actors.vif.GuestEnd;
import io.sidecore.actors.vif.ServiceEnd;
import io.sidecore.actors.vif.Stages;
import io.sidecore.conf.Amounts;
import io.sidecore.devices.transport.Transport;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A connection in its transmission phase: the guest end of a queue. Thin: bytes between a {@link Transport} and {@link NbdTransmission}. */
public final class NbdConnection implements GuestEnd, Transport.Listener {
    private static final Logger LOG = LoggerFactory.getLogger(NbdConnection.class);

    /** Times in a row that it reads, or looks for requests behind refused ones. */
    private static final int MAX_ROUNDS = 16;

    /** Pieces of lent memory, and replies between them, that go in one system call. */
    private static final int PIECES = 16;

    /** So many unsent bytes do not wait for the end of the turn. */
    private static final int AT_ONCE = 64 << 10;

    /** A client that has sent nothing for so long has nothing more under way. */
    private static final long PAUSE_NANOS = 10_000_000;

    /** So long a client may take to hang up once it was told that nothing more comes. */
    private static final long LEAVE_NANOS = 1_000_000_000;

    /** So many bytes, taken or sent by the client, are worth another {@code send-timeout}. */
    private static final int PROGRESS = 64 << 10;

    private final Transport transport;
    private final NbdSession session;
    private final SlabPool pool;
    private final ByteBuffer early;
    private final Consumer<NbdConnection> onClosed;
    private final Runnable signal = this::signal;
    private final ByteBuffer[] pair = new ByteBuffer[2];
    private final ByteBuffer[] pieces = new ByteBuffer[PIECES];
    /** Said by the first attach; nothing else is asked of a guest end before. */
    @SuppressWarnings("NullAway.Init")
    private ServiceEnd queue;

    @SuppressWarnings("NullAway.Init")
    private NbdTransmission codec;

    private boolean mayRead = true;
    private boolean blocked;
    private final Patience answersWait = new Patience(this::unsentTooLong);
    private final Patience requestWaits = new Patience(this::halfTooLong);
    private final Farewell farewell = new Farewell();
    private boolean signalDue;
    private long sentBytes;
    private long receivedBytes;
    private boolean decodedMeanwhile;
    private boolean starvedBefore;
    private boolean broken;
    private boolean ending;
    private boolean closed;
    private String closedBecause = "";

    /**
     * A connection whose client has chosen an export.
     *
     * @param session what was agreed on
     * @param early what the client sent behind its choice
     * @param onClosed told when it has ended
     */
    public NbdConnection(
            Transport transport,
            NbdSession session,
            SlabPool pool,
            ByteBuffer early,
            Consumer<NbdConnection> onClosed) {
        this.onClosed = onClosed;
        this.transport = transport;
        this.session = session;
        this.pool = pool;
        this.early = early;
    }

    @Override
    public void attach(ServiceEnd queue) {
        if (codec == null) {
            this.queue = queue;
            codec = new NbdTransmission(session, queue.limits().inFlightBytes(), queue.ledger(), pool, lender(queue));
            var room = codec.receiveBuffer();
            assert room != null : session;
            var bytes = early.remaining();
            room.put(early);
            codec.received(bytes);
        }
        transport.attach(queue.loop(), this);
        answersWait.attach();
        requestWaits.attach();
        mayRead = true;
        transport.interest(true, blocked);
    }

    private static NbdTransmission.Lender lender(ServiceEnd queue) {
        return new NbdTransmission.Lender() {
            @Override
            public @Nullable MemorySegment lend(BlockOp op, long offset, int length) {
                return queue.lend(op, offset, length);
            }

            @Override
            public void settle(long offset, long length) {
                queue.settle(offset, length);
            }
        };
    }

    @Override
    public void detach() {
        if (signalDue) {
            queue.loop().cancelSignal(signal);
            signal();
        }
        answersWait.detach();
        requestWaits.detach();
        farewell.detach();
        transport.detach();
    }

    @Override
    public void readable() {
        mayRead = true;
        if (farewell.begun()) {
            farewell.hear();
            queue.ready();
        } else if (queue.wanted()) {
            queue.ready();
        } else {
            // Nobody wants it now; it stays in the socket, and the client feels it.
            transport.interest(false, blocked);
        }
    }

    @Override
    public boolean poll() {
        if (closed || mayRead || !queue.wanted() || blocked || codec.starved()) {
            return false;
        }
        var room = codec.receiveBuffer();
        if (room == null) {
            return false;
        }
        try {
            var wanted = room.remaining();
            var bytes = read(room);
            if (bytes == 0) {
                return false;
            }
            if (bytes > 0) {
                received(bytes);
            }
            // At the end of the stream the queue reads once more, and learns it.
            mayRead = bytes < 0 || bytes >= wanted;
        } catch (IOException e) {
            mayRead = true;
        }
        queue.ready();
        return true;
    }

    @Override
    public boolean expectsRest() {
        return !closed && codec.expectsRest();
    }

    @Override
    public void writable() {
        flush();
        if (!blocked) {
            transport.interest(false, false);
            queue.ready();
        }
    }

    @Override
    public @Nullable Request receive() {
        if (closed) {
            return null;
        }
        queue.stages().begin(queue.loop().taskNumber());
        try {
            return readAndDecode();
        } catch (NbdProtocolException e) {
            end("the client broke the protocol: " + e.getMessage());
        } catch (IOException e) {
            broken(e);
        } catch (RuntimeException e) {
            LOG.atError()
                    .addKeyValue("queue", queue.name())
                    .setCause(e)
                    .log("{}: its requests cannot be decoded", queue.name());
            codec.dropDecoded();
            end("its requests cannot be decoded: " + e.getMessage());
        }
        return null;
    }

    private @Nullable Request readAndDecode() throws IOException, NbdProtocolException {
        var rounds = 0;
        while (true) {
            if (blocked) {
                // The client does not take its answers: no more of its requests until it does.
                transport.interest(false, true);
                return null;
            }
            var chain = codec.decode(queue.generation());
            var refused = codec.refused() > 0;
            signalSoon();
            queue.stages().lap(Stages.DEMULTIPLEX);
            if (chain != null) {
                decodedMeanwhile = true;
                return chain;
            }
            if (codec.disconnected()) {
                end("the client disconnected");
                return null;
            }
            if (refused) {
                decodedMeanwhile = true;
                // Answered already, so there is room again: a client that sends nothing but nonsense gets its share of
                // the loop, no more.
                if (++rounds < MAX_ROUNDS) {
                    continue;
                }
                queue.ready();
                return null;
            }
            if (codec.starved() || !mayRead) {
                transport.interest(!codec.starved(), false);
                if (codec.halfReceived() && !requestWaits.begun()) {
                    expectRest();
                }
                return null;
            }
            var room = codec.receiveBuffer();
            if (room == null) {
                transport.interest(false, false);
                return null;
            }
            if (++rounds > MAX_ROUNDS) {
                // However much it sends, what is dropped included: others have their turn.
                queue.ready();
                return null;
            }
            var wanted = room.remaining();
            var bytes = read(room);
            queue.stages().lap(Stages.QUEUE);
            if (bytes < 0) {
                end("the client closed the connection");
                return null;
            }
            received(bytes);
            mayRead = bytes >= wanted;
        }
    }

    private void received(int bytes) {
        codec.received(bytes);
        receivedBytes += bytes;
    }

    /** A request has come in part. It holds memory, so its client may not take any time it likes for the rest. */
    private void expectRest() {
        decodedMeanwhile = false;
        requestWaits.begin(receivedBytes);
    }

    private void halfTooLong() {
        var came = receivedBytes - requestWaits.before();
        requestWaits.end();
        if (closed || broken || !codec.halfReceived()) {
            return;
        }
        // Where it is not the client who is waited for, the rest may be in the socket already.
        if (decodedMeanwhile
                || came >= PROGRESS
                || mayRead
                || blocked
                || codec.starved()
                || !queue.wanted()
                || poll()) {
            expectRest();
            return;
        }
        end("the client sent %d bytes of a request in %s, and the rest did not come"
                .formatted(came, Amounts.duration(queue.limits().sendTimeout())));
    }

    private int read(ByteBuffer room) throws IOException {
        var behind = codec.receiveBehind();
        if (behind == null) {
            return transport.read(room);
        }
        pair[0] = room;
        pair[1] = behind;
        return (int) transport.read(pair);
    }

    @Override
    public void answer(Request chain) {
        starvedBefore |= codec.starved();
        while (chain != null) {
            var following = chain.unlink();
            codec.encode(chain);
            chain = following;
        }
        signalSoon();
    }

    /** Answers leave when the loop has done the rest of its turn; large ones at once, while they are in the caches. */
    private void signalSoon() {
        if (codec.pendingBytes() >= AT_ONCE) {
            send();
        } else if (!signalDue && codec.hasPending()) {
            signalDue = true;
            queue.loop().signal(signal);
        }
    }

    private void signal() {
        signalDue = false;
        send();
    }

    /** Sends answers, which may have made room for requests. */
    private void send() {
        flush();
        if (starvedBefore && !blocked) {
            starvedBefore = false;
            queue.ready();
        }
    }

    private void flush() {
        if (closed || broken) {
            return;
        }
        try {
            blocked = false;
            while (codec.hasPending()) {
                if (!(codec.scattered() ? flushScattered() : flushFirst())) {
                    blocked = true;
                    transport.interest(false, true);
                    beginWaiting();
                    return;
                }
            }
            answersWait.end();
            queue.stages().sent();
        } catch (IOException e) {
            broken(e);
        }
    }

    private boolean flushFirst() throws IOException {
        var bytes = codec.pending();
        assert bytes != null : this;
        var wanted = bytes.remaining();
        var written = transport.write(bytes);
        sent(written);
        return written == wanted;
    }

    private void sent(long bytes) {
        codec.sent(bytes);
        sentBytes += bytes;
    }

    private boolean flushScattered() throws IOException {
        var n = codec.gather(pieces);
        var wanted = 0L;
        for (var i = 0; i < n; i++) {
            wanted += pieces[i].remaining();
        }
        var written = transport.write(pieces, n);
        sent(written);
        return written == wanted;
    }

    /** The client does not take its answers as fast as they come. That is its right, within bounds: they hold memory. */
    private void beginWaiting() {
        if (!answersWait.begun() || sentBytes - answersWait.before() >= PROGRESS) {
            answersWait.begin(sentBytes);
        }
    }

    private void unsentTooLong() {
        // A socket tells of room only once there is much of it.
        writable();
        if (closed || broken || !answersWait.over()) {
            return;
        }
        end("the client took %d bytes of its answers in %s, and %d wait"
                .formatted(
                        sentBytes - answersWait.before(),
                        Amounts.duration(queue.limits().sendTimeout()),
                        codec.pendingBytes()));
    }

    /** How long the client is waited for; it goes on where the queue goes. */
    private final class Patience {
        private final Deadline deadline;
        private boolean begun;
        private long until;
        private long before;

        Patience(Runnable atEnd) {
            deadline = new Deadline(atEnd);
        }

        /** From now on, with so many bytes behind it. */
        void begin(long bytes) {
            begun = true;
            before = bytes;
            until = queue.loop().clock().nanos() + queue.limits().sendTimeout().toNanos();
            attach();
        }

        boolean begun() {
            return begun;
        }

        /** The bytes at its beginning. */
        long before() {
            return before;
        }

        boolean over() {
            return begun && until - queue.loop().clock().nanos() <= 0;
        }

        void end() {
            detach();
            begun = false;
        }

        void attach() {
            if (begun) {
                queue.loop().arm(deadline, until);
            }
        }

        void detach() {
            if (begun) {
                queue.loop().disarm(deadline);
            }
        }
    }

    private void broken(IOException e) {
        broken = true;
        end("the connection failed: " + e.getMessage());
        queue.ready();
    }

    @Override
    public void refuseRest() {
        if (!closed && !ending) {
            codec.shutDown();
            farewell.begin();
        }
    }

    @Override
    public boolean flushed() {
        flush();
        if (closed || broken) {
            return true;
        }
        farewell.listen();
        return !codec.hasPending() && (!farewell.begun() || farewell.over());
    }

    /**
     * The end on the host's part. What the client still asks is refused until it pauses, then it is told that nothing more comes, and listened to until it has hung up: a TCP connection that is closed with bytes unread is reset,
     * and the answers that its client has not read yet are lost with it (RFC 1122, 4.2.2.13). It has {@link #LEAVE_NANOS} for that; the queue says how long all of it may take.
     */
    private final class Farewell {
        private final Deadline pause = new Deadline(this::paused);
        private boolean begun;
        private boolean heard;
        private boolean said;
        private boolean over;

        void begin() {
            begun = true;
            hear();
            arm(PAUSE_NANOS);
        }

        boolean begun() {
            return begun;
        }

        /** The client has hung up, or cannot be understood. */
        boolean over() {
            return over;
        }

        /** Refuses what has come, or drops it once all has been said. */
        void hear() {
            if (closed) {
                return;
            }
            try {
                // Answers that wait hold memory: no more of them until the client takes some.
                over |= said ? dropped() : !blocked && refused();
            } catch (NbdProtocolException | IOException e) {
                LOG.debug("{}: what came while it ended was not answered: {}", queue.name(), e.getMessage());
                over = true;
            }
            listen();
        }

        /** Whether there is nobody any more who asks. */
        private boolean refused() throws NbdProtocolException, IOException {
            for (var rounds = 0; rounds < MAX_ROUNDS; rounds++) {
                codec.decode(queue.generation());
                if (codec.disconnected()) {
                    return true;
                }
                if (codec.refused() == 0) {
                    var room = codec.receiveBuffer();
                    var bytes = room == null ? 0 : read(room);
                    if (bytes <= 0) {
                        return bytes < 0;
                    }
                    codec.received(bytes);
                }
                heard = true;
            }
            return false;
        }

        /** Whether the client has hung up. */
        private boolean dropped() throws IOException {
            var dropped = ByteBuffer.allocate(AT_ONCE);
            for (var rounds = 0; rounds < MAX_ROUNDS; rounds++) {
                var bytes = transport.read(dropped.clear());
                if (bytes <= 0) {
                    return bytes < 0;
                }
            }
            return false;
        }

        private void paused() {
            if (said) {
                over = true;
                queue.ready();
                return;
            }
            hear();
            if (heard || codec.hasPending() || codec.halfReceived()) {
                arm(PAUSE_NANOS);
            } else if (!over) {
                said = true;
                arm(LEAVE_NANOS);
                try {
                    transport.endOutput();
                } catch (IOException e) {
                    LOG.debug("{}: its client could not be told of its end: {}", queue.name(), e.getMessage());
                    over = true;
                }
            }
            queue.ready();
        }

        private void arm(long nanos) {
            heard = false;
            queue.loop().arm(pause, queue.loop().clock().nanos() + nanos);
        }

        void listen() {
            if (begun && !closed && !broken) {
                transport.interest(!over && !blocked && !codec.starved(), blocked);
            }
        }

        void detach() {
            if (begun) {
                queue.loop().disarm(pause);
            }
        }
    }

    @Override
    public boolean renew(Request read, boolean alone) {
        if (blocked) {
            // Answers that wait hold memory: no more of it until the client takes them.
            return false;
        }
        if (codec.renew(read, alone)) {
            return true;
        }
        // What the client sends meanwhile stays in the socket.
        transport.interest(false, blocked);
        return false;
    }

    @Override
    public void release(Request orphan) {
        if (orphan.slab() != null) {
            codec.release(orphan.slab());
        }
        if (!closed && codec.starved()) {
            queue.ready();
        }
    }

    /** On the client's part, or for its fault: there is nobody left to whom a refusal would say something. */
    private void end(String reason) {
        ending = true;
        transport.interest(false, false);
        queue.close(reason);
    }

    @Override
    public void close(String reason) {
        if (closed) {
            return;
        }
        closed = true;
        closedBecause = reason;
        answersWait.end();
        requestWaits.end();
        transport.close();
        onClosed.accept(this);
        if (codec != null) {
            codec.close();
        }
    }

    /** Why it has ended; empty as long as it has not. On the loop. */
    String closedBecause() {
        return closedBecause;
    }

    /** The export through which its client came. */
    String export() {
        return session.export().name();
    }

    @Override
    public String toString() {
        return queue == null ? "export " + session.export().name() : queue.name();
    }
}
