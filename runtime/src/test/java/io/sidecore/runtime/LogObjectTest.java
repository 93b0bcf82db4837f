package io.sidecore.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.LoggingEvent;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.slf4j.event.KeyValuePair;

class LogObjectTest {
    private final LoggerContext context = new LoggerContext();

    @Test
    void aLineIsOneObjectThatNamesWhatItIsAbout() throws IOException {
        var failure = new IllegalStateException("outer\n\"quoted\"", new IOException("inner"));
        var event = new LoggingEvent(
                "",
                context.getLogger("io.sidecore.actors.vif.Volume"),
                Level.ERROR,
                "volume {} has failed: {}",
                failure,
                new Object[] {"disk", "a\tb"});
        event.setTimeStamp(1_700_000_000_009L);
        event.setThreadName("loop");
        event.setMDCPropertyMap(Map.of("pekkoSource", "vif"));
        event.setKeyValuePairs(List.of(new KeyValuePair("volume", "disk")));

        var line = new LogObject("/var/lib/sidecore").doLayout(event);

        assertThat(line.lines()).hasSize(1);
        assertThat(line).endsWith(System.lineSeparator());
        var object = new JsonMapper().readTree(line);
        assertThat(object.get("time").asText()).isEqualTo("2023-11-14T22:13:20.009Z");
        assertThat(object.get("level").asText()).isEqualTo("ERROR");
        assertThat(object.get("logger").asText()).isEqualTo("io.sidecore.actors.vif.Volume");
        assertThat(object.get("thread").asText()).isEqualTo("loop");
        assertThat(object.get("message").asText()).isEqualTo("volume disk has failed: a\tb");
        assertThat(object.get("host").asText()).isEqualTo("/var/lib/sidecore");
        assertThat(object.get("volume").asText()).isEqualTo("disk");
        assertThat(object.get("pekkoSource").asText()).isEqualTo("vif");
        assertThat(object.get("exception").asText())
                .contains("outer\n\"quoted\"", "Caused by: java.io.IOException: inner");
    }
}
