package io.sidecore.runtime.vm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.slf4j.LoggerFactory;

class VmHistoryTest {
    private static final Instant NOW = Instant.parse("2030-01-02T03:04:05.678Z");

    @TempDir
    Path folder;

    private VmHistory history(String vm) {
        return new VmHistory(folder.resolve("history"), vm, "run-1", InstantSource.fixed(NOW), Runnable::run);
    }

    private static List<Long> numbers(VmHistory.Account account) {
        return account.entries().stream().map(VmHistory.Entry::number).toList();
    }

    private static List<String> causes(VmHistory.Account account) {
        return account.entries().stream().map(VmHistory.Entry::cause).toList();
    }

    private static void add(VmHistory history, String cause) {
        history.add("running", "starting", "running", cause);
    }

    @Test
    void whatHappenedIsThereAfterTheNextStartOfTheHost() throws IOException {
        history("web").add("defined", "", "defined", "by the configuration");
        var next = new VmHistory(
                folder.resolve("history"), "web", "run-2", InstantSource.fixed(NOW.plusSeconds(9)), Runnable::run);
        next.add("failed", "running", "failed", "QEMU ended with \"exit\u00fc\"\nand a second line");

        assertThat(history("web").account())
                .isEqualTo(new VmHistory.Account(
                        List.of(
                                new VmHistory.Entry(1, NOW, "defined", "", "defined", "by the configuration", "run-1"),
                                new VmHistory.Entry(
                                        2,
                                        NOW.plusSeconds(9),
                                        "failed",
                                        "running",
                                        "failed",
                                        "QEMU ended with \"exit\u00fc\"\nand a second line",
                                        "run-2")),
                        0));
        assertThat(Files.readAllLines(history("web").file())).hasSize(2);
    }

    @Test
    void aVmToWhichNothingHappenedHasNoFile() {
        assertThat(history("idle").account().entries()).isEmpty();
        assertThat(history("idle").file()).doesNotExist();
    }

    @Test
    void aFileThatIsCutAnywhereLosesOnlyTheLineThatIsCut() throws IOException {
        var whole = history("whole");
        IntStream.rangeClosed(1, 6).forEach(i -> add(whole, "number " + i + " \u00e4\u20ac"));
        var bytes = Files.readAllBytes(whole.file());
        var ends =
                IntStream.range(0, bytes.length).filter(i -> bytes[i] == '\n').toArray();

        var cut = history("cut");
        for (var length = ends[2]; length <= bytes.length; length++) {
            Files.write(cut.file(), Arrays.copyOf(bytes, length));
            var bound = length;
            var lines = Arrays.stream(ends).filter(end -> end < bound).count();

            assertThat(numbers(history("cut").account())).hasSize((int) lines);
            var next = history("cut");
            add(next, "after the cut");
            var account = history("cut").account();
            assertThat(account.garbage()).isZero();
            assertThat(numbers(account))
                    .as("cut at %d", length)
                    .isEqualTo(LongStream.rangeClosed(1, lines + 1).boxed().toList());
            assertThat(account.entries().getLast().cause()).isEqualTo("after the cut");
        }
    }

    @Test
    void garbageIsSkippedAndCountedWhereverItIs() throws IOException {
        var random = new SplittableRandom(7);
        for (var round = 0; round < 300; round++) {
            var source = history("source-" + round);
            IntStream.rangeClosed(1, 5).forEach(i -> add(source, "number " + i));
            var lines = Files.readAllLines(source.file());
            var garbage = 0;
            var text = new ArrayList<byte[]>();
            for (var line : lines) {
                while (random.nextInt(3) == 0) {
                    text.add(garbage(random, line));
                    garbage++;
                }
                text.add(line.getBytes(StandardCharsets.UTF_8));
            }
            if (random.nextBoolean()) {
                text.add(garbage(random, lines.getFirst()));
                garbage++;
            }
            Files.delete(source.file());
            for (var line : text) {
                Files.write(source.file(), line, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
                Files.write(source.file(), new byte[] {'\n'}, StandardOpenOption.APPEND);
            }
            var next = history("source-" + round);
            add(next, "number 6");

            assertThat(numbers(next.account())).containsExactly(1L, 2L, 3L, 4L, 5L, 6L);
            assertThat(next.account().garbage()).isEqualTo(garbage);
        }
    }

    private static byte[] garbage(SplittableRandom random, String line) {
        var bytes = line.getBytes(StandardCharsets.UTF_8);
        return switch (random.nextInt(6)) {
            case 0 -> new byte[random.nextInt(50)];
            case 1 -> Arrays.copyOf(bytes, random.nextInt(bytes.length));
            case 2 -> (line + line).getBytes(StandardCharsets.UTF_8);
            case 3 ->
                "{\"number\":99999999999999999999,\"at\":\"2030-01-01T00:00:00Z\",\"event\":\"x\"}"
                        .getBytes(StandardCharsets.UTF_8);
            case 4 -> "{\"number\":7,\"at\":\"yesterday\",\"event\":\"x\"}".getBytes(StandardCharsets.UTF_8);
            default -> {
                var noise = new byte[1 + random.nextInt(200)];
                random.nextBytes(noise);
                for (var i = 0; i < noise.length; i++) {
                    noise[i] = noise[i] == '\n' ? 0 : noise[i];
                }
                yield noise;
            }
        };
    }

    @Test
    void theLastThousandAreKeptAndTheFileStaysShort() throws IOException {
        var history = history("web");
        for (var i = 1; i <= 5_500; i++) {
            add(history, "number " + i);
            if (i % 500 == 0) {
                assertThat(Files.readAllLines(history.file())).hasSizeLessThanOrEqualTo(2_000);
                assertThat(numbers(history.account()))
                        .isEqualTo(LongStream.rangeClosed(Math.max(1, i - 999), i)
                                .boxed()
                                .toList());
            }
        }
        assertThat(numbers(history("web").account()))
                .isEqualTo(LongStream.rangeClosed(4_501, 5_500).boxed().toList());
        assertThat(folder.resolve("history")).isDirectoryNotContaining("glob:**.new");
    }

    @Test
    void whatAKilledCompactionLeftDoesNotMatter() throws IOException {
        var history = history("web");
        IntStream.rangeClosed(1, 2_000).forEach(i -> add(history, "number " + i));
        Files.writeString(folder.resolve("history/web.history.new"), "x".repeat(1_000_000));

        add(history("web"), "number 2001");

        assertThat(numbers(history("web").account()))
                .isEqualTo(LongStream.rangeClosed(1_002, 2_001).boxed().toList());
        assertThat(folder.resolve("history")).isDirectoryNotContaining("glob:**.new");
    }

    @Test
    void aFileBeyondReasonIsCutDownToItsEnd() throws IOException {
        var history = history("web");
        add(history, "first");
        var line = Files.readString(history.file());
        Files.writeString(history.file(), "x".repeat(20 << 20) + "\n" + line);

        add(history("web"), "second");

        assertThat(causes(history("web").account())).containsExactly("first", "second");
        assertThat(Files.size(history.file())).isLessThan(1_000);
    }

    @Test
    void whatManyThreadsAddIsAllThereWhileItIsReadAndEachThreadsInOrder() throws Exception {
        try (var writer = Executors.newThreadPerTaskExecutor(Thread.ofVirtual().factory());
                var threads = Executors.newFixedThreadPool(4)) {
            var history = new VmHistory(folder, "web", "run", InstantSource.system(), writer);
            for (var thread = 0; thread < 4; thread++) {
                var name = thread;
                threads.execute(() -> IntStream.range(0, 200).forEach(i -> add(history, name + " " + i)));
            }
            threads.shutdown();
            while (!threads.isTerminated()) {
                var account = history.account();
                assertThat(account.garbage()).isZero();
                assertThat(numbers(account))
                        .isEqualTo(LongStream.rangeClosed(1, account.entries().size())
                                .boxed()
                                .toList());
            }
            var causes = causes(history.account());
            assertThat(causes).hasSize(800).doesNotHaveDuplicates();
            for (var thread = 0; thread < 4; thread++) {
                var prefix = thread + " ";
                assertThat(causes.stream().filter(cause -> cause.startsWith(prefix)))
                        .isEqualTo(IntStream.range(0, 200)
                                .mapToObj(i -> prefix + i)
                                .toList());
            }
        }
        assertThat(causes(new VmHistory(folder, "web", "run", InstantSource.system(), Runnable::run).account()))
                .hasSize(800);
    }

    @Test
    void nothingIsWrittenByTheThreadThatAddsAndFlushWaitsForIt() {
        var tasks = new ArrayList<Runnable>();
        var history = new VmHistory(folder, "web", "run", InstantSource.system(), tasks::add);
        add(history, "one");
        add(history, "two");
        assertThat(history.file()).doesNotExist();
        assertThat(tasks).hasSize(1);

        history.flush();
        assertThat(history.file()).exists();
        tasks.getFirst().run();
        assertThat(causes(history.account())).containsExactly("one", "two");
    }

    @Test
    void aHostThatStopsWritesWhatIsAddedAtTheLast() {
        var history = new VmHistory(folder, "web", "run", InstantSource.system(), task -> {
            throw new RejectedExecutionException();
        });
        add(history, "killed with the host");
        assertThat(causes(new VmHistory(folder, "web", "run", InstantSource.system(), Runnable::run).account()))
                .containsExactly("killed with the host");
    }

    @Test
    void whereItCannotBeWrittenTheLogSaysItOnceAndItGoesOnInMemory() throws IOException {
        var log = new ListAppender<ILoggingEvent>();
        log.start();
        var logger = (Logger) LoggerFactory.getLogger(VmHistory.class);
        logger.addAppender(log);
        try {
            // A file where the directory would be.
            Files.writeString(folder.resolve("history"), "");
            var history = history("web");
            IntStream.rangeClosed(1, 1_500).forEach(i -> add(history, "number " + i));

            assertThat(numbers(history.account()))
                    .isEqualTo(LongStream.rangeClosed(501, 1_500).boxed().toList());
            assertThat(causes(history.account())).startsWith("number 501").endsWith("number 1500");
            assertThat(log.list)
                    .singleElement()
                    .satisfies(said ->
                            assertThat(said.getFormattedMessage()).contains("cannot be written and is kept in memory"));

            Files.delete(folder.resolve("history"));
            add(history, "number 1501");
            assertThat(log.list).hasSize(2);
            assertThat(log.list.getLast().getFormattedMessage()).contains("is written again");
            assertThat(numbers(history("web").account()))
                    .isEqualTo(LongStream.rangeClosed(502, 1_501).boxed().toList());
        } finally {
            logger.detachAppender(log);
        }
    }

    @Test
    void aFileThatSomebodyTookAwayIsBegunAnewWithTheNextNumber() throws IOException {
        var history = history("web");
        add(history, "one");
        Files.delete(history.file());
        add(history, "two");

        assertThat(numbers(history("web").account())).containsExactly(2L);
    }

    @Test
    void aCauseOfAnyLengthIsCut() {
        var history = history("web");
        add(history, "x".repeat(100_000));

        assertThat(history.account().entries().getFirst().cause()).hasSize(VmHistory.LONGEST_CAUSE);
    }

    @Test
    void aNameThatWouldLeadElsewhereIsRefused() {
        assertThatThrownBy(() -> history("../web")).hasMessageContaining("found \"../web\"");
    }
}
