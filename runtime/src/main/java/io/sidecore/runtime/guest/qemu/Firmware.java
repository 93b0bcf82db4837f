package io.sidecore.runtime.guest.qemu;

import io.sidecore.actors.vm.GuestException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Where firmware is that QEMU does not bring. */
final class Firmware {
    /** Debian and its relatives, Fedora, Arch, SUSE. */
    private static final List<Path> UEFI = List.of(
            Path.of("/usr/share/ovmf/OVMF.fd"),
            Path.of("/usr/share/qemu/OVMF.fd"),
            Path.of("/usr/share/edk2/x64/OVMF.4m.fd"),
            Path.of("/usr/share/qemu/ovmf-x86_64.bin"));

    private Firmware() {}

    /** OVMF, code and variables in one file; variables are forgotten at the end of a run. */
    static Path uefi() {
        return UEFI.stream()
                .filter(Files::isReadable)
                .findFirst()
                .orElseThrow(
                        () -> new GuestException(
                                "there is no UEFI firmware here: install OVMF (Debian: apt install ovmf), or set guest.firmware = bios"));
    }
}
