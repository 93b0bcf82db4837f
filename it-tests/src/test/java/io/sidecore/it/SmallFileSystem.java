package io.sidecore.it;

import io.sidecore.it.Peers.Tool;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** A file system of its own, to be filled, broken and repaired. Where it cannot be mounted the test is skipped, and in CI it fails. */
public final class SmallFileSystem implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofMinutes(1);

    private final Path at;
    private boolean mounted;

    private SmallFileSystem(Path at, List<String> how) throws IOException {
        this.at = at;
        Files.createDirectories(at);
        mount(how);
    }

    /** In memory, of that size. */
    public static SmallFileSystem inMemory(Path at, int mebibytes) throws IOException {
        return new SmallFileSystem(at, List.of("-t", "tmpfs", "-o", "size=" + mebibytes + "m", "tmpfs"));
    }

    /** An ext4 that is made on a device; it becomes read-only when it finds an error. */
    public static SmallFileSystem ext4(Path at, LoopDevice device) throws IOException {
        Peers.run(Tool.MKFS_EXT4, "-q", "-F", "-m", "0", device.path().toString())
                .ok();
        return existing(at, device);
    }

    /** The ext4 that is on a device. */
    public static SmallFileSystem existing(Path at, LoopDevice device) throws IOException {
        return new SmallFileSystem(
                at,
                List.of("-t", "ext4", "-o", "errors=remount-ro", device.path().toString()));
    }

    private void mount(List<String> how) {
        var arguments = new ArrayList<>(how);
        arguments.add(at.toString());
        var ended = Peers.run(Tool.MOUNT, arguments);
        if (ended.exit() != 0) {
            Peers.missing("a small file system cannot be mounted here; run the tests as root, or in a container with "
                    + "--cap-add SYS_ADMIN and its loop devices: " + ended.err().strip());
        }
        mounted = true;
    }

    /** Where it is mounted. */
    public Path path() {
        return at;
    }

    /** Unmounts it, once nobody has a file on it open any more. */
    public void unmount() {
        Peers.until(
                "nothing on " + at + " is in use",
                PATIENCE,
                () -> Peers.run(Tool.UMOUNT, at.toString()).exit() == 0);
        mounted = false;
    }

    /** Unmounts it if it is mounted, whoever still uses it. */
    @Override
    public void close() {
        if (mounted) {
            Peers.run(Tool.UMOUNT, "--lazy", at.toString()).ok();
            mounted = false;
        }
    }
}
