package io.sidecore.runtime;

import io.sidecore.actors.block.Errno;
import io.sidecore.actors.vif.Interposer;
import io.sidecore.conf.InterposerSettings;
import io.sidecore.devices.interpose.FaultInjector;
import io.sidecore.devices.interpose.FaultPlan;
import io.sidecore.devices.interpose.RateLimit;
import java.util.ArrayList;
import java.util.List;

/** Interposers as configured. */
public final class Interposers {
    private Interposers() {}

    /** In the order configured, the first one nearest to the guest; named by type and position. */
    static List<Interposer> of(List<InterposerSettings> settings) {
        var interposers = new ArrayList<Interposer>();
        for (var one : settings) {
            interposers.add(of(type(one) + "-" + interposers.size(), one));
        }
        return interposers;
    }

    /** One, under a name that is unique in its VIF. */
    public static Interposer of(String name, InterposerSettings settings) {
        return switch (settings) {
            case InterposerSettings.RateLimit limit ->
                new RateLimit(
                        name, limit.iops().orElse(0), limit.bytesPerSecond().orElse(0), limit.burst());
            case InterposerSettings.FaultPlan faults ->
                new FaultInjector(
                        name,
                        new FaultPlan(
                                faults.seed(),
                                faults.delayRatio(),
                                faults.delay(),
                                faults.errorRatio(),
                                Errno.valueOf(faults.errno().name()),
                                faults.hangRatio()));
        };
    }

    /** What a file calls it. */
    public static String type(InterposerSettings settings) {
        return switch (settings) {
            case InterposerSettings.RateLimit limit -> "rate-limit";
            case InterposerSettings.FaultPlan faults -> "fault-plan";
        };
    }
}
