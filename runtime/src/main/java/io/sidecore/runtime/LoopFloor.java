package io.sidecore.runtime;

import io.sidecore.actors.core.Clock;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.Topology;
import io.sidecore.conf.LoopSettings;
import io.sidecore.devices.linux.Affinity;
import io.sidecore.devices.linux.RunDelay;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalInt;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Makes the loops of a host on this machine. */
final class LoopFloor {
    private static final Logger LOG = LoggerFactory.getLogger(LoopFloor.class);

    private final LoopSettings settings;
    private final String host;
    private final Affinity affinity = Affinity.ofThisMachine();
    private final Map<Integer, Integer> made = new HashMap<>();

    /** @param host tells the loops of several hosts in one JVM apart */
    LoopFloor(LoopSettings settings, String host) {
        this.settings = settings;
        this.host = host;
    }

    /** The loop that is tied to no core. */
    CoreLoop shared() {
        return loop(host + "-shared", OptionalInt.empty());
    }

    /** The loop of a sidecore. Where pinning is impossible it runs all the same, and says so. */
    CoreLoop pinned(Topology.Core core) {
        var times = made.merge(core.id(), 1, Integer::sum);
        // A dispatcher has the loop's name, and outlives the loop.
        return loop(host + "-core-" + core.id() + (times == 1 ? "" : "-" + times), OptionalInt.of(core.id()));
    }

    private CoreLoop loop(String name, OptionalInt core) {
        return new CoreLoop(name, Clock.SYSTEM, settings, new Floor(name, core));
    }

    /** The place of one loop: its core, if any, and the kernel's account of its thread. */
    private final class Floor implements CoreLoop.Placement {
        private final String name;
        private final OptionalInt core;
        private RunDelay delay = RunDelay.unknown();

        Floor(String name, OptionalInt core) {
            this.name = name;
            this.core = core;
        }

        @Override
        public void enter() {
            core.ifPresent(id ->
                    affinity.pinCurrentThread(id).ifPresent(why -> LOG.warn("loop {} runs unpinned: {}", name, why)));
            delay = RunDelay.ofCurrentThread();
        }

        @Override
        public long waitedNanos() {
            return delay.nanos();
        }

        @Override
        public boolean reserved() {
            return core.isPresent();
        }

        @Override
        public void leave() {
            delay.close();
        }
    }
}
