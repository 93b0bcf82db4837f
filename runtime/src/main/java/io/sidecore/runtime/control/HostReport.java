package io.sidecore.runtime.control;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.PhysicalCore;
import io.sidecore.actors.vif.Interposer;
import io.sidecore.actors.vif.Latencies;
import io.sidecore.actors.vif.Tally;
import io.sidecore.actors.vif.VirtualInterface;
import io.sidecore.actors.vif.Volume;
import io.sidecore.actors.vm.Guest;
import io.sidecore.actors.vm.VirtualMachine;
import io.sidecore.conf.StoreSettings;
import io.sidecore.conf.VmSettings;
import io.sidecore.devices.interpose.FaultInjector;
import io.sidecore.devices.interpose.RateLimit;
import io.sidecore.runtime.HostEvent;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.VifHandle;
import io.sidecore.runtime.VmHandle;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** Puts a host's state into {@link Views}. */
final class HostReport {
    private static final long PATIENCE_MILLIS = 2_000;

    private final Sidecore host;
    private final long began = System.nanoTime();

    HostReport(Sidecore host) {
        this.host = host;
    }

    Views.HostView host() {
        var health = host.health();
        var storage = host.storage();
        var volumes = storage.volumes();
        var vms = host.vms().vms().values();
        return new Views.HostView(
                Version.text(),
                ProcessHandle.current().pid(),
                host.settings().dataDirectory().toAbsolutePath().normalize().toString(),
                uptimeSeconds(),
                word(health.state()),
                health.troubles().stream().map(Views.TroubleView::of).toList(),
                host.topology().usableCores(),
                host.loops().all().map(CoreLoop::name).toList(),
                volumes.size(),
                volumes.stream()
                        .filter(volume -> volume.failure().isPresent())
                        .map(Volume::name)
                        .toList(),
                storage.exports().size(),
                exports().stream().mapToInt(Views.ExportView::connections).sum(),
                vms.size(),
                (int) vms.stream()
                        .filter(vm -> vm.state() == VirtualMachine.State.RUNNING)
                        .count(),
                vms.stream()
                        .filter(vm -> vm.state() == VirtualMachine.State.FAILED)
                        .map(VmHandle::name)
                        .toList(),
                host.uris(),
                host.metricsUri().orElse(""),
                host.notes());
    }

    private long uptimeSeconds() {
        return (System.nanoTime() - began) / 1_000_000_000;
    }

    Views.EventView event(HostEvent event) {
        return new Views.EventView(
                event.number(), event.at().toString(), event.kind(), event.name(), event.what(), event.detail());
    }

    Views.VolumeView volume(Volume volume) {
        var reasons = volume.failure().map(List::of).orElseGet(volume::conditions);
        return new Views.VolumeView(
                volume.name(),
                volume.size(),
                volume.failure().isPresent() ? "failed" : reasons.isEmpty() ? "ok" : "degraded",
                reasons,
                volume.capabilities().readOnly(),
                host.storage()
                        .settings(volume.name())
                        .map(settings -> store(settings.store()))
                        .orElse(Map.of("type", "program")),
                host.settings().volumes().containsKey(volume.name()),
                volume.attachments().stream()
                        .map(held -> new Views.HolderView(held.holder(), word(held.mode())))
                        .toList());
    }

    private static Map<String, Object> store(StoreSettings store) {
        return switch (store) {
            case StoreSettings.MemoryStore memory -> Map.of("type", "memory", "limit", memory.limitBytes());
            case StoreSettings.FileStore file ->
                Map.of(
                        "type",
                        "file",
                        "path",
                        file.path().toAbsolutePath().normalize().toString());
        };
    }

    Views.VmView vm(VmHandle vm, VirtualMachine.Status status) {
        var settings = vm.settings();
        return new Views.VmView(
                vm.name(),
                status.state().word(),
                status.since().toString(),
                status.cause(),
                settings.guest().type(),
                settings.guest().memoryBytes(),
                settings.disks().stream().map(VmSettings.Disk::volume).toList(),
                status.starts(),
                status.restartAt().map(Instant::toString).orElse(""),
                settings.autostart(),
                host.settings().vms().containsKey(vm.name()),
                host.vms().snapshots(vm.name()));
    }

    static Views.VmProgressView vmProgress(VirtualMachine.Status status) {
        var progress = status.progress();
        return new Views.VmProgressView(
                status.name(),
                status.state().word(),
                status.since().toString(),
                progress.map(Guest.Progress::what).orElse(""),
                progress.map(Guest.Progress::done).orElse(0L),
                progress.map(Guest.Progress::total).orElse(0L));
    }

    List<Views.ExportView> exports() {
        var all = new ArrayList<Views.ExportView>();
        for (var name : host.storage().exports().keySet()) {
            find(name).ifPresent(all::add);
        }
        return all;
    }

    Views.ExportView export(String name) {
        return find(name).orElseThrow(() -> ControlException.failure("export " + name + " was deleted meanwhile"));
    }

    private Optional<Views.ExportView> find(String name) {
        var settings = host.storage().exports().get(name);
        var vif = host.storage().vif(name);
        if (settings == null || vif.isEmpty()) {
            return Optional.empty();
        }
        return status(vif.get())
                .map(status -> new Views.ExportView(
                        name,
                        settings.volume(),
                        word(settings.mode()),
                        word(status.placement()),
                        status.queues().size(),
                        declaresExport(name),
                        host.uris(name)));
    }

    /** Whether the configuration declares an export of this name. */
    boolean declaresExport(String name) {
        return host.settings().nbd().stream()
                .flatMap(nbd -> nbd.volumes().stream())
                .anyMatch(exported -> exported.name().equals(name));
    }

    List<Views.VifView> vifs() {
        return statuses().stream().map(HostReport::vif).toList();
    }

    Views.VifView vif(VifHandle handle) {
        return status(handle)
                .map(HostReport::vif)
                .orElseThrow(() -> ControlException.failure("VIF " + handle.id() + " has ended meanwhile"));
    }

    private static Views.VifView vif(VirtualInterface.Status status) {
        var tally = status.tally();
        return new Views.VifView(
                status.id(),
                status.owner(),
                word(status.state()),
                word(status.placement()),
                status.volume(),
                word(status.attachment().mode()),
                status.chain().stream().map(HostReport::interposer).toList(),
                status.queues().stream().map(HostReport::queue).toList(),
                status.inFlight(),
                tally.slowRequests(),
                tally.refused(),
                tally.stalls(),
                tally.replayed(),
                Arrays.stream(BlockOp.values())
                        .filter(op -> tally.latencies(op).count() > 0)
                        .map(op -> operation(op, tally))
                        .toList());
    }

    private static Views.OperationView operation(BlockOp op, Tally tally) {
        var errors = new LinkedHashMap<String, Long>();
        for (var error : Errno.values()) {
            if (tally.errors(op, error) > 0) {
                errors.put(error.name(), tally.errors(op, error));
            }
        }
        var latencies = tally.latencies(op);
        return new Views.OperationView(word(op), latencies.count(), tally.bytes(op), errors, latency(latencies));
    }

    private static Views.LatencyView latency(Latencies of) {
        return new Views.LatencyView(
                of.count() == 0 ? 0 : of.nanos() / 1e3 / of.count(),
                of.quantileNanos(0.5) / 1e3,
                of.quantileNanos(0.99) / 1e3,
                of.quantileNanos(0.999) / 1e3,
                of.longestNanos() / 1e3);
    }

    private static Views.InterposerView interposer(Interposer interposer) {
        return switch (interposer) {
            case RateLimit limit -> new Views.InterposerView(limit.name(), "rate-limit", limits(limit.limits()));
            case FaultInjector faults -> new Views.InterposerView(faults.name(), "fault-plan", Map.of());
            default ->
                new Views.InterposerView(
                        interposer.name(), interposer.getClass().getSimpleName(), Map.of());
        };
    }

    private static Map<String, Object> limits(RateLimit.Limits limits) {
        var said = new LinkedHashMap<String, Object>();
        if (limits.operationsPerSecond() > 0) {
            said.put("iops", limits.operationsPerSecond());
        }
        if (limits.bytesPerSecond() > 0) {
            said.put("bandwidth", limits.bytesPerSecond());
        }
        said.put("burstMillis", limits.burst().toNanos() / 1e6);
        return said;
    }

    private static Views.QueueView queue(VirtualInterface.QueueStatus queue) {
        var tally = queue.tally();
        return new Views.QueueView(
                queue.name(),
                queue.loop(),
                word(queue.state()),
                queue.generation(),
                tally.requests(),
                tally.bytes(),
                latency(tally.latencies()));
    }

    List<Views.CoreView> cores() {
        return host.cores().stream().map(this::core).toList();
    }

    Views.CoreView core(PhysicalCore.Status status) {
        return new Views.CoreView(
                status.core().id(),
                word(status.role()),
                word(status.core().kind()),
                status.core().numaNode(),
                status.core().allowed(),
                status.loop().orElse(""),
                status.utilisation());
    }

    Views.Sample sample() {
        var vifs = statuses().stream().map(HostReport::sample).toList();
        var loops = host.loops()
                .all()
                .map(loop -> new Views.LoopSample(
                        loop.name(),
                        loop.counters().busyNanos.get(),
                        loop.counters().requests.get(),
                        loop.counters().parks.get(),
                        loop.counters().handOffs.get(),
                        loop.counters().longestTurnNanos.get()))
                .toList();
        return new Views.Sample(System.nanoTime(), uptimeSeconds(), vifs, loops);
    }

    private static Views.VifSample sample(VirtualInterface.Status status) {
        var tally = status.tally();
        var latencies = tally.latencies();
        var counts = new LinkedHashMap<Long, Long>();
        for (var i = 0; i < Latencies.buckets(); i++) {
            if (latencies.inBucket(i) > 0) {
                counts.put(Latencies.boundNanos(i), latencies.inBucket(i));
            }
        }
        return new Views.VifSample(
                status.id(),
                status.volume(),
                status.queues().size(),
                latencies.count(),
                tally.bytes(),
                tally.errors(),
                latencies.nanos(),
                counts);
    }

    /** All are asked before the first is waited for. */
    private List<VirtualInterface.Status> statuses() {
        var asked = host.storage().vifs().values().stream().map(HostReport::ask).toList();
        return asked.stream().flatMap(status -> status.join().stream()).toList();
    }

    private static Optional<VirtualInterface.Status> status(VifHandle vif) {
        return ask(vif).join();
    }

    /** Empty if it has ended meanwhile: an actor that has ended does not answer. */
    private static CompletableFuture<Optional<VirtualInterface.Status>> ask(VifHandle vif) {
        return vif.inspect()
                .thenApply(Optional::of)
                .toCompletableFuture()
                .completeOnTimeout(Optional.empty(), PATIENCE_MILLIS, TimeUnit.MILLISECONDS)
                .exceptionally(ended -> Optional.empty());
    }

    private static String word(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
