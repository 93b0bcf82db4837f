package io.sidecore.runtime.control;

/** The version of this program. */
public final class Version {
    private Version() {}

    /** As the jar's manifest has it. */
    public static String text() {
        var version = Version.class.getPackage().getImplementationVersion();
        return version == null ? "(unpackaged)" : version;
    }
}
