package io.sidecore.conf;

import static java.time.temporal.ChronoUnit.MICROS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import io.sidecore.conf.InterposerSettings.Errno;
import io.sidecore.conf.InterposerSettings.FaultPlan;
import io.sidecore.conf.InterposerSettings.RateLimit;
import io.sidecore.conf.ListenAddress.Tcp;
import io.sidecore.conf.ListenAddress.Unix;
import io.sidecore.conf.NbdSettings.ExportedVolume;
import io.sidecore.conf.StoreSettings.FileStore;
import io.sidecore.conf.StoreSettings.MemoryStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class SettingsTest {
    private static final int PROCESSORS = 4;
    private static final long MIB = 1 << 20;
    private static final long GIB = 1 << 30;

    @TempDir
    Path folder;

    @Test
    void theDefaultsAreThoseOfTheReference() {
        assertThat(Settings.read(ConfigFactory.empty()))
                .isEqualTo(new Settings(
                        Path.of("sidecore-data"),
                        new HostSettings(GIB),
                        CoreSettings.NONE,
                        new LoopSettings(
                                Duration.of(100, MICROS), 64, 8, Duration.of(200, MICROS), Duration.ofMillis(100)),
                        new VifSettings(
                                256,
                                64 * MIB,
                                Duration.ofSeconds(1),
                                Duration.ofSeconds(30),
                                Duration.ofSeconds(60),
                                3,
                                Duration.ofSeconds(1)),
                        Map.of(),
                        Optional.empty(),
                        Map.of(),
                        MetricsSettings.OFF,
                        LogSettings.TEXT));
    }

    @Test
    void withoutAFileAHostExportsOneMemoryVolumeToItsOwnMachineAndRunsTheDemoGuestOnAnother() {
        Settings settings = Settings.embedded();

        assertThat(settings.volumes())
                .containsOnly(Map.entry("scratch", memory(GIB, GIB)), Map.entry("demo", memory(64 * MIB, 64 * MIB)));
        assertThat(settings.vms())
                .hasEntrySatisfying("demo", vm -> {
                    assertThat(vm.guest())
                            .isInstanceOfSatisfying(
                                    GuestSettings.Wasm.class,
                                    wasm -> assertThat(wasm.module()).isEqualTo(GuestSettings.Wasm.DEMO));
                    assertThat(vm.disks()).extracting(VmSettings.Disk::volume).containsExactly("demo");
                    assertThat(vm.autostart()).isTrue();
                })
                .hasSize(1);
        assertThat(settings.nbd())
                .contains(new NbdSettings(
                        List.of(new Tcp("127.0.0.1", 10809), new Unix(Path.of("sidecore-data/nbd.sock"))),
                        List.of(new ExportedVolume("scratch", "scratch", AttachMode.EXCLUSIVE, List.of())),
                        256,
                        Duration.ofSeconds(10),
                        Placement.SHARED,
                        TlsSettings.NONE));
    }

    @ParameterizedTest
    @MethodSource("examples")
    void everyExampleLoads(Path example) {
        var settings = Settings.load(example, PROCESSORS);

        assertThat(settings.nbd().isPresent() || !settings.vms().isEmpty())
                .as("it serves somebody")
                .isTrue();
    }

    static Stream<Path> examples() throws IOException {
        try (Stream<Path> files = Files.list(Path.of("examples"))) {
            List<Path> found = files.sorted().toList();
            assertThat(found).hasSizeGreaterThanOrEqualTo(8);
            return found.stream();
        }
    }

    @Test
    void interposersAreReadInTheirOrder() {
        Settings settings = read("""
                sidecore {
                  volumes.root { size = 8 GB, store.type = memory }
                  exports.nbd {
                    listen = ["[::1]:0"]
                    volumes = [{
                      volume = root
                      interposers = [
                        { type = rate-limit, bandwidth = 100 MiB, burst = 50 ms }
                        { type = fault-plan, seed = 7, delay { ratio = 0.02, by = 5 ms }, error { ratio = 1, errno = ENOSPC } }
                      ]
                    }]
                  }
                }
                """);

        assertThat(settings.volumes()).containsExactly(Map.entry("root", memory(8_000_000_000L, 8_000_000_000L)));
        assertThat(settings.nbd().orElseThrow().volumes())
                .containsExactly(new ExportedVolume(
                        "root",
                        "root",
                        AttachMode.EXCLUSIVE,
                        List.of(
                                new RateLimit(OptionalLong.empty(), OptionalLong.of(100 * MIB), Duration.ofMillis(50)),
                                new FaultPlan(7, 0.02, Duration.ofMillis(5), 1.0, Errno.ENOSPC, 0.0))));
    }

    @Test
    void aVolumeIsExportedUnderSeveralNamesInModesThatGoTogether() {
        Settings settings = read("""
                sidecore {
                  volumes { root { size = 1 MiB, store.type = memory }, data { size = 1 MiB, store.type = memory } }
                  exports.nbd {
                    listen = ["[::1]:0"]
                    volumes = [
                      root
                      { volume = root, name = look, mode = read-only }
                      { volume = data, name = left, mode = shared }
                      { volume = data, name = right, mode = shared }
                    ]
                  }
                }
                """);

        assertThat(settings.nbd().orElseThrow().volumes())
                .containsExactly(
                        new ExportedVolume("root", "root", AttachMode.EXCLUSIVE, List.of()),
                        new ExportedVolume("look", "root", AttachMode.READ_ONLY, List.of()),
                        new ExportedVolume("left", "data", AttachMode.SHARED, List.of()),
                        new ExportedVolume("right", "data", AttachMode.SHARED, List.of()));
    }

    @Test
    void whatAnInterposerLeavesOutHasItsDocumentedDefault() {
        Settings settings = read("""
                sidecore {
                  volumes.root { size = 1 MiB, store.type = memory }
                  exports.nbd {
                    listen = ["[::1]:0"]
                    volumes = [{
                      volume = root
                      interposers = [{ type = rate-limit, iops = 5 }, { type = fault-plan }, { type = fault-plan, error.ratio = 1 }]
                    }]
                  }
                }
                """);

        assertThat(settings.nbd().orElseThrow().volumes().getFirst().interposers())
                .containsExactly(
                        new RateLimit(OptionalLong.of(5), OptionalLong.empty(), Duration.ofMillis(10)),
                        new FaultPlan(1, 0, Duration.ZERO, 0, Errno.EIO, 0),
                        new FaultPlan(1, 0, Duration.ZERO, 1, Errno.EIO, 0));
    }

    @Test
    void aFileVolumeTakesItsDefaultsAndItsSizeMayBeThatOfTheImage() {
        Settings settings = read("""
                sidecore.data-directory = /var/lib/sidecore
                sidecore.volumes {
                  root { size = 1 GiB, store { type = file, path = "root.img" } }
                  iso { store { type = file, path = "/srv/a.iso", read-only = true, direct = yes, threads = 4 } }
                }
                """);

        assertThat(settings.volumes())
                .containsExactly(
                        Map.entry(
                                "iso",
                                new VolumeSettings(0, new FileStore(Path.of("/srv/a.iso"), false, true, true, 4))),
                        Map.entry(
                                "root",
                                new VolumeSettings(
                                        GIB,
                                        new FileStore(Path.of("/var/lib/sidecore/root.img"), true, false, false, 16))));
    }

    @Test
    void aPathIsRelativeToTheFileThatNamesIt() throws IOException {
        Path other = Files.createDirectory(folder.resolve("other"));
        Files.writeString(
                other.resolve("volume.conf"),
                "sidecore.volumes.a { size = 1 MiB, store { type = file, path = a.img } }");
        Path file = Files.writeString(folder.resolve("host.conf"), """
                include "other/volume.conf"
                sidecore.volumes.b { size = 1 MiB, store { type = file, path = "../b.img" } }
                """);

        assertThat(Settings.load(file, PROCESSORS).volumes().values())
                .map(volume -> ((FileStore) volume.store()).path())
                .containsExactly(
                        other.resolve("a.img"), folder.resolve("../b.img").normalize());
    }

    @Test
    void volumesComeInTheOrderOfTheirNames() {
        Settings settings = read("""
                sidecore.volumes {
                  zeta { size = 1 MiB, store.type = memory }
                  "v1.2" { size = 1 MiB, store.type = memory }
                  alpha { size = 1 MiB, store { type = memory, limit = 64 KiB } }
                  gone = null
                }
                """);

        assertThat(settings.volumes())
                .containsExactly(
                        Map.entry("alpha", memory(MIB, 64 * 1024)),
                        Map.entry("v1.2", memory(MIB, MIB)),
                        Map.entry("zeta", memory(MIB, MIB)));
    }

    @Test
    void sidecoresAreCountedOrListed() {
        assertThat(read("sidecore.cores.service = 3").cores().service()).isEqualTo(new CoreChoice.Count(3));
        assertThat(read("sidecore.cores.service = [3, 1]").cores().service())
                .isEqualTo(new CoreChoice.Listed(List.of(3, 1)));
        assertThat(read("sidecore.cores.service = [3, 1]").cores().service().count())
                .isEqualTo(2);
    }

    @Test
    void unixSocketsAreResolvedAgainstTheDataDirectory() {
        Settings settings = read("""
                sidecore.data-directory = /var/lib/sidecore
                sidecore.volumes.a { size = 1 MiB, store.type = memory }
                sidecore.exports.nbd { listen = ["unix:nbd.sock", "unix:/run/nbd.sock"], volumes = [a] }
                """);

        assertThat(settings.nbd().orElseThrow().listen())
                .containsExactly(new Unix(Path.of("/var/lib/sidecore/nbd.sock")), new Unix(Path.of("/run/nbd.sock")));
    }

    @Test
    void theFilesOfTlsAreRelativeToTheFileThatNamesThem() throws IOException {
        Path file = Files.writeString(folder.resolve("host.conf"), """
                sidecore.volumes.a { size = 1 MiB, store.type = memory }
                sidecore.exports.nbd {
                  listen = ["[::1]:0"]
                  volumes = [a]
                  tls { mode = allow, certificate = pki/cert.pem, key = /etc/key.pem, client-ca = ../ca.pem }
                }
                """);

        assertThat(Settings.load(file).nbd().orElseThrow().tls())
                .isEqualTo(new TlsSettings(
                        TlsSettings.Mode.ALLOW,
                        Optional.of(new TlsSettings.Files(
                                folder.resolve("pki/cert.pem"),
                                Path.of("/etc/key.pem"),
                                Optional.of(folder.resolveSibling("ca.pem"))))));
    }

    @Test
    void theProgramOfAQemuIsRelativeToTheFileThatNamesItUnlessItIsAName() throws IOException {
        Path file = Files.writeString(folder.resolve("host.conf"), """
                sidecore.vms {
                  relative.guest { type = qemu, program = tools/qemu }
                  absolute.guest { type = qemu, program = /opt/qemu }
                  name.guest { type = qemu, program = qemu }
                }
                """);

        assertThat(Settings.load(file).vms())
                .extractingFromEntries(vm -> ((GuestSettings.Qemu) vm.getValue().guest()).program())
                .containsExactlyInAnyOrder(folder.resolve("tools/qemu").toString(), "/opt/qemu", "qemu");
    }

    @Test
    void aFileMayIncludeOthersAndSubstitute() throws IOException {
        Files.writeString(folder.resolve("disks.conf"), "sidecore.volumes.a { size = ${size}, store.type = memory }");
        Path file = Files.writeString(folder.resolve("host.conf"), "size = 2 MiB\ninclude \"disks.conf\"");

        assertThat(Settings.load(file).volumes()).containsExactly(Map.entry("a", memory(2 * MIB, 2 * MIB)));
    }

    @Test
    void systemPropertiesOverrideTheFileEvenListsAndNumbers() throws IOException {
        Path file = Files.writeString(folder.resolve("host.conf"), """
                sidecore {
                  cores.service = 0
                  volumes.a { size = 1 MiB, store.type = memory }
                  exports.nbd { listen = ["a:1", "b:1"], volumes = [a] }
                }
                """);
        Map<String, String> properties = Map.of(
                "sidecore.cores.service", "2",
                "sidecore.loop.spin-max", "1 ms",
                "sidecore.exports.nbd.listen.0", "127.0.0.1:0");

        Settings settings = withSystemProperties(properties, file);

        assertThat(settings.cores().service()).isEqualTo(new CoreChoice.Count(2));
        assertThat(settings.loop().spinMax()).isEqualTo(Duration.ofMillis(1));
        assertThat(settings.nbd().orElseThrow().listen()).containsExactly(new Tcp("127.0.0.1", 0));
    }

    @Test
    void aConfigThatHoldsTheReferenceAlreadyReadsTheSame() {
        Config config = ConfigFactory.parseString("sidecore.vif.slots = 8");
        Config complete = config.withFallback(ConfigFactory.defaultReference()).resolve();

        assertThat(Settings.read(complete)).isEqualTo(Settings.read(config));
    }

    @Test
    void settingsCannotBeChanged() {
        Map<String, VolumeSettings> volumes = Settings.embedded().volumes();

        assertThatThrownBy(volumes::clear).isInstanceOf(UnsupportedOperationException.class);
    }

    private static Settings read(String text) {
        return Settings.read(ConfigFactory.parseString(text), PROCESSORS);
    }

    private static VolumeSettings memory(long size, long limit) {
        return new VolumeSettings(size, new MemoryStore(limit));
    }

    private static Settings withSystemProperties(Map<String, String> properties, Path file) {
        properties.forEach(System::setProperty);
        ConfigFactory.invalidateCaches();
        try {
            return Settings.load(file, PROCESSORS);
        } finally {
            properties.keySet().forEach(System::clearProperty);
            ConfigFactory.invalidateCaches();
        }
    }
}
