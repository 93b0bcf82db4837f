package io.sidecore.runtime.guest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.typesafe.config.ConfigFactory;
import io.sidecore.actors.vm.Guest;
import io.sidecore.actors.vm.GuestException;
import io.sidecore.conf.AttachMode;
import io.sidecore.conf.Placement;
import io.sidecore.conf.Settings;
import io.sidecore.conf.VmSettings.Disk;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.transfer.VolumeFiles;
import io.sidecore.runtime.vm.Console;
import io.sidecore.runtime.vm.Messages;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GuestDisksTest {
    private static final int SIZE = 64 << 10;
    private static final List<Disk> DISKS = List.of(disk("a"), disk("b"));

    @TempDir
    private Path directory;

    private Sidecore host;
    private GuestPlace place;
    private Path snapshot;
    private final List<String> notes = new CopyOnWriteArrayList<>();
    private final AtomicInteger steps = new AtomicInteger();
    private volatile Guest.Progress last;
    private Runnable step = () -> {};

    private final Guest.Watcher watcher = new Guest.Watcher() {
        @Override
        public void ending(Guest.Exit how) {}

        @Override
        public void exited(Guest.Exit exit) {}

        @Override
        public void progressed(Guest.Progress progress) {
            last = progress;
            steps.incrementAndGet();
            step.run();
        }

        @Override
        public void overwriting() {
            notes.add("overwriting");
        }

        @Override
        public void paused(String cause) {}

        @Override
        public void resumed(String cause) {}

        @Override
        public void noted(String what, String cause) {
            notes.add(what + ": " + cause);
        }
    };

    private static Disk disk(String volume) {
        return new Disk(volume, AttachMode.EXCLUSIVE, Placement.SHARED, List.of());
    }

    @BeforeEach
    void open() throws IOException {
        host = Sidecore.start(Settings.read(ConfigFactory.parseString("""
                sidecore {
                  data-directory = "%s"
                  volumes { a { size = 64 KiB, store.type = memory }, b { size = 64 KiB, store.type = memory } }
                }
                """.formatted(directory.resolve("data")))));
        place = new GuestPlace("web", directory.resolve("run"), host, new Console(), new Messages());
        snapshot = Files.createDirectory(directory.resolve("snapshot"));
    }

    @AfterEach
    void close() {
        host.close();
        assertThat(host.closedWell()).isTrue();
    }

    private GuestDisks attach() {
        return GuestDisks.attach(host.storage(), "web", DISKS, watcher);
    }

    private void fill(String volume, int value) throws IOException {
        var bytes = new byte[SIZE];
        Arrays.fill(bytes, (byte) value);
        new VolumeFiles(host).in(volume, Files.write(directory.resolve("filling"), bytes), (done, total) -> {});
    }

    private List<Integer> held(String volume) throws IOException {
        var file = directory.resolve("held");
        new VolumeFiles(host).out(volume, file, false, true, (done, total) -> {});
        var found = new boolean[256];
        for (var value : Files.readAllBytes(file)) {
            found[value & 0xff] = true;
        }
        return IntStream.range(0, found.length)
                .filter(value -> found[value])
                .boxed()
                .toList();
    }

    /** A snapshot of disks full of ones, which are full of twos now. */
    private void kept() throws IOException {
        fill("a", 1);
        fill("b", 1);
        var disks = attach();
        disks.save(new VolumeFiles(host), snapshot);
        disks.leave("enough").join();
        fill("a", 2);
        fill("b", 2);
        steps.set(0);
    }

    private void restore() {
        GuestDisks.restore(place, DISKS, snapshot, watcher, () -> {});
    }

    private void assertRefused(String why) throws IOException {
        assertThatThrownBy(this::restore).isInstanceOf(GuestException.class).hasMessage(why);
        assertThat(held("a")).containsExactly(2);
        assertThat(held("b")).containsExactly(2);
        assertThat(notes).isEmpty();
    }

    @Test
    void whatWasKeptIsThereAgainAndItsWatcherHearsThatItGoesOn() throws IOException {
        kept();

        restore();

        assertThat(held("a")).containsExactly(1);
        assertThat(held("b")).containsExactly(1);
        assertThat(steps).hasPositiveValue();
        assertThat(last).isEqualTo(new Guest.Progress("disk b", SIZE, SIZE));
        assertThat(notes).containsExactly("overwriting");
    }

    @Test
    void aSnapshotWithoutOneOfThemIsRefusedAndNothingIsChanged() throws IOException {
        kept();
        Files.delete(snapshot.resolve("disks/b"));

        assertRefused("the snapshot has no disk b: the VM had other disks when it was taken");
    }

    @Test
    void aDiskOfAnotherSizeIsRefusedAndNothingIsChanged() throws IOException {
        kept();
        Files.write(snapshot.resolve("disks/b"), new byte[SIZE / 2]);

        assertRefused("disk b had 32 KiB when the snapshot was taken, and has 64 KiB now");
    }

    @Test
    void aDiskThatAnotherHoldsIsRefusedAndNothingIsChanged() throws IOException {
        kept();
        var other = host.storage().attach("vm/other/b", disk("b"));

        try {
            assertThatThrownBy(this::restore).isInstanceOf(GuestException.class);
        } finally {
            host.storage().leave(other.vif().id(), "enough").join();
        }

        assertThat(notes).isEmpty();
        assertThat(held("a")).containsExactly(2);
    }

    @Test
    void aRestoreThatIsGivenUpSaysWhatBecameOfTheDisks() throws IOException {
        kept();
        // The first copy is under way then.
        Runnable killed = () -> {
            if (steps.get() > 0) {
                throw new GuestException("asked by command");
            }
        };

        assertThatThrownBy(() -> GuestDisks.restore(place, DISKS, snapshot, watcher, killed))
                .hasMessage("asked by command");

        assertThat(notes)
                .containsExactly(
                        "overwriting",
                        "half-restored: it broke off at disk a: its disks may hold some of the snapshot and "
                                + "some of what was there before, until they are restored again");
        assertThat(held("b")).containsExactly(2);
    }

    @Test
    void aSaveEndsWithTheVmAndTheDisksAreLetGoAfterIt() throws IOException {
        var disks = attach();
        var left = new CompletableFuture<CompletableFuture<Void>>();
        step = () -> {
            if (!left.isDone()) {
                var leaving = disks.leave("it was killed");
                assertThat(leaving).isNotDone();
                left.complete(leaving);
            }
        };

        assertThatThrownBy(() -> disks.save(new VolumeFiles(host), snapshot)).hasMessage("the VM has ended meanwhile");

        left.join().join();
        assertThatThrownBy(() -> disks.save(new VolumeFiles(host), snapshot)).hasMessage("the VM has ended meanwhile");
        attach().leave("they are free").join();
    }
}
