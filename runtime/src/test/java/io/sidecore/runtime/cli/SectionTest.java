package io.sidecore.runtime.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class SectionTest {
    private final Section section =
            new Section().put("guest.kernel", "vmlinuz").putAll(List.of("guest.program=./qemu", "guest.vcpus=2"));

    @Test
    void whatIsSetByWordAndByOptionIsOneSection() {
        assertThat(section.json()).hasToString("""
                {"guest":{"kernel":"vmlinuz","program":"./qemu","vcpus":2}}""");
    }

    @Test
    void theTextOfAKeyIsChangedHoweverItWasSet() {
        section.change("guest.kernel", text -> "/boot/" + text).change("guest.program", text -> text.substring(1));

        assertThat(section.json()).hasToString("""
                {"guest":{"kernel":"/boot/vmlinuz","program":"/qemu","vcpus":2}}""");
    }

    @Test
    void whatIsNotThereOrIsNoTextIsNotChanged() {
        section.change("guest.initrd", text -> "x")
                .change("guest.vcpus", text -> "x")
                .change("disks.first", text -> "x");

        assertThat(section.json()).hasToString("""
                {"guest":{"kernel":"vmlinuz","program":"./qemu","vcpus":2}}""");
    }
}
