package io.sidecore.it.cli;

import static org.junit.jupiter.api.Assertions.fail;

import io.sidecore.it.Peers;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/**
 * A session at a terminal as text: commands, and what they are expected to write.
 *
 * <pre>
 *   # a remark
 *   $ a command                 what follows up to the next command is its output
 *   &gt; that goes on             a here document, say
 *   text with * for anything
 *   ...                         any number of lines
 *   [1]                         its exit code, if it is not 0
 * </pre>
 *
 * A command that ends with &amp; goes on while the session does.
 */
record Transcript(List<Step> steps) {
    private static final Duration START = Duration.ofMinutes(2);

    /** A command. */
    record Step(int line, String command, List<String> expected, int exit) {
        boolean inBackground() {
            return command.endsWith(" &");
        }

        /** Whether the text is what is expected. */
        boolean matches(String text) {
            var pattern = new StringBuilder();
            for (var one : expected) {
                pattern.append(one.equals("...") ? "(?:[^\n]*\n)*" : quoted(one) + " *\n");
            }
            // A serial console returns the carriage, which nobody sees.
            var seen = text.replace("\r\n", "\n");
            var whole = seen.isEmpty() || seen.endsWith("\n") ? seen : seen + "\n";
            return Pattern.compile(pattern.toString()).matcher(whole).matches();
        }

        private static String quoted(String line) {
            var parts = new ArrayList<String>();
            for (var part : line.split("\\*", -1)) {
                parts.add(Pattern.quote(part));
            }
            return String.join("[^\n]*", parts);
        }
    }

    /**
     * Plays it.
     *
     * @param name of the file in which it stands
     */
    void play(String name, Terminal terminal) {
        steps.forEach(step -> play(name, step, terminal));
    }

    private static void play(String name, Step step, Terminal terminal) {
        if (step.inBackground()) {
            var output = terminal.startInBackground(step.command().replaceFirst(" &$", ""));
            Peers.until(
                    step.command() + " says what is expected",
                    START,
                    () -> step.matches(Terminal.read(output))
                            || !terminal.last().isAlive());
            check(name, step, 0, Terminal.read(output));
        } else {
            var result = terminal.run(step.command());
            check(name, step, result.exit(), result.text());
        }
    }

    private static void check(String name, Step step, int exit, String text) {
        if (exit != step.exit() || !step.matches(text)) {
            fail("%s:%d: $ %s%nexpected, with exit code %d:%n%s%n%nfound, with exit code %d:%n%s"
                    .formatted(
                            name,
                            step.line(),
                            step.command(),
                            step.exit(),
                            String.join("\n", step.expected()),
                            exit,
                            text));
        }
    }

    static Transcript parse(String text) {
        var steps = new ArrayList<Step>();
        var number = 0;
        var begun = 0;
        String command = null;
        var expected = new ArrayList<String>();
        for (var line : (text + "\n$ ").lines().toList()) {
            number++;
            if (line.startsWith("$ ")) {
                if (command != null) {
                    steps.add(step(begun, command, expected));
                }
                command = line.substring(2);
                begun = number;
                expected = new ArrayList<>();
            } else if (line.startsWith("> ") || line.equals(">")) {
                command += "\n" + line.substring(Math.min(2, line.length()));
            } else if (!line.startsWith("#") && command != null) {
                expected.add(line.stripTrailing());
            }
        }
        return new Transcript(steps);
    }

    private static Step step(int line, String command, List<String> lines) {
        var expected = new ArrayList<>(lines);
        while (!expected.isEmpty() && expected.getLast().isEmpty()) {
            expected.removeLast();
        }
        var exit = 0;
        if (!expected.isEmpty() && expected.getLast().matches("\\[\\d+]")) {
            exit = Integer.parseInt(expected.removeLast().replaceAll("[\\[\\]]", ""));
        }
        return new Step(line, command, expected, exit);
    }
}
