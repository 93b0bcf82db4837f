package io.sidecore.it;

import io.sidecore.it.Peers.Tool;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A block device whose sectors lie in a file. Where there can be none the test is skipped, and in CI it fails. */
public final class LoopDevice implements AutoCloseable {
    private final Path backing;
    private final Path device;

    private LoopDevice(Path backing, String... options) {
        this.backing = backing;
        var arguments = new ArrayList<>(List.of("--find", "--show"));
        arguments.addAll(List.of(options));
        arguments.add(backing.toString());
        var ended = Peers.run(Tool.LOSETUP, arguments);
        if (ended.exit() != 0) {
            Peers.missing("a loop device cannot be had here; run the tests as root, or in a container with "
                    + "--privileged: " + ended.err().strip());
        }
        device = Path.of(ended.out().strip());
    }

    /** On a file that is there. */
    public static LoopDevice on(Path backing, String... options) {
        return new LoopDevice(backing, options);
    }

    /** On a new sparse file. */
    public static LoopDevice create(Path backing, int mebibytes, String... options) throws IOException {
        resize(backing, mebibytes);
        return new LoopDevice(backing, options);
    }

    private static void resize(Path backing, int mebibytes) throws IOException {
        try (var file = new RandomAccessFile(backing.toFile(), "rw")) {
            file.setLength((long) mebibytes << 20);
        }
    }

    /** Where it is. */
    public Path path() {
        return device;
    }

    /** Its name among the kernel's devices. */
    public String name() {
        return device.getFileName().toString();
    }

    /** Makes the file beneath larger or smaller; the device keeps its size, and cannot reach what lies behind the end. */
    public void resizeBacking(int mebibytes) throws IOException {
        resize(backing, mebibytes);
    }

    /** Lets the device take the size of the file beneath. */
    public void followBacking() {
        Peers.run(Tool.LOSETUP, "--set-capacity", device.toString()).ok();
    }

    /** Detaches it, as soon as nobody uses it any more. */
    @Override
    public void close() {
        Peers.run(Tool.LOSETUP, "--detach", device.toString()).ok();
    }
}
