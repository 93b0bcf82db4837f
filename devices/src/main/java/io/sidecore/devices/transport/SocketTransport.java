package io.sidecore.devices.transport;

import io.sidecore.actors.core.Loop;
import io.sidecore.actors.core.Readiness;
import java.io.IOException;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A TCP or Unix socket. */
public final class SocketTransport implements Transport, Readiness {
    private static final Logger LOG = LoggerFactory.getLogger(SocketTransport.class);

    private static final int UNIX_SEND_BUFFER = 4 << 20;

    private final SocketChannel channel;
    private Loop loop;
    private @Nullable SelectionKey key;
    private Listener listener;
    private int interest;

    /** Over a connected channel, which it makes non-blocking. */
    public SocketTransport(SocketChannel channel) throws IOException {
        this.channel = channel;
        channel.configureBlocking(false);
        if (channel.getLocalAddress() instanceof UnixDomainSocketAddress
                || channel.getRemoteAddress() instanceof UnixDomainSocketAddress) {
            // As much as the kernel allows: by default a reply of 256 KiB does not fit, and every one waits for the
            // client half-way.
            channel.setOption(StandardSocketOptions.SO_SNDBUF, UNIX_SEND_BUFFER);
        } else {
            channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
            // A client whose machine has vanished is noticed some day.
            channel.setOption(StandardSocketOptions.SO_KEEPALIVE, true);
        }
    }

    @Override
    public void attach(Loop loop, Listener listener) {
        this.loop = loop;
        this.listener = listener;
        this.key = loop.register(channel, interest, this);
    }

    @Override
    public void detach() {
        if (key != null) {
            loop.unregister(key);
            key = null;
        }
    }

    @Override
    public void interest(boolean read, boolean write) {
        var wanted = (read ? SelectionKey.OP_READ : 0) | (write ? SelectionKey.OP_WRITE : 0);
        if (wanted != interest) {
            interest = wanted;
            if (key != null && key.isValid()) {
                key.interestOps(wanted);
            }
        }
    }

    @Override
    public void ready(int operations) {
        if ((operations & SelectionKey.OP_WRITE) != 0) {
            listener.writable();
        }
        if ((operations & SelectionKey.OP_READ) != 0) {
            listener.readable();
        }
    }

    @Override
    public boolean poll() {
        return listener.poll();
    }

    @Override
    public boolean expectsRest() {
        return listener.expectsRest();
    }

    @Override
    public int read(ByteBuffer into) throws IOException {
        return channel.read(into);
    }

    @Override
    public int write(ByteBuffer from) throws IOException {
        return channel.write(from);
    }

    @Override
    public long read(ByteBuffer[] into) throws IOException {
        return channel.read(into);
    }

    @Override
    public long write(ByteBuffer[] from, int count) throws IOException {
        return channel.write(from, 0, count);
    }

    @Override
    public void endOutput() throws IOException {
        channel.shutdownOutput();
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            LOG.debug("closing {} failed", channel, e);
        }
    }

    @Override
    public String toString() {
        return channel.toString();
    }
}
