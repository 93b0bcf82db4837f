package io.sidecore.actors.vm;

import io.sidecore.conf.VmSettings.Restart;
import java.time.Duration;
import java.util.Optional;

/** How long to wait before a VM is started again: doubled with every restart in a row. Pure. */
final class Restarts {
    private final Restart settings;
    private int inARow;

    Restarts(Restart settings) {
        this.settings = settings;
    }

    /** Somebody has started it: what was before does not count. */
    void afresh() {
        inARow = 0;
    }

    /** The delay after a run that lasted so long; empty once it was started again too often. */
    Optional<Duration> next(Duration lasted) {
        if (lasted.compareTo(settings.maxDelay()) > 0) {
            inARow = 0;
        }
        if (inARow == settings.limit()) {
            return Optional.empty();
        }
        var delay = settings.delay();
        for (var i = 0; i < inARow && delay.compareTo(settings.maxDelay()) < 0; i++) {
            delay = delay.multipliedBy(2);
        }
        inARow++;
        return Optional.of(delay.compareTo(settings.maxDelay()) > 0 ? settings.maxDelay() : delay);
    }
}
