package io.sidecore.devices.linux;

import java.io.IOException;
import java.io.RandomAccessFile;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * How long a thread has waited for a core: the second field of {@code /proc/thread-self/schedstat} (Linux, Documentation/scheduler/sched-stats.rst), in nanoseconds. Belongs to the thread that made it. A reading costs some
 * microseconds and allocates nothing.
 */
public final class RunDelay implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(RunDelay.class);

    private final @Nullable RandomAccessFile file;
    private final byte[] line = new byte[96];

    private RunDelay(@Nullable RandomAccessFile file) {
        this.file = file;
    }

    /** That of the calling thread; always zero where the platform does not tell. */
    public static RunDelay ofCurrentThread() {
        try {
            return new RunDelay(new RandomAccessFile("/proc/thread-self/schedstat", "r"));
        } catch (IOException e) {
            LOG.debug("the platform does not tell how long a thread waits for a core: {}", e.getMessage());
            return unknown();
        }
    }

    /** One that is always zero. */
    public static RunDelay unknown() {
        return new RunDelay(null);
    }

    /** Nanoseconds so far. */
    public long nanos() {
        if (file == null) {
            return 0;
        }
        try {
            file.seek(0);
            return secondField(file.read(line));
        } catch (IOException e) {
            return 0;
        }
    }

    private long secondField(int length) {
        var i = 0;
        while (i < length && line[i] != ' ') {
            i++;
        }
        var value = 0L;
        for (i++; i < length && line[i] >= '0' && line[i] <= '9'; i++) {
            value = 10 * value + line[i] - '0';
        }
        return value;
    }

    @Override
    public void close() {
        if (file != null) {
            try {
                file.close();
            } catch (IOException e) {
                LOG.debug("closing schedstat failed", e);
            }
        }
    }
}
