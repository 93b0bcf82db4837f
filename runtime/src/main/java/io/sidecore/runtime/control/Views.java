package io.sidecore.runtime.control;

import java.util.List;
import java.util.Map;

/** What a host tells of itself, as it stands in JSON. Sizes are bytes, times have their unit in the name. */
public final class Views {
    private Views() {}

    /** A host. */
    public record HostView(
            String version,
            long pid,
            String dataDirectory,
            long uptimeSeconds,
            int cores,
            List<String> loops,
            int volumes,
            List<String> failedVolumes,
            int exports,
            int queues,
            List<String> uris,
            List<String> notes) {}

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
     * @param meanMicros from the first byte read to the last byte written, of the batches that were timed
     */
    public record QueueView(
            String name, String loop, String state, int generation, long requests, long bytes, double meanMicros) {}

    /** A VIF. */
    public record VifView(
            String id,
            String owner,
            String state,
            String placement,
            String volume,
            String mode,
            List<InterposerView> interposers,
            List<QueueView> queues) {}

    /** A core of the machine. */
    public record CoreView(
            int id, String role, String kind, int numaNode, boolean allowed, String loop, double utilisation) {}

    /** An event; {@code at} is a time of ISO 8601 in UTC. */
    public record EventView(long number, String at, String kind, String name, String what, String detail) {}

    /** How far a copy is. */
    public record ProgressView(long done, long total) {}

    /** A copy that is complete. */
    public record CopiedView(String volume, String file, long bytes, long copied) {}

    /** What a change did: queues that it stalled, the longest of these stalls, and requests that were issued again. */
    public record ChangeView(int queues, double stallMillis, int replayed) {}

    /** A queue's requests so far, the bytes of their payloads, and the time of those that were timed. */
    public record QueueSample(
            String vif,
            String queue,
            String volume,
            String loop,
            long requests,
            long bytes,
            long timed,
            long timedNanos) {}

    /** What a loop has done so far. */
    public record LoopSample(
            String loop, long busyNanos, long requests, long parks, long handOffs, long longestTurnNanos) {}

    /** Everything so far, at one time. */
    public record Sample(long atNanos, long uptimeSeconds, List<QueueSample> queues, List<LoopSample> loops) {}
}
