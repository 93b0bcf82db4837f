package io.sidecore.it.files;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.it.HostProcess;
import io.sidecore.it.LoopDevice;
import io.sidecore.it.Peers;
import io.sidecore.it.Peers.Running;
import io.sidecore.it.Peers.ShortDirectory;
import io.sidecore.it.Peers.Tool;
import io.sidecore.it.SmallFileSystem;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** RS-1, RS-7: a real file system on a disk that is served, worked hard by a tool that reads back what it has written. */
class MountedDiskTest {
    private static final boolean LONG = Boolean.getBoolean("it.long");
    private static final int SIZE_MIB = LONG ? 1024 : 256;
    private static final Duration PATIENCE = Duration.ofMinutes(LONG ? 30 : 5);

    private final ShortDirectory directory = new ShortDirectory();
    private final Path path = directory.path();

    @AfterEach
    void delete() {
        directory.close();
    }

    @Test
    void anExt4ThroughFuseAndALoopDeviceIsCleanAfterStressWithVerification() throws IOException {
        Peers.need(Tool.NBDFUSE, Tool.STRESS_NG, Tool.MKFS_EXT4, Tool.E2FSCK);
        var image = path.resolve("disk.img");
        var settings = """
                volumes { disk { size = %d MiB, store { type = file, path = "%s" } } }
                exports.nbd { listen = ["unix:s"], volumes = [disk] }
                """.formatted(SIZE_MIB, image);
        try (var host = new HostProcess(path, settings)) {
            var file = Files.createDirectory(path.resolve("fuse")).resolve("disk");
            try (var fuse = fuse(host, file)) {
                try (var device = LoopDevice.on(file)) {
                    stress(device);
                    var clean = Peers.run(Tool.E2FSCK, "-f", "-n", device.path().toString());
                    assertThat(clean.exit()).as(clean.out() + clean.err()).isZero();
                }
                Peers.until("the loop device has let the file go", PATIENCE, () -> unmount(file));
                assertThat(fuse.await(PATIENCE).exit()).isZero();
            } finally {
                unmount(file);
            }
            assertThat(host.output()).doesNotContain("ERROR").doesNotContain("volume disk");
        }
        // The image is a raw disk, whoever looks at it.
        var clean = Peers.run(Tool.E2FSCK, "-f", "-n", image.toString());
        assertThat(clean.exit()).as(clean.out() + clean.err()).isZero();
    }

    private static Running fuse(HostProcess host, Path file) {
        var fuse = Peers.start(Tool.NBDFUSE, List.of(file.toString(), host.uri()));
        Peers.until("the disk is a file: " + fuse.output(), PATIENCE, () -> Files.exists(file) || !fuse.alive());
        if (!fuse.alive()) {
            Peers.missing("nbdfuse cannot mount here; run the tests as root, or in a container with "
                    + "--device /dev/fuse --cap-add SYS_ADMIN: " + fuse.output().strip());
        }
        return fuse;
    }

    private static boolean unmount(Path file) {
        return !Files.exists(file)
                || Peers.run(Tool.UMOUNT, file.getParent().toString()).exit() == 0;
    }

    private void stress(LoopDevice device) throws IOException {
        try (var mounted = SmallFileSystem.ext4(path.resolve("mounted"), device)) {
            var stress = Peers.start(
                    Tool.STRESS_NG,
                    List.of(
                            "--temp-path",
                            mounted.path().toString(),
                            "--verify",
                            "--metrics-brief",
                            "--hdd",
                            "2",
                            "--hdd-bytes",
                            LONG ? "128m" : "32m",
                            "--hdd-opts",
                            "wr-rnd,rd-rnd,fsync",
                            "--hdd-ops",
                            LONG ? "40000" : "2000",
                            "--iomix",
                            "1",
                            "--iomix-bytes",
                            LONG ? "128m" : "32m",
                            "--iomix-ops",
                            LONG ? "20000" : "500"));
            try (stress) {
                var ended = stress.await(PATIENCE);
                assertThat(ended.exit()).as(ended.out() + ended.err()).isZero();
                System.out.println("stress-ng on an ext4 on a loop device on nbdfuse on this host:\n"
                        + (ended.out() + ended.err()).strip().indent(4).stripTrailing());
            }
            mounted.unmount();
        }
    }
}
