package io.sidecore.runtime.guest.qemu;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/** The end of what a process says on its standard error: what it died of, as a rule. Safe for all threads. */
final class StderrTail {
    private static final int LINE_MAX = 400;

    /** With the name of the program before it. */
    private static final int LINE_READ = 2 * LINE_MAX;

    private static final int STACK_BYTES = 128 << 10;

    private String last = "";
    private @Nullable Thread reader;

    /** Reads it until its end. */
    void read(Process process) {
        // Not a virtual one: to read a pipe holds the thread that carries it.
        reader = Thread.ofPlatform()
                .daemon()
                .name("sidecore-qemu-stderr")
                .stackSize(STACK_BYTES)
                .start(() -> {
                    try (var lines = process.errorReader(StandardCharsets.UTF_8)) {
                        var line = new StringBuilder();
                        for (int c; (c = lines.read()) >= 0; ) {
                            if (c == '\n') {
                                said(line.toString().strip());
                                line.setLength(0);
                            } else if (line.length() < LINE_READ) {
                                line.append((char) c);
                            }
                        }
                        said(line.toString().strip());
                    } catch (IOException gone) {
                        // With the process.
                    }
                });
    }

    private synchronized void said(String line) {
        // Warnings, and the assertion that an error leads to, say less than the error.
        if (!line.isEmpty() && !last.contains("error:") && (last.isEmpty() || !line.contains("warning:"))) {
            var text = line.replaceFirst("^qemu(-system-[^:]+)?: ", "");
            last = text.length() > LINE_MAX ? text.substring(0, LINE_MAX) + "..." : text;
        }
    }

    /** Waits until all of it is read: the process has ended. */
    void finish() {
        var reading = reader;
        if (reading != null) {
            try {
                reading.join(1_000);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    synchronized String last(String before) {
        return last.isEmpty() ? "" : before + last;
    }

    String lastOr(String otherwise) {
        finish();
        var said = last("");
        return said.isEmpty() ? otherwise : said;
    }
}
