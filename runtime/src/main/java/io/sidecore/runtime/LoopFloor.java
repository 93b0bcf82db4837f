package io.sidecore.runtime;

import io.sidecore.actors.core.Clock;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.Topology;
import io.sidecore.conf.LoopSettings;
import io.sidecore.devices.linux.Affinity;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Makes the loops of a host on this machine. */
final class LoopFloor {
    private static final Logger LOG = LoggerFactory.getLogger(LoopFloor.class);

    private final LoopSettings settings;
    private final String host;
    private final Affinity affinity = Affinity.ofThisMachine();

    /** @param host tells the loops of several hosts in one JVM apart */
    LoopFloor(LoopSettings settings, String host) {
        this.settings = settings;
        this.host = host;
    }

    /** The loop that is tied to no core. */
    CoreLoop shared() {
        return loop(host + "-shared", () -> {});
    }

    /** The loop of a sidecore. Where pinning is impossible it runs all the same, and says so. */
    CoreLoop pinned(Topology.Core core) {
        return loop(
                host + "-core-" + core.id(),
                () -> affinity.pinCurrentThread(core.id())
                        .ifPresent(why -> LOG.warn("sidecore {} runs unpinned: {}", core.id(), why)));
    }

    private CoreLoop loop(String name, Runnable enter) {
        return new CoreLoop(name, Clock.SYSTEM, settings, CoreLoop.Placement.of(enter, affinity::involuntarySwitches));
    }
}
