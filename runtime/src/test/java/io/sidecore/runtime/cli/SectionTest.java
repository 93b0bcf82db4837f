package io.sidecore.runtime.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.runtime.control.ControlException;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class SectionTest {
    @Test
    void optionsBecomeTheKeysOfASection() {
        var section = new Section()
                .put("size", Optional.of("1 GiB"))
                .put("store.type", "memory")
                .put("store.limit", Optional.empty())
                .putAll(List.of("store.limit=64 MiB", "interposers=[{ type = rate-limit }]"));

        assertThat(section.json().toString())
                .isEqualTo("{\"size\":\"1 GiB\",\"store\":{\"type\":\"memory\",\"limit\":\"64 MiB\"},"
                        + "\"interposers\":[{\"type\":\"rate-limit\"}]}");
    }

    @Test
    void whatIsNoSettingIsRefused() {
        assertThatThrownBy(() -> new Section().putAll(List.of("store.limit")))
                .isInstanceOf(ControlException.class)
                .hasMessage("expected KEY=VALUE, found \"store.limit\"");
        assertThatThrownBy(() -> new Section().putAll(List.of("a={")))
                .isInstanceOf(ControlException.class)
                .hasMessageStartingWith("\"a={\" is no HOCON");
    }
}
