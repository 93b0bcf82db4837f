package io.sidecore.conf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MistakesTest {
    private static final int PROCESSORS = 4;

    @TempDir
    Path folder;

    @Test
    void allMistakesOfAFileAreReportedTogetherInItsOrder() {
        Path file = file("""
                sidecore {
                  loop { spin-maxx = 1 ms, turn-tasks = many }
                  cores { service = 4 }
                  vif {
                    slots = 5000
                    in-flight-bytes = 32 MiB
                    drain-max = 1 parsec
                  }
                  volumes {
                    root { size = 1000, store { type = memory } }
                    "my disk" { size = 1 GiB, store { type = memory } }
                    nosize { store { type = memory } }
                    small { size = 1 MiB, store { type = memory, limit = 2 MiB } }
                    "v1.2" { size = 1 MiB, store { type = memory, limt = 1 MiB } }
                    filed { size = 1 MiB, store { type = fiel, path = x } }
                    pathless { size = 1000, store { type = file, direct = perhaps, threads = 0 } }
                    fixed { size = 1 MiB, store { type = file, path = "", create = true, read-only = true } }
                  }
                  exports {
                    nbd {
                      listen = [
                        "127.0.0.1:10809"
                        "127.0.0.1:10809"
                        "localhost"
                      ]
                      placement = sidecor
                      volumes = [
                        rot
                        small
                        {
                          volume = small
                          interposers = [
                            { type = ratelimit, iops = 1 }
                            { type = rate-limit }
                            { type = fault-plan, error { ratio = 2, errno = EOI }, delay { by = 1 ms } }
                          ]
                        }
                        "v1.2"
                      ]
                    }
                    ndb { }
                  }
                  loops = 3
                  vif.slotz = 1
                }
                """);

        assertThat(mistakes(file))
                .map(mistake -> mistake.toString().replace(file + ":", ""))
                .containsExactly("""
                2: sidecore.loop.turn-tasks: expected a whole number from 1 to 65536, found "many"
                2: sidecore.loop.spin-maxx: unknown key; did you mean "spin-max"?
                3: sidecore.cores.service: expected a number of cores from 0 to 3 (this machine has 4 cores and one stays \
                for the rest) or a list of core numbers, found 4
                5: sidecore.vif.slots: expected a whole number from 1 to 4096, found 5000
                6: sidecore.vif.in-flight-bytes: expected a size from 33 MiB to 1 TiB, found "32 MiB"
                7: sidecore.vif.drain-max: expected a duration from 1 ms to 1 h, found "1 parsec"
                10: sidecore.volumes.root.size: expected a multiple of 512 bytes, found 1000
                11: sidecore.volumes."my disk": expected a name of 1 to 64 letters, digits, '.', '_' and '-', the first one \
                a letter or a digit
                12: sidecore.volumes.nosize.size: required: expected a size from 512 B to 4 EiB
                13: sidecore.volumes.small.store.limit: expected at most the volume's size of 1048576 bytes, found 2097152
                14: sidecore.volumes."v1.2".store.limt: unknown key; did you mean "limit"?
                15: sidecore.volumes.filed.store.type: unknown value "fiel"; did you mean "file"?
                16: sidecore.volumes.pathless.size: expected a multiple of 512 bytes, found 1000
                16: sidecore.volumes.pathless.store.path: required: expected a path
                16: sidecore.volumes.pathless.store.direct: expected true or false, found "perhaps"
                16: sidecore.volumes.pathless.store.threads: expected a whole number from 1 to 1024, found 0
                17: sidecore.volumes.fixed.store.path: expected a path, found "": it is empty
                17: sidecore.volumes.fixed.store.create: an image that is only read cannot be created
                23: sidecore.exports.nbd.listen[1]: expected HOST:PORT, [IPV6]:PORT or unix:PATH, found "127.0.0.1:10809": \
                it is listed twice
                24: sidecore.exports.nbd.listen[2]: expected HOST:PORT, [IPV6]:PORT or unix:PATH, found "localhost": \
                it is none of these
                26: sidecore.exports.nbd.placement: unknown value "sidecor"; did you mean "sidecore"?
                28: sidecore.exports.nbd.volumes[0]: expected the name of a volume, found "rot": there is none of this name; \
                did you mean "root"?
                31: sidecore.exports.nbd.volumes[2].volume: expected the name of a volume, found "small": it is listed twice
                33: sidecore.exports.nbd.volumes[2].interposers[0].type: unknown value "ratelimit"; did you mean "rate-limit"?
                34: sidecore.exports.nbd.volumes[2].interposers[1]: required: expected iops, bandwidth or both
                35: sidecore.exports.nbd.volumes[2].interposers[2].delay.ratio: required: expected a ratio from 0.0 to 1.0
                35: sidecore.exports.nbd.volumes[2].interposers[2].error.ratio: expected a ratio from 0.0 to 1.0, found 2
                35: sidecore.exports.nbd.volumes[2].interposers[2].error.errno: unknown value "EOI"; did you mean "EIO"?
                41: sidecore.exports.ndb: unknown key; did you mean "nbd"?
                43: sidecore.loops: unknown key; did you mean "loop"?
                44: sidecore.vif.slotz: unknown key; did you mean "slots"?
                """.lines().toArray(String[]::new));
    }

    @Test
    void aSecondWriterIsAMistakeThatNamesTheFirst() {
        assertThat(mistakes(file("""
                sidecore {
                  volumes.root { size = 1 MiB, store.type = memory }
                  exports.nbd {
                    listen = ["[::1]:0"]
                    volumes = [ root, { volume = root, name = other, mode = shared }, { volume = root, mode = read-only } ]
                  }
                }
                """)))
                .extracting(Mistake::message)
                .containsExactly(
                        "volume root is written through the export root already; expected mode = read-only here, or mode = shared in both",
                        "expected the name of a volume, found \"root\": it is listed twice");
    }

    @Test
    void theMessageHasOneLinePerMistakeAndNothingElse() {
        Path file = file("sidecore {\n  vif.slots = 0\n  loops = 1\n}");

        assertThatThrownBy(() -> Settings.load(file, PROCESSORS))
                .isInstanceOf(SettingsException.class)
                .hasMessage("""
                        %1$s:2: sidecore.vif.slots: expected a whole number from 1 to 4096, found 0
                        %1$s:3: sidecore.loops: unknown key; did you mean "loop"?""".formatted(file));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "loop.turn-tasks = 1.5    | expected a whole number from 1 to 65536, found 1.5",
                "loop.turn-tasks = [1]    | expected a whole number from 1 to 65536, found [1]",
                "loop.turn-tasks = null   | required: expected a whole number from 1 to 65536",
                "loop.turn-time = 0       | expected a duration from 1 us to 1 s, found 0",
                "loop.spin-max = -1 us    | expected a duration from 0 s to 1 s, found \"-1 us\"",
                "loop = 3                 | expected a section { }, found 3",
                "vif.in-flight-bytes = -1 | expected a size from 33 MiB to 1 TiB, found -1",
                "vif.in-flight-bytes = 9999999999 EiB | expected a size from 33 MiB to 1 TiB, found \"9999999999 EiB\"",
                "volumes = [a]            | expected a section { }, found [\"a\"]",
                "cores.service = [0,0]    | expected a core number from 0 to 8191, found 0: it is listed twice",
                "cores.service = [0,1,2,3]| expected at most 3 core numbers (this machine has 4 cores and one stays for the"
                        + " rest), found 4",
                "exports = []             | expected a section { }, found []",
                "metrics.listen = on      | expected off or HOST:PORT, found \"on\": it is none of these",
                "metrics.listen = \"unix:m\" | expected off or HOST:PORT, found \"unix:m\": metrics are served over TCP only",
                "log.format = jsn         | unknown value \"jsn\"; did you mean \"json\"?",
            })
    void oneMistakeIsReportedOnce(String line, String message) {
        Path file = file("sidecore." + line);

        assertThat(mistakes(file)).singleElement().satisfies(mistake -> {
            assertThat(mistake.origin()).isEqualTo(file + ":1");
            assertThat(mistake.message()).isEqualTo(message);
        });
    }

    @Test
    void exportedVolumesNeedAnAddress() {
        Path file = file("""
                sidecore.volumes.a { size = 1 MiB, store.type = memory }
                sidecore.exports.nbd.volumes = [a]
                """);

        assertThat(mistakes(file))
                .map(Mistake::toString)
                .singleElement()
                .asString()
                .startsWith(file + ":2: sidecore.exports.nbd.volumes: there is no address");
    }

    @Test
    void metricsNeedAnAddressOfTheirOwn() {
        Path file = file("""
                sidecore.exports.nbd.listen = ["127.0.0.1:9464"]
                sidecore.metrics.listen = "127.0.0.1:9464"
                """);

        assertThat(mistakes(file))
                .map(Mistake::toString)
                .containsExactly(
                        file + ":2: sidecore.metrics.listen: cannot listen on 127.0.0.1:9464: exports.nbd.listen"
                                + " has it already; choose another port");
    }

    @Test
    void tlsNeedsACertificateAndItsKey() {
        Path file = file("""
                sidecore.exports.nbd.tls {
                  mode = require
                  key = ""
                  client-ca = [x]
                  certificat = x
                }
                """);

        assertThat(mistakes(file).stream().map(mistake -> mistake.toString().replace(file + ":", "")))
                .containsExactly(
                        "1: sidecore.exports.nbd.tls.certificate: required: expected a path",
                        "3: sidecore.exports.nbd.tls.key: expected a path, found \"\": it is empty",
                        "4: sidecore.exports.nbd.tls.client-ca: expected a path, found [\"x\"]",
                        "5: sidecore.exports.nbd.tls.certificat: unknown key; did you mean \"certificate\"?");
    }

    @Test
    void placementSidecoreNeedsAServiceCore() {
        Path file = file("""
                sidecore.volumes.a { size = 1 MiB, store.type = memory }
                sidecore.exports.nbd { listen = ["a:1"], volumes = [a], placement = sidecore }
                """);

        assertThat(mistakes(file))
                .map(Mistake::toString)
                .containsExactly(file + ":2: sidecore.exports.nbd.placement: a sidecore is needed, but"
                        + " sidecore.cores.service names none; set it to 1, or use shared");
    }

    @Test
    void aVolumeMayBeWrittenAsANumber() {
        Path file = file("""
                sidecore.volumes.1 { size = 1 MiB, store.type = memory }
                sidecore.exports.nbd { listen = ["a:1"], volumes = [2] }
                """);

        assertThat(mistakes(file))
                .map(Mistake::message)
                .containsExactly("expected the name of a volume, found 2: there is none of this name; known here: 1");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "sidecore {/loop {/spin-max = 1 ms/}/      | 5 | the file ends where a closing '}' or ')' was expected",
                "sidecore {/}/}                            | 3 | unbalanced close brace '}' with no open brace",
                "sidecore {/data-directory = ${sidecore.d}/} | 2 | Could not resolve substitution to a value: ${sidecore.d}",
            })
    void whatTheParserRefusesIsAMistakeOfItsLine(String text, int line, String message) {
        Path file = file(text.replace('/', '\n'));

        assertThat(mistakes(file)).singleElement().satisfies(mistake -> {
            assertThat(mistake.origin()).isEqualTo(file + ":" + line);
            assertThat(mistake.message()).startsWith(message);
        });
    }

    @Test
    void aMistakeInAnIncludedFileNamesThatFile() throws IOException {
        Path included = Files.writeString(folder.resolve("disks.conf"), "\nsidecore.vif.slots = 0\n");
        Path file = file("include \"disks.conf\"\nsidecore.vif.replay-max = 0");

        assertThat(mistakes(file)).map(Mistake::origin).containsExactlyInAnyOrder(included + ":2", file + ":2");
    }

    @Test
    void aMissingFileIsOneMistake() {
        Path file = folder.resolve("none.conf");

        assertThatThrownBy(() -> Settings.load(file)).hasMessage(file + ": there is no such file");
    }

    @Test
    void aDirectoryIsNoFile() {
        assertThatThrownBy(() -> Settings.load(folder)).hasMessage(folder + ": this is a directory; expected a file");
    }

    @Test
    void aFileWithoutTheSectionIsRefusedBecauseItWouldSayNothing() {
        Path file = file("sidecor { }\npekko { }");

        assertThatThrownBy(() -> Settings.load(file))
                .hasMessage(file + ": expected a section sidecore { }, found only pekko, sidecor");
    }

    @Test
    void keysOutsideTheSectionAreNobodysConcern() {
        Config config = ConfigFactory.parseString("pekko.loglevel = DEBUG, other { a = 1 }");

        assertThat(Settings.read(config, PROCESSORS)).isEqualTo(Settings.read(ConfigFactory.empty(), PROCESSORS));
    }

    @Test
    void aValueThatNoFileHoldsIsNamedByItsDescription() {
        Config config = ConfigFactory.parseMap(Map.of("sidecore.vif.slots", 0), "settings of my test");

        assertThat(catchThrowableOfType(SettingsException.class, () -> Settings.read(config))
                        .mistakes())
                .map(Mistake::origin)
                .containsExactly("settings of my test");
    }

    private static List<Mistake> mistakes(Path file) {
        return catchThrowableOfType(SettingsException.class, () -> Settings.load(file, PROCESSORS))
                .mistakes();
    }

    private Path file(String text) {
        try {
            return Files.writeString(folder.resolve("host.conf"), text);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
