package io.sidecore.runtime.control;

import io.sidecore.actors.catalog.CatalogException;
import io.sidecore.cluster.catalog.JournalCatalog;
import io.sidecore.conf.Settings;
import io.sidecore.runtime.HostException;
import io.sidecore.runtime.Sidecore;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.function.BiFunction;
import java.util.function.Function;
import org.apache.pekko.actor.typed.ActorSystem;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A host as {@code sidecore run} runs it: alone on its data directory, managed through the control socket in it, and keeping there what {@link #operations} create. It serves what its settings declare and what was created before; of two of the same
 * name the declared one.
 *
 * <pre>{@code
 * try (var managed = ManagedHost.start(Settings.load(file))) {
 *     managed.operations().perform(new Operation.CreateVolume("data", Map.of("size", "1 GiB", "store", Map.of("type", "memory"))), answers);
 * }
 * }</pre>
 *
 * <p>What is created past the operations, through {@link Sidecore#storage}, is gone when the host stops.
 */
@SuppressWarnings("NullAway.Init") // Its parts are made by open(): what was made is closed again if that fails.
public final class ManagedHost implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(ManagedHost.class);

    private final Deque<AutoCloseable> parts = new ArrayDeque<>();
    private Sidecore host;
    private Operations operations;
    private volatile boolean closedWell = true;

    private ManagedHost() {}

    /**
     * Starts it; when this returns, it is served and can be managed.
     *
     * @throws HostException if another host has its data directory, what is kept there cannot be read, or something that is declared cannot be served: what was started is stopped again. What was created before and cannot be served does not
     *     hinder; the host's {@linkplain Sidecore#notes notes} name it
     */
    public static ManagedHost start(Settings settings) {
        return start(settings, Sidecore::start);
    }

    /**
     * The same, with its actors in the application's own {@linkplain Sidecore#start(Settings, ActorSystem) actor system}.
     *
     * @throws HostException as above
     */
    public static ManagedHost start(Settings settings, ActorSystem<?> system) {
        return start(settings, (declared, besides) -> Sidecore.start(declared, system, besides));
    }

    private static ManagedHost start(
            Settings settings, BiFunction<Settings, Function<Sidecore, List<String>>, Sidecore> starting) {
        var managed = new ManagedHost();
        try {
            managed.open(settings, starting);
            return managed;
        } catch (RuntimeException | Error e) {
            managed.close();
            throw e;
        }
    }

    private void open(Settings settings, BiFunction<Settings, Function<Sidecore, List<String>>, Sidecore> starting) {
        var claim = DataDirectory.claim(settings.dataDirectory());
        parts.push(claim);
        var catalog = catalog(claim);
        parts.push(catalog);
        var definitions = new KeptDefinitions(catalog);
        host = starting.apply(settings, made -> definitions.restore(settings, made));
        parts.push(host);
        operations = new Operations(host, definitions);
        parts.push(ControlServer.open(claim, operations));
    }

    private static JournalCatalog catalog(DataDirectory claim) {
        try {
            return JournalCatalog.open(claim.path());
        } catch (CatalogException e) {
            throw new HostException(e.getMessage(), e);
        }
    }

    /** The host. */
    public Sidecore host() {
        return host;
    }

    /** What can be done with it; what they create is there again after the next start. */
    public Operations operations() {
        return operations;
    }

    /** Stops being managed, then serving. What fails is logged, and the rest goes on. May be called again. */
    @Override
    public void close() {
        for (AutoCloseable part; (part = parts.poll()) != null; ) {
            try {
                part.close();
            } catch (Exception e) {
                closedWell = false;
                LOG.error("stopping a part of the host failed", e);
            }
        }
    }

    /** Whether everything that was let go so far was let go without an error. */
    public boolean closedWell() {
        return closedWell && (host == null || host.closedWell());
    }
}
