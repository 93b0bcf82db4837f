package io.sidecore.runtime.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.sidecore.runtime.control.ServedConsoles;
import io.sidecore.runtime.vm.Console;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

@Timeout(60)
class ConsoleCommandTest {
    @TempDir
    Path folder;

    private ServedConsoles host;
    private Console console;
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private final StringWriter printed = new StringWriter();
    private final StringWriter err = new StringWriter();

    @BeforeEach
    void start() {
        host = new ServedConsoles(folder.resolve("data"));
        console = host.add("web");
    }

    @AfterEach
    void stop() throws IOException {
        host.close();
    }

    private int execute(String input, String... more) {
        return execute(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)), out, more);
    }

    private int execute(InputStream in, OutputStream to, String... more) {
        var line = new CommandLine(new ConsoleCommand(in, to));
        line.setOut(new PrintWriter(printed));
        line.setErr(new PrintWriter(err, true));
        line.setExecutionExceptionHandler((failure, command, parsed) -> Cli.failed(failure, command.getErr()));
        return line.execute(
                Stream.concat(Stream.of("web", "--host", host.directory().toString()), Stream.of(more))
                        .toArray(String[]::new));
    }

    private void write(String text) {
        var bytes = text.getBytes(StandardCharsets.UTF_8);
        console.written(bytes, 0, bytes.length);
    }

    private static void until(BooleanSupplier condition) {
        while (!condition.getAsBoolean()) {
            LockSupport.parkNanos(1_000_000);
            // The test's time is up.
            assertThat(Thread.currentThread().isInterrupted()).isFalse();
        }
    }

    // --- without a terminal

    @Test
    void aScriptSaysSomethingToTheGuestAndHasItsAnswerAlone() {
        write("boot messages");
        console.attach(bytes -> write("you said " + new String(bytes, StandardCharsets.UTF_8) + "\u001b[0m\r\n"));

        assertThat(execute("ls\n", "--idle", "0.5")).isZero();

        assertThat(out.toString(StandardCharsets.UTF_8)).isEqualTo("you said ls\n\u001b[0m\r\n");
        assertThat(err.toString()).isEmpty();
    }

    @Test
    void aScriptLearnsThatTheGuestHasEnded() {
        var guest = new AtomicReference<Console.Attachment>();
        guest.set(console.attach(bytes -> {
            write("bye\n");
            guest.get().close();
        }));

        assertThat(execute("poweroff\n", "--idle", "0.5")).isZero();

        assertThat(out.toString(StandardCharsets.UTF_8)).isEqualTo("bye\n");
        assertThat(err.toString())
                .isEqualToNormalizingNewlines(
                        "sidecore: the guest takes no more input: it ends, or has ended; sidecore vm history web tells why\n");
    }

    @Test
    void aScriptLearnsThatNoGuestTookItsInput() {
        assertThat(execute("ls\n", "--idle", "0")).isEqualTo(Cli.FAILED);

        assertThat(err.toString())
                .isEqualToNormalizingNewlines(
                        "sidecore: no guest took the last 3 bytes of the input: web does not run, or ended\n");
    }

    @Test
    void theInputReachesTheGuestWhole() {
        var taken = new ByteArrayOutputStream();
        console.attach(taken::writeBytes);
        var input = "0123456789abcdef".repeat(20_000);

        assertThat(execute(input, "--idle", "0")).isZero();

        until(() -> taken.size() == input.length());
        assertThat(taken.toString(StandardCharsets.UTF_8)).isEqualTo(input);
    }

    @Test
    void theLogIsWhatWasWrittenLast() {
        write("boot messages\r\n");

        assertThat(execute("not typed", "--log")).isZero();

        assertThat(out.toString(StandardCharsets.UTF_8)).isEqualTo("boot messages\r\n");
        assertThat(console.bytesDropped()).isZero();
    }

    @Test
    void aViewEndsWhenTheGuestIsSilentForSoLong() {
        write("boot messages\r\n");

        assertThat(execute("not typed", "--view", "--idle", "0.2")).isZero();

        assertThat(out.toString(StandardCharsets.UTF_8)).isEqualTo("boot messages\r\n");
        assertThat(console.bytesDropped()).isZero();
    }

    @Test
    void aViewWithoutIdleEndsWithTheVm() {
        write("bye");
        Thread.ofVirtual().start(() -> {
            until(() -> console.viewers() == 1);
            console.close();
        });

        assertThat(execute("", "--view")).isZero();

        assertThat(out.toString(StandardCharsets.UTF_8)).isEqualTo("bye");
    }

    @Test
    void programsReadLinesOfJson() {
        write("hi\n");

        assertThat(execute("", "--log", "--json")).isZero();

        assertThat(printed.toString())
                .isEqualToNormalizingNewlines(
                        "{\"console\":\"web\",\"guest\":false}\n{\"output\":\"aGkK\"}\n{\"lost\":0,\"dropped\":0}\n");
        assertThat(out.size()).isZero();
    }

    @Test
    void aPipeThatNobodyReadsAnyMoreEndsIt() {
        write("hi");
        var broken = new OutputStream() {
            @Override
            public void write(int b) throws IOException {
                throw new IOException("Broken pipe");
            }
        };

        assertThat(execute(InputStream.nullInputStream(), broken, "--view")).isZero();
        assertThat(err.toString()).isEmpty();
    }

    // --- at a terminal

    private static boolean installed(String program) {
        return Stream.of(System.getenv().getOrDefault("PATH", "").split(File.pathSeparator))
                .anyMatch(directory -> Files.isExecutable(Path.of(directory, program)));
    }

    /** A shell at a pseudo terminal that runs the command. */
    private final class Shell implements AutoCloseable {
        private final Process process;
        private final ByteArrayOutputStream shown = new ByteArrayOutputStream();

        private Shell() throws IOException {
            assumeTrue(installed("script"), "script is missing; install it with: apt-get install bsdutils");
            Files.writeString(folder.resolve("java.sh"), """
                    echo $$ > pid
                    exec "%s/bin/java" -XX:+UseSerialGC -cp '%s' io.sidecore.runtime.Main console web --host '%s'
                    """.formatted(
                            System.getProperty("java.home"),
                            System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                            host.directory()));
            Files.writeString(folder.resolve("session.sh"), """
                    stty -a > before; tty > tty
                    sh java.sh
                    echo $? > exit
                    stty -a > after
                    """);
            process = new ProcessBuilder("script", "-qec", "sh session.sh", "/dev/null")
                    .directory(folder.toFile())
                    .redirectErrorStream(true)
                    .start();
            Thread.ofPlatform().daemon().start(() -> {
                try {
                    process.getInputStream().transferTo(shown);
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
            until(() -> shown().contains("Connected to the console of web; Ctrl-] ends it.")
                            && settings().contains("-icanon")
                    || !process.isAlive());
            assertThat(process.isAlive()).as(shown()).isTrue();
        }

        private String shown() {
            return shown.toString(StandardCharsets.UTF_8);
        }

        private String read(String file) {
            try {
                return Files.readString(folder.resolve(file)).strip();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        /** Of the terminal, now. */
        private String settings() {
            try {
                var stty = new ProcessBuilder("stty", "-a", "-F", read("tty")).start();
                return new String(stty.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        private void press(String keys) throws IOException {
            process.getOutputStream().write(keys.getBytes(StandardCharsets.UTF_8));
            process.getOutputStream().flush();
        }

        /** Waits for its end; returns the command's exit code. */
        private String end() throws InterruptedException {
            assertThat(process.waitFor(1, TimeUnit.MINUTES)).as(shown()).isTrue();
            return read("exit");
        }

        @Override
        public void close() {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
        }
    }

    @Test
    void atATerminalAllKeysGoToTheGuestUntilTheEscapeKeyAndTheTerminalIsAsItWas() throws Exception {
        var taken = new ByteArrayOutputStream();
        console.attach(taken::writeBytes);
        write("\u001b[31mthe past\u001b[0m");
        try (var shell = new Shell()) {
            assertThat(shell.settings()).contains("-isig", "-icanon", "-echo ", "-icrnl", "-ixon", "-opost");
            assertThat(shell.read("before")).containsPattern("(?<!-)isig").containsPattern("(?<!-)echo ");
            // Ctrl-C, Ctrl-Z, Ctrl-S, Ctrl-D, Ctrl-V, Ctrl-\ and Enter.
            var keys = "unechoed\u0003\u001a\u0013\u0004\u0016\u001c\r\u00fc";
            shell.press(keys);
            until(() -> taken.size() == keys.getBytes(StandardCharsets.UTF_8).length);
            assertThat(taken.toString(StandardCharsets.UTF_8)).isEqualTo(keys);
            write("\r\nlive\u0007");
            until(() -> shell.shown().contains("live\u0007"));
            assertThat(shell.shown())
                    .contains("\u001b[31mthe past\u001b[0m\r\nlive")
                    .doesNotContain("unechoed");

            shell.press(" last" + (char) 29 + "not typed");

            assertThat(shell.end()).isEqualTo("0");
            until(() -> taken.size() == (keys + " last").getBytes(StandardCharsets.UTF_8).length);
            assertThat(shell.read("after")).isEqualTo(shell.read("before"));
            until(() -> console.viewers() == 0);
            assertThat(taken.toString(StandardCharsets.UTF_8)).isEqualTo(keys + " last");
        }
    }

    @Test
    void theEscapeKeyIsHeardThoughTheGuestTakesNothing() throws Exception {
        var never = new CountDownLatch(1);
        console.attach(bytes -> {
            try {
                never.await();
            } catch (InterruptedException e) {
                throw new IOException(e);
            }
        });
        try (var shell = new Shell()) {
            shell.press("x".repeat(2 << 20) + (char) 29);

            assertThat(shell.end()).isEqualTo("0");
            assertThat(shell.read("after")).isEqualTo(shell.read("before"));
        } finally {
            never.countDown();
        }
    }

    @ParameterizedTest
    @CsvSource({"TERM, 143", "INT, 130", "HUP, 129"})
    void aSignalThatEndsItLeavesTheTerminalAsItWas(String signal, String exit) throws Exception {
        try (var shell = new Shell()) {
            new ProcessBuilder("kill", "-" + signal, shell.read("pid")).start().waitFor();

            assertThat(shell.end()).isEqualTo(exit);
            assertThat(shell.read("after")).isEqualTo(shell.read("before"));
        }
    }

    @Test
    void aHostThatGoesEndsItInASentenceAndLeavesTheTerminalAsItWas() throws Exception {
        try (var shell = new Shell()) {
            host.stopBeingManaged();

            assertThat(shell.end()).isEqualTo("1");
            assertThat(shell.shown()).contains("sidecore: the host on ");
            assertThat(shell.read("after")).isEqualTo(shell.read("before"));
        }
    }

    @Test
    void atATerminalItIsSaidOnceThatNoGuestTakesWhatIsTyped() throws Exception {
        try (var shell = new Shell()) {
            assertThat(shell.shown()).contains("No guest runs: what is typed is dropped.");
            shell.press("a");
            until(() -> shell.shown().contains("[no guest takes what is typed: it is dropped]"));
            shell.press("b" + (char) 29);

            assertThat(shell.end()).isEqualTo("0");
            assertThat(shell.shown().split("no guest takes", -1)).hasSize(2);
        }
    }
}
