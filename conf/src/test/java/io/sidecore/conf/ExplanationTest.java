package io.sidecore.conf;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ExplanationTest {
    private final Reference reference = Reference.read();

    @Test
    void everyKeyHasAnExplanation() {
        assertThat(reference.keys()).hasSizeGreaterThan(30);
        assertThat(reference.keys())
                .filteredOn(key -> !key.path().equals("sidecore"))
                .allMatch(key -> !key.text().isBlank());
    }

    @ParameterizedTest
    @CsvSource({
        "sidecore.vif.slots, sidecore.vif.slots",
        "vif.slots, sidecore.vif.slots",
        "slots, sidecore.vif.slots",
        "sidecore.volumes.my-disk.store.limit, sidecore.volumes.NAME.store.limit",
        "volumes.disk, sidecore.volumes.NAME",
        "exports.nbd.volumes[3].interposers[0].burst, sidecore.exports.nbd.volumes[].interposers[].burst",
        "sidecore.exports.nbd.volumes, sidecore.exports.nbd.volumes",
    })
    void aKeyIsFoundAsUsersWriteIt(String asked, String found) {
        assertThat(reference.find(asked)).extracting(Reference.Key::path).containsExactly(found);
    }

    @Test
    void aDefaultIsToldFromAnExample() {
        assertThat(reference.find("vif.slots").getFirst())
                .matches(Reference.Key::isDefault)
                .extracting(Reference.Key::value)
                .isEqualTo("256");
        assertThat(reference.find("volumes.disk.size").getFirst())
                .matches(key -> !key.isDefault())
                .extracting(Reference.Key::value)
                .isEqualTo("8 GiB");
    }

    @Test
    void aKeyOfSeveralShapesIsExplainedByAllOfThem() {
        assertThat(reference.find("volumes.NAME.store.type"))
                .singleElement()
                .extracting(Reference.Key::text)
                .asString()
                .contains("memory: sparse memory")
                .contains("file: a raw image file");
        assertThat(reference.find("store.path")).hasSize(1);
    }

    @Test
    void aKeyThatStandsInSeveralPlacesIsFoundInAll() {
        assertThat(reference.find("ratio")).hasSize(3);
    }

    @ParameterizedTest
    @CsvSource({"vif.slotz, vif.slots", "spin-mx, spin-max", "sidecore.loop.turn-task, sidecore.loop.turn-tasks"})
    void aMistypedKeyIsFoundAgain(String asked, String meant) {
        assertThat(reference.find(asked)).isEqualTo(List.of());
        assertThat(reference.hint(asked)).isEqualTo("; did you mean \"" + meant + "\"?");
    }
}
