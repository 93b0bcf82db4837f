package io.sidecore.runtime;

import io.sidecore.actors.core.Topology;
import io.sidecore.conf.CoreSettings;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** Which cores become sidecores. Pure. */
final class CorePlan {
    private final List<Topology.Core> service = new ArrayList<>();
    private final List<String> notes = new ArrayList<>();

    CorePlan(CoreSettings settings, Topology topology) {
        switch (settings) {
            case CoreSettings.Count count -> choose(count.serviceCount(), topology);
            case CoreSettings.Listed listed -> listed.service().forEach(id -> name(id, topology));
        }
    }

    /** The last ones allowed, performance cores first: low numbers are where the operating system does its own work. */
    private void choose(int count, Topology topology) {
        var allowed = new ArrayList<>(topology.allowed());
        allowed.sort(Comparator.comparing((Topology.Core core) -> core.kind() == Topology.Kind.EFFICIENCY)
                .thenComparing(Comparator.comparingInt(Topology.Core::id).reversed()));
        // One usable core stays for everything else.
        var possible = Math.min(count, Math.max(0, topology.usableCores() - 1));
        if (possible < count) {
            notes.add("%d of %d sidecores: this process may use %d cores, and one is left for everything else"
                    .formatted(possible, count, topology.usableCores()));
        }
        service.addAll(allowed.subList(0, Math.min(possible, allowed.size())));
    }

    private void name(int id, Topology topology) {
        topology.allowed().stream()
                .filter(core -> core.id() == id)
                .findFirst()
                .ifPresentOrElse(
                        service::add,
                        () -> notes.add("core %d is not on line here, or not allowed to this process: no sidecore on it"
                                .formatted(id)));
    }

    List<Topology.Core> service() {
        return service;
    }

    int indexOf(Topology.Core core) {
        return service.indexOf(core);
    }

    List<String> notes() {
        return notes;
    }
}
