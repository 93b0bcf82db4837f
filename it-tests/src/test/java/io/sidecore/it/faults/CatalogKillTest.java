package io.sidecore.it.faults;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.sidecore.actors.catalog.CatalogEntry;
import io.sidecore.actors.catalog.CatalogException;
import io.sidecore.actors.catalog.CatalogKey;
import io.sidecore.cluster.catalog.JournalCatalog;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

class CatalogKillTest {
    private static final int KILLS = Boolean.getBoolean("it.long") ? 1_000 : 20;

    /** SIGKILL, as a shell would report it. */
    private static final int KILLED = 128 + 9;

    @TempDir
    Path directory;

    private final Map<String, TreeSet<Long>> tried = new HashMap<>();
    private final Map<String, Long> done = new HashMap<>();
    private long next = 1;

    private Process writer() throws IOException {
        // Surefire has the tests' class path in a property of its own.
        var classPath = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
        var java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        return new ProcessBuilder(
                        java,
                        "-XX:TieredStopAtLevel=1",
                        "-XX:+UseSerialGC",
                        "-Xmx64m",
                        "-cp",
                        classPath,
                        CatalogWriter.class.getName(),
                        directory.toString(),
                        Long.toString(next))
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
    }

    private void killAfter(int lines) throws Exception {
        var writer = writer();
        try (var out = writer.inputReader(StandardCharsets.US_ASCII)) {
            for (int i = 0; i < lines; i++) {
                note(out);
            }
            // By its handle: the process itself would close the pipe that is still to be read.
            writer.toHandle().destroyForcibly();
            // What it had said before it died.
            while (note(out)) {
                // Each line counts.
            }
            assertThat(writer.waitFor(30, TimeUnit.SECONDS)).isTrue();
            assertThat(writer.exitValue()).as("it was killed").isEqualTo(KILLED);
        } finally {
            writer.destroyForcibly();
        }
    }

    private boolean note(BufferedReader out) throws IOException {
        var line = out.readLine();
        if (line == null) {
            return false;
        }
        var words = line.split(" ");
        // The last line may be cut, too: then it says nothing.
        if (words.length == 3 && line.matches("(try|done) v[0-9] [0-9]+")) {
            var number = Long.parseLong(words[2]);
            if (words[0].equals("try")) {
                tried.computeIfAbsent(words[1], _ -> new TreeSet<>()).add(number);
                next = Math.max(next, number + 1);
            } else if (tried.getOrDefault(words[1], new TreeSet<>()).contains(number)) {
                done.put(words[1], number);
            }
        }
        return true;
    }

    @Test
    void aKilledHostFindsEachDefinitionAsItWasBeforeOrAfterItsLastChange() throws Exception {
        var random = new SplittableRandom(1);
        var start = System.nanoTime();
        var unanswered = 0;
        for (int kill = 0; kill < KILLS; kill++) {
            killAfter(random.nextInt(1, 400));
            unanswered += check("kill " + kill);
        }
        System.out.printf(
                "killed %,d times in %.1f s: each definition the old or the new, %,d times the new before it was answered%n",
                KILLS, (System.nanoTime() - start) / 1e9, unanswered);
    }

    /** What is there becomes what was done last: the next writer goes on from it. */
    private int check(String where) {
        var unanswered = 0;
        try (var catalog = JournalCatalog.open(directory)) {
            for (int i = 0; i < CatalogWriter.NAMES; i++) {
                var name = "v" + i;
                var found = catalog.get(new CatalogKey(CatalogWriter.KIND, name))
                        .toCompletableFuture()
                        .join()
                        .map(CatalogEntry::value);
                var last = done.getOrDefault(name, 0L);
                var allowed = tried.getOrDefault(name, new TreeSet<>()).tailSet(last, true);
                var match = found.isEmpty()
                        ? allowed.stream()
                                .filter(number -> number % 7 == 0)
                                .findFirst()
                                .or(() -> Optional.of(last).filter(number -> number == 0))
                        : allowed.stream()
                                .filter(number ->
                                        CatalogWriter.value(name, number).equals(found.get()))
                                .findFirst();
                assertThat(match)
                        .as("%s: %s is '%s', done is %d, tried %s", where, name, found.orElse("missing"), last, allowed)
                        .isPresent();
                unanswered += match.get() > last ? 1 : 0;
                done.put(name, match.get());
            }
        }
        tried.clear();
        done.forEach((name, number) ->
                tried.computeIfAbsent(name, _ -> new TreeSet<>()).add(number));
        return unanswered;
    }

    @Test
    @Timeout(60)
    void aHostInAnotherProcessIsNamedAndItsDirectoryIsFreeOnceItIsKilled() throws Exception {
        var writer = writer();
        try (var out = writer.inputReader(StandardCharsets.US_ASCII)) {
            assertThat(out.readLine()).startsWith("try ");

            assertThatExceptionOfType(CatalogException.Unavailable.class)
                    .isThrownBy(() -> JournalCatalog.open(directory))
                    .withMessageContaining("is used by another host, in process " + writer.pid())
                    .withMessageContaining("catalog.lock");
        } finally {
            writer.destroyForcibly();
            writer.waitFor();
        }
        JournalCatalog.open(directory).close();
        assertThat(List.of(directory.toFile().list())).containsExactlyInAnyOrder("catalog.journal", "catalog.lock");
    }
}
