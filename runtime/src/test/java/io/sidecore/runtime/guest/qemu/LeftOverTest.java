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

    private Path pidFile(String text) throws IOException {
        return Files.writeString(folder.resolve("qemu.pid"), text);
    }

    @Test
    void whatWorksInTheFolderIsEnded() throws Exception {
        LeftOver.end(pidFile(process.pid() + "\n"), folder.resolve("vm1"));

        assertThat(process.isAlive()).isFalse();
    }

    @Test
    void anotherProcessOfTheSameNumberIsLeftAlone() throws Exception {
        LeftOver.end(pidFile(process.pid() + "\n"), Files.createDirectory(folder.resolve("vm10")));

        assertThat(process.isAlive()).isTrue();
    }

    @Test
    void aFileThatIsTornOrMissingEndsNobody() throws Exception {
        LeftOver.end(folder.resolve("none"), folder.resolve("vm1"));
        LeftOver.end(pidFile(""), folder.resolve("vm1"));
        LeftOver.end(pidFile("-1"), folder.resolve("vm1"));
        LeftOver.end(pidFile("999999999999"), folder.resolve("vm1"));

        assertThat(process.isAlive()).isTrue();
    }
}
