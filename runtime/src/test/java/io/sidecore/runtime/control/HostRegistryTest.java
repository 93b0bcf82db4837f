package io.sidecore.runtime.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.runtime.HostException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HostRegistryTest {
    @TempDir
    Path folder;

    private HostRegistry registry() throws IOException {
        return HostRegistry.in(Map.of("XDG_RUNTIME_DIR", folder.toString()));
    }

    @Test
    void hostsThatWereEnteredAreFoundUntilTheyAreRemoved() throws IOException {
        assertThat(registry().dataDirectories()).isEmpty();

        registry().add(Path.of("/b"));
        registry().add(Path.of("/a"));
        registry().add(Path.of("/a"));
        assertThat(registry().dataDirectories()).containsExactly(Path.of("/a"), Path.of("/b"));

        registry().remove(Path.of("/a"));
        assertThat(registry().dataDirectories()).containsExactly(Path.of("/b"));
    }

    @Test
    void aFolderThatOthersCanWriteIsNotTrusted() throws IOException {
        Files.createDirectory(folder.resolve("sidecore"));
        Files.setPosixFilePermissions(folder.resolve("sidecore"), PosixFilePermissions.fromString("rwxrwxrwx"));

        assertThatThrownBy(() -> registry().add(Path.of("/a")))
                .hasMessageContaining("is not a folder of this user alone");
        assertThatThrownBy(() -> registry().dataDirectories()).hasMessageContaining("of this user alone");
    }

    @Test
    void aLinkIsShortHoweverLongThePathIs() throws IOException {
        var link = registry().link(Path.of("/" + "long/".repeat(100)));

        assertThat(link.getParent()).isEqualTo(folder.resolve("sidecore"));
        assertThat(link.getFileName().toString()).hasSize(16);
    }

    @Test
    void aDataDirectoryHasOneHost() throws IOException {
        var data = folder.resolve("data");
        try (var first = DataDirectory.claim(data)) {
            assertThat(first.path()).isEqualTo(data);
            var another = Files.createSymbolicLink(folder.resolve("link"), data);
            assertThatThrownBy(() -> DataDirectory.claim(another))
                    .isInstanceOf(HostException.class)
                    .hasMessageContaining("belongs to another host (in this process)");
        }
        DataDirectory.claim(data).close();
    }
}
