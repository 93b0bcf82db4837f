package io.sidecore.actors.core;

import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import io.sidecore.conf.LoopSettings;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.slf4j.LoggerFactory;

/** What waits here waits for an event, with a bound that only a failure reaches. */
@Timeout(60)
class LoopWatchTest {
    private static final Duration BOUND = Duration.ofMillis(10);

    private final Logger log = (Logger) LoggerFactory.getLogger(LoopWatch.class);
    private final Level level = log.getLevel();
    private final ListAppender<ILoggingEvent> lines = new ListAppender<>();
    private final AtomicBoolean released = new AtomicBoolean();
    private final CoreLoop loop = new CoreLoop(
            "watched",
            Clock.SYSTEM,
            new LoopSettings(Duration.ZERO, 64, 8, Duration.ofNanos(200_000), BOUND),
            CoreLoop.Placement.floating());

    @BeforeEach
    void begin() {
        lines.start();
        log.addAppender(lines);
        loop.start();
    }

    @AfterEach
    void end() throws InterruptedException {
        released.set(true);
        log.detachAppender(lines);
        log.setLevel(level);
        loop.stop();
        loop.join(Duration.ofSeconds(30));
    }

    private void hold() {
        while (!released.get()) {
            Thread.onSpinWait();
        }
    }

    private static void until(BooleanSupplier holds) {
        while (!holds.getAsBoolean()) {
            LockSupport.parkNanos(1_000_000);
        }
    }

    @Test
    void whereATaskHoldsItsLoopIsToldInOneLine() {
        log.setLevel(Level.INFO);
        try (var watch = new LoopWatch(() -> List.of(loop), BOUND, Duration.ZERO)) {
            loop.execute(this::hold);
            until(() -> watch.reports() > 0);

            assertThat(List.copyOf(lines.list)).singleElement().satisfies(line -> {
                assertThat(line.getLevel()).isEqualTo(Level.WARN);
                assertThat(line.getFormattedMessage())
                        .matches(
                                "loop watched: one task has held it for 10 ms and more, "
                                        + "at LoopWatchTest\\.hold\\(LoopWatchTest\\.java:\\d+\\); whatever is placed on it waits");
                assertThat(line.getKeyValuePairs()).singleElement().asString().isEqualTo("loop=\"watched\"");
            });
        }
    }

    @Test
    void theWholeStackIsToldToWhoDebugs() {
        log.setLevel(Level.DEBUG);
        try (var watch = new LoopWatch(() -> List.of(loop), BOUND, Duration.ZERO)) {
            loop.execute(this::hold);
            until(() -> watch.reports() > 0 && lines.list.size() > 1);

            assertThat(lines.list.get(1).getLevel()).isEqualTo(Level.DEBUG);
            assertThat(lines.list.get(1).getFormattedMessage()).contains("CoreLoop.runUntilStopped");
        }
    }

    @Test
    void aLoopIsHeldUntilItsTaskIsOver() {
        try (var watch = new LoopWatch(() -> List.of(loop), BOUND, Duration.ZERO)) {
            loop.execute(this::hold);
            until(() -> !watch.held().isEmpty());
            assertThat(watch.held()).singleElement().satisfies(held -> {
                assertThat(held.loop()).isEqualTo("watched");
                assertThat(held.sentence()).contains("LoopWatchTest.hold");
            });

            released.set(true);

            until(() -> watch.held().isEmpty());
            assertThat(watch.reports()).isEqualTo(1);
        }
    }

    @Test
    void aYoungHostIsGivenTenTimesAsLong() {
        log.setLevel(Level.INFO);
        try (var watch = new LoopWatch(() -> List.of(loop), BOUND, Duration.ofDays(1))) {
            loop.execute(this::hold);
            until(() -> watch.reports() > 0);

            assertThat(List.copyOf(lines.list))
                    .singleElement()
                    .extracting(ILoggingEvent::getFormattedMessage)
                    .asString()
                    .contains("has held it for 100 ms and more");
        }
    }
}
