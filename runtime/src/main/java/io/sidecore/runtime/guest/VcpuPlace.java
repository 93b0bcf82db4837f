package io.sidecore.runtime.guest;

import io.sidecore.actors.core.CoreLoop;
import io.sidecore.devices.linux.Affinity;
import java.util.List;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Where a vCPU thread runs.
 *
 * @param number tells threads apart that may run on the same cores
 * @param cores one core that is for guests; or all that are no sidecores, where none is
 */
public record VcpuPlace(int number, List<Integer> cores) implements Supplier<CoreLoop.Placement> {
    private static final Logger LOG = LoggerFactory.getLogger(VcpuPlace.class);

    public VcpuPlace {
        cores = List.copyOf(cores);
    }

    @Override
    public CoreLoop.Placement get() {
        return new CoreLoop.Placement() {
            @Override
            public void enter() {
                Affinity.ofThisMachine()
                        .pinThread(0, cores)
                        .ifPresent(why -> LOG.warn("a vCPU thread runs unpinned: {}", why));
            }

            @Override
            public long waitedNanos() {
                return 0;
            }

            @Override
            public void leave() {}
        };
    }
}
