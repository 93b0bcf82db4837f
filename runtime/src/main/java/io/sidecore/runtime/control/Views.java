package io.sidecore.runtime.control;

import io.sidecore.runtime.Health;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What a host tells of itself, as it stands in JSON. Sizes are bytes, times have their unit in the name. */
public final class Views {
    private Views() {}

    /**
     * A host.
     *
     * @param health {@code ok}, {@code degraded} or {@code failed}: the gravest of its {@code troubles}
     * @param queues of all exports: connections
     * @param metrics where it is observed over HTTP; empty if nowhere
     */
    public record HostView(
            String version,
            long pid,
            String dataDirectory,
            long uptimeSeconds,
            String health,
            List<TroubleView> troubles,
            int cores,
            List<String> loops,
            int volumes,
            List<String> failedVolumes,
            int exports,
            int queues,
            int vms,
            int runningVms,
            List<String> failedVms,
            List<String> uris,
            String metrics,
            List<String> notes) {}

    /** Something that is wrong with a host: a volume that has failed, say. */
    public record TroubleView(String kind, String name, String state, String detail) {
        /** How a trouble is told. */
        public static TroubleView of(Health.Trouble trouble) {
            return new TroubleView(
                    trouble.kind(), trouble.name(), trouble.state().name().toLowerCase(Locale.ROOT), trouble.detail());
        }
    }

    /** Who holds a volume, and how. */
    public record HolderView(String vif, String mode) {}

    /**
     * A volume.
     *
     * @param state {@code ok}, {@code degraded} (it serves, but for what {@code reasons} say) or {@code failed}
     * @param reasons what is wrong with it; empty if nothing is
     * @param store what keeps its bytes: {@code type}, and the {@code path} of a file or the {@code limit} of memory; {@code type} is {@code program} if the program that runs the host has brought it
     * @param declared whether the configuration declares one of this name, which has the last word at the next start
     */
    public record VolumeView(
            String name,
            long size,
            String state,
            List<String> reasons,
            boolean readOnly,
            Map<String, Object> store,
            boolean declared,
            List<HolderView> holders) {}

    /**
     * An export.
     *
     * @param declared whether the configuration declares one of this name, which has the last word at the next start
     */
    public record ExportView(
            String name,
            String volume,
            String mode,
            String placement,
            int connections,
            boolean declared,
            List<String> uris) {}

    /**
     * A volume or an export that is no more.
     *
     * @param declared whether the configuration declares one of this name, which is there again after the next start
     */
    public record DeletedView(String name, boolean declared) {}

    /**
     * An interposer.
     *
     * @param limits what a rate limit allows; empty for others
     */
    public record InterposerView(String name, String type, Map<String, Object> limits) {}

    /**
     * A queue.
     *
     * @param requests answered so far
     * @param bytes of their payloads, read and written
     * @param latency of all of them
     */
    public record QueueView(
            String name, String loop, String state, int generation, long requests, long bytes, LatencyView latency) {}

    /** How long requests took from their arrival to their answer: the mean, what half, 99 % and 99.9 % of them did not exceed, and the longest, in microseconds. */
    public record LatencyView(
            double meanMicros, double p50Micros, double p99Micros, double p999Micros, double maxMicros) {}

    /**
     * The requests of one kind that a VIF has served.
     *
     * @param errors how many of them were answered with an error, by its name
     */
    public record OperationView(String op, long requests, long bytes, Map<String, Long> errors, LatencyView latency) {}

    /**
     * A VIF. What it counts is since it was created, over all its queues, those that have ended included.
     *
     * @param slowRequests those that took longer than {@code vif.slow-after}
     * @param refused those of a guest inside the host that are neither served nor answered, and counted nowhere else
     * @param stalls times that a queue stood still for a change
     * @param replayed requests that were issued again behind a change
     * @param operations one for each kind that was asked for
     */
    public record VifView(
            String id,
            String owner,
            String state,
            String placement,
            String volume,
            String mode,
            List<InterposerView> interposers,
            List<QueueView> queues,
            long inFlight,
            long slowRequests,
            long refused,
            long stalls,
            long replayed,
            List<OperationView> operations) {}

    /**
     * A virtual machine.
     *
     * @param state {@code defined}, {@code starting}, {@code running}, {@code paused}, {@code stopping}, {@code stopped} or {@code failed}
     * @param since when it came into its state, a time of ISO 8601 in UTC
     * @param cause why it did; may be empty
     * @param guest {@code qemu}, {@code wasm} or {@code java}
     * @param memory bytes
     * @param disks the volumes that it holds while it runs
     * @param starts how often it was started since the host was
     * @param restartAt when it is started again by itself, a time; empty if it is not
     * @param declared whether the configuration declares one of this name, which has the last word at the next start
     */
    public record VmView(
            String name,
            String state,
            String since,
            String cause,
            String guest,
            long memory,
            List<String> disks,
            int starts,
            String restartAt,
            boolean autostart,
            boolean declared,
            List<String> snapshots) {}

    /**
     * How far a change of a VM is that takes long.
     *
     * @param since when it came into its state; a time of ISO 8601 in UTC
     * @param what is copied; empty if nothing is
     * @param done bytes
     * @param total bytes; 0 if nobody knows
     */
    public record VmProgressView(String vm, String state, String since, String what, long done, long total) {}

    /** Something that happened to a VM; {@code at} is a time of ISO 8601 in UTC, {@code run} tells the starts of the host apart. */
    public record VmEventView(long number, String at, String event, String state, String cause, String run) {}

    /**
     * What a VM has used so far.
     *
     * @param atNanos when it was looked at, on a clock of its own
     * @param cpuNanos processor time of its present run
     * @param residentBytes memory of the host that it takes; -1 where it has none of its own
     * @param cores on which it may run
     */
    public record VmSample(String name, String state, long atNanos, long cpuNanos, long residentBytes, String cores) {}

    /** A core of the machine. */
    public record CoreView(
            int id, String role, String kind, int numaNode, boolean allowed, String loop, double utilisation) {}

    /** An event; {@code at} is a time of ISO 8601 in UTC. */
    public record EventView(long number, String at, String kind, String name, String what, String detail) {}

    /** A console that is watched from now on, and again when this changes. {@code guest}: whether there is one that takes what is typed. */
    public record ConsoleView(String console, boolean guest) {}

    /** A console that is watched no more: bytes that came too fast, and bytes that were typed and no guest took. */
    public record WatchedView(long lost, long dropped) {}

    /** How far a copy is. */
    public record ProgressView(long done, long total) {}

    /** A copy that is complete. */
    public record CopiedView(String volume, String file, long bytes, long copied) {}

    /** What a change did: queues that it stalled, the longest of these stalls, and requests that were issued again. */
    public record ChangeView(int queues, double stallMillis, int replayed) {}

    /**
     * What a VIF has served so far.
     *
     * @param queues at present
     * @param nanos the time of all requests together
     * @param latencies requests by the time that they did not exceed, in nanoseconds; only such as there are
     */
    public record VifSample(
            String vif,
            String volume,
            int queues,
            long requests,
            long bytes,
            long errors,
            long nanos,
            Map<Long, Long> latencies) {}

    /** What a loop has done so far. */
    public record LoopSample(
            String loop, long busyNanos, long requests, long parks, long handOffs, long longestTurnNanos) {}

    /** Everything so far, at one time. */
    public record Sample(long atNanos, long uptimeSeconds, List<VifSample> vifs, List<LoopSample> loops) {}
}
