package io.sidecore.runtime.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.List;
import org.junit.jupiter.api.Test;

class RenderingTest {
    private static JsonNode json(String text) throws Exception {
        return new JsonMapper().readTree(text.replace('\'', '"'));
    }

    @Test
    void columnsAreAsWideAsTheirWidestCellAndNumbersAreAlignedToTheRight() {
        var table = new Table("NAME", ">SIZE", "STATE");
        table.row("a", "1 KiB", "ok").row("long-name", "64 MiB", "");

        assertThat(table.toString()).isEqualTo("""
                NAME         SIZE  STATE
                a           1 KiB  ok
                long-name  64 MiB  -""");
    }

    @Test
    void fieldsWithoutAValueAreLeftOutAndOnesWithSeveralHaveALineForEach() {
        var fields = new Fields().add("name", "a").add("failure", "").add("serves", List.of("x", "y"));

        assertThat(fields.toString()).isEqualTo("""
                name    a
                serves  x
                        y""");
    }

    @Test
    void progressSaysHowMuchHowFastAndHowLongStill() {
        assertThat(ProgressLine.line(0, 64 << 20, 0)).isEqualTo("  0 %  0 B of 64 MiB");
        assertThat(ProgressLine.line(16 << 20, 64 << 20, 2)).isEqualTo(" 25 %  16 MiB of 64 MiB, 8 MiB/s, 6 s left");
        assertThat(ProgressLine.line(64 << 20, 64 << 20, 8)).isEqualTo("100 %  64 MiB of 64 MiB, 8 MiB/s, 0 s left");
    }

    @Test
    void progressOfAVmSaysWhatIsCopiedOrWhatItDoes() throws Exception {
        var since = Instant.now().minusSeconds(5);
        assertThat(VmCommand.progress(json("{'vm':'web','state':'running','since':'" + since
                        + "','what':'disk root','done':1024,'total':4096}")))
                .isEqualTo("disk root 25 %  1 KiB of 4 KiB");
        assertThat(VmCommand.progress(
                        json("{'vm':'web','state':'stopping','since':'" + since + "','what':'','done':0,'total':0}")))
                .matches("stopping for [5-9] s");
        assertThat(VmCommand.progress(json(
                        "{'vm':'web','state':'running','since':'" + since + "','what':'memory','done':0,'total':0}")))
                .isEqualTo("under way");
    }

    @Test
    void progressRewritesItsLineAndClearsItInTheEnd() {
        var written = new StringWriter();
        var progress = new ProgressLine(new PrintWriter(written), true);
        progress.at(0, 1024);
        progress.end();

        assertThat(written.toString()).isEqualTo("\r  0 %  0 B of 1 KiB\r" + " ".repeat(19) + "\r");
    }

    @Test
    void progressKeepsToOneLine() {
        var written = new StringWriter();
        new ProgressLine(new PrintWriter(written), true).show("x".repeat(200));

        assertThat(written.toString()).isEqualTo("\r" + "x".repeat(79));
    }

    @Test
    void progressIsSilentWhereNobodyWatches() {
        var written = new StringWriter();
        var progress = new ProgressLine(new PrintWriter(written), false);
        progress.at(0, 1024);
        progress.end();

        assertThat(written.toString()).isEmpty();
    }

    @Test
    void anEventIsALine() throws Exception {
        var event =
                json("{'at':'2026-01-02T03:04:05.678Z','kind':'volume','name':'data','what':'failed','detail':'no'}");

        assertThat(EventsCommand.text(event, ZoneOffset.UTC)).isEqualTo("2026-01-02 03:04:05  volume data failed: no");
    }

    @Test
    void topTellsWhatHappenedBetweenTwoLooks() throws Exception {
        var before = json("""
                {'atNanos':0,'uptimeSeconds':9,
                 'vifs':[{'vif':'nbd/a','volume':'a','queues':1,'requests':1000,'bytes':0,'errors':0,'nanos':500,'latencies':{'1000':1000}},
                         {'vif':'nbd/idle','volume':'b','queues':0,'requests':5,'bytes':0,'errors':0,'nanos':5,'latencies':{'125':5}}],
                 'loops':[{'loop':'l','busyNanos':0,'requests':1000,'parks':0,'handOffs':0,'longestTurnNanos':1500}]}""");
        var now = json("""
                {'atNanos':2000000000,'uptimeSeconds':11,
                 'vifs':[{'vif':'nbd/a','volume':'a','queues':2,'requests':5000,'bytes':9437184,'errors':30,'nanos':160000500,'latencies':{'1000':1000,'40000':3900,'90000':100}},
                         {'vif':'nbd/idle','volume':'b','queues':0,'requests':5,'bytes':0,'errors':0,'nanos':5,'latencies':{'125':5}}],
                 'loops':[{'loop':'l','busyNanos':500000000,'requests':5000,'parks':40,'handOffs':0,'longestTurnNanos':1500}]}""");

        assertThat(TopCommand.text(before, now)).isEqualToNormalizingNewlines("""
                up for 11 s

                VIF    VOLUME  QUEUES  REQUESTS/s  BYTES/s  ERRORS/s   MEAN    P99
                nbd/a  a            2         2 k  4.5 MiB        15  40 us  90 us

                LOOP  BUSY  REQUESTS/s  PARKS/s  LONGEST TURN
                l     25 %         2 k       20        1.5 us""");
    }
}
