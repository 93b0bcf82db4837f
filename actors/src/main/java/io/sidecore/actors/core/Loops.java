package io.sidecore.actors.core;

import io.sidecore.conf.Placement;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;

/** The core loops of a host: the one unpinned loop, and those of the service cores, which come and go. Safe for all threads. */
public final class Loops {
    private final CoreLoop shared;
    private final CopyOnWriteArrayList<CoreLoop> service;

    /** The unpinned loop, and those of the service cores. */
    public Loops(CoreLoop shared, List<CoreLoop> service) {
        this.shared = shared;
        this.service = new CopyOnWriteArrayList<>(service);
    }

    /** The one unpinned loop. */
    public CoreLoop shared() {
        return shared;
    }

    /** Those of the service cores, at present. */
    public List<CoreLoop> service() {
        return List.copyOf(service);
    }

    /** Another service core has a loop; queues may be placed on it from now on. */
    public void add(CoreLoop loop) {
        service.add(loop);
    }

    /** The loop of a core that serves no longer: nothing is placed on it any more. What is on it stays until it is moved. */
    public void remove(CoreLoop loop) {
        service.remove(loop);
    }

    /** The loop for the {@code n}-th queue of something that is placed so; empty if there is no service core. */
    public Optional<CoreLoop> place(Placement placement, int n) {
        return switch (placement) {
            // Something inline connects only what cannot run on the guest's own thread.
            case SHARED, INLINE -> Optional.of(shared);
            case SIDECORE -> {
                var present = service();
                yield present.isEmpty() ? Optional.empty() : Optional.of(present.get(n % present.size()));
            }
        };
    }

    /** The loop of this name. */
    public Optional<CoreLoop> named(String name) {
        return all().filter(loop -> loop.name().equals(name)).findFirst();
    }

    /** All of them. */
    public Stream<CoreLoop> all() {
        return Stream.concat(Stream.of(shared), service.stream());
    }
}
