package io.sidecore.runtime.cli;

import io.sidecore.conf.Amounts;
import java.io.PrintWriter;

/** How far something is that takes long, on one line of a terminal that is written again and again; silent where nobody watches. */
final class ProgressLine {
    private static final int COLUMNS = 79;

    private final PrintWriter err;
    private final boolean watched;
    private final long began = System.nanoTime();
    private int width;

    ProgressLine(PrintWriter err, boolean watched) {
        this.err = err;
        this.watched = watched;
    }

    /** On the terminal of this process, if it has one. */
    static ProgressLine onTerminal(PrintWriter err) {
        var console = System.console();
        return new ProgressLine(err, console != null && console.isTerminal());
    }

    /** A copy is so far. */
    void at(long done, long total) {
        show(line(done, total, elapsedSeconds()));
    }

    double elapsedSeconds() {
        return (System.nanoTime() - began) / 1e9;
    }

    /** Clears the line. */
    void end() {
        if (watched && width > 0) {
            err.print("\r" + " ".repeat(width) + "\r");
            err.flush();
        }
    }

    /** No more of it than fits on one line: the next one takes its place. */
    void show(String text) {
        if (watched) {
            var line = text.length() > COLUMNS ? text.substring(0, COLUMNS) : text;
            err.print("\r" + line + " ".repeat(Math.max(0, width - line.length())));
            err.flush();
            width = line.length();
        }
    }

    /** How much, how fast, how long still. */
    static String line(long done, long total, double seconds) {
        var share = total == 0 ? 1 : (double) done / total;
        var text = "%3d %%  %s of %s"
                .formatted(Math.round(Math.floor(100 * share)), Amounts.bytes(done), Amounts.bytes(total));
        if (done == 0 || seconds < 0.5) {
            return text;
        }
        return text + ", " + Amounts.bytes(done / seconds) + "/s, " + Amounts.seconds((total - done) * seconds / done)
                + " left";
    }
}
