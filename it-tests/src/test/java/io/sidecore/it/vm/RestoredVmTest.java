package io.sidecore.it.vm;

import static io.sidecore.it.vm.VmPlace.cause;
import static io.sidecore.it.vm.VmPlace.disk;
import static io.sidecore.it.vm.VmPlace.done;
import static io.sidecore.it.vm.VmPlace.history;
import static io.sidecore.it.vm.VmPlace.settings;
import static io.sidecore.it.vm.VmPlace.state;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.actors.block.PlainMedium;
import io.sidecore.actors.vm.GuestContext;
import io.sidecore.actors.vm.GuestProgram;
import io.sidecore.actors.vm.VirtualMachine.State;
import io.sidecore.conf.GuestSettings;
import io.sidecore.conf.Placement;
import io.sidecore.conf.VmSettings;
import io.sidecore.runtime.HostException;
import io.sidecore.runtime.VmHandle;
import io.sidecore.runtime.control.Answers;
import io.sidecore.runtime.control.DefinitionKeeper;
import io.sidecore.runtime.control.Operation;
import io.sidecore.runtime.control.Operations;
import io.sidecore.runtime.control.Views;
import io.sidecore.runtime.guest.Aside;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Snapshots and restores that do not come to their end, and what is on the disk then. */
class RestoredVmTest {
    private static final int SIZE = 64 << 10;

    /** In an array; as slow as the test wants it. */
    private static final class Slow extends PlainMedium {
        private final MemorySegment bytes = MemorySegment.ofArray(new byte[SIZE]);
        private final CountDownLatch asked = new CountDownLatch(1);
        private volatile CountDownLatch gate = new CountDownLatch(0);

        Slow() {
            super(SIZE);
        }

        private void await() throws IOException {
            try {
                if (gate.getCount() > 0) {
                    asked.countDown();
                }
                gate.await();
            } catch (InterruptedException e) {
                throw new IOException(e);
            }
        }

        @Override
        protected void read(long offset, MemorySegment into) throws IOException {
            await();
            into.copyFrom(bytes.asSlice(offset, into.byteSize()));
        }

        @Override
        protected void write(long offset, MemorySegment from) throws IOException {
            await();
            bytes.asSlice(offset, from.byteSize()).copyFrom(from);
        }

        @Override
        protected void flush() {}

        @Override
        public void close() {}

        void fill(int value) {
            bytes.fill((byte) value);
        }

        boolean isFullOf(int value) {
            var other = new byte[SIZE];
            Arrays.fill(other, (byte) value);
            return bytes.mismatch(MemorySegment.ofArray(other)) < 0;
        }
    }

    /** One that can be kept. */
    private static class Idle implements GuestProgram {
        @Override
        public void onStart(GuestContext context) {}

        @Override
        public Optional<byte[]> save() {
            return Optional.of(new byte[100]);
        }

        @Override
        public void onRestore(GuestContext context, byte[] saved) {}
    }

    private static final class Other extends Idle {}

    private final Slow slow = new Slow();

    @AutoClose
    private final VmPlace place = new VmPlace("cores { service = 1 }");

    @BeforeEach
    void open() {
        place.host.storage().create("slow", slow);
    }

    @AfterEach
    void close() {
        slow.gate.countDown();
    }

    private VmHandle java(String name, Supplier<GuestProgram> program) {
        return place.java(name, program, disk("slow", Placement.SHARED));
    }

    private Path snapshots(String vm) {
        return place.directory().resolve("data/vms/" + vm + "/snapshots");
    }

    /** A snapshot of a disk full of ones, which is full of twos now; the VM does not run. */
    private VmHandle kept(VmHandle vm) {
        slow.fill(1);
        done(vm.start("wanted"));
        place.host.vms().snapshot(vm.name(), "one", "to keep");
        done(vm.kill("enough"));
        slow.fill(2);
        return vm;
    }

    private void assertRefused(String vm, String why) {
        assertThatThrownBy(() -> place.host.vms().restore(vm, "one", "back"))
                .isInstanceOf(HostException.class)
                .hasMessageContaining(why);
        assertThat(slow.isFullOf(2)).isTrue();
    }

    enum Damage {
        STATE_CUT("its state is cut off") {
            @Override
            void make(Path snapshot) throws IOException {
                truncate(snapshot.resolve("program.state"), 300);
            }
        },
        STATE_MISSING("of another kind of guest") {
            @Override
            void make(Path snapshot) throws IOException {
                Files.delete(snapshot.resolve("program.state"));
            }
        },
        STATE_FOREIGN("of another kind of guest") {
            @Override
            void make(Path snapshot) throws IOException {
                try (var state = FileChannel.open(snapshot.resolve("program.state"), StandardOpenOption.WRITE)) {
                    state.write(ByteBuffer.allocate(4));
                }
            }
        },
        MEMORY_CUT("the snapshot is of a VM with 512 KiB of memory, and this one has 1 MiB") {
            @Override
            void make(Path snapshot) throws IOException {
                truncate(snapshot.resolve("memory"), 512 << 10);
            }
        },
        MEMORY_MISSING("its memory is not there") {
            @Override
            void make(Path snapshot) throws IOException {
                Files.delete(snapshot.resolve("memory"));
            }
        },
        DISK_CUT("disk slow had 32 KiB when the snapshot was taken, and has 64 KiB now") {
            @Override
            void make(Path snapshot) throws IOException {
                truncate(snapshot.resolve("disks/slow"), SIZE / 2);
            }
        };

        final String why;

        Damage(String why) {
            this.why = why;
        }

        abstract void make(Path snapshot) throws IOException;

        private static void truncate(Path file, long size) throws IOException {
            try (var channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                assertThat(channel.size()).isGreaterThan(size);
                channel.truncate(size);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void aDamagedSnapshotIsRefusedAndTheDiskIsAsItWas(Damage damage) throws IOException {
        var vm = kept(java("web", Idle::new));
        damage.make(snapshots("web").resolve("one"));

        assertRefused("web", damage.why);

        assertThat(state(vm)).isEqualTo(State.STOPPED);
        assertThat(done(vm.start("from its beginning")).state()).isEqualTo(State.RUNNING);
    }

    /** The snapshot of one is put where those of the other are. */
    private void give(String from, String to) throws IOException {
        Files.createDirectories(snapshots(to));
        Files.move(snapshots(from).resolve("one"), snapshots(to).resolve("one"));
    }

    @Test
    void aSnapshotOfAnotherProgramIsRefusedAndTheDiskIsAsItWas() throws IOException {
        kept(java("web", Idle::new));
        java("other", Other::new);
        give("web", "other");

        assertRefused("other", "the snapshot is of a program " + Idle.class.getName());
    }

    @Test
    void aSnapshotOfAnotherModuleIsRefusedAndTheDiskIsAsItWas() throws IOException {
        kept(wasm("web", TestModule.file(place.directory(), "one.wasm", TestModule.events())));
        wasm("other", GuestSettings.Wasm.DEMO);
        give("web", "other");

        assertRefused("other", "what was saved is the state of another module");
    }

    private VmHandle wasm(String name, Path module) {
        return place.host
                .vms()
                .create(
                        name,
                        settings(
                                new GuestSettings.Wasm(module, 16 << 20, List.of(), Duration.ofSeconds(30)),
                                disk("slow", Placement.SHARED)));
    }

    @Test
    void aSnapshotOfAnotherMachineIsRefusedAndTheDiskIsAsItWas() throws IOException {
        kept(place.host.vms().create("web", qemu(64)));
        place.host.vms().create("other", qemu(32));
        give("web", "other");

        assertRefused("other", "the snapshot is of another machine: memory was \"64 MiB\", and is \"32 MiB\"");
        Files.delete(snapshots("other").resolve("one/machine.json"));
        assertRefused("other", "the snapshot does not say of which machine it is");
    }

    @Test
    void aMachineWithoutItsStateIsRefusedAndTheDiskIsAsItWas() throws IOException {
        kept(place.host.vms().create("web", qemu(64)));
        Files.delete(snapshots("web").resolve("one/machine.state"));

        assertRefused("web", "machine.state is not there");
    }

    private static VmSettings qemu(int mebibytes) {
        return settings(
                new GuestSettings.Qemu(
                        (long) mebibytes << 20,
                        1,
                        Optional.empty(),
                        Optional.empty(),
                        "",
                        GuestSettings.Firmware.BIOS,
                        GuestSettings.Accelerator.TCG,
                        false,
                        Optional.empty(),
                        "qemu-system-x86_64",
                        List.of(),
                        Duration.ofSeconds(30)),
                disk("slow", Placement.SHARED));
    }

    @Test
    void aRestoreThatIsGivenUpEndsSoonAndTheHistorySaysWhatBecameOfTheDisk() throws Exception {
        var vm = kept(java("web", Idle::new));
        slow.gate = new CountDownLatch(1);
        var restored =
                Aside.run("test", Executors.callable(() -> place.host.vms().restore("web", "one", "back")));
        slow.asked.await();

        var killed = vm.kill("changed my mind");
        VmPlace.until(vm, State.STOPPING);
        slow.gate.countDown();

        assertThat(done(killed).state()).isEqualTo(State.STOPPED);
        assertThatThrownBy(restored::join).hasMessageContaining("changed my mind");
        assertThat(history(vm)).anyMatch(entry -> entry.startsWith("half-restored: it broke off at disk slow"));
        assertThat(cause(vm)).isEqualTo("changed my mind");
        place.host.vms().restore("web", "one", "back");
        assertThat(slow.isFullOf(1)).isTrue();
    }

    @Test
    void aSnapshotOfOneThatIsKilledIsNone() throws Exception {
        var vm = java("web", Idle::new);
        done(vm.start("wanted"));
        slow.gate = new CountDownLatch(1);
        var taken = Aside.run("test", Executors.callable(() -> place.host.vms().snapshot("web", "one", "to keep")));
        slow.asked.await();

        var killed = vm.kill("changed my mind");
        VmPlace.until(vm, State.STOPPING);
        assertThat(snapshots("web").resolve("one.part")).isDirectory();
        slow.gate.countDown();

        assertThat(done(killed).state()).isEqualTo(State.STOPPED);
        assertThatThrownBy(taken::join).hasMessageContaining("changed my mind");
        assertThat(snapshots("web")).isEmptyDirectory();
    }

    @Test
    void whoeverWaitsForARestoreIsToldThatItGoesOn() throws Exception {
        kept(java("web", Idle::new));
        slow.gate = new CountDownLatch(1);
        var told = new ArrayList<Views.VmProgressView>();

        var restored = new Operations(place.host, DefinitionKeeper.NONE)
                .perform(new Operation.RestoreVm("web", "one"), new Answers() {
                    @Override
                    public void item(Object view) {
                        told.add((Views.VmProgressView) view);
                        if (told.size() == 2) {
                            slow.gate.countDown();
                        }
                    }

                    @Override
                    public void stillHere() {}
                });

        assertThat(told.subList(0, 2)).allSatisfy(view -> {
            assertThat(view.vm()).isEqualTo("web");
            assertThat(view.state()).isEqualTo("starting");
            assertThat(view.what()).isEqualTo("disk slow");
            assertThat(view.done()).isZero();
            assertThat(view.total()).isEqualTo(SIZE);
        });
        assertThat(((Views.VmView) restored).state()).isEqualTo("running");
        assertThat(slow.isFullOf(1)).isTrue();
    }
}
