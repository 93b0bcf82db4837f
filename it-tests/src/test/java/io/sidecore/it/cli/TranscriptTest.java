package io.sidecore.it.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.it.Peers;
import io.sidecore.it.Peers.Tool;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class TranscriptTest {
    @Test
    void aSessionOfANewUserGoesAsTheTranscriptSays() throws IOException {
        Peers.need(Tool.NBDINFO, Tool.NBDCOPY);
        String text;
        try (var resource = TranscriptTest.class.getResourceAsStream("/cli.transcript")) {
            text = new String(resource.readAllBytes(), StandardCharsets.UTF_8);
        }
        var transcript = Transcript.parse(text);
        assertThat(transcript.steps()).hasSizeGreaterThan(30);
        try (var directory = new Peers.ShortDirectory();
                var terminal = new Terminal(directory.path())) {
            transcript.play("cli.transcript", terminal);
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
