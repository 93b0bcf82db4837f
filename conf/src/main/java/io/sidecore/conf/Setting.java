package io.sidecore.conf;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigException;
import com.typesafe.config.ConfigFactory;
import com.typesafe.config.ConfigObject;
import com.typesafe.config.ConfigOrigin;
import com.typesafe.config.ConfigRenderOptions;
import com.typesafe.config.ConfigValue;
import com.typesafe.config.ConfigValueFactory;
import com.typesafe.config.ConfigValueType;
import java.math.BigDecimal;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.IntStream;

/**
 * One value of the configuration, or its absence, under the path by which the user knows it.
 *
 * <p>Every conversion reports a missing, mistyped or out-of-range value to the {@link Mistakes} and then answers a placeholder, so that
 * reading goes on and finds the next mistake. The placeholder of a range is its upper bound: it provokes no second mistake where values
 * are compared ("a limit at most the size").
 */
final class Setting {
    private static final String IT = "it";
    private static final int FOUND_SHOWN = 60;

    private final String path;
    private final Optional<ConfigValue> value;
    private final ConfigOrigin origin;
    private final Mistakes mistakes;

    /** {@code origin}: of the value; when there is none, of the section that lacks it. */
    Setting(String path, Optional<ConfigValue> value, ConfigOrigin origin, Mistakes mistakes) {
        this.path = path;
        this.value = value.filter(found -> found.valueType() != ConfigValueType.NULL);
        this.origin = origin;
        this.mistakes = mistakes;
    }

    /** This setting, with a default if it is absent. */
    Setting or(Object byDefault) {
        return isPresent()
                ? this
                : new Setting(path, Optional.of(ConfigValueFactory.fromAnyRef(byDefault)), origin, mistakes);
    }

    boolean isPresent() {
        return value.isPresent();
    }

    boolean isSection() {
        return is(ConfigValueType.OBJECT);
    }

    /** A list, or an object with the keys 0, 1, ... by which system properties spell one. */
    boolean isList() {
        return is(ConfigValueType.LIST) || is(ConfigValueType.OBJECT);
    }

    boolean isEmptyList() {
        return is(ConfigValueType.LIST) && elements().isEmpty();
    }

    void mistake(String message) {
        mistakes.add(origin, path, message);
    }

    int whole(int min, int max) {
        return (int) whole("a whole number from " + min + " to " + max, min, max);
    }

    long whole(String expected, long min, long max) {
        return convert(
                        expected,
                        config -> new BigDecimal(config.getNumber(IT).toString()).longValueExact(),
                        number -> number >= min && number <= max)
                .orElse(max);
    }

    /** A share of all requests. */
    double ratio() {
        return number("a ratio from 0.0 to 1.0", 0, 1);
    }

    double number(double min, double max) {
        return number("a number from " + min + " to " + max, min, max);
    }

    private double number(String expected, double min, double max) {
        return convert(expected, config -> config.getDouble(IT), number -> number >= min && number <= max)
                .orElse(max);
    }

    /** A duration within bounds that are written as a user would write them. */
    Duration duration(String min, String max) {
        Duration most = bound(max).getDuration(IT);
        Duration least = bound(min).getDuration(IT);
        return convert(
                        "a duration from " + min + " to " + max,
                        config -> config.getDuration(IT),
                        duration -> duration.compareTo(least) >= 0 && duration.compareTo(most) <= 0)
                .orElse(most);
    }

    /** A size in bytes within bounds that are written as a user would write them. */
    long bytes(String min, String max) {
        long most = bound(max).getBytes(IT);
        long least = bound(min).getBytes(IT);
        return convert(
                        "a size from " + min + " to " + max,
                        config -> config.getBytes(IT),
                        bytes -> bytes >= least && bytes <= most)
                .orElse(most);
    }

    /** A text that {@code parse} understands; it refuses others with an {@link IllegalArgumentException}. */
    <T> Optional<T> text(String expected, Function<String, T> parse) {
        return convert(expected, config -> parse.apply(config.getString(IT)), parsed -> true);
    }

    /** A path: relative to the file that names it, or to {@code elsewhere} where no file does. */
    Optional<Path> path(Path elsewhere) {
        return text("a path", text -> {
            if (text.isBlank()) {
                throw new IllegalArgumentException("it is empty");
            }
            Path folder = value.map(ConfigValue::origin)
                    .map(ConfigOrigin::filename)
                    .map(file -> Path.of(file).toAbsolutePath().getParent())
                    .orElse(elsewhere);
            return folder.resolve(text).normalize();
        });
    }

    boolean yes() {
        return convert("true or false", config -> config.getBoolean(IT), any -> true)
                .orElse(false);
    }

    /** One of some words. */
    <T> T choice(Map<String, T> valid, T placeholder) {
        Optional<String> word = text("one of " + Spelling.list(valid.keySet()), Function.identity());
        if (word.isPresent() && !valid.containsKey(word.get())) {
            mistake("unknown value " + found() + Spelling.hint(word.get(), valid.keySet()));
        }
        return word.map(valid::get).orElse(placeholder);
    }

    List<Setting> elements() {
        List<? extends ConfigValue> values = this.<List<? extends ConfigValue>>convert(
                        "a list", config -> config.getList(IT), any -> true)
                .orElse(List.of());
        return IntStream.range(0, values.size())
                .mapToObj(i -> new Setting(
                        path + "[" + i + "]",
                        Optional.of(values.get(i)),
                        values.get(i).origin(),
                        mistakes))
                .toList();
    }

    /** Reads the section that this value is. If it is none, that is the one mistake reported, not also what it lacks. */
    <T> T section(Function<Section, T> read) {
        Optional<ConfigObject> object = convert("a section { }", config -> config.getObject(IT), any -> true);
        Section section = new Section(
                path,
                object.orElseGet(() -> ConfigFactory.empty().root()),
                object.isPresent() ? mistakes : new Mistakes());
        T result = read.apply(section);
        section.reportUnknownKeys();
        return result;
    }

    private <T> Optional<T> convert(String expected, Function<Config, T> conversion, Predicate<T> inRange) {
        if (value.isEmpty()) {
            mistake("required: expected " + expected);
            return Optional.empty();
        }
        try {
            T converted = conversion.apply(value.get().atKey(IT));
            if (inRange.test(converted)) {
                return Optional.of(converted);
            }
            mistake("expected " + expected + ", found " + found());
        } catch (ConfigException | ArithmeticException | NumberFormatException wrong) {
            mistake("expected " + expected + ", found " + found());
        } catch (IllegalArgumentException refused) {
            mistake("expected " + expected + ", found " + found() + ": " + refused.getMessage());
        }
        return Optional.empty();
    }

    private String found() {
        String text = value.orElseThrow().render(ConfigRenderOptions.concise());
        return text.length() <= FOUND_SHOWN ? text : text.substring(0, FOUND_SHOWN) + "...";
    }

    private boolean is(ConfigValueType type) {
        return value.filter(found -> found.valueType() == type).isPresent();
    }

    private static Config bound(String text) {
        return ConfigValueFactory.fromAnyRef(text).atKey(IT);
    }
}
