package io.sidecore.conf;

import java.time.Duration;
import java.util.List;
import java.util.OptionalDouble;

/**
 * {@code sidecore.vms.NAME}: a virtual machine.
 *
 * @param guest what runs inside
 * @param disks the volumes that it holds, in the order in which the guest sees them; none twice
 * @param autostart whether it is started with the host
 * @param weight its share of the guest cores in proportion to those of others, 1 to 10000
 * @param cap how many cores it may use at most; empty: as many as it has vCPUs
 * @param restart what happens when it ends by itself
 * @param startTimeout how long its start may take
 * @param stopTimeout how long it may take to stop when asked; then it is killed
 */
public record VmSettings(
        GuestSettings guest,
        List<Disk> disks,
        boolean autostart,
        int weight,
        OptionalDouble cap,
        Restart restart,
        Duration startTimeout,
        Duration stopTimeout) {
    public VmSettings {
        disks = List.copyOf(disks);
    }

    /**
     * A volume that a VM holds.
     *
     * @param volume its name
     * @param mode how it is held
     * @param placement which loop serves it
     * @param interposers what stands between, from the guest to the volume
     */
    public record Disk(String volume, AttachMode mode, Placement placement, List<InterposerSettings> interposers) {
        public Disk {
            interposers = List.copyOf(interposers);
        }
    }

    /**
     * What happens when a VM ends by itself.
     *
     * @param policy when it is started again
     * @param delay how long after its end; doubled with every restart in a row
     * @param maxDelay the longest delay
     * @param limit restarts in a row, at most; a VM that ran for longer than maxDelay begins anew
     */
    public record Restart(RestartPolicy policy, Duration delay, Duration maxDelay, int limit) {
        /** Never. */
        public static final Restart NEVER =
                new Restart(RestartPolicy.NEVER, Duration.ofSeconds(1), Duration.ofMinutes(1), 5);
    }

    /** When a VM that has ended by itself is started again. */
    public enum RestartPolicy {
        NEVER,
        /** When it failed; not when the guest has powered itself off. */
        ON_FAILURE,
        /** However it ended, unless it was told to stop. */
        ALWAYS
    }
}
