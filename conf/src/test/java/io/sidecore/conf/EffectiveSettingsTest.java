package io.sidecore.conf;

import static org.assertj.core.api.Assertions.assertThat;

import com.typesafe.config.ConfigFactory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EffectiveSettingsTest {
    @TempDir
    Path folder;

    @Test
    void everyValueComesWithTheFileAndLineThatSaidIt() throws IOException {
        Files.writeString(folder.resolve("common.conf"), "sidecore.loop.turn-tasks = 8\n");
        Path file = Files.writeString(folder.resolve("my.conf"), """
                include "common.conf"
                sidecore {
                  volumes { disk { size = 1 GiB
                                   store { type = memory } } }
                  exports.nbd {
                    listen = ["127.0.0.1:0"]
                    volumes = [{ volume = disk }]
                  }
                }
                """);

        assertThat(EffectiveSettings.of(file))
                .contains(
                        new EffectiveSettings.Value(
                                "sidecore.loop.turn-tasks", "8", folder.resolve("common.conf") + ":1"),
                        new EffectiveSettings.Value("sidecore.volumes.disk.size", "\"1 GiB\"", file + ":3"),
                        new EffectiveSettings.Value("sidecore.volumes.disk.store.type", "\"memory\"", file + ":4"),
                        new EffectiveSettings.Value("sidecore.exports.nbd.listen", "[\"127.0.0.1:0\"]", file + ":6"),
                        new EffectiveSettings.Value("sidecore.exports.nbd.volumes[0].volume", "\"disk\"", file + ":7"))
                .anySatisfy(value -> {
                    assertThat(value.key()).isEqualTo("sidecore.vif.slots");
                    assertThat(value.origin()).matches("reference\\.conf:\\d+");
                });
    }

    @Test
    void whatOverridesAFileIsNamed() {
        assertThat(EffectiveSettings.of(ConfigFactory.parseMap(Map.of("sidecore.vif.slots", 3), "environment")))
                .contains(new EffectiveSettings.Value("sidecore.vif.slots", "3", "environment"));
    }
}
