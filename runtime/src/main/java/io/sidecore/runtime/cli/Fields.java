package io.sidecore.runtime.cli;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;

/** What is known of one thing: a line for each of its fields. */
final class Fields {
    private record Field(String name, String value) {}

    private final List<Field> fields = new ArrayList<>();

    /** A field; left out if its value is empty. */
    Fields add(String name, String value) {
        if (!value.isEmpty()) {
            fields.add(new Field(name, value));
        }
        return this;
    }

    /** A field with several values, a line for each. */
    Fields add(String name, List<String> values) {
        var head = name;
        for (var value : values) {
            fields.add(new Field(head, value));
            head = "";
        }
        return this;
    }

    /** The texts of an array. */
    static List<String> texts(JsonNode array) {
        var texts = new ArrayList<String>();
        array.forEach(text -> texts.add(text.asText()));
        return texts;
    }

    @Override
    public String toString() {
        var width =
                fields.stream().mapToInt(field -> field.name().length()).max().orElse(0);
        var lines = fields.stream()
                .map(field -> field.name() + " ".repeat(width - field.name().length() + 2) + field.value())
                .toList();
        return String.join("\n", lines);
    }
}
