package io.sidecore.conf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import io.sidecore.conf.NbdSettings.ExportedVolume;
import io.sidecore.conf.VmSettings.Disk;
import io.sidecore.conf.VmSettings.Restart;
import io.sidecore.conf.VmSettings.RestartPolicy;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DefinitionsTest {
    private static final Path DATA = Path.of("/data");

    private static Config section(String text) {
        return ConfigFactory.parseString(text);
    }

    private static List<String> mistakes(Runnable reading) {
        return catchThrowableOfType(SettingsException.class, reading::run).mistakes().stream()
                .map(mistake -> mistake.key() + ": " + mistake.message())
                .toList();
    }

    @Test
    void aVolumeIsReadAsInAFile() {
        VolumeSettings volume =
                Definitions.volume("v1.2", section("size = 1 MiB, store { type = memory, limit = 64 KiB }"), DATA);

        assertThat(volume).isEqualTo(new VolumeSettings(1 << 20, new StoreSettings.MemoryStore(64 << 10)));
    }

    @Test
    void mistakesInAVolumeHaveTheWordsOfAFileAndKeysRelativeToTheVolume() {
        assertThat(mistakes(() -> Definitions.volume("data", section("size = 10x, store { typ = memory }"), DATA)))
                .containsExactlyInAnyOrder(
                        "size: expected a size from 512 B to 4 EiB, found \"10x\"",
                        "store.type: required: expected one of "
                                + mistakes(() -> Definitions.volume("d", section("size = 512, store {}"), DATA))
                                        .getFirst()
                                        .replace("store.type: required: expected one of ", ""));
    }

    @Test
    void aBadNameIsAMistakeToo() {
        assertThat(mistakes(() -> Definitions.volume("my disk", section("size = 512, store { type = memory }"), DATA)))
                .containsExactly(
                        ": expected a name of 1 to 64 letters, digits, '.', '_' and '-', the first one a letter"
                                + " or a digit");
    }

    @ParameterizedTest
    @CsvSource({"512 B, 512", "64MiB, 67108864", "1 GB, 1000000000"})
    void aSizeIsReadAsInAFile(String text, long bytes) {
        // 1 GB is a multiple of 512.
        assertThat(Definitions.volumeSize(text)).isEqualTo(bytes);
    }

    @Test
    void aWrongSizeIsRefused() {
        assertThat(mistakes(() -> Definitions.volumeSize("1000 B")))
                .containsExactly("size: expected a multiple of 512 bytes, found 1000");
    }

    @Test
    void anExportIsReadAsInAFile() {
        ExportedVolume export =
                Definitions.export(section("volume = data, name = public, mode = read-only"), List.of("root", "data"));

        assertThat(export).isEqualTo(new ExportedVolume("public", "data", AttachMode.READ_ONLY, List.of()));
    }

    @Test
    void mistakesInAnExportNameTheNearestVolume() {
        assertThat(mistakes(() -> Definitions.export(section("volume = dta, mod = shared"), List.of("root", "data"))))
                .containsExactlyInAnyOrder(
                        "volume: expected the name of a volume, found \"dta\": there is none of this name; did you mean"
                                + " \"data\"?",
                        "mod: unknown key; did you mean \"mode\"?");
    }

    @Test
    void anInterposerIsReadAsInAFile() {
        assertThat(Definitions.interposer(section("type = rate-limit, iops = 5, burst = 1 s")))
                .isEqualTo(new InterposerSettings.RateLimit(
                        OptionalLong.of(5), OptionalLong.empty(), Duration.ofSeconds(1)));
        assertThat(mistakes(() -> Definitions.interposer(section("type = rate-limit"))))
                .containsExactly(": required: expected iops, bandwidth or both");
    }

    private static VmSettings vm(String name, String section, boolean sidecores) {
        return Definitions.vm(name, section(section), List.of("root", "data"), DATA, sidecores, Surroundings.UNSEEN);
    }

    @Test
    void aVmIsReadAsInAFile() {
        String section = """
                guest { type = wasm, module = guest.wasm, memory = 1 MiB, arguments = [a, b], deadline = 50 ms }
                disks = [ data, { volume = root, mode = read-only, placement = sidecore } ]
                autostart = false, weight = 7, cap = 0.5, restart { policy = on-failure, delay = 2 s, limit = 9 }
                start-timeout = 3 s, stop-timeout = 0 s
                """;

        assertThat(vm("web", section, true))
                .isEqualTo(new VmSettings(
                        new GuestSettings.Wasm(
                                Path.of("/data/guest.wasm"), 1 << 20, List.of("a", "b"), Duration.ofMillis(50)),
                        List.of(
                                new Disk("data", AttachMode.EXCLUSIVE, Placement.SHARED, List.of()),
                                new Disk("root", AttachMode.READ_ONLY, Placement.SIDECORE, List.of())),
                        false,
                        7,
                        OptionalDouble.of(0.5),
                        new Restart(RestartPolicy.ON_FAILURE, Duration.ofSeconds(2), Duration.ofMinutes(1), 9),
                        Duration.ofSeconds(3),
                        Duration.ZERO));
    }

    @Test
    void aVmOfWhichLittleIsSaidHasTheDefaults() {
        assertThat(vm("web", "guest { type = wasm, module = demo }", false))
                .isEqualTo(new VmSettings(
                        new GuestSettings.Wasm(GuestSettings.Wasm.DEMO, 16 << 20, List.of(), Duration.ofSeconds(1)),
                        List.of(),
                        true,
                        100,
                        OptionalDouble.empty(),
                        Restart.NEVER,
                        Duration.ofMinutes(1),
                        Duration.ofSeconds(30)));
    }

    @Test
    void mistakesInAVmHaveTheWordsOfAFileAndKeysRelativeToTheVm() {
        assertThat(mistakes(() -> vm(
                        "web",
                        "guest { type = jav }, disks = [ rot, { volume = data, placement = sidecore } ], wight = 1",
                        false)))
                .containsExactlyInAnyOrder(
                        "guest.type: unknown value \"jav\"; did you mean \"java\"?",
                        "disks[0]: expected the name of a volume, found \"rot\": there is none of this name; did you mean"
                                + " \"root\"?",
                        "disks[1].placement: a sidecore is needed, but sidecore.cores.service names none; set it to 1, or"
                                + " use shared",
                        "wight: unknown key; did you mean \"weight\"?");
    }

    @Test
    void aBadNameOfAVmIsAMistakeToo() {
        assertThat(mistakes(() -> vm("my vm", "guest { type = wasm, module = demo }", false)))
                .containsExactly(
                        ": expected a name of 1 to 64 letters, digits, '.', '_' and '-', the first one a letter or a digit");
    }
}
