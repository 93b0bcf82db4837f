package io.sidecore.conf;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** {@code sidecore.vms.NAME.guest}: what runs inside a virtual machine. */
public sealed interface GuestSettings {
    /** What a file calls this kind. */
    String type();

    /** Bytes of its memory. */
    long memoryBytes();

    /**
     * A machine that QEMU makes.
     *
     * @param memoryBytes of the machine; a multiple of 1 MiB
     * @param vcpus its virtual CPUs
     * @param kernel a Linux kernel that is started at once; empty: the firmware starts what is on the disks
     * @param initrd its initial RAM disk
     * @param commandLine what the kernel is told
     * @param firmware what the machine begins with, unless a kernel is given
     * @param accelerator how its instructions are executed
     * @param screen whether it has a display adapter, whose screen can be photographed
     * @param vnc where its screen is served; empty: nowhere
     * @param program QEMU: a name that is looked for on the path, or an absolute path
     * @param arguments further ones for QEMU, behind all others
     * @param hangTimeout how long QEMU may not answer before it is given up
     */
    record Qemu(
            long memoryBytes,
            int vcpus,
            Optional<Path> kernel,
            Optional<Path> initrd,
            String commandLine,
            Firmware firmware,
            Accelerator accelerator,
            boolean screen,
            Optional<ListenAddress> vnc,
            String program,
            List<String> arguments,
            Duration hangTimeout)
            implements GuestSettings {
        public Qemu {
            arguments = List.copyOf(arguments);
        }

        @Override
        public String type() {
            return "qemu";
        }
    }

    /** What a machine without a kernel of its own begins with. */
    enum Firmware {
        /** SeaBIOS, which QEMU brings. */
        BIOS,
        /** OVMF, which is a package of its own. */
        UEFI
    }

    /** How QEMU executes a guest's instructions. */
    enum Accelerator {
        /** By the kernel's virtual machine if a trial boot shows that it works, else by translation. */
        AUTO,
        /** By the kernel's virtual machine, or not at all. */
        KVM,
        /** By translation, which works everywhere and is slow. */
        TCG
    }

    /**
     * A WebAssembly module.
     *
     * @param module the file
     * @param memoryBytes what its linear memory may grow to; a multiple of 64 KiB
     * @param arguments of a program that has a {@code _start}
     * @param deadline how long one event may take
     */
    record Wasm(Path module, long memoryBytes, List<String> arguments, Duration deadline) implements GuestSettings {
        /** Stands for the module that comes with Sidecore. */
        public static final Path DEMO = Path.of("demo");

        public Wasm {
            arguments = List.copyOf(arguments);
        }

        @Override
        public String type() {
            return "wasm";
        }
    }

    /**
     * A program in Java, within the host's process.
     *
     * @param className a {@code GuestProgram} with a constructor without parameters, on the host's class path
     * @param memoryBytes of the memory that it shares with its devices
     * @param deadline how long one event may take
     */
    record Java(String className, long memoryBytes, Duration deadline) implements GuestSettings {
        @Override
        public String type() {
            return "java";
        }
    }
}
