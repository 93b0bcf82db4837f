package io.sidecore.runtime.guest;

import io.sidecore.actors.vm.Guest;
import io.sidecore.actors.vm.GuestException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.function.Function;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** A guest of which is known only when it starts what it is: what it takes to know that may have to be waited for. */
public final class LateGuest implements Guest {
    private final Supplier<Guest> made;
    private @Nullable Guest guest;
    private @Nullable String killedFor;

    /** @param made makes it, and may wait */
    public LateGuest(Supplier<Guest> made) {
        this.made = made;
    }

    @Override
    public CompletionStage<Void> start(Watcher watcher, Optional<Path> snapshot) {
        return Aside.run(InsideGuest.THREAD, this::found).thenCompose(found -> found.start(watcher, snapshot));
    }

    private Guest found() {
        var found = made.get();
        synchronized (this) {
            if (killedFor != null) {
                throw new GuestException(killedFor);
            }
            guest = found;
        }
        return found;
    }

    private synchronized @Nullable Guest guest() {
        return guest;
    }

    private <T> CompletionStage<T> later(Function<Guest, CompletionStage<T>> doing) {
        var present = guest();
        return present == null
                ? CompletableFuture.failedFuture(new GuestException("it has only begun to start"))
                : doing.apply(present);
    }

    @Override
    public CompletionStage<Void> stop() {
        return later(Guest::stop);
    }

    @Override
    public void kill(String cause) {
        Guest present;
        synchronized (this) {
            killedFor = cause;
            present = guest;
        }
        if (present != null) {
            present.kill(cause);
        }
    }

    @Override
    public CompletionStage<Void> pause() {
        return later(Guest::pause);
    }

    @Override
    public CompletionStage<Void> resume() {
        return later(Guest::resume);
    }

    @Override
    public CompletionStage<Void> snapshot(Path folder) {
        return later(present -> present.snapshot(folder));
    }

    @Override
    public void place(List<Integer> cores) {
        var present = guest();
        if (present != null) {
            present.place(cores);
        }
    }

    @Override
    public CompletionStage<Statistics> statistics() {
        return later(Guest::statistics);
    }
}
