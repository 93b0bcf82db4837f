package io.sidecore.actors.core;

import io.sidecore.conf.Placement;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The core loops of a host.
 *
 * @param shared the one unpinned loop
 * @param service those of the service cores
 */
public record Loops(CoreLoop shared, List<CoreLoop> service) {
    public Loops {
        service = List.copyOf(service);
    }

    /** The loop for the {@code n}-th queue of something that is placed so; empty if there is no service core. */
    public Optional<CoreLoop> place(Placement placement, int n) {
        return switch (placement) {
            case SHARED -> Optional.of(shared);
            case SIDECORE -> service.isEmpty() ? Optional.empty() : Optional.of(service.get(n % service.size()));
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
