package io.sidecore.conf;

import com.typesafe.config.ConfigList;
import com.typesafe.config.ConfigObject;
import com.typesafe.config.ConfigOrigin;
import com.typesafe.config.ConfigOriginFactory;
import com.typesafe.config.ConfigUtil;
import com.typesafe.config.ConfigValue;
import com.typesafe.config.ConfigValueFactory;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * The keys of one section of {@link SettingsBuilder}.
 *
 * @param <B> the builder of the section
 */
public abstract class SectionBuilder<B extends SectionBuilder<B>> {
    private static final StackWalker STACK = StackWalker.getInstance();

    final Node node;

    SectionBuilder(Node node) {
        this.node = node;
    }

    /**
     * Any key of this section, for programs that have it as text.
     *
     * @param key as in a file, such as {@code store.type}
     * @param value as Typesafe Config takes it from Java: text as in a file, numbers, booleans, lists and maps of them; also durations, paths and enums
     */
    public final B set(String key, Object value) {
        var path = ConfigUtil.splitPath(key);
        var section = node;
        for (var name : path.subList(0, path.size() - 1)) {
            section = section.section(name);
        }
        section.children.put(path.getLast(), value(value));
        return self();
    }

    final <S extends SectionBuilder<S>> B section(Consumer<S> keys, Function<Node, S> builder, String... path) {
        var section = node;
        for (var name : path) {
            section = section.section(name);
        }
        keys.accept(builder.apply(section));
        return self();
    }

    final <S extends SectionBuilder<S>> B element(String list, Consumer<S> keys, Function<Node, S> builder) {
        var element = new Node(origin());
        keys.accept(builder.apply(element));
        return add(list, element);
    }

    final B add(String list, Object element) {
        var elements = switch (node.children.get(list)) {
            case Elements added -> added;
            case ConfigList set -> new Elements(set.origin(), new ArrayList<>(set));
            // Not a list, which is told as a mistake: with it.
            case ConfigValue set -> new Elements(set.origin(), new ArrayList<>(List.of(set)));
            case null, default -> new Elements(origin(), new ArrayList<>());
        };
        elements.elements().add(element);
        node.children.put(list, elements);
        return self();
    }

    @SuppressWarnings("unchecked")
    private B self() {
        return (B) this;
    }

    /** A section that is being built. Its children are values, lists and sections. */
    static final class Node {
        final ConfigOrigin origin;
        final Map<String, Object> children = new LinkedHashMap<>();

        Node(ConfigOrigin origin) {
            this.origin = origin;
        }

        /** The section of this name; what else it was before is forgotten. */
        Node section(String name) {
            if (children.get(name) instanceof Node there) {
                return there;
            }
            var section = new Node(origin());
            children.put(name, section);
            return section;
        }

        ConfigObject value() {
            var values = new LinkedHashMap<String, Object>();
            children.forEach((name, child) -> values.put(name, built(child)));
            return ConfigValueFactory.fromMap(values).withOrigin(origin);
        }
    }

    private record Elements(ConfigOrigin origin, List<Object> elements) {}

    private static ConfigValue built(Object child) {
        return switch (child) {
            case Node section -> section.value();
            case Elements list ->
                ConfigValueFactory.fromIterable(list.elements().stream()
                                .map(SectionBuilder::built)
                                .toList())
                        .withOrigin(list.origin());
            default -> (ConfigValue) child;
        };
    }

    static ConfigValue value(Object value) {
        var plain = switch (value) {
            case Duration time -> text(time);
            case Path path -> path.toString();
            case Enum<?> word -> word.name().toLowerCase(Locale.ROOT).replace('_', '-');
            default -> value;
        };
        return ConfigValueFactory.fromAnyRef(plain).withOrigin(origin());
    }

    /** As a user would write it. */
    private static String text(Duration time) {
        var nanos = time.toNanosPart();
        if (nanos == 0) {
            return time.toSeconds() + " s";
        }
        return nanos % 1_000_000 == 0
                ? time.toMillis() + " ms"
                : nanos % 1_000 == 0 ? time.toNanos() / 1_000 + " us" : time.toNanos() + " ns";
    }

    /** The line of the program that says it. */
    static ConfigOrigin origin() {
        return STACK.walk(
                        frames -> frames.filter(SectionBuilder::isOfTheProgram).findFirst())
                .map(frame -> ConfigOriginFactory.newSimple(frame.getFileName())
                        .withLineNumber(Math.max(frame.getLineNumber(), 0)))
                .orElseGet(() -> ConfigOriginFactory.newSimple("program"));
    }

    private static boolean isOfTheProgram(StackWalker.StackFrame frame) {
        var outermost = frame.getClassName().replaceFirst("\\$.*", "");
        return frame.getFileName() != null
                && !outermost.startsWith("java.")
                && !outermost.equals(SectionBuilder.class.getName())
                && !outermost.equals(SettingsBuilder.class.getName())
                && !outermost.equals(Settings.class.getName());
    }
}
