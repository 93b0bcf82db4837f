package io.sidecore.it.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.typesafe.config.ConfigFactory;
import io.sidecore.conf.Placement;
import io.sidecore.conf.Settings;
import io.sidecore.devices.interpose.RateLimit;
import io.sidecore.runtime.HostException;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.transfer.Progress;
import io.sidecore.runtime.transfer.TransferException;
import io.sidecore.runtime.transfer.VolumeFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class VolumeFilesTest {
    private static final int SIZE = 64 << 20;
    private static final Progress SILENT = (done, total) -> {};

    @TempDir
    Path folder;

    private Sidecore host;
    private VolumeFiles files;

    @BeforeEach
    void start() {
        host = Sidecore.start(Settings.read(ConfigFactory.parseString("""
                sidecore {
                  volumes {
                    disk { size = 64 MiB, store { type = memory } }
                    held { size = 1 MiB, store { type = memory } }
                    full { size = 64 MiB, store { type = memory, limit = 8 MiB } }
                  }
                  exports { nbd { listen = ["127.0.0.1:0"], volumes = [held] } }
                }
                """)));
        files = new VolumeFiles(host);
    }

    @AfterEach
    void stop() {
        var borrowed = host.slabs().borrowedBytes();
        host.close();
        assertThat(borrowed).as("memory that was not given back").isZero();
    }

    /** Data, a hole, data, and an end that is no multiple of a sector. */
    private Path image(int bytes) throws IOException {
        var contents = new byte[bytes];
        new SplittableRandom(1).nextBytes(contents);
        Arrays.fill(contents, bytes / 4, bytes / 2, (byte) 0);
        return Files.write(folder.resolve("image"), contents);
    }

    @Test
    void whatIsImportedIsExportedAgainWithZeroesBehindTheEndOfTheFile() throws IOException {
        var image = image((40 << 20) + 777);
        var out = folder.resolve("out");

        var in = files.in("disk", image, SILENT);
        files.out("disk", out, false, false, SILENT);

        assertThat(Files.getPosixFilePermissions(out)).isEqualTo(PosixFilePermissions.fromString("rw-------"));
        assertThat(in.bytes()).isEqualTo(SIZE);
        assertThat(in.copied()).isLessThan(32 << 20);
        var expected = Arrays.copyOf(Files.readAllBytes(image), SIZE);
        assertThat(Files.mismatch(Files.write(folder.resolve("expected"), expected), out))
                .isEqualTo(-1);
    }

    @Test
    void anImportLeavesNothingOfWhatWasThere() throws IOException {
        files.in("disk", image(SIZE), SILENT);
        var small = Files.write(folder.resolve("small"), new byte[] {1, 2, 3});

        files.in("disk", small, SILENT);
        var copied = files.out("disk", folder.resolve("out"), false, false, SILENT);

        var expected = new byte[SIZE];
        System.arraycopy(new byte[] {1, 2, 3}, 0, expected, 0, 3);
        assertThat(Files.readAllBytes(folder.resolve("out"))).isEqualTo(expected);
        assertThat(copied.copied()).isLessThan(1 << 20);
    }

    @Test
    void progressIsToldUpToTheWhole() throws IOException {
        var last = new long[2];
        files.in("disk", image(SIZE), (done, total) -> {
            assertThat(done).isBetween(last[0], total);
            last[0] = done;
            last[1] = total;
        });

        assertThat(last).containsExactly(SIZE, SIZE);
    }

    @Test
    void aVolumeThatSomebodyElseWritesIsRefusedWithTheHoldersName() throws IOException {
        assertThatThrownBy(() -> files.in("held", image(1000), SILENT))
                .isInstanceOf(HostException.class)
                .hasMessageContaining("nbd/held (exclusive)");
        assertThatThrownBy(() -> files.out("held", folder.resolve("out"), false, false, SILENT))
                .isInstanceOf(HostException.class)
                .hasMessageContaining("nbd/held (exclusive)")
                .hasMessageContaining("say --live");
        assertThat(folder.resolve("out")).doesNotExist();
        assertThat(folder.resolve("out.part")).doesNotExist();

        assertThat(files.out("held", folder.resolve("out"), true, false, SILENT).bytes())
                .isEqualTo(1 << 20);
    }

    @Test
    void aFileThatIsTooLargeOrMissingChangesNothing() throws IOException {
        assertThatThrownBy(() -> files.in("disk", image(SIZE + 1), SILENT))
                .isInstanceOf(HostException.class)
                .hasMessageContaining("only " + SIZE + "; make it larger first");
        assertThatThrownBy(() -> files.in("disk", folder.resolve("none"), SILENT))
                .isInstanceOf(HostException.class)
                .hasMessage("there is no file " + folder.resolve("none"));
        assertThatThrownBy(() -> files.in("disk", folder, SILENT)).isInstanceOf(HostException.class);
    }

    @Test
    void anErrorOfTheVolumeEndsTheImportAndNamesThePlace() throws IOException {
        assertThatThrownBy(() -> files.in("full", image(SIZE), SILENT))
                .isInstanceOf(TransferException.class)
                .hasMessageMatching("the volume answered ENOSPC to WRITE of 1048576 bytes at \\d+, after \\d+ of .*");
        assertThat(host.volume("full").orElseThrow().attachments()).isEmpty();
    }

    @Test
    void whoeverGoesAwayEndsTheCopyAndTheVolumeIsFreeAgain() throws IOException {
        var image = image(SIZE);
        assertThatThrownBy(() -> files.in("disk", image, (done, total) -> {
                    throw new IOException("gone");
                }))
                .isInstanceOf(TransferException.class)
                .hasMessageContaining("gone");
        assertThatThrownBy(() -> files.out("disk", folder.resolve("out"), false, false, (done, total) -> {
                    throw new IOException("gone");
                }))
                .isInstanceOf(TransferException.class);

        assertThat(host.volume("disk").orElseThrow().attachments()).isEmpty();
        assertThat(host.storage().vifs()).containsOnlyKeys("nbd/held");
        assertThat(folder.resolve("out.part")).doesNotExist();
        assertThat(files.in("disk", image, SILENT).bytes()).isEqualTo(SIZE);
    }

    @Test
    void aCopyIsChangedUnderWayAsAnyGuestIs() throws Exception {
        var image = image(SIZE);
        var begun = new CountDownLatch(1);
        var changed = new CompletableFuture<Void>();
        var copying = CompletableFuture.supplyAsync(() -> files.in("disk", image, (done, total) -> {
            begun.countDown();
            changed.join();
        }));
        begun.await();
        var vif = host.storage().vifs().get("import/disk");
        vif.insert(new RateLimit("limit", 0, 1L << 30, Duration.ofMillis(10)), 0)
                .toCompletableFuture()
                .join();
        vif.place(Placement.SHARED).toCompletableFuture().join();
        vif.remove("limit").toCompletableFuture().join();
        host.volume("disk").orElseThrow().replace().toCompletableFuture().join();
        changed.complete(null);
        copying.join();

        files.out("disk", folder.resolve("out"), false, false, SILENT);
        assertThat(Files.mismatch(image, folder.resolve("out"))).isEqualTo(-1);
    }

    @Test
    void aCopyWhoseVolumeIsTakenAwayEndsWithASentence() throws Exception {
        var image = image(SIZE);
        var begun = new CountDownLatch(1);
        var closed = new CompletableFuture<Void>();
        var copying = CompletableFuture.runAsync(() -> files.in("disk", image, (done, total) -> {
            begun.countDown();
            closed.join();
        }));
        begun.await();
        host.storage().leave("import/disk", "it is needed elsewhere").join();
        closed.complete(null);

        assertThatThrownBy(copying::join)
                .hasCauseInstanceOf(TransferException.class)
                .hasMessageContaining("the volume was taken away");
    }
}
