package io.sidecore.cluster.catalog;

import io.sidecore.actors.catalog.CatalogException;
import java.io.EOFException;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Pattern;

/** A directory of a file system, locked against other hosts until it is closed. Files in it are for their owner only: definitions may name secrets. */
final class DirectoryStorage implements JournalStorage {
    static final String LOCK = "catalog.lock";

    /**
     * What this JVM has locked. POSIX drops a process's lock as soon as the process closes <em>any</em> descriptor of the file, so a second attempt must be refused before it opens the file.
     */
    private static final Set<Path> LOCKED = ConcurrentHashMap.newKeySet();

    private static final Pattern PID = Pattern.compile("[0-9]{1,10}");

    private final Path directory;
    private final FileChannel lockFile;

    private DirectoryStorage(Path directory, FileChannel lockFile) {
        this.directory = directory;
        this.lockFile = lockFile;
    }

    /**
     * Creates the directory if it is missing, and locks it.
     *
     * @throws CatalogException.Unavailable if another host has it
     */
    static DirectoryStorage lock(Path directory) throws IOException {
        createDurably(directory.toAbsolutePath());
        var real = directory.toRealPath();
        if (!LOCKED.add(real)) {
            throw inUse(real, "this process");
        }
        FileChannel channel = null;
        var locked = false;
        try {
            channel = channel(real.resolve(LOCK), StandardOpenOption.READ, StandardOpenOption.CREATE);
            if (channel.tryLock() != null) {
                locked = true;
                // For the sentence that the next one gets. It is not durable and need not be.
                channel.truncate(0);
                channel.write(
                        ByteBuffer.wrap((ProcessHandle.current().pid() + "\n").getBytes(StandardCharsets.US_ASCII)));
                return new DirectoryStorage(real, channel);
            }
            throw inUse(real, holder(channel));
        } finally {
            if (!locked) {
                LOCKED.remove(real);
                if (channel != null) {
                    channel.close();
                }
            }
        }
    }

    private static CatalogException.Unavailable inUse(Path directory, String holder) {
        return new CatalogException.Unavailable(
                "the data directory " + directory + " is used by another host, in " + holder
                        + ", which has locked " + directory.resolve(LOCK)
                        + "; stop that host, or give this one a data directory of its own");
    }

    private static String holder(FileChannel channel) throws IOException {
        var bytes = ByteBuffer.allocate(16);
        channel.read(bytes, 0);
        var text = new String(bytes.array(), 0, bytes.position(), StandardCharsets.US_ASCII).strip();
        return PID.matcher(text).matches() ? "process " + text : "another process";
    }

    /** A directory whose own entry is lost with the power takes the journal with it. */
    private static void createDurably(Path directory) throws IOException {
        if (Files.isDirectory(directory)) {
            return;
        }
        var parent = directory.getParent();
        if (parent != null) {
            createDurably(parent);
        }
        Files.createDirectories(directory, forTheOwner(directory, "rwx------"));
        if (parent != null) {
            forceDirectory(parent);
        }
    }

    private static FileAttribute<?>[] forTheOwner(Path path, String permissions) {
        return path.getFileSystem().supportedFileAttributeViews().contains("posix")
                ? new FileAttribute<?>[] {
                    PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(permissions))
                }
                : new FileAttribute<?>[0];
    }

    private static FileChannel channel(Path path, OpenOption... options) throws IOException {
        var all = new java.util.HashSet<OpenOption>(Set.of(options));
        all.add(StandardOpenOption.WRITE);
        return FileChannel.open(path, all, forTheOwner(path, "rw-------"));
    }

    private static void forceDirectory(Path directory) throws IOException {
        // Windows opens no directory and keeps its entries by itself.
        if (File.separatorChar == '\\') {
            return;
        }
        try (var channel = FileChannel.open(directory, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    @Override
    public String path(String name) {
        return directory.resolve(name).toString();
    }

    @Override
    public boolean exists(String name) throws IOException {
        return Files.exists(directory.resolve(name));
    }

    @Override
    public JournalFile open(String name) throws IOException {
        return new OpenFile(channel(directory.resolve(name), StandardOpenOption.READ));
    }

    @Override
    public JournalFile create(String name) throws IOException {
        return new OpenFile(channel(
                directory.resolve(name),
                StandardOpenOption.READ,
                StandardOpenOption.CREATE,
                StandardOpenOption.TRUNCATE_EXISTING));
    }

    @Override
    public void rename(String from, String to) throws IOException {
        Files.move(directory.resolve(from), directory.resolve(to), StandardCopyOption.ATOMIC_MOVE);
    }

    @Override
    public void delete(String name) throws IOException {
        Files.delete(directory.resolve(name));
    }

    @Override
    public void force() throws IOException {
        forceDirectory(directory);
    }

    /** Unlocks the directory. The lock file stays: deleting it would let two hosts lock two files of one name. */
    @Override
    public void close() throws IOException {
        try {
            lockFile.close();
        } finally {
            LOCKED.remove(directory);
        }
    }

    private record OpenFile(FileChannel channel) implements JournalFile {
        @Override
        public long size() throws IOException {
            return channel.size();
        }

        @Override
        public void read(long offset, ByteBuffer into) throws IOException {
            var at = offset;
            while (into.hasRemaining()) {
                var count = channel.read(into, at);
                if (count < 0) {
                    throw new EOFException("the file ends at " + at + " while it is being read");
                }
                at += count;
            }
        }

        @Override
        public void write(long offset, ByteBuffer from) throws IOException {
            var at = offset;
            while (from.hasRemaining()) {
                at += channel.write(from, at);
            }
        }

        @Override
        public void truncate(long size) throws IOException {
            channel.truncate(size);
        }

        @Override
        public void force() throws IOException {
            channel.force(false);
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }
    }
}
