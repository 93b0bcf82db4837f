package io.sidecore.it.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.it.LoopDevice;
import io.sidecore.it.Peers;
import io.sidecore.it.Peers.ShortDirectory;
import io.sidecore.it.Peers.Tool;
import io.sidecore.it.Peers.Verified;
import io.sidecore.it.SmallFileSystem;
import io.sidecore.runtime.HostException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** RS-7, RS-9: real block devices as images, with sectors of 512 and of 4096 bytes, through the page cache and past it. */
class BlockDeviceTest {
    private static final int MIB = 1 << 20;

    private final ShortDirectory directory = new ShortDirectory();
    private final Path path = directory.path();

    @AfterEach
    void delete() {
        directory.close();
    }

    private TroubledDisk serve(LoopDevice device, String size, String store) {
        return new TroubledDisk(path, device.path(), size, store);
    }

    @ParameterizedTest(name = "sectors of {0}, direct = {1}")
    @CsvSource({"512, false", "512, true", "4096, false", "4096, true"})
    void everyCommandWorksAtAnyAlignmentAndTheDeviceHasItAfterAFlush(int sector, boolean direct) throws IOException {
        var backing = path.resolve("backing");
        try (var device = LoopDevice.create(backing, 16, "--sector-size", Integer.toString(sector))) {
            try (var disk = serve(device, "", "direct = " + direct)) {
                assertThat(disk.ask(
                                "print(h.get_size(), h.can_flush(), h.can_trim(), h.can_zero(), h.is_read_only())",
                                "h.pwrite(b'a' * (4 << 20), 0)",
                                "h.pwrite(b'b' * 1000, 4095)",
                                "h.zero(10000, 100001)",
                                "h.zero(1 << 20, 1 << 20, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FUA)",
                                "h.trim(1 << 20, 2 << 20)",
                                "h.flush()",
                                "d = h.pread(3 << 20, 0)",
                                "print(d[:4095] == b'a' * 4095, d[4095:5095] == b'b' * 1000)",
                                "print(d[5095:100001] == b'a' * 94906, d[100001:110001] == bytes(10000))",
                                "print(d[110001:1 << 20] == b'a' * ((1 << 20) - 110001))",
                                "print(d[1 << 20:2 << 20] == bytes(1 << 20), len(d))",
                                "print(h.pread(1 << 20, 3 << 20) == b'a' * (1 << 20))",
                                "print(t(h.pread, 4096, 16 << 20), t(h.pwrite, bytes(512), (16 << 20) - 512))"))
                        .containsExactly(
                                16 * MIB + " True True True False",
                                "True True",
                                "True True",
                                "True",
                                "True " + 3 * MIB,
                                "True",
                                "EINVAL OK");
                var content = Files.readAllBytes(backing);
                assertThat(new int[] {content[4094], content[4095], content[5094], content[5095], content[100_001]})
                        .as("in the file beneath")
                        .containsExactly('a', 'b', 'b', 'a', 0);
                Verified.of(Peers.run(Tool.FIO, Peers.fioVerify(disk.uri(), "--bsrange=512-64k", "--size=8m")));
                // What was trimmed is given back by the device: the file beneath has a hole there.
                disk.ask("h.pwrite(b'x' * (8 << 20), 8 << 20)", "h.flush()");
                var before = blocks(backing);
                disk.ask("h.trim(8 << 20, 8 << 20)", "h.flush()");
                assertThat(blocks(backing)).isLessThan(before - 7 * MIB / 512);
            }
        }
    }

    /** Blocks of 512 bytes that a file takes. */
    private static long blocks(Path file) throws IOException {
        try (var stat = Peers.start(List.of("stat", "-c", "%b", file.toString()))) {
            return Long.parseLong(stat.await(Duration.ofMinutes(1)).ok().strip());
        }
    }

    @Test
    void aDeviceIsTakenAsLargeAsItIsAndAnotherSizeIsRefused() throws IOException {
        try (var device = LoopDevice.create(path.resolve("backing"), 16)) {
            serve(device, "size = 16 MiB", "").close();
            assertThatThrownBy(() -> serve(device, "size = 32 MiB", ""))
                    .isInstanceOf(HostException.class)
                    .hasMessageContaining("volume disk: " + device.path() + " has 16777216 bytes");
        }
    }

    @Test
    void aDeviceThatSomebodyHasIsRefused() throws IOException {
        try (var device = LoopDevice.create(path.resolve("backing"), 16);
                var disk = serve(device, "", "");
                var elsewhere = new ShortDirectory()) {
            assertThatThrownBy(() -> new TroubledDisk(elsewhere.path(), device.path(), "", ""))
                    .hasMessageContaining("volume disk: Cannot open " + device.path()
                            + ": Device or resource busy (errno 16). It is in use by ")
                    .hasMessageContaining("(pid " + ProcessHandle.current().pid() + ")");
            var refused = Peers.run(
                    Tool.QEMU_IO,
                    "-f",
                    "raw",
                    "-c",
                    "write 0 512",
                    device.path().toString());
            assertThat(refused.exit()).isNotZero();
            assertThat(refused.err() + refused.out()).contains("lock");
            assertThat(disk.ask("print(t(h.pwrite, bytes(512), 0))")).containsExactly("OK");
        }
    }

    @Test
    void aMountedDeviceIsRefusedUnlessItIsOnlyRead() throws IOException {
        try (var device = LoopDevice.create(path.resolve("backing"), 16);
                var mounted = SmallFileSystem.ext4(path.resolve("mounted"), device)) {
            assertThatThrownBy(() -> serve(device, "", ""))
                    .hasMessageContaining("volume disk: Cannot open " + device.path()
                            + ": Device or resource busy (errno 16). It is in use by the system, mounted perhaps");
            try (var disk = serve(device, "", "read-only = true")) {
                assertThat(disk.ask("print(h.is_read_only(), h.pread(2, 1080))"))
                        .as("the magic number of an ext4")
                        .containsExactly("True bytearray(b'S\\xef')");
            }
            assertThat(mounted.path().resolve("lost+found")).isDirectory();
        }
    }

    @Test
    void aWriteProtectedDeviceIsServedReadOnlyOrRefusedWithAdvice() throws IOException {
        try (var device = LoopDevice.create(path.resolve("backing"), 16, "--read-only")) {
            assertThatThrownBy(() -> serve(device, "", ""))
                    .hasMessageContaining("volume disk: ")
                    .hasMessageContaining("say read-only = true");
            try (var disk = serve(device, "", "read-only = true")) {
                assertThat(disk.ask("print(h.is_read_only(), h.get_size(), h.pread(2, 0))"))
                        .containsExactly("True " + 16 * MIB + " bytearray(b'\\x00\\x00')");
            }
        }
    }
}
