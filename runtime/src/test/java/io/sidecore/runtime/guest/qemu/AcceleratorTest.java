package io.sidecore.runtime.guest.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.actors.vm.GuestException;
import io.sidecore.conf.GuestSettings;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The device is a file, and QEMU a script. */
class AcceleratorTest {
    @TempDir
    Path folder;

    private Path device;

    @BeforeEach
    void makeDevice() throws IOException {
        device = Files.createFile(folder.resolve("kvm"));
    }

    private Path program(String text) throws IOException {
        var file = Files.writeString(folder.resolve("qemu"), "#!/bin/sh\n" + text + "\n");
        return Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwx------"));
    }

    private Accelerator auto(Path program) {
        return Accelerator.choose(GuestSettings.Accelerator.AUTO, program, device);
    }

    @Test
    void translationNeedsNoTrial() {
        var chosen = Accelerator.choose(GuestSettings.Accelerator.TCG, folder.resolve("none"), device);

        assertThat(chosen.kvm()).isFalse();
        assertThat(chosen.sentence()).isEqualTo("TCG, as configured");
    }

    @Test
    void aTrialThatWorksChoosesTheKernelsMachineAndIsMadeOnce() throws Exception {
        var program = program("echo tried >>%s; exit 85".formatted(folder.resolve("trials")));

        assertThat(auto(program).kvm()).isTrue();
        assertThat(auto(program).sentence()).isEqualTo("KVM: a trial boot has worked");
        assertThat(Files.readAllLines(folder.resolve("trials"))).hasSize(1);
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

        assertThatThrownBy(() -> Accelerator.choose(GuestSettings.Accelerator.KVM, program, device))
                .isInstanceOf(GuestException.class)
                .hasMessage(
                        "KVM is required (guest.accelerator = kvm) and cannot be used: KVM is there, but a trial boot failed: QEMU ended with code 3");
    }
}
