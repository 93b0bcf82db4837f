package io.sidecore.it;

import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardSocketOptions;
import java.net.URI;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.random.RandomGenerator;

/** A plain blocking NBD client, written from proto.md for the tests: an oracle that shares no code with the server. */
public final class NbdClient implements Closeable {
    private static final int READ = 0;
    private static final int WRITE = 1;
    private static final long IHAVEOPT = 0x49484156454F5054L;

    private final SocketChannel channel;
    private final ByteBuffer out = ByteBuffer.allocateDirect(1 << 20);
    private final ByteBuffer in = ByteBuffer.allocateDirect(1 << 20).limit(0);
    private final long size;
    private long cookie;

    private NbdClient(SocketChannel channel, String export, boolean structured) throws IOException {
        this.channel = channel;
        need(18);
        in.position(in.position() + 18);
        out.putInt(3);
        if (structured) {
            out.putLong(IHAVEOPT).putInt(8).putInt(0);
            send();
            need(20);
            in.position(in.position() + 20);
        }
        var name = export.getBytes(StandardCharsets.UTF_8);
        out.putLong(IHAVEOPT).putInt(1).putInt(name.length).put(name);
        send();
        need(10);
        size = in.getLong();
        in.getShort();
    }

    /** Connects to what a host announces: {@code nbd://HOST:PORT/EXPORT} or {@code nbd+unix:///EXPORT?socket=PATH}. */
    public static NbdClient connect(String uri) throws IOException {
        return connect(uri, false);
    }

    /** The same, with structured replies, as libnbd, QEMU and fio ask for them. */
    public static NbdClient connectStructured(String uri) throws IOException {
        return connect(uri, true);
    }

    private static NbdClient connect(String uri, boolean structured) throws IOException {
        var parsed = URI.create(uri);
        SocketAddress address = parsed.getScheme().equals("nbd")
                ? new InetSocketAddress(parsed.getHost(), parsed.getPort())
                : UnixDomainSocketAddress.of(parsed.getQuery().substring("socket=".length()));
        var channel = SocketChannel.open(address);
        if (address instanceof InetSocketAddress) {
            channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
        }
        return new NbdClient(channel, parsed.getPath().substring(1), structured);
    }

    /** Bytes of the export. */
    public long size() {
        return size;
    }

    /** Asks {@code count} reads or writes of {@code bytes} each at random block offsets, all in flight at once, and waits for their answers. */
    public void batch(boolean write, int count, int bytes, RandomGenerator random) throws IOException {
        for (var i = 0; i < count; i++) {
            if (out.remaining() < 28 + bytes) {
                send();
            }
            header(write ? WRITE : READ, bytes * random.nextLong(size / bytes), bytes);
            if (write) {
                out.position(out.position() + bytes);
            }
        }
        send();
        for (var i = 0; i < count; i++) {
            success();
            if (!write) {
                need(bytes);
                in.position(in.position() + bytes);
            }
        }
    }

    /** The beginning of a reply, up to the data. */
    private void success() throws IOException {
        need(16);
        var magic = in.getInt();
        if (magic == 0x668e33ef) {
            need(24);
            if (in.getInt() != (1 << 16 | 1)) {
                throw new IOException("a chunk that is not the last one, or not of data");
            }
            in.position(in.position() + 8 + 4 + 8);
        } else if (magic != 0x67446698 || in.getInt() != 0) {
            throw new IOException("a reply with an error or without its magic number");
        } else {
            in.getLong();
        }
    }

    /** Asks {@code count} reads of {@code bytes} each, from the beginning, and does not wait for their answers. */
    public void asks(int count, int bytes) throws IOException {
        for (var i = 0; i < count; i++) {
            header(READ, 0, bytes);
        }
        send();
    }

    /** Begins to write {@code bytes} at the beginning, of which it sends so many. */
    public void begins(int bytes, int sent) throws IOException {
        header(WRITE, 0, bytes);
        send();
        for (var left = sent; left > 0; ) {
            var n = Math.min(left, out.capacity());
            out.position(n);
            send();
            left -= n;
        }
    }

    /** Asks {@code count} reads behind the end of the export, all in flight at once, for simple replies; returns how many were refused. */
    public int refusals(int count) throws IOException {
        for (var i = 0; i < count; i++) {
            if (out.remaining() < 28) {
                send();
            }
            header(READ, size, 4096);
        }
        send();
        var refused = 0;
        for (var i = 0; i < count; i++) {
            need(16);
            in.getInt();
            refused += in.getInt() == 22 ? 1 : 0;
            in.getLong();
        }
        return refused;
    }

    private void header(int type, long offset, int length) {
        out.putInt(0x25609513)
                .putShort((short) 0)
                .putShort((short) type)
                .putLong(++cookie)
                .putLong(offset)
                .putInt(length);
    }

    private void send() throws IOException {
        out.flip();
        while (out.hasRemaining()) {
            channel.write(out);
        }
        out.clear();
    }

    private void need(int bytes) throws IOException {
        if (in.remaining() >= bytes) {
            return;
        }
        in.compact();
        while (in.position() < bytes) {
            if (channel.read(in) < 0) {
                throw new EOFException("the server closed the connection");
            }
        }
        in.flip();
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
