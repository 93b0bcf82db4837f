package io.sidecore.it.embedding;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.actors.block.PlainMedium;
import io.sidecore.conf.AttachMode;
import io.sidecore.conf.NbdSettings.ExportedVolume;
import io.sidecore.conf.Placement;
import io.sidecore.conf.Settings;
import io.sidecore.runtime.HostException;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.transfer.InProcessEnd;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a program may not ask of a host, and is told so. */
class StorageServiceTest {
    private static final class Zeroes extends PlainMedium {
        private boolean closed;

        Zeroes() {
            super(4096);
        }

        @Override
        protected void read(long offset, MemorySegment into) {
            into.fill((byte) 0);
        }

        @Override
        protected void write(long offset, MemorySegment from) {}

        @Override
        public void close() {
            closed = true;
        }
    }

    private final Sidecore host = Sidecore.start(Settings.embedded());

    @AfterEach
    void stop() {
        host.close();
    }

    private static ExportedVolume exported(String name) {
        return new ExportedVolume(name, "disk", AttachMode.READ_ONLY, List.of());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "a b", "../a", "-a", "ä", "a\n", "a/b"})
    void aNameIsWhatAFileCouldSayToo(String name) {
        var medium = new Zeroes();
        host.storage().create("disk", new Zeroes());

        assertThatThrownBy(() -> host.storage().create(name, medium))
                .isInstanceOf(HostException.class)
                .hasMessage("volume '" + name + "': expected a name of 1 to 64 letters, digits, '.', '_' and '-', "
                        + "the first one a letter or a digit");
        assertThat(medium.closed).isTrue();
        assertThatThrownBy(() -> host.storage().export(exported(name), Placement.SHARED))
                .isInstanceOf(HostException.class)
                .hasMessageStartingWith("export '" + name + "': expected a name");
        assertThatThrownBy(() -> host.storage()
                        .enter(
                                "guest/" + name.replace('/', ' '),
                                "disk",
                                AttachMode.READ_ONLY,
                                new InProcessEnd(host.slabs())))
                .isInstanceOf(HostException.class)
                .hasMessageContaining("part '" + name.replace('/', ' ') + "': expected a name");
        assertThat(host.storage().volumes()).extracting(volume -> volume.name()).doesNotContain(name);
    }

    @Test
    void nothingBeginsInAHostThatHasStopped() {
        var medium = new Zeroes();
        host.storage().create("disk", new Zeroes());
        host.close();

        assertThatThrownBy(() -> host.storage().create("own", medium))
                .isInstanceOf(HostException.class)
                .hasMessage("the host is stopping, or has stopped");
        assertThat(medium.closed).isTrue();
        assertThatThrownBy(() -> host.storage().export(exported("disk"), Placement.SHARED))
                .hasMessage("the host is stopping, or has stopped");
        assertThatThrownBy(() ->
                        host.storage().enter("guest", "disk", AttachMode.READ_ONLY, new InProcessEnd(host.slabs())))
                .hasMessage("the host is stopping, or has stopped");
    }
}
