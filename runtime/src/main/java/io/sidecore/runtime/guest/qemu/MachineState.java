package io.sidecore.runtime.guest.qemu;

import io.sidecore.actors.vm.Guest.Progress;
import io.sidecore.actors.vm.GuestException;
import io.sidecore.conf.Amounts;
import io.sidecore.runtime.guest.Aside;
import io.sidecore.runtime.guest.UnixListener;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.SocketChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The state of a machine, its memory and its devices, as QEMU would send it to another host: saved to a file, and loaded from one. One thread saves or loads; any closes.
 *
 * <p>Source: QEMU QMP Reference Manual, "Migration".
 */
final class MachineState implements AutoCloseable {
    private static final String FILE = "machine.state";
    private static final String SOCKET = "state.sock";
    private static final String WHAT = "memory";

    /** Between two looks at how far it is. */
    private static final Duration LOOK = Duration.ofMillis(20);

    /** Between two times that it is told how far a copy is. */
    private static final long TELL_NANOS = 200_000_000;

    private final Qmp monitor;
    private final Path folder;
    private final Duration patience;
    private final Consumer<Progress> watcher;

    /** As it was saved last, unless it has moved since. */
    private @Nullable FileChannel saved;

    /** On which QEMU calls to send it: with the run it ends, too, since a QEMU that has died does not call. */
    private @Nullable UnixListener calling;

    private Progress last = new Progress(WHAT, 0, 0);
    private boolean closed;

    /**
     * That of one run.
     *
     * @param folder where QEMU works
     * @param patience for which it may not get on
     * @param watcher told how far it is
     */
    MachineState(Qmp monitor, Path folder, Duration patience, Consumer<Progress> watcher) {
        this.monitor = monitor;
        this.folder = folder;
        this.patience = patience;
        this.watcher = watcher;
    }

    /**
     * Refuses a snapshot that has none.
     *
     * @throws GuestException if so
     */
    static void refuseMissing(Path snapshot) {
        if (!Files.isReadable(snapshot.resolve(FILE))) {
            throw new GuestException("the snapshot is damaged: " + FILE + " is not there, or cannot be read");
        }
    }

    /** Saves it in the folder of a snapshot; the machine must stand still. QEMU sends it once, and again after it has moved; until then it is what was saved before. */
    void save(Path snapshot) throws IOException, InterruptedException {
        var file = snapshot.resolve(FILE);
        var before = saved();
        if (before == null) {
            receive(file);
            saved(FileChannel.open(file, StandardOpenOption.READ));
        } else {
            try (var to = create(file)) {
                var size = before.size();
                copy(before.position(0), to, size);
            } catch (ClosedChannelException e) {
                throw new GuestException("it was let go on meanwhile", e);
            }
        }
    }

    private synchronized @Nullable FileChannel saved() {
        return saved;
    }

    private synchronized void saved(FileChannel channel) throws IOException {
        if (closed) {
            channel.close();
        } else {
            saved = channel;
        }
    }

    /** The machine moves again. */
    synchronized void moved() throws IOException {
        if (saved != null) {
            saved.close();
            saved = null;
        }
    }

    private static WritableByteChannel create(Path file) throws IOException {
        return Files.newByteChannel(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    }

    private void receive(Path file) throws IOException, InterruptedException {
        try (var socket = listen()) {
            Qmp.await(monitor.ask("migrate-set-parameters", Map.of("max-bandwidth", Long.MAX_VALUE / 2)));
            Qmp.await(monitor.ask("migrate", Map.of("uri", "unix:" + SOCKET)));
            var copied = Aside.run("sidecore-qemu-state", () -> {
                try (var from = socket.acceptOne();
                        var to = create(file)) {
                    copy(from, to, 0);
                }
                return null;
            });
            await(copied);
        }
    }

    private synchronized UnixListener listen() throws IOException {
        if (closed) {
            throw new GuestException("the VM has ended meanwhile");
        }
        var socket = UnixListener.bind(folder.resolve(SOCKET));
        calling = socket;
        return socket;
    }

    /** Loads it into a machine that has not begun. */
    void load(Path snapshot) throws IOException, InterruptedException {
        var file = snapshot.resolve(FILE);
        var size = Files.size(file);
        var socket = folder.resolve(SOCKET);
        Qmp.await(monitor.ask("migrate-incoming", Map.of("uri", "unix:" + SOCKET)));
        try (var from = Files.newByteChannel(file);
                var to = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
            copy(from, to, size);
        } finally {
            Files.deleteIfExists(socket);
        }
        await(CompletableFuture.completedFuture(null));
    }

    private void tell(long done, long total) {
        last = new Progress(WHAT, done, total);
        watcher.accept(last);
    }

    /** @param size of it all, if that is to be told; otherwise 0 */
    private void copy(ReadableByteChannel from, WritableByteChannel to, long size) throws IOException {
        var buffer = ByteBuffer.allocateDirect(1 << 20);
        var told = System.nanoTime();
        for (long done = 0; from.read(buffer.clear()) >= 0; ) {
            done += buffer.flip().remaining();
            while (buffer.hasRemaining()) {
                to.write(buffer);
            }
            if (size > 0 && System.nanoTime() - told > TELL_NANOS) {
                told = System.nanoTime();
                tell(Math.min(done, size), size);
            }
        }
    }

    /**
     * Waits as long as it gets on.
     *
     * @param copied what goes on beside it, and tells more of an error than QEMU can
     */
    private void await(CompletableFuture<?> copied) throws InterruptedException {
        var told = "";
        for (var since = System.nanoTime(); System.nanoTime() - since < patience.toNanos(); Thread.sleep(LOOK)) {
            if (copied.isCompletedExceptionally()) {
                Qmp.await(copied);
            }
            var migration = Qmp.await(monitor.ask("query-migrate"));
            var status = migration.path("status").asText();
            if (status.equals("completed") && copied.isDone()) {
                return;
            }
            if (status.equals("failed") || status.equals("cancelled")) {
                throw new GuestException("QEMU could not save or load the machine: "
                        + migration.path("error-desc").asText("it does not say why"));
            }
            var ram = migration.path("ram");
            var total = ram.path("total").asLong();
            var now = status + copied.isDone() + ram.path("transferred").asLong();
            if (!now.equals(told)) {
                told = now;
                since = System.nanoTime();
                // The receiving side does not say how much it has.
                tell(
                        total == 0 ? last.done() : total - ram.path("remaining").asLong(),
                        total == 0 ? last.total() : total);
            }
        }
        Qmp.await(monitor.ask("migrate_cancel"));
        throw new GuestException(
                "QEMU has not got on with saving or loading the machine for " + Amounts.duration(patience));
    }

    @Override
    public synchronized void close() throws IOException {
        closed = true;
        try {
            moved();
        } finally {
            if (calling != null) {
                calling.close();
            }
        }
    }
}
