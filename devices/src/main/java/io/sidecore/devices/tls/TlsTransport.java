package io.sidecore.devices.tls;

import io.sidecore.actors.core.Loop;
import io.sidecore.devices.transport.Transport;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.security.Principal;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Supplier;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSession;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * TLS 1.2 and 1.3 (RFC 5246, RFC 8446) over another transport, the server's side, by the JDK's {@link SSLEngine}. Everything happens on the loop, but what a handshake computes, which a few other threads do.
 *
 * <p>Bytes are bounded: {@link #IN} received and not yet decrypted, {@link #OUT} encrypted and not yet sent; a quarter of that until more is needed. Records are read and written many at a time, one system call for all that fit. Both buffers are on the heap: the
 * JDK's AES-GCM works on arrays and copies other memory through them (measured on records of 16 KiB: 2.4 GB/s in an array, 1.4 to 2.0 in direct memory); the channel's copy out of and into them is the only one more.
 *
 * <p>Until the handshake is over nothing can be read or written; the listener is told when that changes, or when it failed. The end of the stream is the peer's close_notify, or the end of the transport below: a protocol with lengths of
 * its own, as NBD is, notices a truncation by itself.
 */
public final class TlsTransport implements Transport, Transport.Listener {
    private static final Logger LOG = LoggerFactory.getLogger(TlsTransport.class);

    /** Bytes of a record's header, the last two of which are the length of what follows (RFC 8446, 5.1). */
    private static final int HEADER = 5;

    private static final int LENGTH_AT = 3;
    /** What may follow: 2^14 bytes, and what TLS 1.2 allows encryption to add (RFC 5246, 6.2.3); TLS 1.3 allows less. */
    private static final int MAX_FRAGMENT = (16 << 10) + 2048;

    /** Received and not decrypted, at most, and at first: many records, and one. A connection that never sends much at once stays small. */
    static final int IN = 128 << 10;

    private static final int IN_FIRST = 20 << 10;

    /** Room that the JDK wants to see before it makes a record, twice: with what others write, and then with what TLS itself has to say. */
    private static final int RESERVE = 2 * ((16 << 10) + 512);

    /** Encrypted and not sent, at most, and at first. */
    static final int OUT = (128 << 10) + RESERVE;

    private static final int OUT_FIRST = (16 << 10) + RESERVE;

    /** What a record decrypts to, at most; the JDK wants a byte more for the content type of TLS 1.3. */
    private static final int SPILL = (16 << 10) + 256;

    /** Records without content in a row: what key updates, or nothing at all, cost is far more than what it costs to send them. */
    private static final int MAX_EMPTY = 32;

    /** Times in a row that one call reads from below: a peer that sends records without content gets no more of the loop. */
    private static final int REFILLS = 16;

    private static final ByteBuffer[] NOTHING = {ByteBuffer.allocate(0)};

    private final Transport below;
    private final Supplier<SSLEngine> engines;
    private final Executor elsewhere;
    /** Between position and limit: received, not decrypted. */
    private ByteBuffer in = ByteBuffer.allocate(IN_FIRST).limit(0);
    /** Up to its position: encrypted; of that, before {@link #outSent}: sent. */
    private ByteBuffer out = ByteBuffer.allocate(OUT_FIRST);

    private ByteBuffer outView = out.duplicate();
    /** Between position and limit: decrypted, and more than the reader had room for. */
    private ByteBuffer spill = ByteBuffer.allocate(0);

    private final ByteBuffer[] spillOnly = {spill};
    private final ByteBuffer[] one = new ByteBuffer[1];

    private volatile Loop loop;
    private Listener listener;
    /** Null until it has been begun; nothing that needs it happens before. */
    @SuppressWarnings("NullAway.Init")
    private SSLEngine engine;

    private int outSent;
    /** The last read from below found less than there was room for. */
    private boolean drained;
    /** It found as much. */
    private boolean crowded;
    /** Records in a row that had no content. */
    private int empty;

    /** Bytes of the writer that are encrypted in {@link #out}, and were not reported as written. */
    private long unreported;

    private boolean wantsRead;
    private boolean wantsWrite;
    private boolean attached;
    private int attachments;
    private boolean wakeDue;
    private Runnable wake;
    /** Another thread has the engine. */
    private boolean busy;

    private boolean open;
    private boolean ended;
    private boolean goodbye;
    /** The transport below is to end its output once all is sent. */
    private boolean endDue;

    private boolean closed;
    private @Nullable IOException failure;

    /**
     * Over a transport on which the peer is about to say hello. Nothing is sent or read before {@link #attach}.
     *
     * @param engines makes the engine; called by {@code elsewhere}
     * @param elsewhere runs what takes long
     */
    TlsTransport(Transport below, Supplier<SSLEngine> engines, Executor elsewhere) {
        this.below = below;
        this.engines = engines;
        this.elsewhere = elsewhere;
    }

    // --- on a loop
    // -----------------------------------------------------------------------------------------------------

    @Override
    public void attach(Loop on, Listener told) {
        loop = on;
        listener = told;
        attached = true;
        var number = ++attachments;
        wake = () -> woken(number);
        wakeDue = false;
        below.attach(on, this);
        if (engine == null && !busy && failure == null) {
            elsewhere(this::begin);
        }
        watch();
    }

    @Override
    public void detach() {
        attached = false;
        attachments++;
        below.detach();
    }

    @Override
    public void interest(boolean read, boolean write) {
        wantsRead = read;
        wantsWrite = write;
        watch();
        wakeIfDue();
    }

    /** What of the transport below matters now. */
    private void watch() {
        if (attached) {
            below.interest(
                    !busy && (!open || wantsRead) && !ended && failure == null,
                    failure == null && (hasUnsent() || open && wantsWrite));
        }
    }

    /** What was received together with bytes that were read already is not announced from below once more, and nothing is once it has failed. */
    private void wakeIfDue() {
        if (attached && !wakeDue && (wantsRead && isBuffered() || wantsWrite && failure != null)) {
            wakeDue = true;
            loop.execute(wake);
        }
    }

    private void woken(int of) {
        // After a move the new loop has a task of its own.
        if (of == attachments) {
            wakeDue = false;
            if (wantsWrite && failure != null) {
                listener.writable();
            } else if (wantsRead && isBuffered()) {
                listener.readable();
            }
            wakeIfDue();
        }
    }

    /** Whether {@link #read} has something to say without reading from below. */
    private boolean isBuffered() {
        return failure != null || open && (ended || spill.hasRemaining() || hasRecord());
    }

    @Override
    public void readable() {
        if (open) {
            listener.readable();
            wakeIfDue();
        } else if (!busy) {
            handshake();
        }
    }

    @Override
    public void writable() {
        try {
            if (!flush()) {
                return;
            }
            if (endDue) {
                endDue = false;
                below.endOutput();
            }
        } catch (IOException e) {
            fail(e);
            return;
        }
        watch();
        if (!open) {
            if (!busy) {
                handshake();
            }
        } else if (wantsWrite) {
            listener.writable();
        }
    }

    @Override
    public boolean poll() {
        return open && listener.poll();
    }

    @Override
    public boolean expectsRest() {
        return open && listener.expectsRest();
    }

    // --- the handshake
    // -------------------------------------------------------------------------------------------------

    /** As far as it goes without waiting. */
    private void handshake() {
        try {
            while (!closed && engine != null) {
                switch (engine.getHandshakeStatus()) {
                    case NEED_TASK -> {
                        elsewhere(this::compute);
                        return;
                    }
                    case NEED_WRAP -> wrapOwn();
                    case NEED_UNWRAP, NEED_UNWRAP_AGAIN -> {
                        flush();
                        if (!unwrapOwn()) {
                            watch();
                            return;
                        }
                    }
                    case FINISHED, NOT_HANDSHAKING -> {
                        opened();
                        return;
                    }
                }
            }
        } catch (IOException e) {
            sayWhy();
            fail(new IOException("its TLS handshake failed: " + e.getMessage(), e));
        }
    }

    /** One record more of the peer's; false if there is none yet. */
    private boolean unwrapOwn() throws IOException {
        while (true) {
            var result = engine.unwrap(in, spillOnly, 0, 0);
            if (result.getStatus() == SSLEngineResult.Status.CLOSED) {
                throw new EOFException("the peer ended it");
            }
            if (result.getStatus() != SSLEngineResult.Status.BUFFER_UNDERFLOW) {
                return true;
            }
            var bytes = fill();
            if (bytes < 0) {
                throw new EOFException("the peer closed the connection");
            }
            if (bytes == 0) {
                return false;
            }
        }
    }

    private void begin() throws IOException {
        engine = engines.get();
        engine.beginHandshake();
    }

    private void compute() {
        for (Runnable task; (task = engine.getDelegatedTask()) != null; ) {
            task.run();
        }
    }

    /** What another thread does with the engine. */
    private interface Work {
        void run() throws IOException;
    }

    private void elsewhere(Work task) {
        busy = true;
        watch();
        try {
            elsewhere.execute(() -> {
                IOException refused = null;
                try {
                    task.run();
                } catch (IOException | RuntimeException e) {
                    LOG.error("{}: its handshake cannot be computed", this, e);
                    refused = new IOException("its TLS handshake cannot be computed: " + e.getMessage(), e);
                }
                handBack(refused);
            });
        } catch (RejectedExecutionException e) {
            busy = false;
            fail(new IOException("too many TLS handshakes at the same time", e));
        }
    }

    private void handBack(@Nullable IOException refused) {
        var on = loop;
        try {
            on.execute(() -> {
                if (on != loop) {
                    handBack(refused);
                    return;
                }
                busy = false;
                if (closed) {
                    return;
                }
                if (refused != null) {
                    fail(refused);
                } else {
                    handshake();
                }
            });
        } catch (RejectedExecutionException e) {
            LOG.debug("{}: its loop ended during its handshake", this, e);
        }
    }

    private void opened() throws IOException {
        open = true;
        flush();
        var session = engine.getSession();
        LOG.debug("{}: {}, {}{}", this, session.getProtocol(), session.getCipherSuite(), client(session));
        watch();
        if (wantsWrite) {
            listener.writable();
        }
        wakeIfDue();
    }

    private static String client(SSLSession session) {
        try {
            Principal peer = session.getPeerPrincipal();
            return ", client " + peer.getName();
        } catch (SSLPeerUnverifiedException nobodyAsked) {
            return "";
        }
    }

    /** It cannot go on: whoever reads or writes is told, and told to do so. */
    private void fail(IOException e) {
        var first = failure == null;
        if (first) {
            failure = e;
        }
        watch();
        if (first && attached) {
            // Who waits to write may not read before it has written.
            if (wantsWrite) {
                listener.writable();
            } else {
                listener.readable();
            }
        }
    }

    /** The alert that says why, as far as it still goes out. */
    private void sayWhy() {
        try {
            if (engine.getHandshakeStatus() == SSLEngineResult.HandshakeStatus.NEED_WRAP) {
                wrapOwn();
                flush();
            }
        } catch (IOException e) {
            LOG.debug("{}: the peer could not be told why", this, e);
        }
    }

    // --- reading
    // -------------------------------------------------------------------------------------------------------

    @Override
    public int read(ByteBuffer into) throws IOException {
        one[0] = into;
        return (int) read(one);
    }

    @Override
    public long read(ByteBuffer[] into) throws IOException {
        if (failure != null) {
            throw failure;
        }
        if (!open) {
            return 0;
        }
        if (goodbye) {
            return ended || dropAll() < 0 ? -1 : 0;
        }
        var before = room(into);
        try {
            readInto(into);
        } catch (IOException e) {
            sayWhy();
            failure = e;
            if (room(into) == before) {
                throw e;
            }
        }
        if (hasUnsent() || ended) {
            watch();
        }
        var bytes = before - room(into);
        return bytes == 0 && ended ? -1 : bytes;
    }

    private void readInto(ByteBuffer[] into) throws IOException {
        var refills = 0;
        drained = false;
        while (true) {
            if (spill.hasRemaining()) {
                move(spill, into);
            }
            if (ended || room(into) == 0) {
                return;
            }
            if (hasRecord()) {
                decrypt(into);
            } else if (drained || refills++ == REFILLS) {
                return;
            } else {
                if (fill() < 0) {
                    ended = true;
                    LOG.debug("{}: it was closed without a close_notify", this);
                }
            }
        }
    }

    /** Whether a whole record was received; one that is longer than allowed counts too, so that it is refused. */
    private boolean hasRecord() {
        var there = in.remaining();
        if (there < HEADER) {
            return false;
        }
        var fragment = in.getShort(in.position() + LENGTH_AT) & 0xffff;
        return there >= HEADER + fragment || fragment > MAX_FRAGMENT;
    }

    private void decrypt(ByteBuffer[] into) throws IOException {
        var fragment = in.getShort(in.position() + LENGTH_AT) & 0xffff;
        if (fragment > MAX_FRAGMENT) {
            throw new SSLException("a TLS record of " + fragment + " bytes");
        }
        var result = engine.unwrap(in, into, 0, into.length);
        if (result.getStatus() == SSLEngineResult.Status.BUFFER_OVERFLOW) {
            makeSpill();
            try {
                result = engine.unwrap(in, spillOnly, 0, 1);
            } finally {
                spill.flip();
            }
        }
        switch (result.getStatus()) {
            case CLOSED -> ended = true;
            case OK -> {
                empty = result.bytesProduced() > 0 ? 0 : empty + 1;
                if (empty > MAX_EMPTY) {
                    throw new SSLException("more than " + MAX_EMPTY + " TLS records in a row without content");
                }
            }
            // Neither can be: a whole record is there, and room for it.
            case BUFFER_OVERFLOW, BUFFER_UNDERFLOW ->
                throw new SSLException("a TLS record of " + fragment + " bytes cannot be decrypted: " + result);
        }
        tend(result.getHandshakeStatus());
    }

    private void makeSpill() {
        if (spill.capacity() == 0) {
            spill = ByteBuffer.allocate(SPILL);
            spillOnly[0] = spill;
        }
        spill.clear();
    }

    /** Reads from below behind what is there; bytes read, −1 at the end. */
    private int fill() throws IOException {
        if (crowded && in.capacity() < IN) {
            in = ByteBuffer.allocate(IN).put(in);
        } else if (in.hasRemaining()) {
            in.compact();
        } else {
            in.clear();
        }
        try {
            var bytes = below.read(in);
            drained = in.hasRemaining();
            crowded = !drained;
            return bytes;
        } finally {
            in.flip();
        }
    }

    /** After the goodbye nothing is decrypted any more. */
    private int dropAll() throws IOException {
        spill.clear().limit(0);
        in.clear().limit(0);
        var bytes = 0;
        for (var refills = 0; refills < REFILLS && (bytes = fill()) > 0; refills++) {
            in.clear().limit(0);
        }
        return bytes;
    }

    private static void move(ByteBuffer from, ByteBuffer[] into) {
        for (var i = 0; i < into.length && from.hasRemaining(); i++) {
            var bytes = Math.min(from.remaining(), into[i].remaining());
            into[i].put(into[i].position(), from, from.position(), bytes);
            into[i].position(into[i].position() + bytes);
            from.position(from.position() + bytes);
        }
    }

    private static long room(ByteBuffer[] buffers) {
        var bytes = 0L;
        for (var buffer : buffers) {
            bytes += buffer.remaining();
        }
        return bytes;
    }

    /** What TLS itself has to say between the bytes of others: an answer to a key update, a session ticket, a close_notify. */
    private void tend(SSLEngineResult.HandshakeStatus status) throws IOException {
        while (status == SSLEngineResult.HandshakeStatus.NEED_WRAP) {
            if (wrapOwn() == SSLEngineResult.Status.CLOSED) {
                break;
            }
            status = engine.getHandshakeStatus();
        }
        if (status == SSLEngineResult.HandshakeStatus.NEED_TASK) {
            // TLS 1.2 alone: nothing of NBD needs it, and it costs the server far more than the client.
            throw new SSLException("the client began a renegotiation");
        }
        flush();
    }

    // --- writing
    // -------------------------------------------------------------------------------------------------------

    @Override
    public int write(ByteBuffer from) throws IOException {
        one[0] = from;
        return (int) write(one, 1);
    }

    /**
     * {@inheritDoc}
     *
     * <p>Written is what has been handed on completely, so that nothing that was reported is lost by a close. What is encrypted and not yet handed on is kept, and must be offered again, as unwritten bytes always are; it is not
     * looked at again. The positions of the buffers may be further than what was written.
     */
    @Override
    public long write(ByteBuffer[] from, int count) throws IOException {
        if (failure != null) {
            throw failure;
        }
        if (!open || !flush()) {
            return 0;
        }
        skip(from, count, unreported);
        var written = unreported;
        unreported = 0;
        try {
            while (encrypt(from, count)) {
                if (!flush()) {
                    break;
                }
                written += unreported;
                unreported = 0;
            }
        } catch (IOException e) {
            failure = e;
            throw e;
        }
        if (hasUnsent()) {
            watch();
        }
        return written;
    }

    /** As many records as there is room for; whether there is something to hand on. */
    private boolean encrypt(ByteBuffer[] from, int count) throws IOException {
        while (hasRemaining(from, count) && hasRoom()) {
            var result = engine.wrap(from, 0, count, out);
            unreported += result.bytesConsumed();
            if (result.getStatus() == SSLEngineResult.Status.BUFFER_OVERFLOW) {
                break;
            }
            if (result.getStatus() == SSLEngineResult.Status.CLOSED) {
                throw new IOException("the client has closed its TLS session");
            }
            if (result.getHandshakeStatus() == SSLEngineResult.HandshakeStatus.NEED_WRAP) {
                tend(result.getHandshakeStatus());
            }
        }
        return hasUnsent();
    }

    private boolean hasRoom() {
        if (out.remaining() >= RESERVE) {
            return true;
        }
        if (out.capacity() == OUT) {
            return false;
        }
        out = ByteBuffer.allocate(OUT).put(out.flip());
        outView = out.duplicate();
        return true;
    }

    private static boolean hasRemaining(ByteBuffer[] from, int count) {
        for (var i = 0; i < count; i++) {
            if (from[i].hasRemaining()) {
                return true;
            }
        }
        return false;
    }

    private static void skip(ByteBuffer[] from, int count, long bytes) {
        for (var i = 0; i < count && bytes > 0; i++) {
            var here = (int) Math.min(bytes, from[i].remaining());
            from[i].position(from[i].position() + here);
            bytes -= here;
        }
    }

    /** A record of TLS's own. */
    private SSLEngineResult.Status wrapOwn() throws IOException {
        var result = engine.wrap(NOTHING, 0, 1, out);
        if (result.getStatus() == SSLEngineResult.Status.BUFFER_OVERFLOW && !flush()) {
            // The handshake's answers fit many times; the peer provokes others without taking any.
            throw new SSLException("the client does not take what it asks for");
        }
        return result.getStatus();
    }

    private boolean hasUnsent() {
        return outSent < out.position();
    }

    /** Hands on what is encrypted; whether all of it went. */
    private boolean flush() throws IOException {
        if (!hasUnsent()) {
            return true;
        }
        outView.limit(out.position()).position(outSent);
        below.write(outView);
        outSent = outView.position();
        if (hasUnsent()) {
            return false;
        }
        out.clear();
        outSent = 0;
        return true;
    }

    // --- the end
    // -------------------------------------------------------------------------------------------------------

    @Override
    public void endOutput() throws IOException {
        sayGoodbye();
        if (hasUnsent()) {
            endDue = true;
            watch();
        } else {
            below.endOutput();
        }
    }

    /** As far as that goes without waiting (RFC 8446, 6.1). */
    private void sayGoodbye() throws IOException {
        if (!goodbye && !busy && engine != null && failure == null) {
            goodbye = true;
            engine.closeOutbound();
            engine.wrap(NOTHING, 0, 1, out);
            flush();
        }
    }

    /** Says goodbye, and closes. */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        try {
            sayGoodbye();
        } catch (IOException e) {
            LOG.debug("{}: no goodbye", this, e);
        }
        below.close();
    }

    @Override
    public String toString() {
        return "TLS over " + below;
    }
}
