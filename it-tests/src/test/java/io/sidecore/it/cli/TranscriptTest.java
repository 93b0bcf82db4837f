package io.sidecore.it.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import io.sidecore.it.Peers;
import io.sidecore.it.Peers.Tool;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import org.junit.jupiter.api.Test;

class TranscriptTest {
    private static final Duration START = Duration.ofMinutes(2);

    @Test
    void aSessionOfANewUserGoesAsTheTranscriptSays() throws IOException {
        Peers.need(Tool.NBDINFO, Tool.NBDCOPY);
        String text;
        try (var resource = TranscriptTest.class.getResourceAsStream("/cli.transcript")) {
            text = new String(resource.readAllBytes(), StandardCharsets.UTF_8);
        }
        var steps = Transcript.parse(text).steps();
        assertThat(steps).hasSizeGreaterThan(30);
        try (var directory = new Peers.ShortDirectory();
                var terminal = new Terminal(directory.path())) {
            steps.forEach(step -> play(step, terminal));
        }
    }

    private static void play(Transcript.Step step, Terminal terminal) {
        if (step.inBackground()) {
            var output = terminal.startInBackground(step.command().replaceFirst(" &$", ""));
            Peers.until(
                    step.command() + " says what is expected",
                    START,
                    () -> step.matches(Terminal.read(output))
                            || !terminal.last().isAlive());
            check(step, 0, Terminal.read(output));
        } else {
            var result = terminal.run(step.command());
            check(step, result.exit(), result.text());
        }
    }

    private static void check(Transcript.Step step, int exit, String text) {
        if (exit != step.exit() || !step.matches(text)) {
            fail("cli.transcript:%d: $ %s%nexpected, with exit code %d:%n%s%n%nfound, with exit code %d:%n%s"
                    .formatted(
                            step.line(), step.command(), step.exit(), String.join("\n", step.expected()), exit, text));
        }
    }

    @Test
    void starsMatchWithinALineAndDotsAnyNumberOfLines() {
        var step =
                Transcript.parse("# remark\n$ x\na*c\n...\nend\n[3]\n\n$ y &\n").steps();

        assertThat(step.getFirst().exit()).isEqualTo(3);
        assertThat(step.getFirst().matches("abbc\n1\n2\nend\n")).isTrue();
        assertThat(step.getFirst().matches("ac\nend")).isTrue();
        assertThat(step.getFirst().matches("ab\nc\nend\n")).isFalse();
        assertThat(step.getFirst().matches("ac\nend\nmore\n")).isFalse();
        assertThat(step.getLast().inBackground()).isTrue();
    }
}
