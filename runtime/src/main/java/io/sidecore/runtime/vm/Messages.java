package io.sidecore.runtime.vm;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What a guest inside this process and its host say to each other, in messages; outlives the runs of the guest. Safe for all threads. */
public final class Messages {
    /** Bytes of a message, at most. */
    public static final int LONGEST = 64 << 10;

    private static final Logger LOG = LoggerFactory.getLogger(Messages.class);

    private final AtomicReference<@Nullable Predicate<byte[]>> guest = new AtomicReference<>();
    private final List<Consumer<byte[]>> listeners = new CopyOnWriteArrayList<>();

    /** Ends what {@link #listen} or {@link #attach} began. */
    @FunctionalInterface
    public interface Ending extends AutoCloseable {
        @Override
        void close();
    }

    /** From now on this guest takes what is sent; {@code takes} says whether it does, and does not wait. */
    public Ending attach(Predicate<byte[]> takes) {
        guest.set(takes);
        return () -> guest.compareAndSet(takes, null);
    }

    /** Sends the guest a message. False if it does not run, has too many that it has not read yet, or takes none of this length. */
    public boolean send(byte[] message) {
        var takes = guest.get();
        return takes != null && message.length <= LONGEST && takes.test(message.clone());
    }

    /** Tells {@code listener} of what guests say from now on, in order, on the guest's thread; it must not wait. */
    public Ending listen(Consumer<byte[]> listener) {
        listeners.add(listener);
        return () -> listeners.remove(listener);
    }

    /** The guest says something. */
    @SuppressWarnings("ModifyCollectionInEnhancedForLoop") // Of a CopyOnWriteArrayList.
    public void said(byte[] message) {
        for (var listener : listeners) {
            try {
                listener.accept(message.clone());
            } catch (RuntimeException e) {
                LOG.warn("a listener to a guest's messages failed and is not told any more", e);
                listeners.remove(listener);
            }
        }
    }
}
