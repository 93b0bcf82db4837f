package io.sidecore.runtime.cli;

import io.sidecore.conf.EffectiveSettings;
import io.sidecore.conf.Reference;
import io.sidecore.conf.Settings;
import io.sidecore.runtime.control.ControlClient;
import io.sidecore.runtime.control.ControlException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code sidecore config}. */
@Command(
        name = "config",
        mixinStandardHelpOptions = true,
        description = "Explains the configuration.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  sidecore config explain vif.slots       what it is, its default and what changing it does",
            "  sidecore config explain                 every key",
            "  sidecore config show my.conf            every value in force, and which file and line said so"
        })
final class ConfigCommand {
    private static final int WIDTH = 100;

    @Spec
    private CommandSpec spec;

    @Command(
            name = "show",
            mixinStandardHelpOptions = true,
            description = {
                "Shows every value in force and where it was said.",
                "That is in a file and its line, in a system property, or as a default in reference.conf. Mistakes are",
                "named too; the exit code is 2 then."
            })
    int show(
            @Parameters(
                            paramLabel = "FILE",
                            arity = "0..1",
                            description = "A configuration in HOCON. Without it: what sidecore run serves without one.")
                    Optional<Path> file,
            @Option(names = "--json", description = "JSON for programs, in place of text.") boolean json) {
        var values = file.map(EffectiveSettings::of).orElseGet(EffectiveSettings::embedded);
        if (json) {
            print(ControlClient.json().valueToTree(values).toPrettyString());
        } else {
            var table = new Table("KEY", "VALUE", "SAID BY");
            values.forEach(value -> table.row(value.key(), value.value(), value.origin()));
            print(table.toString());
        }
        // After the values, so that both are seen; what is wrong with them is told as everywhere.
        var _ = file.map(Settings::load).orElseGet(Settings::embedded);
        return 0;
    }

    @Command(
            name = "explain",
            mixinStandardHelpOptions = true,
            description = "Explains a key: what it is, its unit, its default and what changing it does.",
            footerHeading = "%nExamples:%n",
            footer = {"  sidecore config explain loop.spin-max", "  sidecore config explain volumes.NAME.store"})
    int explain(
            @Parameters(
                            paramLabel = "KEY",
                            arity = "0..1",
                            description = "Its full path, or the end of it. Without it: all of them.")
                    Optional<String> key) {
        var reference = Reference.read();
        if (key.isEmpty()) {
            print(overview(reference));
            return 0;
        }
        var found = reference.find(key.get());
        if (found.isEmpty()) {
            throw ControlException.mistake("there is no key " + key.get() + reference.hint(key.get()));
        }
        print(String.join(
                "\n\n", found.stream().map(one -> text(one, reference)).toList()));
        return 0;
    }

    private void print(String text) {
        spec.commandLine().getOut().println(text);
        spec.commandLine().getOut().flush();
    }

    private static String overview(Reference reference) {
        var table = new Table("KEY", "DEFAULT");
        for (var key : reference.keys()) {
            if (!key.value().isEmpty()) {
                table.row(key.path(), key.isDefault() ? key.value() : "");
            }
        }
        return table.toString();
    }

    private static String text(Reference.Key key, Reference reference) {
        var text = new StringBuilder(key.path());
        if (!key.value().isEmpty()) {
            text.append(" = ").append(key.value()).append(key.isDefault() ? "   (the default)" : "   (for example)");
        }
        wrap(key.text(), text);
        if (key.value().isEmpty()) {
            var inside = inside(key, reference);
            if (!inside.isEmpty()) {
                text.append("\n  Inside: ").append(String.join(", ", inside));
            }
        }
        return text.toString();
    }

    private static List<String> inside(Reference.Key section, Reference reference) {
        return reference.keys().stream()
                .map(Reference.Key::path)
                .filter(path -> path.startsWith(section.path() + ".") || path.startsWith(section.path() + "[]."))
                .map(path -> path.substring(section.path().length()).replaceFirst("^(\\[])?\\.", ""))
                .filter(rest -> !rest.contains("."))
                .distinct()
                .toList();
    }

    private static void wrap(String sentences, StringBuilder text) {
        var column = WIDTH;
        for (var word : sentences.split(" ")) {
            if (column + word.length() >= WIDTH) {
                text.append("\n ");
                column = 1;
            }
            text.append(' ').append(word);
            column += 1 + word.length();
        }
    }
}
