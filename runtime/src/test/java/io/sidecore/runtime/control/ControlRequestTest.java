package io.sidecore.runtime.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.json.JsonMapper;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ControlRequestTest {
    private static Operation operation(String json) throws Exception {
        return ControlServer.operation(new JsonMapper().readTree(json.replace('\'', '"')));
    }

    @Test
    void aRequestIsARecord() throws Exception {
        assertThat(operation("{'do':'status'}")).isEqualTo(new Operation.Status());
        assertThat(operation("{'do':'create-volume','name':'a','section':{'size':'1 MiB','store':{'type':'memory'}}}"))
                .isEqualTo(new Operation.CreateVolume("a", Map.of("size", "1 MiB", "store", Map.of("type", "memory"))));
    }

    @Test
    void whatIsOptionalMayBeMissing() throws Exception {
        assertThat(operation("{'do':'export-volume','name':'a','file':'/f','live':true}"))
                .isEqualTo(new Operation.ExportVolume("a", "/f", true, false));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "[]                                              | expected a JSON object",
                "{}                                              | there is no operation",
                "{'do':'list-volume'}                            | did you mean 'list-volumes'?",
                "{'do':'show-volume'}                            | 'name' is required",
                "{'do':'show-volume','name':null}                | 'name' is required",
                "{'do':'show-volume','name':'a','nam':'b'}       | show-volume at 'nam'",
                "{'do':'assign-core','role':'service'}           | 'core' is required",
                "{'do':'create-volume','name':'a','section':[1]} | create-volume at 'section'",
                "{'do':'events','follow':'often'}                | events at 'follow'",
            })
    void aWrongRequestIsRefusedWithASentence(String json, String sentence) {
        assertThatThrownBy(() -> operation(json))
                .isInstanceOf(ControlException.class)
                .hasMessageContaining(sentence.replace('\'', '"'))
                .matches(e -> ((ControlException) e).isMistake());
    }
}
