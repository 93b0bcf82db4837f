package io.sidecore.it.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.it.LoopDevice;
import io.sidecore.it.Peers;
import io.sidecore.it.Peers.ShortDirectory;
import io.sidecore.it.Peers.Tool;
import io.sidecore.it.SmallFileSystem;
import io.sidecore.runtime.HostException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** RS-7: what goes wrong with real file systems and devices, each time made to happen: what the client is told, what the host says, and that it serves again after a repair. */
class DiskTroubleTest {
    private static final int MIB = 1 << 20;
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    private final ShortDirectory directory = new ShortDirectory();
    private final Path path = directory.path();

    @AfterEach
    void delete() {
        directory.close();
    }

    private TroubledDisk disk(Path image, int mebibytes) {
        return new TroubledDisk(path, image, "size = " + mebibytes + " MiB", "");
    }

    private TroubledDisk disk(LoopDevice device) {
        return new TroubledDisk(path, device.path(), "", "");
    }

    private static void awaitWell(TroubledDisk disk) {
        Peers.until("the volume is well again: " + disk.volume().conditions(), PATIENCE, () -> {
            disk.ask("h.pread(512, 0)");
            return disk.volume().conditions().isEmpty();
        });
    }

    // --- the request fails, the volume goes on
    // -------------------------------------------------------------------------

    @ParameterizedTest
    @ValueSource(strings = {"tmpfs", "ext4"})
    void aFullDiskIsNoSpaceToWhoNeedsSomeAndHarmsNothingElse(String type) throws IOException {
        try (var device = LoopDevice.create(path.resolve("small.img"), 24);
                var small = type.equals("ext4")
                        ? SmallFileSystem.ext4(path.resolve("small"), device)
                        : SmallFileSystem.inMemory(path.resolve("small"), 16);
                var disk = disk(small.path().resolve("disk.img"), 64)) {
            var ballast = Files.write(small.path().resolve("ballast"), new byte[8 * MIB]);
            assertThat(disk.ask(
                            "print(t(h.pwrite, b'a' * 65536, 0), t(h.flush))",
                            "all = [t(h.pwrite, b'b' * (1 << 20), (1 + i) << 20) for i in range(32)]",
                            "print(sorted(set(all)), all.count('ENOSPC') >= 16)",
                            "print(h.pread(65536, 0) == b'a' * 65536)",
                            "print(t(h.pwrite, b'c' * 4096, 0), t(h.flush))",
                            "print(t(h.pwrite, b'd' * (1 << 20), 50 << 20))"))
                    .containsExactly("OK OK", "['ENOSPC', 'OK'] True", "True", "OK OK", "ENOSPC");
            assertThat(disk.volume().conditions())
                    .singleElement()
                    .asString()
                    .contains(
                            "disk.img: No space left on device (errno 28); what needs space is answered ENOSPC until there");
            assertThat(disk.otherServes()).isTrue();

            Files.delete(ballast);
            awaitWell(disk);

            assertThat(disk.ask(
                            "print(t(h.pwrite, b'd' * (1 << 20), 50 << 20), t(h.flush))",
                            "print(h.pread(4096, 0) == b'c' * 4096, h.pread(4096, 50 << 20) == b'd' * 4096)"))
                    .containsExactly("OK OK", "True True");
            assertThat(disk.volume().failure()).isEmpty();
            assertThat(disk.events()).containsExactly("created", "degraded", "well");
        }
    }

    @Test
    void anImageThatMayNotBeWrittenAnyMoreIsReadAndServesAgainOnceItMay() throws IOException {
        try (var device = LoopDevice.create(path.resolve("small.img"), 24);
                var small = SmallFileSystem.ext4(path.resolve("small"), device);
                var disk = disk(small.path().resolve("disk.img"), 8)) {
            disk.ask("h.pwrite(b'a' * 4096, 0)");
            var image = small.path().resolve("disk.img").toString();
            Peers.run(Tool.CHATTR, "+i", image).ok();

            assertThat(disk.ask(
                            "print([t(h.pwrite, b'b' * 4096, i << 12) for i in range(4)])",
                            "print(t(h.trim, 4096, 0), t(h.zero, 4096, 0), h.pread(4096, 0) == b'a' * 4096)",
                            "print(t(h.flush))"))
                    .containsExactly("['EPERM', 'EPERM', 'EPERM', 'EPERM']", "EPERM EPERM True", "OK");
            assertThat(disk.volume().conditions())
                    .containsExactly(
                            "Cannot write 4096 bytes at 0 of " + image
                                    + ": Operation not permitted (errno 1); changes are answered EPERM until it can be written again");

            Peers.run(Tool.CHATTR, "-i", image).ok();
            assertThat(disk.ask("print(t(h.pwrite, b'b' * 4096, 0), t(h.flush))"))
                    .containsExactly("OK OK");
            assertThat(disk.volume().conditions()).isEmpty();
            assertThat(disk.events()).containsExactly("created", "degraded", "well");
            assertThat(disk.otherServes()).isTrue();
        }
    }

    @Test
    void anIoErrorConcernsItsPlaceAndIsOverOnceThatPlaceIsReadAgain() throws IOException {
        try (var device = LoopDevice.create(path.resolve("backing"), 16);
                var disk = disk(device)) {
            disk.ask("h.pwrite(b'a' * (1 << 20), 0)", "h.flush()");
            // The sectors behind are gone; the device still has its size.
            device.resizeBacking(4);

            assertThat(disk.ask(
                            "print([t(h.pread, 4096, 8 << 20) for i in range(5)])",
                            "print(h.pread(4096, 0) == b'a' * 4096, t(h.pwrite, b'b' * 4096, 0), t(h.pread, 4096, 0))"))
                    .containsExactly("['EIO', 'EIO', 'EIO', 'EIO', 'EIO']", "True OK OK");
            assertThat(disk.volume().conditions())
                    .containsExactly(
                            "Cannot read 4096 bytes at 8388608 of " + device.path()
                                    + ": Input/output error (errno 5); what touches that place is answered EIO as long as it lasts");
            assertThat(disk.volume().failure()).isEmpty();
            assertThat(disk.otherServes()).isTrue();

            device.resizeBacking(16);
            assertThat(disk.ask("print(t(h.pread, 4096, 8 << 20))")).containsExactly("OK");
            assertThat(disk.volume().conditions()).isEmpty();
            assertThat(disk.events()).containsExactly("created", "degraded", "well");
        }
    }

    // --- contents are unknown, the volume fails
    // ------------------------------------------------------------------------

    @Test
    void aFlushThatFailsStaysFailedUntilTheVolumeIsRecovered() throws IOException {
        try (var small = SmallFileSystem.inMemory(path.resolve("small"), 24);
                var device = LoopDevice.create(small.path().resolve("backing"), 64);
                var disk = disk(device)) {
            // The device takes what it is given; that there is no room for it shows when it is to be durable.
            var ballast = Files.write(small.path().resolve("ballast"), new byte[16 * MIB]);
            assertThat(disk.ask(
                            "print(t(h.pwrite, b'a' * (1 << 20), 0), t(h.flush))",
                            "for i in range(16): h.pwrite(b'b' * (1 << 20), (16 + i) << 20)",
                            "print(t(h.flush))",
                            "print(t(h.flush), t(h.pread, 4096, 0), t(h.pwrite, b'c' * 4096, 0), h.get_size())"))
                    .containsExactly("OK OK", "EIO", "EIO EIO EIO " + 64 * MIB);
            assertThat(disk.volume().failure())
                    .hasValueSatisfying(why -> assertThat(why)
                            .matches("a flush failed: Cannot make durable what was written to " + device.path()
                                    + ": (Input/output error|No space left on device) \\(errno \\d+\\)"));
            assertThat(disk.otherServes()).isTrue();

            Files.delete(ballast);
            disk.recover();

            assertThat(disk.ask(
                            "print(h.pread(1 << 20, 0) == b'a' * (1 << 20))",
                            "print(t(h.pwrite, b'c' * (1 << 20), 16 << 20), t(h.flush))"))
                    .containsExactly("True", "OK OK");
            assertThat(disk.volume().failure()).isEmpty();
            assertThat(disk.events()).containsExactly("created", "failed", "recovered");
        }
    }

    @Test
    void aFileSystemThatBecameReadOnlyIsUnmountedCheckedMountedAndTheVolumeRecovered() throws IOException {
        try (var device = LoopDevice.create(path.resolve("small.img"), 24);
                var small = SmallFileSystem.ext4(path.resolve("small"), device);
                var disk = disk(small.path().resolve("disk.img"), 8)) {
            disk.ask("h.pwrite(b'a' * 4096, 0)", "h.flush()");
            // As if it had found an error in its metadata.
            Files.writeString(Path.of("/sys/fs/ext4", device.name(), "trigger_fs_error"), "1");

            assertThat(disk.ask("print(t(h.pwrite, b'b' * 4096, 0), h.pread(4096, 0) == b'a' * 4096)"))
                    .containsExactly("EPERM True");
            assertThat(disk.volume().conditions())
                    .singleElement()
                    .asString()
                    .endsWith(
                            "disk.img: Read-only file system (errno 30); changes are answered EPERM until it can be written again");
            assertThat(disk.ask("print(t(h.flush), t(h.pread, 4096, 0))")).containsExactly("EIO EIO");
            assertThat(disk.volume().failure())
                    .hasValueSatisfying(why -> assertThat(why).startsWith("a flush failed: Cannot make durable"));

            small.unmount();
            assertThatThrownBy(disk::recover)
                    .isInstanceOf(HostException.class)
                    .hasMessageContaining(
                            "volume disk: Cannot open " + small.path().resolve("disk.img"));
            assertThat(Peers.run(Tool.E2FSCK, "-f", "-y", device.path().toString())
                            .exit())
                    .as("0: clean, 1: repaired")
                    .isBetween(0, 1);
            try (var _ = SmallFileSystem.existing(small.path(), device)) {
                disk.recover();
                assertThat(disk.ask("print(h.pread(4096, 0) == b'a' * 4096, t(h.pwrite, b'b' * 4096, 0), t(h.flush))"))
                        .containsExactly("True OK OK");
                assertThat(disk.volume().conditions()).isEmpty();
                assertThat(disk.events()).containsExactly("created", "degraded", "failed", "well", "recovered");
                assertThat(disk.otherServes()).isTrue();
                disk.close();
            }
        }
    }

    @Test
    void anImageWhoseFileSystemIsTakenAwayFailsAndServesAgainOnceThatIsBack() throws IOException {
        try (var device = LoopDevice.create(path.resolve("small.img"), 24);
                var small = SmallFileSystem.ext4(path.resolve("small"), device);
                var disk = disk(small.path().resolve("disk.img"), 8)) {
            disk.ask("h.pwrite(b'a' * 4096, 0)", "h.flush()");
            small.close();

            assertThat(disk.ask("print(t(h.pwrite, b'b' * 4096, 4096, nbd.CMD_FLAG_FUA), t(h.pread, 4096, 0))"))
                    .containsExactly("EIO EIO");
            assertThat(disk.volume().failure())
                    .contains("the image " + small.path().resolve("disk.img")
                            + " has vanished: it was deleted, renamed or unmounted");

            try (var _ = SmallFileSystem.existing(small.path(), device)) {
                disk.recover();
                assertThat(disk.ask("print(h.pread(4096, 0) == b'a' * 4096, t(h.flush))"))
                        .containsExactly("True OK");
                assertThat(disk.events()).containsExactly("created", "failed", "recovered");
                disk.close();
            }
        }
    }

    @Test
    void aDeviceThatShrankFailsTheVolumeAndServesAgainOnceItHasItsSize() throws IOException {
        try (var device = LoopDevice.create(path.resolve("backing"), 16);
                var disk = disk(device)) {
            disk.ask("h.pwrite(b'a' * 4096, 0)", "h.flush()");
            device.resizeBacking(4);
            device.followBacking();

            assertThat(disk.ask("print(t(h.pwrite, b'b' * 4096, 8 << 20), t(h.pread, 4096, 0))"))
                    .containsExactly("EIO EIO");
            assertThat(disk.volume().failure())
                    .contains("the image " + device.path() + " has shrunk, from " + 16 * MIB + " to " + 4 * MIB
                            + " bytes");
            assertThatThrownBy(disk::recover).hasMessageContaining("had " + 16 * MIB + " bytes and now has " + 4 * MIB);

            device.resizeBacking(16);
            device.followBacking();
            disk.recover();
            assertThat(disk.ask("print(h.pread(4096, 0) == b'a' * 4096, t(h.pread, 4096, 8 << 20), t(h.flush))"))
                    .containsExactly("True OK OK");
            assertThat(disk.events()).containsExactly("created", "failed", "recovered");
        }
    }
}
