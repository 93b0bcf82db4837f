package io.sidecore.runtime.guest.qemu;

import io.sidecore.actors.vm.GuestException;
import io.sidecore.conf.Amounts;
import io.sidecore.conf.GuestSettings;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;

/**
 * How a guest's instructions are executed. KVM may be there and still unable to run a guest, on a machine that is virtual itself: a trial boot tells.
 *
 * @param sentence for the history
 */
record Accelerator(boolean kvm, String sentence) {
    private static final Path DEVICE = Path.of("/dev/kvm");
    private static final Duration TRIAL = Duration.ofSeconds(5);

    /** What {@code isa-debug-exit} makes of the 0x2a that the trial ends with. */
    private static final int GOOD = 0x2a << 1 | 1;

    /** What is wrong with KVM here, by program; empty: nothing. */
    private static final Map<Path, Optional<String>> TRIED = new ConcurrentHashMap<>();

    static Accelerator choose(GuestSettings.Accelerator wanted, Path program) {
        return choose(wanted, program, DEVICE);
    }

    /** @param device the kernel's */
    static Accelerator choose(GuestSettings.Accelerator wanted, Path program, Path device) {
        return switch (wanted) {
            case TCG -> new Accelerator(false, "TCG, as configured");
            case KVM -> {
                TRIED.computeIfAbsent(program, it -> trial(it, device)).ifPresent(why -> {
                    throw new GuestException("KVM is required (guest.accelerator = kvm) and cannot be used: " + why);
                });
                yield new Accelerator(true, "KVM, as configured");
            }
            case AUTO ->
                TRIED.computeIfAbsent(program, it -> trial(it, device))
                        .map(why -> new Accelerator(false, "TCG, which is slow: " + why))
                        .orElse(new Accelerator(true, "KVM: a trial boot has worked"));
        };
    }

    private static Optional<String> trial(Path program, Path device) {
        if (!Files.exists(device)) {
            return Optional.of("there is no " + device + " here");
        }
        if (!Files.isReadable(device) || !Files.isWritable(device)) {
            return Optional.of(device + " may not be used by this user; add it to the group kvm");
        }
        try {
            var kernel = Files.createTempFile("sidecore-trial", ".elf");
            try {
                copy(kernel);
                return boot(program, kernel);
            } finally {
                Files.deleteIfExists(kernel);
            }
        } catch (IOException e) {
            return Optional.of("the trial boot could not be made: " + e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return Optional.of("the trial boot was interrupted");
        }
    }

    private static void copy(Path kernel) throws IOException {
        try (InputStream trial = Accelerator.class.getResourceAsStream("trial.elf")) {
            assert trial != null;
            Files.write(kernel, trial.readAllBytes());
        }
    }

    private static Optional<String> boot(Path program, Path kernel) throws IOException, InterruptedException {
        var process = new ProcessBuilder(List.of(
                        program.toString(),
                        "-no-user-config",
                        "-nodefaults",
                        "-machine",
                        "q35,accel=kvm",
                        "-cpu",
                        "host",
                        "-m",
                        "32M",
                        "-display",
                        "none",
                        "-no-reboot",
                        "-device",
                        "isa-debug-exit,iobase=0xf4,iosize=4",
                        "-kernel",
                        kernel.toString()))
                .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start();
        var errors = new StderrTail();
        errors.read(process);
        if (!process.waitFor(TRIAL.toMillis(), TimeUnit.MILLISECONDS)) {
            process.destroyForcibly().waitFor();
            return Optional.of("KVM is there, but a trial boot did not end within " + Amounts.duration(TRIAL)
                    + " (a machine that is virtual itself, as a rule)");
        }
        return process.exitValue() == GOOD
                ? Optional.empty()
                : Optional.of("KVM is there, but a trial boot failed: "
                        + errors.lastOr("QEMU ended with code " + process.exitValue()));
    }
}
