package io.sidecore.runtime.guest.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.conf.GuestSettings;
import io.sidecore.conf.GuestSettings.Accelerator;
import io.sidecore.conf.GuestSettings.Firmware;
import io.sidecore.conf.ListenAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class QemuCommandTest {
    private static final long MIB = 1 << 20;

    private static GuestSettings.Qemu settings(
            Optional<Path> kernel,
            Optional<Path> initrd,
            boolean screen,
            Optional<ListenAddress> vnc,
            List<String> arguments) {
        return new GuestSettings.Qemu(
                512 * MIB,
                2,
                kernel,
                initrd,
                "console=ttyS0, quiet",
                Firmware.BIOS,
                Accelerator.AUTO,
                screen,
                vnc,
                "qemu-system-x86_64",
                arguments,
                Duration.ofSeconds(30));
    }

    private static GuestSettings.Qemu plain() {
        return settings(Optional.empty(), Optional.empty(), false, Optional.empty(), List.of());
    }

    private static QemuCommand command(GuestSettings.Qemu settings, List<String> disks, List<String> readOnly) {
        return new QemuCommand("web", settings, "/usr/bin/qemu", false, disks, readOnly, Optional.empty(), false);
    }

    /** The value that follows an option for the so many-th time, from 0. */
    private static String value(List<String> arguments, String option, int number) {
        var at = -1;
        for (var i = 0; i <= number; i++) {
            at += 1 + arguments.subList(at + 1, arguments.size()).indexOf(option);
        }
        return arguments.get(at + 1);
    }

    @Test
    void aKernelIsStartedWithItsInitialRamDiskAndItsDisks() {
        var settings = settings(
                Optional.of(Path.of("/boot/vmlinuz")),
                Optional.of(Path.of("/boot/initrd")),
                false,
                Optional.empty(),
                List.of("-rtc", "base=utc"));

        assertThat(command(settings, List.of("root", "data"), List.of("data")).arguments())
                .containsExactly(
                        "/usr/bin/qemu",
                        "-name",
                        "guest=web,debug-threads=on",
                        "-no-user-config",
                        "-nodefaults",
                        "-S",
                        "-machine",
                        "q35,memory-backend=memory,accel=tcg",
                        "-cpu",
                        "max",
                        "-smp",
                        "2",
                        "-m",
                        "512M",
                        "-object",
                        "memory-backend-memfd,id=memory,share=on,size=512M",
                        "-chardev",
                        "socket,id=qmp,path=qmp.sock",
                        "-mon",
                        "chardev=qmp,mode=control",
                        "-chardev",
                        "socket,id=console,path=console.sock",
                        "-serial",
                        "chardev:console",
                        "-device",
                        "pvpanic-pci",
                        "-device",
                        "virtio-rng-pci",
                        "-display",
                        "none",
                        "-kernel",
                        "/boot/vmlinuz",
                        "-initrd",
                        "/boot/initrd",
                        "-append",
                        "console=ttyS0, quiet",
                        "-blockdev",
                        "driver=nbd,node-name=disk0,server.type=unix,server.path=disks.sock,export=root,discard=unmap,detect-zeroes=off,reconnect-delay=60",
                        "-device",
                        "virtio-blk-pci,drive=disk0,serial=root",
                        "-blockdev",
                        "driver=nbd,node-name=disk1,server.type=unix,server.path=disks.sock,export=data,discard=unmap,detect-zeroes=off,reconnect-delay=60,read-only=on",
                        "-device",
                        "virtio-blk-pci,drive=disk1,serial=data",
                        "-rtc",
                        "base=utc");
    }

    @Test
    void withoutAKernelDisksAreStartedInTheirOrder() {
        var arguments = command(plain(), List.of("first", "second"), List.of()).arguments();

        assertThat(arguments).doesNotContain("-kernel", "-initrd", "-append", "-bios", "-incoming");
        assertThat(arguments)
                .contains(
                        "virtio-blk-pci,drive=disk0,serial=first,bootindex=0",
                        "virtio-blk-pci,drive=disk1,serial=second,bootindex=1");
    }

    @Test
    void aMachineOfTheKernelsHasTheHostsProcessor() {
        var arguments = new QemuCommand("web", plain(), "qemu", true, List.of(), List.of(), Optional.empty(), false)
                .arguments();

        assertThat(value(arguments, "-machine", 0)).endsWith(",accel=kvm");
        assertThat(value(arguments, "-cpu", 0)).isEqualTo("host");
    }

    @Test
    void oneThatGoesOnFromASnapshotWaitsForItsState() {
        var arguments = new QemuCommand("web", plain(), "qemu", false, List.of(), List.of(), Optional.empty(), true)
                .arguments();

        assertThat(value(arguments, "-incoming", 0)).isEqualTo("defer");
    }

    @Test
    void firmwareIsGivenAsAFile() {
        var file = Path.of("/usr/share/ovmf/OVMF.fd");
        var arguments = new QemuCommand("web", plain(), "qemu", false, List.of(), List.of(), Optional.of(file), false)
                .arguments();

        assertThat(value(arguments, "-bios", 0)).isEqualTo(file.toString());
    }

    @Test
    void aScreenIsServedByTheNumberOfItsDisplay() {
        var tcp = settings(
                Optional.empty(),
                Optional.empty(),
                true,
                Optional.of(ListenAddress.parse("127.0.0.1:5901", Path.of("/data"))),
                List.of());
        assertThat(command(tcp, List.of(), List.of()).arguments()).contains("VGA", "127.0.0.1:1");

        var unix = settings(
                Optional.empty(),
                Optional.empty(),
                true,
                Optional.of(ListenAddress.parse("unix:a,b.sock", Path.of("/data"))),
                List.of());
        assertThat(value(command(unix, List.of(), List.of()).arguments(), "-vnc", 0))
                .isEqualTo("unix:/data/a,,b.sock");
    }

    @Test
    void aCommaInANameIsNoSeparator() {
        var arguments = new QemuCommand(
                        "a,b", plain(), "qemu", false, List.of("x,y"), List.of(), Optional.empty(), false)
                .arguments();

        assertThat(value(arguments, "-name", 0)).isEqualTo("guest=a,,b,debug-threads=on");
        assertThat(value(arguments, "-blockdev", 0)).contains(",export=x,,y,");
        assertThat(arguments).contains("virtio-blk-pci,drive=disk0,serial=x,,y,bootindex=0");
    }

    @Test
    void aSerialNumberIsNoLongerThanVirtioHasRoomForAndTellsLongNamesApart() {
        var arguments = command(
                        plain(),
                        List.of("a-volume-with-a-name", "a-volume-with-a-name-1", "a-volume-with-a-name-2"),
                        List.of())
                .arguments();

        assertThat(arguments)
                .filteredOn(argument -> argument.startsWith("virtio-blk-pci"))
                .containsExactly(
                        "virtio-blk-pci,drive=disk0,serial=a-volume-with-a-name,bootindex=0",
                        "virtio-blk-pci,drive=disk1,serial=a-volume-with-2b85fb,bootindex=1",
                        "virtio-blk-pci,drive=disk2,serial=a-volume-with-2b85fc,bootindex=2");
    }
}
