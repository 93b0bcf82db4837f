package io.sidecore.it.simulation;

import io.sidecore.actors.core.Loop;
import io.sidecore.devices.transport.Transport;
import java.nio.ByteBuffer;
import java.util.SplittableRandom;

/** One end of a byte stream in memory. Bytes pass in pieces of random size; readiness is told through the loops, as a selector would. For one thread. */
final class SimulatedTransport implements Transport {
    private final SplittableRandom random;
    private final ByteBuffer inbox;
    private SimulatedTransport peer;
    private Loop loop;
    private Listener listener;
    private boolean reads;
    private boolean writes;
    private boolean told;
    private boolean outputEnded;
    private boolean closed;

    private SimulatedTransport(SplittableRandom random, int capacity) {
        this.random = random;
        this.inbox = ByteBuffer.allocate(capacity);
    }

    /** A pair that holds more or less than an answer at once, as its seed says. */
    static SimulatedTransport[] pair(SplittableRandom random) {
        return pair(random, random.nextBoolean() ? 64 << 10 : 256 << 10);
    }

    /** A pair that holds {@code capacity} bytes in each direction. */
    static SimulatedTransport[] pair(SplittableRandom random, int capacity) {
        var a = new SimulatedTransport(random, capacity);
        var b = new SimulatedTransport(random, capacity);
        a.peer = b;
        b.peer = a;
        return new SimulatedTransport[] {a, b};
    }

    @Override
    public String toString() {
        return "reads " + reads + " writes " + writes + " inbox " + inbox + " peer reads " + peer.reads + " writes "
                + peer.writes + " inbox " + peer.inbox;
    }

    @Override
    public void attach(Loop loop, Listener listener) {
        this.loop = loop;
        this.listener = listener;
        tell();
    }

    @Override
    public void detach() {
        loop = null;
    }

    @Override
    public void interest(boolean read, boolean write) {
        reads = read;
        writes = write;
        tell();
    }

    private boolean readable() {
        return reads && (inbox.position() > 0 || peer.outputEnded);
    }

    private boolean writable() {
        return writes && (peer.inbox.hasRemaining() || peer.closed);
    }

    /** Level-triggered: told again as long as it is so. */
    private void tell() {
        if (loop == null || told || closed || !(readable() || writable())) {
            return;
        }
        told = true;
        var at = loop;
        at.execute(() -> {
            told = false;
            if (loop == at && !closed) {
                if (writable()) {
                    listener.writable();
                }
                if (readable() && !closed) {
                    listener.readable();
                }
            }
            tell();
        });
    }

    @Override
    public int read(ByteBuffer into) {
        if (inbox.position() == 0) {
            return peer.outputEnded ? -1 : 0;
        }
        inbox.flip();
        var n = Math.min(Math.min(inbox.remaining(), into.remaining()), piece());
        into.put(inbox.slice(0, n));
        inbox.position(n);
        inbox.compact();
        peer.tell();
        return n;
    }

    @Override
    public int write(ByteBuffer from) {
        if (peer.closed) {
            var all = from.remaining();
            from.position(from.limit());
            return all;
        }
        var n = Math.min(Math.min(peer.inbox.remaining(), from.remaining()), piece());
        peer.inbox.put(from.slice(from.position(), n));
        from.position(from.position() + n);
        peer.tell();
        return n;
    }

    @Override
    public long read(ByteBuffer[] into) {
        var all = 0L;
        for (var one : into) {
            var n = read(one);
            if (n < 0) {
                return all == 0 ? -1 : all;
            }
            all += n;
            if (one.hasRemaining()) {
                break;
            }
        }
        return all;
    }

    @Override
    public long write(ByteBuffer[] from, int count) {
        var all = 0L;
        for (var i = 0; i < count; i++) {
            all += write(from[i]);
            if (from[i].hasRemaining()) {
                break;
            }
        }
        return all;
    }

    private int piece() {
        return random.nextInt(4) == 0 ? 1 + random.nextInt(2_000) : Integer.MAX_VALUE;
    }

    @Override
    public void endOutput() {
        outputEnded = true;
        peer.tell();
    }

    @Override
    public void close() {
        closed = true;
        endOutput();
    }
}
