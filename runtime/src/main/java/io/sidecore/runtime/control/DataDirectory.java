package io.sidecore.runtime.control;

import io.sidecore.runtime.HostException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** The claim of one host on its data directory: no other host starts on it until this is closed, or its process has ended. */
public final class DataDirectory implements AutoCloseable {
    private static final String LOCK = "host.lock";

    /**
     * What this JVM has claimed. The kernel drops a process's lock as soon as the process closes <em>any</em> descriptor of the file, so a second claim must be refused before it opens the file.
     */
    private static final Set<Path> CLAIMED = ConcurrentHashMap.newKeySet();

    private final Path path;
    private final Path real;
    private final FileChannel file;

    private DataDirectory(Path path, Path real, FileChannel file) {
        this.path = path;
        this.real = real;
        this.file = file;
    }

    /**
     * Claims it, and creates it if it is missing.
     *
     * @throws HostException if another host has it, or it cannot be had
     */
    public static DataDirectory claim(Path path) {
        try {
            Files.createDirectories(path);
            var real = path.toRealPath();
            if (!CLAIMED.add(real)) {
                throw taken(path, "in this process");
            }
            try {
                return new DataDirectory(path, real, lock(path));
            } catch (IOException | RuntimeException e) {
                CLAIMED.remove(real);
                throw e;
            }
        } catch (IOException e) {
            throw new HostException(
                    "the data directory " + path + " cannot be used: " + e.getMessage()
                            + "; set sidecore.data-directory to another one",
                    e);
        }
    }

    private static FileChannel lock(Path path) throws IOException {
        var file = FileChannel.open(
                path.resolve(LOCK),
                Set.of(StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE),
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
        try {
            FileLock lock = file.tryLock();
            if (lock == null) {
                var pid = ByteBuffer.allocate(20);
                file.read(pid, 0);
                throw taken(
                        path, "process " + new String(pid.array(), 0, pid.position(), StandardCharsets.UTF_8).strip());
            }
            file.truncate(0);
            file.write(StandardCharsets.UTF_8.encode(ProcessHandle.current().pid() + "\n"), 0);
            return file;
        } catch (IOException | RuntimeException e) {
            file.close();
            throw e;
        }
    }

    private static HostException taken(Path path, String who) {
        return new HostException("the data directory " + path + " belongs to another host (" + who
                + "); stop that one, or set sidecore.data-directory to another directory");
    }

    /** Where it is. */
    public Path path() {
        return path;
    }

    @Override
    public void close() throws IOException {
        try {
            file.close();
        } finally {
            CLAIMED.remove(real);
        }
    }
}
