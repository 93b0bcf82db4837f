package io.sidecore.conf;

/**
 * {@code sidecore.log}: how a host that the launcher starts logs to its standard error. A program that embeds hosts logs as it does anyhow.
 *
 * @param format how a line looks
 * @param level of Sidecore itself; libraries are a level quieter
 */
public record LogSettings(Format format, Level level) {
    /** Lines for people, as they are by default. */
    public static final LogSettings TEXT = new LogSettings(Format.TEXT, Level.INFO);

    /** How a line looks. */
    public enum Format {
        TEXT,
        JSON
    }

    /** What is logged: this, and what is graver. */
    public enum Level {
        ERROR,
        WARN,
        INFO,
        DEBUG
    }
}
