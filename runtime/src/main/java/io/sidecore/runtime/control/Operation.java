package io.sidecore.runtime.control;

import java.util.Locale;
import java.util.Map;

/**
 * What can be asked of a running host. A definition is a section as it would stand in a file ({@code reference.conf} explains its keys).
 *
 * <p>A record is {@code do} in kebab-case on the control socket ({@code create-volume}), its components are the other keys. A component that is missing is a mistake unless it is a boolean or a number.
 */
public sealed interface Operation {
    /** How the host is: answered by {@link Views.HostView}. */
    record Status() implements Operation {}

    /** What everything has done so far, for rates: answered by {@link Views.Sample}. */
    record Sample() implements Operation {}

    /** What happened; {@code follow}: also what happens from now on. Items are {@link Views.EventView}s. */
    record Events(boolean follow) implements Operation {}

    /** Items are {@link Views.VolumeView}s. */
    record ListVolumes() implements Operation {}

    /** Answered by a {@link Views.VolumeView}. */
    record ShowVolume(String name) implements Operation {}

    /** Defines a volume. */
    record CreateVolume(String name, Map<String, Object> section) implements Operation {}

    /** Makes a volume larger or, if {@code shrink} says so, smaller. */
    record ResizeVolume(String name, String size, boolean shrink) implements Operation {}

    /** Lets a volume go. */
    record DeleteVolume(String name) implements Operation {}

    /** After a repair: serves a failed volume again. */
    record RecoverVolume(String name) implements Operation {}

    /** Overwrites a volume with a file, an absolute path on the host's machine. Items are {@link Views.ProgressView}s. */
    record ImportVolume(String name, String file) implements Operation {}

    /** Writes a volume to a file, an absolute path on the host's machine. Items are {@link Views.ProgressView}s. */
    record ExportVolume(String name, String file, boolean live, boolean force) implements Operation {}

    /** Items are {@link Views.ExportView}s. */
    record ListExports() implements Operation {}

    /** Lets clients find a volume: an element of {@code exports.nbd.volumes}. */
    record CreateExport(Map<String, Object> section) implements Operation {}

    /** Ends an export and its connections. */
    record DeleteExport(String name) implements Operation {}

    /** Items are {@link Views.VifView}s. */
    record ListVifs() implements Operation {}

    /** Answered by a {@link Views.VifView}. */
    record ShowVif(String vif) implements Operation {}

    /** Limits a VIF: the keys of a {@code rate-limit} without its type; none of them: no limit any more. */
    record LimitVif(String vif, Map<String, Object> section) implements Operation {}

    /** Moves one queue to the loop of this name. */
    record MoveQueue(String queue, String loop) implements Operation {}

    /** Places all queues of a VIF anew: {@code shared} or {@code sidecore}. */
    record PlaceVif(String vif, String placement) implements Operation {}

    /** Puts an interposer in, position 0 being nearest to the guest: an element of {@code interposers}. */
    record InterposeVif(String vif, Map<String, Object> section, int position) implements Operation {}

    /** Takes the interposer of this name out. */
    record RemoveInterposer(String vif, String interposer) implements Operation {}

    /** Items are {@link Views.VmView}s. */
    record ListVms() implements Operation {}

    /** Answered by a {@link Views.VmView}. */
    record ShowVm(String name) implements Operation {}

    /** Defines a VM. */
    record CreateVm(String name, Map<String, Object> section) implements Operation {}

    /** Forgets a VM that does not run, with its history and snapshots. */
    record DeleteVm(String name) implements Operation {}

    /** Starts a VM; answered by a {@link Views.VmView} once it runs. */
    record StartVm(String name) implements Operation {}

    /** Stops a VM, without asking the guest if {@code kill} says so; answered by a {@link Views.VmView} once it has ended. */
    record StopVm(String name, boolean kill) implements Operation {}

    /** Halts a VM. */
    record PauseVm(String name) implements Operation {}

    /** Lets a VM go on. */
    record ResumeVm(String name) implements Operation {}

    /** Keeps a VM as it is now, the contents of disks that it can write included, under a name. */
    record SnapshotVm(String name, String snapshot) implements Operation {}

    /** Starts a VM as it was when the snapshot was taken; its disks have the contents of then. */
    record RestoreVm(String name, String snapshot) implements Operation {}

    /** Forgets a snapshot. */
    record DeleteSnapshot(String name, String snapshot) implements Operation {}

    /** What happened to a VM. Items are {@link Views.VmEventView}s. */
    record VmHistory(String name) implements Operation {}

    /** Takes a picture of a VM's screen: a PNG file, an absolute path on the host's machine. */
    record ScreenshotVm(String name, String file) implements Operation {}

    /** What the VMs have used so far, for rates. Items are {@link Views.VmSample}s. */
    record SampleVms() implements Operation {}

    /** Items are {@link Views.CoreView}s. */
    record ListCores() implements Operation {}

    /** Gives a core another role: {@code service}, {@code guest} or {@code shared}. Answered by a {@link Views.CoreView}. */
    record AssignCore(Integer core, String role) implements Operation {}

    /**
     * Watches the serial console of a VM and, unless {@code view}, types on it, until whoever asked ends it or the VM is deleted. {@code live}: what was written before is left out.
     *
     * <p>The first item is a {@link Views.ConsoleView}. The others have {@code output} (bytes in Base64), {@code lost} (bytes that came too fast) or {@code dropped} (bytes that were typed and no guest took). Lines that follow the request have
     * {@code input} (bytes in Base64), or say {@code {"end":true}}: then what is there is still told.
     */
    record Console(String vm, boolean view, boolean live) implements Operation {}

    /** What it is called on the control socket. */
    static String name(Class<?> operation) {
        return operation.getSimpleName().replaceAll("(?<=[a-z])(?=[A-Z])", "-").toLowerCase(Locale.ROOT);
    }
}
