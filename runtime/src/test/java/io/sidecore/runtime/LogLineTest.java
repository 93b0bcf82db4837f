package io.sidecore.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.PatternLayout;
import ch.qos.logback.classic.spi.LoggingEvent;
import java.io.IOException;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LogLineTest {
    private final LoggerContext context = new LoggerContext();

    @ParameterizedTest
    @ValueSource(strings = {"TRACE", "INFO", "WARN", "ERROR"})
    void aLineIsWhatLogbacksPatternMakesOfIt(String level) {
        var failure = new IllegalStateException("outer", new IOException("inner"));
        var event = new LoggingEvent(
                "",
                context.getLogger("io.sidecore.some.Class"),
                Level.valueOf(level),
                "a {} of {}",
                failure,
                new Object[] {"b", 3});

        assertThat(lineOf(event)).isEqualTo(patternLayout().doLayout(event));
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 61_007L, 1_700_000_000_009L, 1_764_064_799_999L})
    void theTimeIsTheLocalOne(long millis) {
        var event = new LoggingEvent("", context.getLogger("root"), Level.INFO, "message", null, null);
        event.setTimeStamp(millis);

        assertThat(lineOf(event)).isEqualTo(patternLayout().doLayout(event));
    }

    private static String lineOf(LoggingEvent event) {
        var line = new LogLine();
        line.start();
        return line.doLayout(event);
    }

    private PatternLayout patternLayout() {
        var layout = new PatternLayout();
        layout.setContext(context);
        layout.setPattern("%d{HH:mm:ss.SSS} %-5level %logger{0}: %msg%n%ex{full}");
        layout.start();
        return layout;
    }
}
