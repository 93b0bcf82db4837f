package io.sidecore.conf;

import java.time.Duration;
import java.util.Locale;

/** Numbers as people read them. */
public final class Amounts {
    private static final String[] BINARY = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    private static final String[] DECIMAL = {"", " k", " M", " G"};

    private static final Duration LONG = Duration.ofDays(1);

    private Amounts() {}

    /** {@code 64 MiB}, {@code 1.5 GiB}, {@code 512 B}. */
    public static String bytes(double bytes) {
        var unit = 0;
        while (bytes >= 1024 && unit < BINARY.length - 1) {
            bytes /= 1024;
            unit++;
        }
        return short3(bytes) + " " + BINARY[unit];
    }

    /** Like {@link #bytes}, and behind it how many exactly, unless that says so already: {@code 32 MiB}, {@code 61 MiB (64000000 bytes)}. */
    public static String size(long bytes) {
        var unit = 0;
        var whole = bytes;
        while (whole != 0 && whole % 1024 == 0 && unit < BINARY.length - 1) {
            whole /= 1024;
            unit++;
        }
        return whole < 1024 ? bytes(bytes) : bytes(bytes) + " (" + bytes + " bytes)";
    }

    /** {@code 100 ms}, {@code 30 s}, {@code 1 min 0 s}. */
    public static String duration(Duration duration) {
        return duration.compareTo(LONG) < 0
                ? nanos(duration.toNanos())
                : seconds(duration.toNanosPart() / 1e9 + duration.toSeconds());
    }

    /** {@code 950}, {@code 12.3 k}, {@code 1.2 M}. */
    public static String count(double count) {
        var unit = 0;
        while (count >= 1000 && unit < DECIMAL.length - 1) {
            count /= 1000;
            unit++;
        }
        return short3(count) + DECIMAL[unit];
    }

    /** {@code 0.4 s}, {@code 12 s}, {@code 3 min 5 s}, {@code 2 h 10 min}, {@code 4 d 3 h}. */
    public static String seconds(double seconds) {
        if (seconds < 10) {
            return short3(seconds) + " s";
        }
        var whole = Math.round(seconds);
        if (whole < 60) {
            return whole + " s";
        }
        if (whole < 3600) {
            return whole / 60 + " min " + whole % 60 + " s";
        }
        return whole < 86400
                ? whole / 3600 + " h " + whole % 3600 / 60 + " min"
                : whole / 86400 + " d " + whole % 86400 / 3600 + " h";
    }

    /** {@code 850 ns}, {@code 12 us}, {@code 1.4 ms}. */
    public static String nanos(double nanos) {
        if (nanos < 1e3) {
            return short3(nanos) + " ns";
        }
        if (nanos < 1e6) {
            return short3(nanos / 1e3) + " us";
        }
        return nanos < 1e9 ? short3(nanos / 1e6) + " ms" : seconds(nanos / 1e9);
    }

    /** {@code 37 %}. */
    public static String percent(double ratio) {
        return Math.round(100 * ratio) + " %";
    }

    /** One digit behind the point, if it says anything. */
    private static String short3(double value) {
        return value >= 100 || value == Math.rint(value)
                ? Long.toString(Math.round(value))
                : String.format(Locale.ROOT, "%.1f", value).replace(".0", "");
    }
}
