package io.sidecore.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** The launcher's start cache for the jars of this build, made by the first test that wants it: for tests that start the launcher often. */
public final class StartCache {
    private static final Path TARGET =
            Path.of(System.getProperty("basedir", ".")).toAbsolutePath().resolve("target");

    private StartCache() {}

    /** The folder that it is in, for {@code SIDECORE_CACHE}. */
    public static synchronized Path ofThisBuild() throws IOException {
        var folder = TARGET.resolve("start-cache");
        var log = Files.createDirectories(TARGET).resolve("start-cache.log");
        var builder = new ProcessBuilder(
                        TARGET.getParent()
                                .resolveSibling("runtime/bin/sidecore")
                                .toString(),
                        "--make-cache")
                .redirectInput(new File("/dev/null"))
                .redirectErrorStream(true)
                .redirectOutput(log.toFile());
        builder.environment().put("SIDECORE_NO_BUILD", "1");
        builder.environment().put("SIDECORE_CACHE", folder.toString());
        var making = builder.start();
        try {
            assertThat(making.waitFor(3, TimeUnit.MINUTES))
                    .as("it was made in time")
                    .isTrue();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        } finally {
            making.descendants().forEach(ProcessHandle::destroyForcibly);
            making.destroyForcibly();
        }
        assertThat(making.exitValue()).as(Files.readString(log)).isZero();
        return folder;
    }
}
