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
import java.util.Optional;
import org.slf4j.Logger;

/**
 * What {@code logback.xml} says, said in code, which is there sooner than XML is read. Only where the system property {@code io.sidecore.logging} names a {@linkplain #layout format}, as the launcher has it: how a program logs that embeds hosts is its own
 * affair.
 */
@ConfiguratorRank(ConfiguratorRank.CUSTOM_HIGH_PRIORITY)
public final class LauncherLogging extends ContextAwareBase implements Configurator {
    /** For Logback, which finds it as a service. */
    public LauncherLogging() {}

    /** How an event is written. */
    private static Optional<Layout<ILoggingEvent>> layout(String format) {
        return switch (format) {
            case "lines" -> Optional.of(new LogLine());
            default -> Optional.empty();
        };
    }

    @Override
    public ExecutionStatus configure(LoggerContext context) {
        var layout = layout(System.getProperty("io.sidecore.logging", ""));
        if (layout.isEmpty() || System.getProperty("logback.configurationFile") != null) {
            return ExecutionStatus.INVOKE_NEXT_IF_ANY;
        }
        layout.get().setContext(context);
        layout.get().start();
        var encoder = new LayoutWrappingEncoder<ILoggingEvent>();
        encoder.setContext(context);
        encoder.setLayout(layout.get());
        encoder.start();
        var appender = new ConsoleAppender<ILoggingEvent>();
        appender.setContext(context);
        appender.setName("STDERR");
        appender.setTarget("System.err");
        appender.setEncoder(encoder);
        appender.start();
        var root = context.getLogger(Logger.ROOT_LOGGER_NAME);
        root.setLevel(Level.WARN);
        root.addAppender(appender);
        context.getLogger("io.sidecore").setLevel(Level.INFO);
        return ExecutionStatus.DO_NOT_INVOKE_NEXT_IF_ANY;
    }
}
