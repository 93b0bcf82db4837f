package io.sidecore.runtime.guest.qemu;

import io.sidecore.actors.vm.GuestException;
import io.sidecore.conf.Amounts;
import io.sidecore.conf.GuestSettings;
import io.sidecore.runtime.guest.Spawner;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;

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

    /** After which a trial that has failed is made again: what was in its way may be gone. */
    private static final Duration FAILED_FOR = Duration.ofMinutes(1);

    private static final Map<Path, Tried> TRIED = new HashMap<>();
    private static final ReentrantLock TRYING = new ReentrantLock();

    /**
     * What came of a trial boot with a program.
     *
     * @param wrong with KVM here; empty: nothing
     * @param nanoTime of it
     */
    private record Tried(Optional<String> wrong, long nanoTime) {
        boolean counts(long now) {
            return wrong.isEmpty() || now - nanoTime < FAILED_FOR.toNanos();
        }
    }

    /** @param folder in which a trial works */
    static Accelerator choose(GuestSettings.Accelerator wanted, Path program, Spawner spawner, Path folder)
            throws InterruptedException {
        return choose(wanted, program, spawner, folder, DEVICE, System.nanoTime());
    }

    /**
     * @param device the kernel's
     * @param now as {@link System#nanoTime} says
     */
    static Accelerator choose(
            GuestSettings.Accelerator wanted, Path program, Spawner spawner, Path folder, Path device, long now)
            throws InterruptedException {
        if (wanted == GuestSettings.Accelerator.TCG) {
            return new Accelerator(false, "TCG, as configured");
        }
        var wrong = wrong(program, spawner, folder, device, now);
        if (wanted == GuestSettings.Accelerator.AUTO) {
            return wrong.map(why -> new Accelerator(false, "TCG, which is slow: " + why))
                    .orElse(new Accelerator(true, "KVM: a trial boot has worked"));
        }
        if (wrong.isPresent()) {
            throw new GuestException("KVM is required (guest.accelerator = kvm) and cannot be used: " + wrong.get());
        }
        return new Accelerator(true, "KVM, as configured");
    }

    private static Optional<String> wrong(Path program, Spawner spawner, Path folder, Path device, long now)
            throws InterruptedException {
        if (!Files.exists(device)) {
            return Optional.of("there is no " + device + " here");
        }
        if (!Files.isReadable(device) || !Files.isWritable(device)) {
            return Optional.of(device + " may not be used by this user; add it to the group kvm");
        }
        // One at a time: others wait for what comes of it.
        TRYING.lockInterruptibly();
        try {
            var before = TRIED.get(program);
            if (before != null && before.counts(now)) {
                return before.wrong();
            }
            var wrong = boot(program, spawner, folder);
            TRIED.put(program, new Tried(wrong, now));
            return wrong;
        } catch (IOException e) {
            return Optional.of("the trial boot could not be made: " + e.getMessage());
        } finally {
            TRYING.unlock();
        }
    }

    private static void copy(Path kernel) throws IOException {
        try (InputStream trial = Accelerator.class.getResourceAsStream("trial.elf")) {
            assert trial != null;
            Files.write(kernel, trial.readAllBytes());
        }
    }

    private static Optional<String> boot(Path program, Spawner spawner, Path folder)
            throws IOException, InterruptedException {
        var kernel = folder.resolve("trial.elf");
        copy(kernel);
        var command = List.of(
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
                kernel.toString());
        var process = spawner.start(command, folder);
        var errors = new StderrTail();
        try {
            LeftOver.note(process, folder);
            errors.read(process);
            if (!process.waitFor(TRIAL.toMillis(), TimeUnit.MILLISECONDS)) {
                return Optional.of("KVM is there, but a trial boot did not end within " + Amounts.duration(TRIAL)
                        + " (a machine that is virtual itself, as a rule)");
            }
        } finally {
            Spawner.kill(process);
            LeftOver.forget(folder);
            Files.deleteIfExists(kernel);
        }
        return process.exitValue() == GOOD
                ? Optional.empty()
                : Optional.of("KVM is there, but a trial boot failed: "
                        + errors.lastOr("QEMU ended with code " + process.exitValue()));
    }
}
