package io.sidecore.runtime.guest.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LeftOverTest {
    @TempDir
    Path folder;

    private Process process;

    @BeforeEach
    void start() throws IOException {
        process = new ProcessBuilder("sleep", "1000")
                .directory(Files.createDirectory(folder.resolve("vm1")).toFile())
                .start();
    }

    @AfterEach
    void end() {
        process.destroyForcibly();
    }

    private Path noted(String folder, String text) throws IOException {
        var at = Files.createDirectories(this.folder.resolve(folder));
        Files.writeString(at.resolve("qemu.pid"), text);
        return at;
    }

    @Test
    void whatWorksInTheFolderIsEnded() throws Exception {
        LeftOver.end(noted("vm1", process.pid() + "\n"));

        assertThat(process.isAlive()).isFalse();
    }

    @Test
    void anotherProcessOfTheSameNumberIsLeftAlone() throws Exception {
        LeftOver.end(noted("vm10", process.pid() + "\n"));

        assertThat(process.isAlive()).isTrue();
    }

    @Test
    void aFileThatIsTornOrMissingEndsNobody() throws Exception {
        LeftOver.end(folder.resolve("vm1"));
        LeftOver.end(noted("vm1", ""));
        LeftOver.end(noted("vm1", "-1"));
        LeftOver.end(noted("vm1", "999999999999"));

        assertThat(process.isAlive()).isTrue();
    }

    /** A script that starts QEMU and waits for it. */
    @Test
    void whatAProcessHadStartedBeforeItEndedIsEndedToo() throws Exception {
        var script = new ProcessBuilder("setsid", "sh", "-c", "sleep 1000 & echo $!")
                .directory(folder.resolve("vm1").toFile())
                .redirectOutput(folder.resolve("started").toFile())
                .start();
        assertThat(script.waitFor()).isZero();
        var started = ProcessHandle.of(Long.parseLong(
                        Files.readString(folder.resolve("started")).strip()))
                .orElseThrow();

        LeftOver.end(noted("vm1", script.pid() + "\n"));

        assertThat(started.isAlive()).isFalse();
        assertThat(process.isAlive()).as("one of another group").isTrue();
    }

    @Test
    void aFolderIsRemovedWithTheFoldersInIt() throws Exception {
        Files.createFile(Files.createDirectories(folder.resolve("vm1/logs/old")).resolve("log"));
        Files.createSymbolicLink(folder.resolve("vm1/elsewhere"), Files.createDirectory(folder.resolve("other")));

        LeftOver.remove(folder.resolve("vm1"));
        LeftOver.remove(folder.resolve("vm1"));

        assertThat(folder.resolve("vm1")).doesNotExist();
        assertThat(folder.resolve("other")).isDirectory();
    }
}
