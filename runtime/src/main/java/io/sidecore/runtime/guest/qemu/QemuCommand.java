package io.sidecore.runtime.guest.qemu;

import io.sidecore.conf.GuestSettings;
import io.sidecore.conf.ListenAddress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** The command line by which QEMU makes a machine. Pure. Sockets are named relative to its working directory. */
record QemuCommand(
        String vm,
        GuestSettings.Qemu settings,
        String program,
        boolean kvm,
        List<String> disks,
        List<String> readOnlyDisks,
        Optional<Path> firmware,
        boolean incoming) {
    static final String QMP_SOCKET = "qmp.sock";
    static final String CONSOLE_SOCKET = "console.sock";
    static final String DISKS_SOCKET = "disks.sock";

    private static final long MIB = 1 << 20;
    private static final int VNC_PORT = 5900;
    private static final int SERIAL_LENGTH = 20;

    List<String> arguments() {
        var all = new ArrayList<String>();
        all.add(program);
        add(all, "-name", "guest=" + escaped(vm) + ",debug-threads=on");
        all.add("-no-user-config");
        all.add("-nodefaults");
        // It does not run before its virtual CPUs are where they belong.
        all.add("-S");
        add(all, "-machine", "q35,memory-backend=memory,accel=" + (kvm ? "kvm" : "tcg"));
        add(all, "-cpu", kvm ? "host" : "max");
        add(all, "-smp", Integer.toString(settings.vcpus()));
        add(all, "-m", settings.memoryBytes() / MIB + "M");
        add(all, "-object", "memory-backend-memfd,id=memory,share=on,size=" + settings.memoryBytes() / MIB + "M");
        add(all, "-chardev", "socket,id=qmp,path=" + QMP_SOCKET);
        add(all, "-mon", "chardev=qmp,mode=control");
        add(all, "-chardev", "socket,id=console,path=" + CONSOLE_SOCKET);
        add(all, "-serial", "chardev:console");
        add(all, "-device", "pvpanic-pci");
        add(all, "-device", "virtio-rng-pci");
        all.add("-display");
        all.add("none");
        if (settings.screen()) {
            add(all, "-device", "VGA");
        }
        settings.vnc().ifPresent(address -> add(all, "-vnc", vnc(address)));
        settings.kernel().ifPresentOrElse(kernel -> kernel(all, kernel), () -> firmware(all));
        for (var i = 0; i < disks.size(); i++) {
            disk(all, i, disks.get(i));
        }
        if (incoming) {
            add(all, "-incoming", "defer");
        }
        all.addAll(settings.arguments());
        return all;
    }

    private void kernel(List<String> all, Path kernel) {
        add(all, "-kernel", kernel.toString());
        settings.initrd().ifPresent(initrd -> add(all, "-initrd", initrd.toString()));
        add(all, "-append", settings.commandLine());
    }

    private void firmware(List<String> all) {
        firmware.ifPresent(file -> add(all, "-bios", file.toString()));
    }

    /** A host that is gone for a moment is waited for: requests stay with QEMU meanwhile. */
    private void disk(List<String> all, int number, String volume) {
        var readOnly = readOnlyDisks.contains(volume);
        add(
                all,
                "-blockdev",
                "driver=nbd,node-name=disk%d,server.type=unix,server.path=%s,export=%s,discard=unmap,detect-zeroes=off,reconnect-delay=60%s"
                        .formatted(number, DISKS_SOCKET, escaped(volume), readOnly ? ",read-only=on" : ""));
        add(
                all,
                "-device",
                "virtio-blk-pci,drive=disk%d,serial=%s%s"
                        .formatted(
                                number,
                                escaped(serial(volume)),
                                settings.kernel().isEmpty() ? ",bootindex=" + number : ""));
    }

    /** The name, or its beginning and what tells it apart from others that begin so: virtio has no room for more. */
    private static String serial(String volume) {
        return volume.length() <= SERIAL_LENGTH
                ? volume
                : "%s-%06x".formatted(volume.substring(0, SERIAL_LENGTH - 7), volume.hashCode() & 0xffffff);
    }

    private static String vnc(ListenAddress address) {
        return switch (address) {
            case ListenAddress.Tcp tcp -> tcp.host() + ":" + (tcp.port() - VNC_PORT);
            case ListenAddress.Unix unix ->
                "unix:" + escaped(unix.path().toAbsolutePath().toString());
        };
    }

    private static void add(List<String> all, String option, String value) {
        all.add(option);
        all.add(value);
    }

    /** A comma within a value is written twice. */
    private static String escaped(String value) {
        return value.replace(",", ",,");
    }
}
