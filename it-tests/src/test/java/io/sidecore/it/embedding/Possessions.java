package io.sidecore.it.embedding;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.it.Peers;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** What this process has: its threads, by name; its descriptors, by what they lead to; and the files below a directory. */
record Possessions(List<String> threads, List<String> descriptors, List<String> files) {
    private static final String JAVA_HOME = System.getProperty("java.home");

    static Possessions now(Path directory) {
        return new Possessions(threadNames(), descriptorTargets(), filesBelow(directory));
    }

    private static List<String> threadNames() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(Thread::isAlive)
                .map(Thread::getName)
                // The JDK's own, for the whole process: they come and go.
                .filter(name -> !name.startsWith("ForkJoinPool")
                        && !name.startsWith("process reaper")
                        && !name.startsWith("VirtualThread")
                        && !name.startsWith("Attach Listener"))
                .sorted()
                .toList();
    }

    private static List<String> descriptorTargets() {
        try (Stream<Path> all = Files.list(Path.of("/proc/self/fd"))) {
            return all.map(Possessions::target)
                    .filter(target -> !target.isEmpty()
                            && !target.startsWith("/proc/")
                            && !target.endsWith(".jar")
                            && !target.startsWith(JAVA_HOME)
                            && !target.startsWith("/dev/"))
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String target(Path descriptor) {
        try {
            return Files.readSymbolicLink(descriptor).toString();
        } catch (IOException closedMeanwhile) {
            return "";
        }
    }

    private static List<String> filesBelow(Path directory) {
        try (Stream<Path> all = Files.walk(directory)) {
            return all.map(Path::toString).sorted().toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** What is here and not in {@code before}, each as often as it is more often here. */
    private Possessions beyond(Possessions before) {
        return new Possessions(
                beyond(threads, before.threads), beyond(descriptors, before.descriptors), beyond(files, before.files));
    }

    private static List<String> beyond(List<String> now, List<String> before) {
        var more = new ArrayList<>(now);
        before.forEach(more::remove);
        return more;
    }

    private boolean isNothing() {
        return threads.isEmpty() && descriptors.isEmpty() && files.isEmpty();
    }

    /** The process has nothing more than before, or will have in a moment: a thread that has been told ends by itself. */
    static void assertNothingBeyond(Possessions before, Path directory) {
        try {
            Peers.until(
                    "nothing is left",
                    Duration.ofSeconds(10),
                    () -> now(directory).beyond(before).isNothing());
        } catch (AssertionError _) {
            assertThat(now(directory).beyond(before)).isEqualTo(new Possessions(List.of(), List.of(), List.of()));
        }
    }
}
