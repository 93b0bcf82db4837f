package io.sidecore.runtime.guest.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.actors.vm.GuestException;
import io.sidecore.conf.GuestSettings;
import io.sidecore.runtime.guest.Spawner;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The device is a file, and QEMU a script. */
class AcceleratorTest {
    @TempDir
    Path folder;

    private final Spawner spawner = new Spawner();
    private Path device;
    private long now;

    @BeforeEach
    void makeDevice() throws IOException {
        device = Files.createFile(folder.resolve("kvm"));
    }

    @AfterEach
    void close() {
        spawner.close();
    }

    private Path program(String text) throws IOException {
        var file = Files.writeString(folder.resolve("qemu"), "#!/bin/sh\n" + text + "\n");
        return Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwx------"));
    }

    private Accelerator auto(Path program) throws Exception {
        return choose(GuestSettings.Accelerator.AUTO, program);
    }

    private Accelerator choose(GuestSettings.Accelerator wanted, Path program) throws Exception {
        return Accelerator.choose(wanted, program, spawner, folder, device, now);
    }

    @Test
    void translationNeedsNoTrial() throws Exception {
        var chosen = choose(GuestSettings.Accelerator.TCG, folder.resolve("none"));

        assertThat(chosen.kvm()).isFalse();
        assertThat(chosen.sentence()).isEqualTo("TCG, as configured");
    }

    @Test
    void aTrialThatWorksChoosesTheKernelsMachineAndIsMadeOnce() throws Exception {
        var program = program("echo tried >>trials; exit 85");

        assertThat(auto(program).kvm()).isTrue();
        now += Duration.ofDays(1).toNanos();
        assertThat(auto(program).sentence()).isEqualTo("KVM: a trial boot has worked");
        assertThat(Files.readAllLines(folder.resolve("trials"))).hasSize(1);
    }

    @Test
    void aTrialThatFailedIsMadeAgainAfterAMinute() throws Exception {
        var program = program("echo tried >>trials; [ -e repaired ] && exit 85; exit 1");
        assertThat(auto(program).kvm()).isFalse();
        Files.createFile(folder.resolve("repaired"));

        now += Duration.ofSeconds(59).toNanos();
        assertThat(auto(program).kvm()).isFalse();
        now += Duration.ofSeconds(1).toNanos();

        assertThat(auto(program).kvm()).isTrue();
        assertThat(Files.readAllLines(folder.resolve("trials"))).hasSize(2);
    }

    @Test
    void aDeviceThatComesIsFoundAtOnce() throws Exception {
        var program = program("exit 85");
        Files.delete(device);
        assertThat(auto(program).kvm()).isFalse();

        Files.createFile(device);

        assertThat(auto(program).kvm()).isTrue();
    }

    /** It is the host's as every other is: it ends with the host, and what a terminal says is not for it. */
    @Test
    void aTrialWorksInTheFolderOfItsRunInASessionOfItsOwnAndLeavesNothingThere() throws Exception {
        var program = program(
                "cut -d ' ' -f 1,6 /proc/$$/stat >session; until [ -s qemu.pid ]; do :; done; cat qemu.pid >noted; ls trial.elf >kernel; exit 85");

        assertThat(auto(program).kvm()).isTrue();

        var numbers = Files.readString(folder.resolve("session")).strip().split(" ");
        assertThat(numbers[1]).isEqualTo(numbers[0]);
        assertThat(folder.resolve("noted")).content().isEqualTo(numbers[0] + "\n");
        assertThat(folder.resolve("kernel")).content().isEqualTo("trial.elf\n");
        assertThat(folder.resolve("trial.elf")).doesNotExist();
        assertThat(folder.resolve("qemu.pid")).doesNotExist();
    }

    @Test
    void aTrialThatFailsSaysWhatQemuSaid() throws Exception {
        var program = program("echo 'qemu-system-x86_64: failed to initialize kvm: Permission denied' >&2; exit 1");

        assertThat(auto(program).kvm()).isFalse();
        assertThat(auto(program).sentence())
                .isEqualTo(
                        "TCG, which is slow: KVM is there, but a trial boot failed: failed to initialize kvm: Permission denied");
    }

    @Test
    void aTrialThatEndsOtherwiseIsNoSuccess() throws Exception {
        assertThat(auto(program("exit 0")).sentence()).endsWith("a trial boot failed: QEMU ended with code 0");
    }

    @Test
    void aMissingDeviceIsNamed() throws Exception {
        Files.delete(device);

        assertThat(auto(program("exit 85")).sentence())
                .isEqualTo("TCG, which is slow: there is no " + device + " here");
    }

    @Test
    void whereTheKernelsMachineIsRequiredAFailedTrialIsAnError() throws Exception {
        var program = program("exit 3");

        assertThatThrownBy(() -> choose(GuestSettings.Accelerator.KVM, program))
                .isInstanceOf(GuestException.class)
                .hasMessage(
                        "KVM is required (guest.accelerator = kvm) and cannot be used: KVM is there, but a trial boot failed: QEMU ended with code 3");
    }
}
