package io.sidecore.runtime;

import io.sidecore.runtime.cli.Cli;
import java.io.EOFException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.SocketAddress;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/**
 * A host's life in two seconds, for the start cache: the command line starts it, clients shake hands over each transport, read and write, commands ask it what it serves, and all of it stops. The launcher has the JVM watch it, to keep what it learns
 * (classes, profiles of hot methods). It lives in the working directory, which the launcher removes.
 */
final class Rehearsal {
    private static final Duration PATIENCE = Duration.ofSeconds(60);
    private static final int SMALL = 4 << 10;
    private static final int LARGE = 256 << 10;
    private static final int DEPTH = 32;
    private static final List<String> EXPORTS = List.of("memory", "file");

    /** What people ask first, and each kind of answer: fields, a table, JSON, what is kept, help. */
    private static final List<String> COMMANDS = List.of(
            "status --host .",
            "status --host . --json",
            "check rehearsal.conf",
            "config explain vif.slots",
            "volume list --host .",
            "volume create more --size 1MiB --host .",
            "volume show more --host .",
            "export create more --host .",
            "export list --host .",
            "export delete more --host .",
            "volume delete more --host .",
            "vif list --host .",
            "core list --host .",
            "vm list --host .",
            "vm show demo --host .",
            "vm history demo --host .",
            "console demo --log --host .",
            "vm stop demo --host .",
            "version",
            "volume --help",
            "--help");

    private Rehearsal() {}

    static void main(String[] args) throws IOException, InterruptedException {
        var tcp = new InetSocketAddress(InetAddress.getLoopbackAddress(), freePort());
        var conf = Files.writeString(Path.of("rehearsal.conf"), """
                sidecore {
                  data-directory = "."
                  volumes {
                    memory { size = 32 MiB, store { type = memory } }
                    file { size = 32 MiB, store { type = file, path = "image" } }
                  }
                  volumes { demo { size = 8 MiB, store { type = memory } } }
                  exports { nbd { listen = ["127.0.0.1:%d", "unix:s"], volumes = [memory, file] } }
                  vms { demo { guest { type = wasm, module = demo }, disks = [demo] } }
                }
                """.formatted(tcp.getPort()));
        // The command line itself: whatever `run` comes to do besides, it is in the cache. When it fails it ends this
        // JVM with its code.
        Thread.ofPlatform().daemon().name("rehearsal").start(() -> Main.main(new String[] {"run", conf.toString()}));
        for (var export : EXPORTS) {
            for (var address : List.of(UnixDomainSocketAddress.of("s"), tcp)) {
                try (var client = new Client(connect(address), export)) {
                    client.use();
                }
            }
        }
        for (var command : COMMANDS) {
            var code = Cli.execute(Main.Run::new, command.split(" "));
            if (code != Cli.DONE) {
                System.err.println(command + " ended with " + code);
                System.exit(code);
            }
        }
        System.exit(0);
    }

    private static int freePort() throws IOException {
        try (var socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }

    private static SocketChannel connect(SocketAddress address) throws IOException, InterruptedException {
        for (var end = System.nanoTime() + PATIENCE.toNanos(); ; Thread.sleep(5)) {
            try {
                return SocketChannel.open(address);
            } catch (IOException e) {
                if (System.nanoTime() > end) {
                    throw e;
                }
            }
        }
    }

    /** As much of an NBD client as it takes. */
    private static final class Client implements AutoCloseable {
        private static final long OPTION_MAGIC = 0x49484156454F5054L;
        private static final int OPTION_GO = 7;
        private static final int REPLY_ACK = 1;
        private static final int REQUEST_MAGIC = 0x25609513;
        private static final short READ = 0;
        private static final short WRITE = 1;
        private static final short DISCONNECT = 2;
        private static final short FLUSH = 3;

        private final SocketChannel channel;
        private final ByteBuffer out = ByteBuffer.allocateDirect(1 << 20);
        private final ByteBuffer in = ByteBuffer.allocateDirect(LARGE);

        Client(SocketChannel channel, String export) throws IOException {
            this.channel = channel;
            receive(18);
            var name = export.getBytes(StandardCharsets.UTF_8);
            out.putInt(3);
            out.putLong(OPTION_MAGIC).putInt(OPTION_GO).putInt(4 + name.length + 2);
            out.putInt(name.length).put(name).putShort((short) 0);
            send();
            for (var reply = 0; reply != REPLY_ACK; ) {
                var header = receive(20);
                reply = header.getInt(12);
                if (reply < 0) {
                    throw new IOException("option GO was refused: " + Integer.toHexString(reply));
                }
                receive(header.getInt(16));
            }
        }

        /** What disks are asked for: small requests one by one, small ones in numbers, large ones, a flush. */
        void use() throws IOException {
            for (var round = 0; round < 500; round++) {
                requests(WRITE, 1, SMALL);
                requests(READ, 1, SMALL);
            }
            for (var round = 0; round < 100; round++) {
                requests(WRITE, DEPTH, SMALL);
                requests(READ, DEPTH, SMALL);
            }
            for (var round = 0; round < 25; round++) {
                requests(WRITE, 1, LARGE);
                requests(READ, 3, LARGE);
            }
            requests(FLUSH, 1, 0);
            header(DISCONNECT, 0, 0);
            send();
        }

        private void requests(short type, int count, int bytes) throws IOException {
            for (var i = 0; i < count; i++) {
                header(type, (long) i * bytes, bytes);
                if (type == WRITE) {
                    out.position(out.position() + bytes);
                }
            }
            send();
            for (var i = 0; i < count; i++) {
                var error = receive(16).getInt(4);
                if (error != 0) {
                    throw new IOException("a request was answered with error " + error);
                }
                if (type == READ) {
                    receive(bytes);
                }
            }
        }

        private void header(short type, long offset, int bytes) {
            out.putInt(REQUEST_MAGIC).putShort((short) 0).putShort(type).putLong(1);
            out.putLong(offset).putInt(bytes);
        }

        private void send() throws IOException {
            out.flip();
            while (out.hasRemaining()) {
                channel.write(out);
            }
            out.clear();
        }

        private ByteBuffer receive(int bytes) throws IOException {
            in.clear().limit(bytes);
            while (in.hasRemaining()) {
                if (channel.read(in) < 0) {
                    throw new EOFException("the host closed the connection");
                }
            }
            return in;
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }
    }
}
