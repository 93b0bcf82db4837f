package io.sidecore.it.model;

import java.io.EOFException;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** A Unix socket to an export: negotiates, then moves bytes between it and a {@link ModelClient}. */
final class ModelConnection implements AutoCloseable {
    private static final long IHAVEOPT = 0x49484156454F5054L;
    private static final long WAIT_MILLIS = 20;

    private final SocketChannel channel;
    private final Selector selector;
    private final ByteBuffer in = ByteBuffer.allocateDirect(256 << 10);
    private final ModelClient.Connection negotiated;

    /** Negotiates: with structured replies and {@code base:allocation}, or as simple as can be. */
    ModelConnection(Path socket, String export, boolean structured) throws IOException {
        channel = SocketChannel.open(UnixDomainSocketAddress.of(socket));
        try {
            negotiated = negotiate(export, structured);
            channel.configureBlocking(false);
            selector = Selector.open();
            channel.register(selector, SelectionKey.OP_READ);
        } catch (IOException | RuntimeException e) {
            channel.close();
            throw e;
        }
    }

    ModelClient.Connection negotiated() {
        return negotiated;
    }

    private ModelClient.Connection negotiate(String export, boolean structured) throws IOException {
        need(18);
        in.position(in.position() + 18);
        send(ByteBuffer.allocate(4).putInt(3));
        var name = export.getBytes(StandardCharsets.UTF_8);
        if (structured) {
            option(8, ByteBuffer.allocate(0));
            reply(1);
            var query = "base:allocation".getBytes(StandardCharsets.UTF_8);
            option(
                    10,
                    ByteBuffer.allocate(4 + name.length + 4 + 4 + query.length)
                            .putInt(name.length)
                            .put(name)
                            .putInt(1)
                            .putInt(query.length)
                            .put(query));
            reply(4);
            reply(1);
        }
        option(
                7,
                ByteBuffer.allocate(4 + name.length + 2)
                        .putInt(name.length)
                        .put(name)
                        .putShort((short) 0));
        var size = -1L;
        for (var data = reply(0); data != null; data = reply(0)) {
            if (data.getShort() == 0) {
                size = data.getLong();
            }
        }
        return new ModelClient.Connection(Math.toIntExact(size), structured);
    }

    private void option(int number, ByteBuffer data) throws IOException {
        send(ByteBuffer.allocate(16 + data.capacity())
                .putLong(IHAVEOPT)
                .putInt(number)
                .putInt(data.capacity())
                .put(data.flip()));
    }

    /** The data of a reply of this type; with 0 that of any information, null at the acknowledgement. */
    private ByteBuffer reply(int type) throws IOException {
        need(20);
        in.position(in.position() + 12);
        var found = in.getInt();
        var length = in.getInt();
        need(length);
        var data = ByteBuffer.allocate(length);
        for (var i = 0; i < length; i++) {
            data.put(in.get());
        }
        if (type == 0 && found == 1) {
            return null;
        }
        if (found != (type == 0 ? 3 : type)) {
            throw new IOException("option reply 0x%x, expected %d: %s"
                    .formatted(found, type, new String(data.array(), StandardCharsets.UTF_8)));
        }
        return data.flip();
    }

    private void send(ByteBuffer bytes) throws IOException {
        bytes.flip();
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    private void need(int bytes) throws IOException {
        if (in.position() == 0 && in.limit() == in.capacity()) {
            in.limit(0);
        }
        while (in.remaining() < bytes) {
            in.compact();
            if (channel.read(in) < 0) {
                throw new EOFException("the server closed the connection in its handshake");
            }
            in.flip();
        }
    }

    /**
     * Moves what can be moved, waiting a little if that is nothing.
     *
     * @throws EOFException if the server closed the connection
     */
    void exchange(ModelClient client) throws IOException {
        if (in.hasRemaining() && in.limit() < in.capacity()) {
            client.received(in);
        }
        var out = client.output();
        out.flip();
        channel.write(out);
        var unsent = out.hasRemaining();
        out.compact();
        channel.keyFor(selector).interestOps(SelectionKey.OP_READ | (unsent ? SelectionKey.OP_WRITE : 0));
        in.clear();
        var bytes = channel.read(in);
        if (bytes == 0) {
            selector.select(WAIT_MILLIS);
            selector.selectedKeys().clear();
            bytes = channel.read(in);
        }
        if (bytes < 0) {
            throw new EOFException("the server closed the connection");
        }
        in.flip();
        client.received(in);
    }

    @Override
    public void close() throws IOException {
        selector.close();
        channel.close();
    }
}
