package io.sidecore.runtime.cli;

import io.sidecore.conf.SettingsException;
import io.sidecore.conf.Spelling;
import io.sidecore.runtime.control.ControlException;
import io.sidecore.runtime.control.Version;
import java.io.PrintWriter;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.Supplier;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/** The command line as a whole: its commands, what it says of mistakes, and its exit codes. */
@Command(
        name = "sidecore",
        mixinStandardHelpOptions = true,
        description = "The virtualization runtime of the JVM.",
        versionProvider = Cli.VersionText.class,
        synopsisSubcommandLabel = "COMMAND",
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {
            "0:done",
            "1:it failed: no host runs, the host refused, a file is missing",
            "2:the command or the configuration is wrong"
        },
        footerHeading = "%nBegin with:%n",
        footer = {
            "  sidecore run                                serve a memory disk and a demo guest, to try",
            "  sidecore status                             in another terminal: how it is, what it serves",
            "  sidecore volume create data --size 1GiB     another disk",
            "  sidecore export create data                 for clients to find it",
            "  sidecore COMMAND --help                     explains each command, with examples"
        })
public final class Cli {
    /** It is done. */
    public static final int DONE = 0;

    /** It failed. */
    public static final int FAILED = 1;

    /** The command or the configuration is wrong. */
    public static final int WRONG = 2;

    private Cli() {}

    /** The version in the jar's manifest. */
    static final class VersionText implements IVersionProvider {
        @Override
        public String[] getVersion() {
            return new String[] {"sidecore " + Version.text()};
        }
    }

    private static Map<String, Supplier<Object>> commands(Supplier<Object> run) {
        var all = new LinkedHashMap<String, Supplier<Object>>();
        all.put("run", run);
        all.put("check", CheckCommand::new);
        all.put("config", ConfigCommand::new);
        all.put("status", StatusCommand::new);
        all.put("top", TopCommand::new);
        all.put("volume", VolumeCommand::new);
        all.put("export", ExportCommand::new);
        all.put("vif", VifCommand::new);
        all.put("vm", VmCommand::new);
        all.put("console", ConsoleCommand::new);
        all.put("core", CoreCommand::new);
        all.put("events", EventsCommand::new);
        all.put("version", VersionCommand::new);
        all.put("completion", CompletionCommand::new);
        return all;
    }

    /**
     * Does what is asked; returns the exit code.
     *
     * @param run makes the command that runs a host
     */
    public static int execute(Supplier<Object> run, String... args) {
        var line = line(run, args);
        if (args.length == 0) {
            line.usage(line.getOut());
            return DONE;
        }
        return line.execute(args);
    }

    /** With the commands that are needed for these arguments. */
    static CommandLine line(Supplier<Object> run, String... args) {
        var commands = commands(run);
        var asked = args.length == 0 ? "" : args[0];
        // Reading the annotations of all commands takes half of the time of a short one.
        var one = commands.containsKey(asked) && !asked.equals("completion");
        return of(one ? Map.of(asked, commands.get(asked)) : commands);
    }

    private static CommandLine of(Map<String, Supplier<Object>> commands) {
        var line = new CommandLine(new Cli());
        commands.values().forEach(command -> line.addSubcommand(command.get()));
        line.setUsageHelpWidth(110);
        line.setParameterExceptionHandler((wrong, args) -> wrong(wrong));
        line.setExecutionExceptionHandler((failure, command, parsed) -> failed(failure, command.getErr()));
        return line;
    }

    private static int wrong(ParameterException wrong) {
        var line = wrong.getCommandLine();
        var command = line.getCommandSpec().qualifiedName();
        line.getErr().println(command + ": " + sentence(wrong, line));
        line.getErr().println("Try: " + command + " --help");
        return WRONG;
    }

    private static String sentence(ParameterException wrong, CommandLine line) {
        if (wrong instanceof UnmatchedArgumentException unmatched) {
            var word = unmatched.getUnmatched().getFirst();
            if (word.startsWith("-")) {
                var option = word.replaceFirst("=.*", "");
                return "there is no option " + option
                        + Spelling.hint(
                                option, line.getCommandSpec().optionsMap().keySet());
            }
            return line.getSubcommands().isEmpty()
                    ? "unexpected argument \"" + word + "\""
                    : "there is no command " + word
                            + Spelling.hint(
                                    word, new TreeSet<>(line.getSubcommands().keySet()));
        }
        if (wrong.getMessage().startsWith("Missing required subcommand")) {
            return "expected a command: "
                    + String.join(", ", line.getSubcommands().keySet());
        }
        var message = wrong.getMessage();
        return message.substring(0, 1).toLowerCase(Locale.ROOT) + message.substring(1);
    }

    /** Says why a command failed; returns the exit code. */
    public static int failed(Exception failure, PrintWriter err) {
        return switch (failure) {
            case SettingsException mistakes -> {
                err.println(mistakes.getMessage());
                yield WRONG;
            }
            case ControlException refused -> {
                err.println("sidecore: " + refused.getMessage());
                yield refused.isMistake() ? WRONG : FAILED;
            }
            default -> {
                // A mistake of ours: whoever looks for it needs all of it.
                err.println("sidecore: this should not have happened; please report it:");
                failure.printStackTrace(err);
                yield FAILED;
            }
        };
    }
}
