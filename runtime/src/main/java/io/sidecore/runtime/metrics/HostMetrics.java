package io.sidecore.runtime.metrics;

import io.micrometer.core.instrument.binder.jvm.JvmGcMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmMemoryMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmThreadMetrics;
import io.micrometer.core.instrument.binder.system.FileDescriptorMetrics;
import io.micrometer.core.instrument.binder.system.ProcessorMetrics;
import io.micrometer.core.instrument.binder.system.UptimeMetrics;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import io.prometheus.metrics.expositionformats.ExpositionFormats;
import io.prometheus.metrics.model.registry.MultiCollector;
import io.prometheus.metrics.model.snapshots.MetricSnapshots;
import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.vif.Tally;
import io.sidecore.actors.vif.VirtualInterface;
import io.sidecore.actors.vif.Volume;
import io.sidecore.actors.vm.Guest;
import io.sidecore.actors.vm.VirtualMachine;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.control.Version;
import java.io.IOException;
import java.io.OutputStream;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** The metrics of a host: read anew whenever they are asked for, from what its queues, loops and volumes count anyhow. What each means stands in {@code runtime/docs/observability.md}. */
public final class HostMetrics implements AutoCloseable {
    private static final long PATIENCE_MILLIS = 2_000;
    private static final double NANOS = 1e9;

    private final Sidecore host;
    private final PrometheusMeterRegistry registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    private final JvmGcMetrics collector = new JvmGcMetrics();
    private final ExpositionFormats formats = ExpositionFormats.init();

    /** Those of a host that has started, and of the JVM in which it runs. */
    public HostMetrics(Sidecore host) {
        this.host = host;
        Stream.of(
                        new JvmMemoryMetrics(),
                        new JvmThreadMetrics(),
                        new ProcessorMetrics(),
                        new UptimeMetrics(),
                        new FileDescriptorMetrics(),
                        collector)
                .forEach(binder -> binder.bindTo(registry));
        registry.getPrometheusRegistry().register((MultiCollector) this::read);
    }

    /**
     * Writes all of them.
     *
     * @param accept what the reader asks for, as HTTP has it; null: nothing in particular
     * @return the content type of what was written
     */
    public String write(@Nullable String accept, OutputStream out) throws IOException {
        var writer = formats.findWriter(accept);
        writer.write(out, registry.getPrometheusRegistry().scrape());
        return writer.getContentType();
    }

    private MetricSnapshots read() {
        var families = new Families();
        host(families);
        host.storage().volumes().forEach(volume -> volume(families, volume));
        // All are asked before the first is waited for.
        host.storage().vifs().values().stream().map(vif -> bounded(vif.inspect())).toList().stream()
                .map(CompletableFuture::join)
                .forEach(status -> status.ifPresent(vif -> vif(families, vif)));
        host.loops().all().forEach(loop -> loop(families, loop));
        var vms = host.vms().vms().values();
        var asked = vms.stream()
                .map(vm -> bounded(vm.inspect()).thenCombine(bounded(vm.statistics()), (status, used) ->
                        (Runnable) () -> vm(families, vm.name(), status, used)))
                .toList();
        asked.forEach(one -> one.join().run());
        return families.snapshots();
    }

    /** Empty if there is no answer: an actor that has ended gives none. */
    private static <T> CompletableFuture<Optional<T>> bounded(CompletionStage<T> answer) {
        return answer.thenApply(Optional::of)
                .toCompletableFuture()
                .completeOnTimeout(Optional.empty(), PATIENCE_MILLIS, TimeUnit.MILLISECONDS)
                .exceptionally(ended -> Optional.empty());
    }

    private void host(Families all) {
        var health = host.health();
        all.info("sidecore_build", "The version that runs", "version", Version.text());
        all.gauge(
                "sidecore_healthy",
                "1 if everything is served that is to be, as /health has it",
                flag(health.healthy()));
        all.gauge("sidecore_ready", "1 if clients may come, as /ready has it", flag(health.ready()));
        for (var loop : host.loops().all().toList()) {
            var held = health.troubles().stream()
                    .anyMatch(one -> one.kind().equals("loop") && one.name().equals(loop.name()));
            all.gauge("sidecore_loop_held", "1 while one task holds the loop", flag(held), "loop", loop.name());
        }
        all.gauge("sidecore_nbd_connections", "Open NBD connections", host.connections());
        host.settings()
                .nbd()
                .ifPresent(nbd -> all.gauge(
                        "sidecore_nbd_connections_limit",
                        "Open NBD connections that are allowed: exports.nbd.max-connections",
                        nbd.maxConnections()));
        var slabs = host.slabs();
        all.gauge("sidecore_payload_memory_used_bytes", "Payload memory in the hands of queues", slabs.borrowedBytes());
        all.gauge(
                "sidecore_payload_memory_mapped_bytes",
                "Payload memory taken from the machine, what is kept for the next queue included",
                slabs.mappedBytes());
        all.gauge(
                "sidecore_payload_memory_limit_bytes",
                "Payload memory that is allowed: host.payload-memory",
                host.settings().host().payloadMemoryBytes());
    }

    private static void volume(Families all, Volume volume) {
        var name = volume.name();
        all.gauge("sidecore_volume_size_bytes", "The size that guests see", volume.size(), "volume", name);
        volume.allocated()
                .ifPresent(bytes -> all.gauge(
                        "sidecore_volume_allocated_bytes", "Memory that its contents take", bytes, "volume", name));
        volume.limit()
                .ifPresent(bytes -> all.gauge(
                        "sidecore_volume_allocated_limit_bytes",
                        "Memory that its contents may take; what needs more is answered ENOSPC",
                        bytes,
                        "volume",
                        name));
        all.gauge(
                "sidecore_volume_failed",
                "1 if it has failed: every request is answered EIO until it is recovered",
                flag(volume.failure().isPresent()),
                "volume",
                name);
        all.gauge(
                "sidecore_volume_degraded",
                "1 if something is wrong with it though it serves: no space, read-only, bad sectors",
                flag(volume.failure().isEmpty() && !volume.conditions().isEmpty()),
                "volume",
                name);
        all.gauge(
                "sidecore_volume_attachments",
                "VIFs that hold it",
                volume.attachments().size(),
                "volume",
                name);
    }

    private static void vif(Families all, VirtualInterface.Status vif) {
        var tally = vif.tally();
        var is = new String[] {"vif", vif.id(), "volume", vif.volume()};
        for (var op : BlockOp.values()) {
            var latencies = tally.latencies(op);
            if (latencies.count() > 0) {
                operation(all, vif, tally, op);
            }
        }
        all.gauge(
                "sidecore_vif_queues",
                "Its queues: connections, in NBD",
                vif.queues().size(),
                is);
        all.gauge("sidecore_vif_requests_in_flight", "Requests that are not answered yet", vif.inFlight(), is);
        all.counter(
                "sidecore_vif_slow_requests",
                "Requests that took longer than vif.slow-after",
                tally.slowRequests(),
                is);
        all.counter(
                "sidecore_vif_refused_requests",
                "Requests of a guest inside the host that are neither served nor answered",
                tally.refused(),
                is);
        all.counter(
                "sidecore_vif_stalls",
                "Times that a queue stood still for a change beneath it, or since its chain broke",
                tally.stalls(),
                is);
        all.counter(
                "sidecore_vif_stall_seconds",
                "The time of all stalls together; queues that stand still together count each",
                tally.stalledNanos() / NANOS,
                is);
        all.counter(
                "sidecore_vif_replayed_requests",
                "Requests that were issued again behind a change",
                tally.replayed(),
                is);
        all.counter(
                "sidecore_vif_lost_chains",
                "Chains that were given up, since their requests did not drain or they broke",
                tally.chainsLost(),
                is);
    }

    private static void operation(Families all, VirtualInterface.Status vif, Tally tally, BlockOp op) {
        var latencies = tally.latencies(op);
        var is = new String[] {"vif", vif.id(), "volume", vif.volume(), "op", word(op)};
        all.counter("sidecore_vif_requests", "Requests answered, with an error or without", latencies.count(), is);
        if (op.hasPayload()) {
            all.counter(
                    "sidecore_vif_payload_bytes",
                    "Payload of the requests that were done without an error",
                    tally.bytes(op),
                    is);
        }
        for (var error : Errno.values()) {
            if (tally.errors(op, error) > 0) {
                all.counter(
                        "sidecore_vif_errors",
                        "Requests answered with an error; an error that never was has no series",
                        tally.errors(op, error),
                        "vif",
                        vif.id(),
                        "volume",
                        vif.volume(),
                        "op",
                        word(op),
                        "error",
                        error.name());
            }
        }
        all.histogram(
                "sidecore_vif_request_duration_seconds",
                "How long requests took, from their arrival to their answer",
                latencies,
                is);
    }

    private static void vm(
            Families all, String name, Optional<VirtualMachine.Status> status, Optional<Guest.Statistics> used) {
        status.ifPresent(is -> {
            all.gauge(
                    "sidecore_vm_state",
                    "1 for the state that it is in; no other has a series",
                    1,
                    "vm",
                    name,
                    "state",
                    is.state().word());
            all.counter("sidecore_vm_starts", "Times that it was started since the host was", is.starts(), "vm", name);
        });
        used.ifPresent(so -> all.counter(
                "sidecore_vm_cpu_seconds",
                "Processor time of its present run; there is none while it does not run",
                so.cpuNanos() / NANOS,
                "vm",
                name));
    }

    private static void loop(Families all, CoreLoop loop) {
        var counters = loop.counters();
        var is = new String[] {"loop", loop.name()};
        all.counter(
                "sidecore_loop_busy_seconds", "Time in turns that did something", counters.busyNanos.get() / NANOS, is);
        all.counter("sidecore_loop_busy_turns", "Turns that did something", counters.busyTurns.get(), is);
        all.counter("sidecore_loop_requests", "Requests answered by queues placed on it", counters.requests.get(), is);
        all.counter("sidecore_loop_polls", "Looks at its channels", counters.polls.get(), is);
        all.counter("sidecore_loop_parks", "Times that its thread slept", counters.parks.get(), is);
        all.counter("sidecore_loop_wake_ups", "Times that another thread had to wake it", counters.wakeUps.get(), is);
        all.counter("sidecore_loop_hand_offs", "Tasks that other threads gave it", counters.handOffs.get(), is);
        all.counter("sidecore_loop_tasks", "Tasks run", counters.tasks.get(), is);
        all.counter("sidecore_loop_task_failures", "Tasks that threw", counters.failures.get(), is);
        all.counter(
                "sidecore_loop_run_delay_seconds",
                "Time in which its thread was ready to run and had no core",
                counters.waitedNanos.get() / NANOS,
                is);
        all.gauge(
                "sidecore_loop_longest_turn_seconds",
                "The longest turn since it was started",
                counters.longestTurnNanos.get() / NANOS,
                is);
    }

    private static double flag(boolean yes) {
        return yes ? 1 : 0;
    }

    private static String word(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT);
    }

    @Override
    public void close() {
        collector.close();
        registry.close();
    }
}
