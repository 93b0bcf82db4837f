package io.sidecore.runtime;

import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.classic.spi.ThrowableProxyUtil;
import ch.qos.logback.core.LayoutBase;
import java.time.Instant;
import java.time.LocalTime;
import java.time.ZoneId;

/** {@code 12:34:56.789 LEVEL Class: message}: as Logback's pattern {@code %d{HH:mm:ss.SSS} %-5level %logger{0}: %msg%n%ex{full}} writes it, without a pattern to be compiled at start. */
final class LogLine extends LayoutBase<ILoggingEvent> {
    private static final int LEVEL_WIDTH = 5;

    private final ZoneId zone = ZoneId.systemDefault();

    @Override
    public String doLayout(ILoggingEvent event) {
        var line = new StringBuilder(128);
        var time = LocalTime.ofInstant(Instant.ofEpochMilli(event.getTimeStamp()), zone);
        digits(line, time.getHour(), 10).append(':');
        digits(line, time.getMinute(), 10).append(':');
        digits(line, time.getSecond(), 10).append('.');
        digits(line, time.getNano() / 1_000_000, 100).append(' ');
        var level = event.getLevel().toString();
        var logger = event.getLoggerName();
        line.append(level).repeat(' ', LEVEL_WIDTH - level.length() + 1);
        line.append(logger, logger.lastIndexOf('.') + 1, logger.length()).append(": ");
        line.append(event.getFormattedMessage()).append(System.lineSeparator());
        if (event.getThrowableProxy() != null) {
            line.append(ThrowableProxyUtil.asString(event.getThrowableProxy()));
        }
        return line.toString();
    }

    private static StringBuilder digits(StringBuilder line, int value, int first) {
        for (var unit = first; unit > 0; unit /= 10) {
            line.append((char) ('0' + value / unit % 10));
        }
        return line;
    }
}
