package io.sidecore.runtime.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.typesafe.config.ConfigFactory;
import io.sidecore.conf.Settings;
import io.sidecore.conf.SettingsBuilder;
import io.sidecore.conf.SettingsException;
import io.sidecore.conf.Surroundings;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;
import picocli.CommandLine.Command;

class CliTest {
    @Command(name = "run", description = "Runs a host.", mixinStandardHelpOptions = true)
    static final class Run implements Runnable {
        @Override
        public void run() {
            throw new AssertionError("no test runs a host");
        }
    }

    @TempDir
    Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int execute(String... args) {
        CommandLine line = Cli.line(Run::new, args);
        line.setOut(new PrintWriter(out));
        line.setErr(new PrintWriter(err));
        return line.execute(args);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "vlume list          | sidecore: there is no command vlume; did you mean \"volume\"?",
                "volume lst          | sidecore volume: there is no command lst; did you mean \"list\"?",
                "volume list --jsn   | sidecore volume list: there is no option --jsn; did you mean \"--json\"?",
                "volume show a b     | sidecore volume show: unexpected argument \"b\"",
                "volume show         | sidecore volume show: missing required parameter: 'NAME'",
                "volume              | sidecore volume: expected a command: create, delete, export, import, list, recover, resize, show",
                "vif limit nbd/a     | sidecore vif limit: expected --iops, --bandwidth or both; or --off alone",
                "vif interpose nbd/a | sidecore vif interpose: expected TYPE and its keys, or --remove NAME",
                "core role 1         | sidecore core role: missing required parameter: 'ROLE'",
                "top --interval x    | sidecore top: invalid value for option '--interval': 'x' is not a double",
            })
    void aWrongCommandIsExplainedOnALineWithWhatWasProbablyMeant(String command, String sentence) {
        assertThat(execute(command.split(" "))).isEqualTo(Cli.WRONG);

        assertThat(err.toString().lines())
                .hasSize(2)
                .satisfies(lines -> assertThat(lines.getFirst()).isEqualTo(sentence))
                .satisfies(lines -> assertThat(lines.getLast()).startsWith("Try: sidecore"));
        assertThat(out.toString()).isEmpty();
    }

    @Test
    void everyCommandHasHelpWhoseFirstLineIsASentence() {
        var silent = new ArrayList<String>();
        for (var command : all(Cli.line(Run::new))) {
            var description = command.getCommandSpec().usageMessage().description();
            if (description.length == 0 || !description[0].endsWith(".") && !description[0].endsWith(".)")) {
                silent.add(command.getCommandSpec().qualifiedName());
            }
            assertThat(command.getCommandSpec().optionsMap())
                    .as(command.getCommandSpec().qualifiedName())
                    .containsKeys("-h", "--help");
            assertThat(command.getCommandSpec().args())
                    .as(command.getCommandSpec().qualifiedName())
                    .allMatch(arg -> arg.description().length > 0);
        }

        assertThat(silent).isEmpty();
    }

    @Test
    void everyCommandThatIsAskedForByItselfTeachesWithExamples() {
        var all = Cli.line(Run::new).getSubcommands();

        assertThat(all.keySet())
                .contains("check", "config", "volume", "export", "vif", "core", "events", "top", "status");
        all.forEach((name, command) -> {
            if (!name.equals("run")) {
                assertThat(command.getCommandSpec().usageMessage().footer())
                        .as(name)
                        .isNotEmpty();
            }
        });
    }

    private static List<CommandLine> all(CommandLine line) {
        var all = new ArrayList<CommandLine>();
        all.add(line);
        line.getSubcommands().values().forEach(sub -> all.addAll(all(sub)));
        return all;
    }

    @Test
    void anotherHostThanARunningOneIsRefusedInASentence() {
        assertThat(execute("status", "--host", folder.toString())).isEqualTo(Cli.FAILED);

        assertThat(err.toString())
                .startsWith("sidecore: no host runs on " + folder)
                .doesNotContain("\tat ");
    }

    @Test
    void aFileThatIsRightIsCheckedInALine() throws Exception {
        var file = Files.writeString(folder.resolve("a.conf"), """
                sidecore {
                  volumes { a { size = 1 MiB, store { type = memory } }, b { size = 1 MiB, store { type = memory } } }
                  exports { nbd { listen = ["127.0.0.1:0"], volumes = [a] } }
                }
                """);

        assertThat(execute("check", file.toString())).isZero();
        assertThat(out.toString()).isEqualToNormalizingNewlines(file + ": ok: 2 volumes, 1 export\n");
    }

    @Test
    void whatVirtualMachinesLackToStartHereIsAWarning() throws Exception {
        Files.write(folder.resolve("broken.wasm"), new byte[] {0, 'a', 's', 'm'});
        var file = Files.writeString(folder.resolve("a.conf"), """
                sidecore.vms {
                  demo { guest { type = wasm, module = demo } }
                  broken { guest { type = wasm, module = broken.wasm } }
                  small { guest { type = wasm, module = demo, memory = 64 KiB } }
                  machine { guest { type = qemu, program = /nowhere/qemu } }
                }
                """);

        assertThat(execute("check", file.toString())).isZero();

        assertThat(out.toString())
                .isEqualToNormalizingNewlines(
                        file + ": ok, with 3 warnings: 0 volumes, 0 exports, 4 virtual machines\n");
        assertThat(err.toString().lines())
                .hasSize(3)
                .anyMatch(line -> line.startsWith("sidecore: warning: VM broken cannot start as things are: "))
                .anyMatch(line -> line.startsWith("sidecore: warning: VM small cannot start as things are: "))
                .anyMatch(
                        line -> line.startsWith(
                                "sidecore: warning: VM machine cannot start as things are: /nowhere/qemu is no program: install QEMU"));
    }

    @Test
    void allMistakesOfAFileAreToldAndNoStack() throws Exception {
        var file = Files.writeString(folder.resolve("a.conf"), """
                sidecore {
                  loop { spin-max = 2 s }
                  volumes { a { sise = 1 MiB, store { type = memory } } }
                }
                """);

        assertThat(execute("check", file.toString())).isEqualTo(Cli.WRONG);
        assertThat(err.toString().lines()).hasSize(3).allMatch(line -> line.startsWith(file + ":"));
        assertThat(out.toString()).isEmpty();
    }

    /** A misspelt path, or a file system that is not mounted: an empty disk in its place is what nobody means. */
    @Test
    void aFolderThatIsMissingIsNotMadeForAnImage() throws Exception {
        Files.createDirectory(folder.resolve("disks"));
        var file = Files.writeString(folder.resolve("a.conf"), """
                sidecore.volumes {
                  lost { size = 1 MiB, store { type = file, path = "disk/a.img" } }
                  made { size = 1 MiB, store { type = file, path = "disks/a.img" } }
                }
                """);

        assertThat(execute("check", file.toString())).isEqualTo(Cli.WRONG);

        assertThat(err.toString())
                .isEqualTo(
                        "%s:2: sidecore.volumes.lost.store.path: image %2$s/disk/a.img: there is no folder %2$s/disk; did you mean \"disks\"?%n"
                                .formatted(file, folder));
        assertThat(folder.resolve("disk")).doesNotExist();
    }

    @Test
    void twelveDifferentMistakesAreTwelveErrorsEachWithItsLine() throws Exception {
        Files.write(folder.resolve("disk.img"), new byte[1 << 20]);
        try (var taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            var text = """
                    sidecore {
                      loop { turn-tasks = many }
                      vif { slotz = 7, replay-max = 0 }
                      volumes {
                        "my disk" { size = 1 MiB, store { type = memory } }
                        large { size = 2 MiB, store { type = file, path = "DIR/disk.img" } }
                        lost { size = 1 MiB, store { type = file, path = "DIR/disk.imgs", create = false } }
                        odd { size = 1 MiB, store { type = memory } }
                        other { size = 1 MiB, store { type = memroy } }
                        small { store { type = memory } }
                      }
                      exports {
                        nbd {
                          listen = ["127.0.0.1:PORT"]
                          volumes = [
                            large
                            smal
                            { volume = large, name = again }
                            { volume = odd, name = large }
                          ]
                        }
                      }
                    }
                    """.replace("DIR", folder.toString()).replace("PORT", "" + taken.getLocalPort());
            var file = Files.writeString(folder.resolve("a.conf"), text);
            var expected = List.of(
                    "2: sidecore.loop.turn-tasks: expected a whole number from 1 to 65536, found \"many\"",
                    "3: sidecore.vif.replay-max: expected a whole number from 1 to 1000, found 0",
                    "3: sidecore.vif.slotz: unknown key; did you mean \"slots\"?",
                    "5: sidecore.volumes.\"my disk\": expected a name of 1 to 64 letters, digits, '.', '_' and '-', the first one a letter or a digit",
                    "6: sidecore.volumes.large.size: expected the 1048576 bytes of the image " + folder
                            + "/disk.img, found 2097152; leave the size out to take the image as it is",
                    "7: sidecore.volumes.lost.store.path: image " + folder
                            + "/disk.imgs: there is no such file; did you mean \"disk.img\"?",
                    "9: sidecore.volumes.other.store.type: unknown value \"memroy\"; did you mean \"memory\"?",
                    "10: sidecore.volumes.small.size: required: expected a size from 512 B to 4 EiB",
                    "14: sidecore.exports.nbd.listen[0]: cannot listen on 127.0.0.1:" + taken.getLocalPort()
                            + ": it is in use by another process; stop that one, or choose another port",
                    "17: sidecore.exports.nbd.volumes[1]: expected the name of a volume, found \"smal\": there is none of this name; did you mean \"small\"?",
                    "18: sidecore.exports.nbd.volumes[2]: volume large is written through the export large already; expected mode = read-only here, or mode = shared in both",
                    "19: sidecore.exports.nbd.volumes[3].name: expected a name of 1 to 64 letters, digits, '.', '_' and '-', found \"large\": it is listed twice");

            assertThat(execute("check", file.toString())).isEqualTo(Cli.WRONG);

            assertThat(err.toString().lines().map(line -> line.replace(file + ":", "")))
                    .containsExactlyInAnyOrderElementsOf(expected);
            assertThat(out.toString()).isEmpty();
            // A program is told the same, whether it parses or builds.
            var parsed = ConfigFactory.parseString(text);
            var builder = twelve(folder, taken.getLocalPort());
            for (var said : List.<ThrowingCallable>of(
                    () -> Settings.read(parsed, data -> Surroundings.ALL), () -> builder.build(Surroundings.ALL))) {
                assertThat(catchThrowableOfType(SettingsException.class, said).mistakes())
                        .map(mistake -> mistake.key() + ": " + mistake.message())
                        .containsExactlyInAnyOrderElementsOf(expected.stream()
                                .map(line -> line.replaceFirst("^\\d+: ", ""))
                                .toList());
            }
        }
    }

    /** The same twelve mistakes. Two of them a program can only make where it has the key, or the value, as text. */
    private static SettingsBuilder twelve(Path folder, int port) {
        return Settings.builder()
                .loop(loop -> loop.set("turn-tasks", "many"))
                .vif(vif -> vif.set("slotz", 7).replayMax(0))
                .volume("my disk", volume -> volume.size(1 << 20).memory())
                .volume("large", volume -> volume.size(2 << 20).file(folder.resolve("disk.img")))
                .volume(
                        "lost",
                        volume -> volume.size(1 << 20).file(folder.resolve("disk.imgs"), file -> file.create(false)))
                .volume("odd", volume -> volume.size(1 << 20).memory())
                .volume("other", volume -> volume.size(1 << 20).set("store.type", "memroy"))
                .volume("small", volume -> volume.memory())
                .nbd(nbd -> nbd.listen("127.0.0.1:" + port)
                        .export("large")
                        .export("smal")
                        .export("large", export -> export.name("again"))
                        .export("odd", export -> export.name("large")));
    }

    @Test
    void whatIsInForceIsShownWithItsOrigin() throws Exception {
        var file = Files.writeString(folder.resolve("a.conf"), "sidecore {\n  vif { slots = 7 }\n}\n");

        assertThat(execute("config", "show", file.toString())).isZero();
        assertThat(out.toString().lines())
                .anyMatch(line -> line.matches("sidecore\\.vif\\.slots +7 +" + file + ":2"))
                .anyMatch(line -> line.matches("sidecore\\.vif\\.replay-max +3 +reference\\.conf:\\d+"));
    }

    @Test
    void whatIsInForceIsShownEvenIfItIsWrongAndThenTheMistakesAreTold() throws Exception {
        var file = Files.writeString(folder.resolve("a.conf"), "sidecore {\n  vif { slotz = 7 }\n}\n");

        assertThat(execute("config", "show", file.toString())).isEqualTo(Cli.WRONG);
        assertThat(out.toString()).contains("sidecore.vif.slotz");
        assertThat(err.toString()).contains("a.conf:2: sidecore.vif.slotz: unknown key; did you mean \"slots\"?");
    }

    @Test
    void aKeyIsExplained() {
        assertThat(execute("config", "explain", "vif.slots")).isZero();
        assertThat(out.toString())
                .startsWith("sidecore.vif.slots = 256   (the default)")
                .contains("Requests in flight, at most");
    }

    @Test
    void aSectionIsExplainedWithWhatIsInside() {
        assertThat(execute("config", "explain", "volumes.disk")).isZero();
        assertThat(out.toString()).startsWith("sidecore.volumes.NAME").contains("Inside: size, store");
    }

    @Test
    void anUnknownKeyIsExplainedByTheNearest() {
        assertThat(execute("config", "explain", "vif.slotz")).isEqualTo(Cli.WRONG);
        assertThat(err.toString())
                .isEqualToNormalizingNewlines("sidecore: there is no key vif.slotz; did you mean \"vif.slots\"?\n");
    }

    @Test
    void completionKnowsAllCommands() {
        assertThat(execute("completion")).isZero();
        assertThat(out.toString()).contains("volume", "import", "--bandwidth", "complete -F");
    }
}
