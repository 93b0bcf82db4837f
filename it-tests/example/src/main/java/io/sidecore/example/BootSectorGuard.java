package io.sidecore.example;

import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.vif.RequestInterposer;
import java.util.concurrent.atomic.LongAdder;

/** Lets nobody write the first sector of a disk, and counts who tried. */
public final class BootSectorGuard extends RequestInterposer {
    private static final int SECTOR = 512;

    private final LongAdder refused = new LongAdder();

    public BootSectorGuard() {
        super("boot-sector-guard");
    }

    @Override
    protected Errno request(Request request) {
        if (request.op().changes() && request.offset() < SECTOR) {
            refused.increment();
            return Errno.EPERM;
        }
        return Errno.OK;
    }

    public long refused() {
        return refused.sum();
    }
}
