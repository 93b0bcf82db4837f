package io.sidecore.devices.tls;

import io.sidecore.actors.core.Clock;
import io.sidecore.devices.transport.Transport;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import javax.net.ssl.SSLEngine;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The server's side of TLS: its credentials, which are read again when their files have changed, and the few threads on which handshakes compute what a loop must not wait for (key agreement, signatures,
 * certificate paths: a millisecond and more). Any thread.
 */
public final class TlsAcceptor implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(TlsAcceptor.class);

    /** How often the files are looked at, at most: when a connection arrives and so much time has passed. */
    static final long LOOK_NANOS = 1_000_000_000;

    private static final int THREADS = Math.clamp(Runtime.getRuntime().availableProcessors() / 2, 1, 4);
    private static final int WAITING = 1024;
    private static final long IDLE_SECONDS = 10;
    private static final AtomicInteger NUMBER = new AtomicInteger();

    /** By what a file is known to be another than before. */
    private record Stamp(FileTime modified, long bytes, Object fileKey) {
        private static final Stamp NONE = new Stamp(FileTime.fromMillis(0), -1, "");

        static Stamp of(Path file) {
            try {
                var attributes = Files.readAttributes(file, BasicFileAttributes.class);
                return new Stamp(
                        attributes.lastModifiedTime(),
                        attributes.size(),
                        Objects.requireNonNullElse(attributes.fileKey(), ""));
            } catch (NoSuchFileException e) {
                return NONE;
            } catch (IOException e) {
                LOG.debug("{} cannot be looked at", file, e);
                return NONE;
            }
        }
    }

    private final TlsFiles files;
    private final Clock clock;
    private final ThreadPoolExecutor pool;
    private TlsCredentials credentials;
    private List<Stamp> stamps;
    private long looked;

    /**
     * With the credentials in these files.
     *
     * @throws TlsCredentialsException if they cannot be used
     */
    public TlsAcceptor(TlsFiles files, Clock clock) {
        this.files = files;
        this.clock = clock;
        this.looked = clock.nanos();
        this.stamps = look();
        this.credentials = TlsCredentials.load(files);
        complainIfExpired();
        LOG.info("TLS: {}", credentials);
        this.pool = new ThreadPoolExecutor(
                THREADS, THREADS, IDLE_SECONDS, TimeUnit.SECONDS, new ArrayBlockingQueue<>(WAITING), task -> {
                    var thread = new Thread(task, "tls-handshake-" + NUMBER.incrementAndGet());
                    thread.setDaemon(true);
                    return thread;
                });
        pool.allowCoreThreadTimeOut(true);
    }

    /** TLS over a connection whose client was told to begin. */
    public TlsTransport accept(Transport plain) {
        return new TlsTransport(plain, this::engine, pool);
    }

    /** The server's side of a new connection, with the credentials as they are now. Reads files at times: not on a loop. */
    SSLEngine engine() {
        return current().engine();
    }

    synchronized TlsCredentials current() {
        var now = clock.nanos();
        if (now - looked < LOOK_NANOS) {
            return credentials;
        }
        looked = now;
        var present = look();
        if (!present.equals(stamps)) {
            // Also if they turn out broken: that is told once, not with every connection.
            stamps = present;
            reload();
        }
        return credentials;
    }

    private void reload() {
        try {
            credentials = TlsCredentials.load(files);
            LOG.info("TLS: the files have changed; new connections get {}", credentials);
            complainIfExpired();
        } catch (TlsCredentialsException e) {
            LOG.warn(
                    "TLS: the files have changed and cannot be used; connections still get {}: {}",
                    credentials,
                    e.getMessage());
        }
    }

    private void complainIfExpired() {
        var until = credentials.certificate().getNotAfter().toInstant();
        if (until.isBefore(Instant.now())) {
            LOG.warn(
                    "TLS: the certificate in {} has expired on {}: clients will refuse it", files.certificate(), until);
        }
    }

    private List<Stamp> look() {
        return Stream.concat(Stream.of(files.certificate(), files.key()), files.clientCa().stream())
                .map(Stamp::of)
                .toList();
    }

    /** Begins no more handshakes. */
    @Override
    public void close() {
        pool.shutdown();
    }
}
