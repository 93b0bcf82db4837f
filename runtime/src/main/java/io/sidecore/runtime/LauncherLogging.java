package io.sidecore.runtime;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.Configurator;
import ch.qos.logback.classic.spi.ConfiguratorRank;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.ConsoleAppender;
import ch.qos.logback.core.Layout;
import ch.qos.logback.core.encoder.LayoutWrappingEncoder;
import ch.qos.logback.core.spi.ContextAwareBase;
import io.sidecore.conf.LogSettings;
import java.nio.file.Path;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What a {@code logback.xml} would say, said in code: reading one takes a fifth of a start. Only where the system property {@code io.sidecore.logging} names a {@linkplain #layout format}, as the launcher has it: how a program logs that embeds hosts is its own
 * affair.
 */
@ConfiguratorRank(ConfiguratorRank.CUSTOM_HIGH_PRIORITY)
public final class LauncherLogging extends ContextAwareBase implements Configurator {
    private static final String APPENDER = "STDERR";

    /** For Logback, which finds it as a service. */
    public LauncherLogging() {}

    /** How an event is written at first; empty where that is not decided here. */
    private static Optional<Layout<ILoggingEvent>> layout() {
        if (!System.getProperty("logback.configurationFile", "").isBlank()) {
            return Optional.empty();
        }
        return switch (System.getProperty("io.sidecore.logging", "")) {
            case "lines" -> Optional.of(new LogLine());
            default -> Optional.empty();
        };
    }

    @Override
    public ExecutionStatus configure(LoggerContext context) {
        var layout = layout();
        if (layout.isEmpty()) {
            return ExecutionStatus.INVOKE_NEXT_IF_ANY;
        }
        var appender = new ConsoleAppender<ILoggingEvent>();
        appender.setContext(context);
        appender.setName(APPENDER);
        appender.setTarget("System.err");
        appender.setEncoder(encoder(layout.get(), context));
        appender.start();
        var root = context.getLogger(Logger.ROOT_LOGGER_NAME);
        root.setLevel(Level.WARN);
        root.addAppender(appender);
        context.getLogger("io.sidecore").setLevel(Level.INFO);
        return ExecutionStatus.DO_NOT_INVOKE_NEXT_IF_ANY;
    }

    private static LayoutWrappingEncoder<ILoggingEvent> encoder(Layout<ILoggingEvent> layout, LoggerContext context) {
        layout.setContext(context);
        layout.start();
        var encoder = new LayoutWrappingEncoder<ILoggingEvent>();
        encoder.setContext(context);
        encoder.setLayout(layout);
        encoder.start();
        return encoder;
    }

    /** Logs as a host is told to, from now on; nothing is changed where a file of Logback's says how. */
    static void follow(LogSettings settings, Path dataDirectory) {
        if (layout().isEmpty() || !(LoggerFactory.getILoggerFactory() instanceof LoggerContext context)) {
            return;
        }
        var root = context.getLogger(Logger.ROOT_LOGGER_NAME);
        if (settings.format() == LogSettings.Format.JSON
                && root.getAppender(APPENDER) instanceof ConsoleAppender<ILoggingEvent> appender) {
            var host = dataDirectory.toAbsolutePath().normalize().toString();
            appender.setEncoder(encoder(new LogObject(host), context));
        }
        context.getLogger("io.sidecore").setLevel(Level.valueOf(settings.level().name()));
        root.setLevel(
                switch (settings.level()) {
                    case ERROR, WARN -> Level.ERROR;
                    case INFO -> Level.WARN;
                    case DEBUG -> Level.INFO;
                });
    }
}
