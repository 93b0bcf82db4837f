package io.sidecore.runtime.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
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
    @CsvSource(delimiter = '|', value = {
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

    private static List<CommandLine> all(CommandLine line) {
        var all = new ArrayList<CommandLine>();
        all.add(line);
        line.getSubcommands().values().forEach(sub -> all.addAll(all(sub)));
        return all;
    }

    @Test
    void anotherHostThanARunningOneIsRefusedInASentence() {
        assertThat(execute("status", "--host", folder.toString())).isEqualTo(Cli.FAILED);

        assertThat(err.toString()).startsWith("sidecore: no host runs on " + folder).doesNotContain("\tat ");
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
