package io.sidecore.runtime;

import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.classic.spi.ThrowableProxyUtil;
import ch.qos.logback.core.LayoutBase;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Instant;

/**
 * A line of a log for programs: one JSON object, with {@code time} (ISO 8601, UTC), {@code level}, {@code logger}, {@code thread}, {@code message}, {@code host} (its data directory), then what the line is about ({@code vif}, {@code queue},
 * {@code volume}, {@code loop}, {@code export}, {@code connection}), and {@code exception} with its stack.
 */
final class LogObject extends LayoutBase<ILoggingEvent> {
    private final String host;

    /** Of a host, by its data directory. */
    LogObject(String host) {
        this.host = host;
    }

    @Override
    public String doLayout(ILoggingEvent event) {
        var line = new ObjectNode(JsonNodeFactory.instance)
                .put("time", Instant.ofEpochMilli(event.getTimeStamp()).toString())
                .put("level", event.getLevel().toString())
                .put("logger", event.getLoggerName())
                .put("thread", event.getThreadName())
                .put("message", event.getFormattedMessage())
                .put("host", host);
        event.getMDCPropertyMap().forEach(line::put);
        if (event.getKeyValuePairs() != null) {
            event.getKeyValuePairs().forEach(pair -> line.put(pair.key, String.valueOf(pair.value)));
        }
        if (event.getThrowableProxy() != null) {
            line.put("exception", ThrowableProxyUtil.asString(event.getThrowableProxy()));
        }
        return line + System.lineSeparator();
    }
}
