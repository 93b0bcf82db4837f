package io.sidecore.conf;

/**
 * {@code sidecore.cores}: what the cores of the machine are for.
 *
 * @param service those that are sidecores, polling for the VIFs that are placed on them
 * @param guest those on which guests run, and only there; none: guests run on every core that is no sidecore
 */
public record CoreSettings(CoreChoice service, CoreChoice guest) {
    /** No sidecore, and guests everywhere. */
    public static final CoreSettings NONE = new CoreSettings(new CoreChoice.Count(0), new CoreChoice.Count(0));
}
