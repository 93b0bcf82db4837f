package io.sidecore.it.launcher;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StartCacheTest {
    /** Says of every class where it came from. */
    private static final String SOURCES = "-Xlog:class+load:file=classes";

    @TempDir
    static Path shared;

    private static Path warm;

    @TempDir
    Path directory;

    @BeforeAll
    static void severalLaunchersAtOnceMakeOneCache() throws Exception {
        warm = shared.resolve("a cache");
        var launched = new ArrayList<Launched>();
        for (var i = 0; i < 3; i++) {
            launched.add(make(shared.resolve("launcher-" + i), warm));
        }
        var said = new StringBuilder();
        for (var one : launched) {
            assertThat(one.exitCode()).as(one.err()).isZero();
            said.append(one.err());
        }
        assertThat(said.toString().split("sidecore: made ", -1))
                .as("exactly one was made")
                .hasSize(2);
        assertThat(files(warm)).hasSize(2).contains("lock").anyMatch(name -> name.endsWith(".aot"));
    }

    private static Launched make(Path directory, Path cache) throws IOException {
        return Launched.start(Launched.LAUNCHER, directory, Map.of("SIDECORE_CACHE", cache.toString()), "--make-cache");
    }

    private static List<String> files(Path folder) throws IOException {
        try (var files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).toList();
        }
    }

    private static Path cacheFile(Path folder) throws IOException {
        try (var files = Files.list(folder)) {
            return files.filter(file -> file.toString().endsWith(".aot"))
                    .findFirst()
                    .orElseThrow();
        }
    }

    /** A folder of its own for a test that spoils the cache. */
    private Path copyOfTheCache() throws IOException {
        var folder = Files.createDirectory(directory.resolve("cache"));
        Files.copy(cacheFile(warm), folder.resolve(cacheFile(warm).getFileName()));
        return folder;
    }

    private Launched run(Path cache, String options) throws IOException {
        var environment = new HashMap<>(Map.of("SIDECORE_CACHE", cache.toString()));
        environment.put("SIDECORE_JAVA_OPTS", options);
        return Launched.run(Launched.LAUNCHER, directory, environment);
    }

    /** It serves, stops with 0 and, in between, says nothing that it would not say without a cache. */
    private void servesAndStops(Launched host) throws Exception {
        host.serves();
        assertThat(host.terminate().exitCode()).isZero();
        assertThat(host.err().lines()).noneMatch(line -> line.contains("aot") || line.contains("cds"));
    }

    private boolean hostCameFromTheCache() throws IOException {
        try (var lines = Files.lines(directory.resolve("classes"))) {
            return lines.anyMatch(line -> line.contains("io.sidecore.runtime.Sidecore source: shared objects file"));
        }
    }

    @Test
    void theCacheIsUsedByTheNextStart() throws Exception {
        try (var host = run(warm, SOURCES)) {
            servesAndStops(host);
            assertThat(hostCameFromTheCache()).isTrue();
            assertThat(host.err()).doesNotContain("start cache");
        }
    }

    @Test
    void aCacheThatFitsIsNotMadeAgain() throws Exception {
        var before = Files.getLastModifiedTime(cacheFile(warm));
        try (var again = make(directory, warm)) {
            assertThat(again.exitCode()).isZero();
            assertThat(again.err())
                    .contains("is there")
                    .contains(cacheFile(warm).toString());
        }
        assertThat(Files.getLastModifiedTime(cacheFile(warm))).isEqualTo(before);
    }

    @Test
    void aDamagedCacheDoesNotKeepAHostFromStarting() throws Exception {
        var folder = copyOfTheCache();
        Files.write(cacheFile(folder), new byte[100_000]);
        try (var host = run(folder, SOURCES)) {
            servesAndStops(host);
            assertThat(hostCameFromTheCache()).isFalse();
        }
    }

    @Test
    void aCacheOfAnotherCollectorDoesNotKeepAHostFromStarting() throws Exception {
        try (var host = run(warm, SOURCES + " -XX:-UseZGC -XX:+UseSerialGC")) {
            servesAndStops(host);
        }
    }

    @Test
    void aCacheThatOthersCanWriteIsNotTrusted() throws Exception {
        var folder = copyOfTheCache();
        Files.setPosixFilePermissions(cacheFile(folder), PosixFilePermissions.fromString("rw-rw-rw-"));
        // Nor is one made in its place while this test looks on.
        Files.createFile(
                folder.resolve(cacheFile(folder).getFileName().toString().replace(".aot", ".failed")));
        try (var host = run(folder, SOURCES)) {
            servesAndStops(host);
            assertThat(hostCameFromTheCache()).isFalse();
        }
    }

    @Test
    void whereNoFolderCanBeWrittenAHostStartsAllTheSame() throws Exception {
        try (var host = run(Path.of("/proc/sidecore"), "")) {
            servesAndStops(host);
            assertThat(host.err()).doesNotContain("start cache");
        }
    }

    @Test
    void aCacheThatCannotBeMadeIsTriedOnce() throws Exception {
        var folder = Files.createDirectory(directory.resolve("cache"));
        // The rehearsal finds no place for its files.
        var environment = Map.of("SIDECORE_CACHE", folder.toString(), "TMPDIR", "/proc/none");
        try (var make = Launched.start(Launched.LAUNCHER, directory, environment, "--make-cache")) {
            assertThat(make.exitCode()).isEqualTo(1);
            assertThat(make.err()).contains("Sidecore starts without").contains(".failed");
        }
        assertThat(files(folder)).hasSize(2).anyMatch(name -> name.endsWith(".failed"));
        try (var host = run(folder, "")) {
            servesAndStops(host);
            assertThat(host.err()).doesNotContain("start cache");
        }
    }

    @Test
    void theFirstRunHasTheCacheMadeInTheBackgroundAndDoesNotWaitForIt() throws Exception {
        var folder = Files.createDirectory(directory.resolve("cache"));
        var process = new ProcessBuilder(Launched.LAUNCHER.toString(), "run", "nowhere.conf")
                .directory(directory.toFile())
                .redirectErrorStream(true);
        process.environment().putAll(Map.of("SIDECORE_CACHE", folder.toString(), "SIDECORE_NO_BUILD", "1"));
        var first = process.start();

        // To its end: what goes on in the background has not kept the pipe.
        var said = new String(first.getInputStream().readAllBytes());

        assertThat(first.waitFor(60, TimeUnit.SECONDS)).isTrue();
        assertThat(first.exitValue()).isEqualTo(2);
        assertThat(said).contains("in the background").contains("nowhere.conf");
        // This one waits for the other, if that goes on, and has nothing left to do.
        try (var second = make(directory, folder)) {
            assertThat(second.exitCode()).isZero();
            assertThat(files(folder)).anyMatch(name -> name.endsWith(".aot"));
        }
    }
}
