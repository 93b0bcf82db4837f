package io.sidecore.runtime.guest.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.sidecore.actors.vm.GuestException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SavedMachineTest {
    @TempDir
    private Path directory;

    private static SavedMachine machine(String... properties) {
        var all = new LinkedHashMap<String, String>();
        for (var i = 0; i < properties.length; i += 2) {
            all.put(properties[i], properties[i + 1]);
        }
        return new SavedMachine(all);
    }

    @Test
    void whatWasWrittenIsReadAndTheSameMachineIsTaken() throws IOException {
        var machine = machine("QEMU", "7.2", "memory", "64 MiB", "disk 1", "root of 1 MiB, EXCLUSIVE");
        machine.write(directory);

        assertThat(SavedMachine.read(directory)).isEqualTo(machine);
        assertThatCode(() -> SavedMachine.read(directory).refuse(machine)).doesNotThrowAnyException();
    }

    @Test
    void theFirstDifferenceIsNamed() {
        var kept = machine("QEMU", "7.2", "memory", "64 MiB", "virtual CPUs", "1");

        assertThatThrownBy(() -> kept.refuse(machine("QEMU", "7.2", "memory", "32 MiB", "virtual CPUs", "2")))
                .isInstanceOf(GuestException.class)
                .hasMessage("the snapshot is of another machine: memory was \"64 MiB\", and is \"32 MiB\"");
        assertThatThrownBy(() -> kept.refuse(machine("QEMU", "7.2", "memory", "64 MiB")))
                .hasMessageEndingWith("virtual CPUs was \"1\", and is \"nothing\"");
        assertThatThrownBy(() -> machine().refuse(machine("disk 1", "root")))
                .hasMessageEndingWith("disk 1 was \"nothing\", and is \"root\"");
    }

    @Test
    void aSnapshotThatDoesNotSayIsRefused() throws IOException {
        assertThatThrownBy(() -> SavedMachine.read(directory))
                .isInstanceOf(GuestException.class)
                .hasMessage("the snapshot does not say of which machine it is: there is no machine.json");
        for (var text : new String[] {"", "{", "[1]", "{\"memory\": {}}", "null"}) {
            Files.writeString(directory.resolve("machine.json"), text);

            assertThatThrownBy(() -> SavedMachine.read(directory))
                    .as(text)
                    .isInstanceOf(GuestException.class)
                    .hasMessageStartingWith("the snapshot is damaged: machine.json");
        }
    }

    @Test
    void aProgramAndARunningQemuSayTheSameVersion() throws Exception {
        var program = Files.createFile(
                directory.resolve("qemu"),
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        Files.writeString(program, "#!/bin/sh\necho 'QEMU emulator version 8.2.2 (Debian 1:8.2.2+ds-0ubuntu1)'\n");
        JsonNode answer = new JsonMapper()
                .valueToTree(Map.of("qemu", Map.of("micro", 3, "minor", 2, "major", 8), "package", "of another"));

        assertThat(SavedMachine.version(program)).isEqualTo("8.2");
        assertThat(SavedMachine.version(answer)).isEqualTo("8.2");
    }

    @Test
    void aProgramThatSaysNoVersionIsNamed() throws Exception {
        assertThatThrownBy(() -> SavedMachine.version(Path.of("/bin/false")))
                .isInstanceOf(GuestException.class)
                .hasMessage("/bin/false does not say of which version it is");
    }
}
