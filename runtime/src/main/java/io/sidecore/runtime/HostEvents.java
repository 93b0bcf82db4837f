package io.sidecore.runtime;

import java.time.Instant;
import java.util.ArrayDeque;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What happened to a host: the last of it is kept, and who watches is told as it happens. Safe for all threads; nothing of the data path comes here. */
public final class HostEvents {
    private static final Logger LOG = LoggerFactory.getLogger(HostEvents.class);

    /** Events kept for those that ask later. */
    public static final int KEPT = 1_000;

    private final ArrayDeque<HostEvent> last = new ArrayDeque<>();
    private final List<Consumer<HostEvent>> watchers = new CopyOnWriteArrayList<>();
    private long number;

    HostEvents() {}

    @SuppressWarnings("ModifyCollectionInEnhancedForLoop") // Of a CopyOnWriteArrayList.
    synchronized void add(String kind, String name, String what, String detail) {
        var event = new HostEvent(++number, Instant.now(), kind, name, what, detail);
        last.add(event);
        if (last.size() > KEPT) {
            last.poll();
        }
        for (var watcher : watchers) {
            try {
                watcher.accept(event);
            } catch (RuntimeException e) {
                LOG.warn("a watcher of events failed and is not told any more", e);
                watchers.remove(watcher);
            }
        }
    }

    /** The last {@value #KEPT} at most, the oldest first. */
    public synchronized List<HostEvent> recent() {
        return List.copyOf(last);
    }

    /** Ends what {@link #watch} began. */
    @FunctionalInterface
    public interface Watch extends AutoCloseable {
        @Override
        void close();
    }

    /** Tells {@code watcher} of every event from now on, in order, on the thread that caused it; it must not wait. Closing what is returned ends that. */
    public Watch watch(Consumer<HostEvent> watcher) {
        watchers.add(watcher);
        return () -> watchers.remove(watcher);
    }
}
