package io.sidecore.runtime.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.typesafe.config.ConfigException;
import com.typesafe.config.ConfigFactory;
import io.sidecore.runtime.control.ControlClient;
import io.sidecore.runtime.control.ControlException;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;

/** A section of the configuration, put together from options. Whether it is right only the host judges. */
final class Section {
    private final ObjectNode root = ControlClient.json().createObjectNode();

    /** Sets a key; dots separate it from the sections around it. */
    Section put(String path, String value) {
        var keys = path.split("\\.");
        var section = root;
        for (var i = 0; i < keys.length - 1; i++) {
            section = section.withObjectProperty(keys[i]);
        }
        section.put(keys[keys.length - 1], value);
        return this;
    }

    Section put(String path, Optional<String> value) {
        value.ifPresent(present -> put(path, present));
        return this;
    }

    /** Sets a list, unless it is empty. */
    Section put(String key, List<String> values) {
        if (!values.isEmpty()) {
            values.forEach(root.withArray("/" + key)::add);
        }
        return this;
    }

    /** Sets what was written as {@code KEY=VALUE}, the value in HOCON. */
    Section putAll(List<String> settings) {
        for (var setting : settings) {
            var equals = setting.indexOf('=');
            if (equals < 1) {
                throw ControlException.mistake("expected KEY=VALUE, found \"" + setting + "\"");
            }
            try {
                var parsed =
                        ConfigFactory.parseString(setting.substring(0, equals) + " = " + setting.substring(equals + 1));
                merge(root, ControlClient.json().valueToTree(parsed.root().unwrapped()));
            } catch (ConfigException e) {
                throw ControlException.mistake("\"" + setting + "\" is no HOCON: " + e.getMessage());
            }
        }
        return this;
    }

    /** Changes the text of a key, if it has one. */
    Section change(String path, UnaryOperator<String> change) {
        var keys = path.split("\\.");
        JsonNode section = root;
        for (var i = 0; i < keys.length - 1; i++) {
            section = section.path(keys[i]);
        }
        var key = keys[keys.length - 1];
        if (section instanceof ObjectNode inside && inside.path(key).isTextual()) {
            inside.put(key, change.apply(inside.get(key).asText()));
        }
        return this;
    }

    private static void merge(ObjectNode into, ObjectNode more) {
        more.properties().forEach(entry -> {
            if (into.get(entry.getKey()) instanceof ObjectNode inner && entry.getValue() instanceof ObjectNode other) {
                merge(inner, other);
            } else {
                into.set(entry.getKey(), entry.getValue());
            }
        });
    }

    ObjectNode json() {
        return root;
    }
}
