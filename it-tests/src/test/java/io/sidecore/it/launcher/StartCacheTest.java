package io.sidecore.it.launcher;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.it.Peers;
import io.sidecore.it.SmallFileSystem;
import io.sidecore.it.StartCache;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StartCacheTest {
    private static final Duration PATIENCE = Duration.ofMinutes(3);

    /** Says of every class where it came from. */
    private static final String SOURCES = "-Xlog:class+load:file=classes";

    private static final String IN_THE_BACKGROUND = "made in the background";

    private static Path warm;

    @TempDir
    Path directory;

    @BeforeAll
    static void warmUp() throws IOException {
        warm = StartCache.ofThisBuild();
    }

    private static Launched make(Path directory, Path cache) throws IOException {
        return Launched.start(Launched.LAUNCHER, directory, Map.of("SIDECORE_CACHE", cache.toString()), "--make-cache");
    }

    private static List<String> files(Path folder) throws IOException {
        try (var files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).toList();
        }
    }

    /** Of this build; there may be older ones beside it. */
    private static Path cacheFile() throws IOException {
        try (var files = Files.list(warm)) {
            return files.filter(file -> file.toString().endsWith(".aot"))
                    .max((one, other) -> modified(one).compareTo(modified(other)))
                    .orElseThrow();
        }
    }

    private static FileTime modified(Path file) {
        try {
            return Files.getLastModifiedTime(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Path named(Path folder, String ending) throws IOException {
        return folder.resolve(cacheFile().getFileName().toString().replace(".aot", ending));
    }

    /** A folder of its own for a test that spoils the cache; what was tried lately is not tried again while the test looks on. */
    private Path folder() throws IOException {
        var folder = Files.createDirectory(directory.resolve("cache"));
        Files.createFile(named(folder, ".tried"));
        return folder;
    }

    private Path copyOfTheCache() throws IOException {
        var folder = folder();
        Files.copy(cacheFile(), named(folder, ".aot"));
        return folder;
    }

    private Launched run(Path cache, String options) throws IOException {
        var environment = new HashMap<>(Map.of("SIDECORE_CACHE", cache.toString()));
        environment.put("SIDECORE_JAVA_OPTS", options);
        return Launched.run(Launched.LAUNCHER, directory, environment);
    }

    /** A start that ends at once: {@code run} of a file that is not there gets as far as a host's own code, and says nothing of the cache. */
    private void startsInSilence(Path cache, String options) throws Exception {
        var environment = Map.of("SIDECORE_CACHE", cache.toString(), "SIDECORE_JAVA_OPTS", options);
        try (var start = Launched.start(Launched.LAUNCHER, directory, environment, "run", "nowhere.conf")) {
            assertThat(start.exitCode()).isEqualTo(2);
            assertThat(start.err())
                    .startsWith("nowhere.conf: there is no such file")
                    .hasLineCount(1);
        }
    }

    private boolean classesCameFromTheCache() throws IOException {
        try (var lines = Files.lines(directory.resolve("classes"))) {
            return lines.anyMatch(line -> line.contains("io.sidecore.runtime.Main source: shared objects file"));
        }
    }

    @Test
    void theFirstRunHasTheCacheMadeBesideItAndOfSeveralMakersOneMakesIt() throws Exception {
        var folder = directory.resolve("a cache");
        var process = new ProcessBuilder(Launched.LAUNCHER.toString(), "run", "nowhere.conf")
                .directory(directory.toFile())
                .redirectErrorStream(true);
        process.environment().putAll(Map.of("SIDECORE_CACHE", folder.toString(), "SIDECORE_NO_BUILD", "1"));
        var first = process.start();

        // To its end: what goes on in the background has not kept the pipe.
        var said = new String(first.getInputStream().readAllBytes(), StandardCharsets.UTF_8);

        assertThat(first.waitFor()).isEqualTo(2);
        assertThat(said).contains(IN_THE_BACKGROUND).contains("nowhere.conf");
        assertThat(folder).isNotEmptyDirectory().isDirectoryNotContaining("glob:**.aot");
        try (var second = make(directory.resolve("second"), folder);
                var third = make(directory.resolve("third"), folder)) {
            assertThat(second.exitCode()).as(second.err()).isZero();
            assertThat(third.exitCode()).as(third.err()).isZero();
            assertThat((second.err() + third.err()).split("sidecore: made ", -1))
                    .as("at most one of them made it")
                    .hasSizeLessThanOrEqualTo(2);
        }
        assertThat(files(folder)).hasSize(2).contains("lock").anyMatch(name -> name.endsWith(".aot"));
    }

    @Test
    void whoMakesItIsNoChildOfTheHost() throws Exception {
        var folder = Files.createDirectory(directory.resolve("cache"));
        // It ends at once, and so would be found unless somebody has asked for its end.
        var environment = Map.of("SIDECORE_CACHE", folder.toString(), "TMPDIR", "/proc/none");
        try (var host = Launched.run(Launched.LAUNCHER, directory, environment)) {
            host.serves();
            Peers.until("it was tried", PATIENCE, () -> tried(folder).contains("mktemp"));

            assertThat(host.err()).contains(IN_THE_BACKGROUND);
            assertThat(host.children()).isEmpty();
        }
    }

    private static String tried(Path folder) {
        try {
            return Files.readString(named(folder, ".tried"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void onAFullDiskNothingOfItIsLeft() throws Exception {
        try (var small = SmallFileSystem.inMemory(directory.resolve("small"), 4)) {
            Files.setPosixFilePermissions(small.path(), PosixFilePermissions.fromString("rwxr-xr-x"));
            try (var make = make(directory.resolve("first"), small.path())) {
                assertThat(make.exitCode()).isEqualTo(1);
                assertThat(make.err()).contains("Sidecore starts without").contains(".tried");
            }

            assertThat(files(small.path()))
                    .containsExactlyInAnyOrder(
                            "lock", named(small.path(), ".tried").getFileName().toString());
            startsInSilence(small.path(), "");
        }
    }

    @Test
    void theCacheIsUsedByTheNextStart() throws Exception {
        try (var host = run(warm, SOURCES)) {
            host.serves();
            assertThat(host.terminate().exitCode()).isZero();
            assertThat(host.err()).doesNotContain("cache", "aot", "cds");
        }
        assertThat(classesCameFromTheCache()).isTrue();
    }

    @Test
    void aCacheThatFitsIsNotMadeAgain() throws Exception {
        var before = modified(cacheFile());
        try (var again = make(directory, warm)) {
            assertThat(again.exitCode()).isZero();
            assertThat(again.err()).contains("is there").contains(cacheFile().toString());
        }
        assertThat(modified(cacheFile())).isEqualTo(before);
    }

    @Test
    void aDamagedCacheHindersNoStart() throws Exception {
        var folder = copyOfTheCache();
        Files.write(named(folder, ".aot"), new byte[100_000]);
        startsInSilence(folder, SOURCES);
        assertThat(classesCameFromTheCache()).isFalse();
    }

    @Test
    void aCacheOfAnotherCollectorHindersNoStart() throws Exception {
        startsInSilence(warm, "-XX:-UseSerialGC -XX:+UseZGC");
    }

    @Test
    void aCacheThatOthersCanWriteIsNotTrusted() throws Exception {
        var folder = copyOfTheCache();
        Files.setPosixFilePermissions(named(folder, ".aot"), PosixFilePermissions.fromString("rw-rw-rw-"));
        startsInSilence(folder, SOURCES);
        assertThat(classesCameFromTheCache()).isFalse();
    }

    @Test
    void otherJarsHaveAnotherCache() throws Exception {
        var tree = directory.resolve("tree");
        copy(Launched.ROOT.resolve("runtime/bin"), tree.resolve("bin"));
        copy(Launched.ROOT.resolve("runtime/target/dist/lib"), tree.resolve("lib"));
        var environment = Map.of("SIDECORE_CACHE", copyOfTheCache().toString(), "SIDECORE_JAVA_OPTS", SOURCES);

        try (var version = Launched.start(tree.resolve("bin/sidecore"), directory, environment, "version")) {
            assertThat(version.exitCode()).isZero();
        }
        assertThat(classesCameFromTheCache()).isFalse();
    }

    private static void copy(Path from, Path to) throws IOException {
        Files.createDirectories(to);
        try (var files = Files.list(from)) {
            for (var file : files.toList()) {
                Files.copy(file, to.resolve(file.getFileName()));
            }
        }
    }

    @Test
    void whereNoFolderCanBeWrittenThereIsNoCacheAndNoWordOfIt() throws Exception {
        startsInSilence(Path.of("/proc/sidecore"), "");
    }

    @Test
    void aCacheThatCannotBeMadeIsNotTriedAgainAtEveryStart() throws Exception {
        var folder = Files.createDirectory(directory.resolve("cache"));
        // The rehearsal finds no place for its files.
        var environment = Map.of("SIDECORE_CACHE", folder.toString(), "TMPDIR", "/proc/none");
        try (var make = Launched.start(Launched.LAUNCHER, directory, environment, "--make-cache")) {
            assertThat(make.exitCode()).isEqualTo(1);
            assertThat(make.err()).contains("Sidecore starts without").contains(".tried");
        }
        assertThat(files(folder))
                .containsExactlyInAnyOrder(
                        "lock", named(folder, ".tried").getFileName().toString());
        assertThat(named(folder, ".tried")).content().contains("mktemp");
        startsInSilence(folder, "");
    }

    @Test
    void aMakerThatWasKilledIsInNobodysWay() throws Exception {
        var folder = Files.createDirectory(directory.resolve("cache"));
        try (var make = make(directory.resolve("first"), folder)) {
            Peers.until(
                    "it is at work",
                    PATIENCE,
                    () -> make.err().contains("making the start cache") && makings(folder) > 0);
            make.kill();
        }
        assertThat(makings(folder)).isOne();

        startsInSilence(folder, "");
        // Not before an hour has passed; then the next start has it made again, and what was left is removed.
        Files.setLastModifiedTime(
                named(folder, ".tried"), FileTime.from(Instant.now().minus(Duration.ofHours(2))));
        var environment = Map.of("SIDECORE_CACHE", folder.toString(), "TMPDIR", "/proc/none");
        try (var next = Launched.start(Launched.LAUNCHER, directory, environment, "run", "nowhere.conf")) {
            assertThat(next.exitCode()).isEqualTo(2);
            assertThat(next.err()).contains(IN_THE_BACKGROUND);
            Peers.until("what was left is removed", PATIENCE, () -> makings(folder) == 0);
        }
    }

    private static long makings(Path folder) {
        try {
            return files(folder).stream()
                    .filter(name -> name.startsWith("making."))
                    .count();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
