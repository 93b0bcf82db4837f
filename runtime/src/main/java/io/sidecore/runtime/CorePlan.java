package io.sidecore.runtime;

import io.sidecore.actors.core.Topology;
import io.sidecore.conf.CoreChoice;
import io.sidecore.conf.CoreSettings;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** Which cores become sidecores, and which are for guests. Pure. */
final class CorePlan {
    private final Topology topology;
    private final List<Topology.Core> service = new ArrayList<>();
    private final List<Topology.Core> guest = new ArrayList<>();
    private final List<String> notes = new ArrayList<>();

    CorePlan(CoreSettings settings, Topology topology) {
        this.topology = topology;
        choose(settings.service(), service, "sidecore");
        choose(settings.guest(), guest, "core for guests");
    }

    private void choose(CoreChoice choice, List<Topology.Core> into, String what) {
        switch (choice) {
            case CoreChoice.Count count -> choose(count.count(), into, what);
            case CoreChoice.Listed listed -> listed.cores().forEach(id -> name(id, into, what));
        }
    }

    /** The last ones allowed, performance cores first: low numbers are where the operating system does its own work. */
    private void choose(int count, List<Topology.Core> into, String what) {
        var allowed = new ArrayList<>(topology.allowed());
        allowed.removeAll(service);
        allowed.sort(Comparator.comparing((Topology.Core core) -> core.kind() == Topology.Kind.EFFICIENCY)
                .thenComparing(Comparator.comparingInt(Topology.Core::id).reversed()));
        // One usable core is no sidecore: it stays for everything else, guests included.
        var possible = Math.clamp(topology.usableCores() - 1L - service.size() + (into == guest ? 1 : 0), 0, count);
        if (possible < count) {
            notes.add("%d of %d (%s): this process may use %d cores, and one is left for everything else"
                    .formatted(possible, count, what, topology.usableCores()));
        }
        into.addAll(allowed.subList(0, Math.min(possible, allowed.size())));
    }

    private void name(int id, List<Topology.Core> into, String what) {
        var core = topology.allowed().stream().filter(one -> one.id() == id).findFirst();
        if (core.isEmpty()) {
            notes.add("core %d is not on line here, or not allowed to this process: no %s on it".formatted(id, what));
        } else if (service.contains(core.get())) {
            notes.add("core %d is a sidecore: no %s on it".formatted(id, what));
        } else {
            into.add(core.get());
        }
    }

    List<Topology.Core> service() {
        return service;
    }

    int indexOf(Topology.Core core) {
        return service.indexOf(core);
    }

    /** Whether guests run here, and on such cores only. */
    boolean isForGuests(Topology.Core core) {
        return guest.contains(core);
    }

    List<String> notes() {
        return notes;
    }
}
