package io.sidecore.runtime.guest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.actors.block.Errno;
import io.sidecore.actors.vm.GuestContext;
import io.sidecore.actors.vm.GuestException;
import io.sidecore.runtime.guest.EventState.Port;
import io.sidecore.runtime.guest.HeldPort.Held;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EventStateTest {
    @TempDir
    Path folder;

    private static EventState state() {
        var timers = new long[GuestContext.TIMERS];
        Arrays.fill(timers, -1);
        timers[3] = 1_000;
        return new EventState(
                "a.Program",
                new byte[] {1, 2, 3},
                timers,
                List.of(
                        new Port(true, false, List.of(new Held(7, Errno.OK), new Held(-1, Errno.EIO))),
                        new Port(false, true, List.of())),
                List.of(new byte[] {4}, new byte[0]));
    }

    @Test
    void whatWasWrittenIsRead() throws IOException {
        var file = folder.resolve("state");
        state().write(file);

        var read = EventState.read(file);

        assertThat(read).usingRecursiveComparison().isEqualTo(state());
    }

    @Test
    void aFileThatEndsEarlyIsDamagedWhereverItEnds() throws IOException {
        var file = folder.resolve("state");
        state().write(file);
        var bytes = Files.readAllBytes(file);

        for (var length = 0; length < bytes.length; length++) {
            Files.write(file, Arrays.copyOf(bytes, length));
            assertThatThrownBy(() -> EventState.read(file))
                    .as("%d of %d bytes", length, bytes.length)
                    .isInstanceOf(GuestException.class)
                    .hasMessageStartingWith("the snapshot is damaged: ");
        }
    }

    @Test
    void aFileOfAnotherKindIsNotRead() throws IOException {
        var file = folder.resolve("state");
        Files.writeString(file, "something else");

        assertThatThrownBy(() -> EventState.read(file))
                .hasMessage("the snapshot is of another kind of guest, or of another version of sidecore");
    }
}
