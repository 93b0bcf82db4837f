package io.sidecore.conf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.typesafe.config.ConfigFactory;
import com.typesafe.config.ConfigList;
import com.typesafe.config.ConfigObject;
import com.typesafe.config.ConfigValue;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.Test;

/**
 * {@code reference.conf} against the code. Keys of what a user names or lists are commented out there, without a space after the #; here
 * they are commented in, which makes one configuration with every key.
 */
class ReferenceTest {
    private static final String UNHEARD_OF = "qqqqqqqqqqqqqqqqqqqqqqqq";
    private static final String KNOWN = "unknown key; known here: ";

    @Test
    void theReferenceHasNoKeyThatTheCodeDoesNotRead() {
        Settings settings = Settings.read(ConfigFactory.parseString(everyKey()));

        assertThat(settings.volumes()).isNotEmpty();
        assertThat(settings.nbd()).isPresent();
    }

    /** Every section is given a key that is unheard of, and the code then says which ones it knows. */
    @Test
    void theCodeReadsNoKeyThatTheReferenceDoesNotHave() {
        String spoiled = everyKey().replaceAll("(?m)^(\\s*(?:[a-z-]+ )?\\{)$", "$1 " + UNHEARD_OF + " = 1,");
        Map<String, Set<String>> known = new TreeMap<>();
        for (Mistake mistake : catchThrowableOfType(
                        SettingsException.class, () -> Settings.read(ConfigFactory.parseString(spoiled)))
                .mistakes()) {
            if (mistake.message().startsWith(KNOWN)) {
                String section = mistake.key().replace("." + UNHEARD_OF, "");
                known.computeIfAbsent(kind(section), _ -> new TreeSet<>())
                        .addAll(List.of(
                                mistake.message().substring(KNOWN.length()).split(", ")));
            }
        }

        assertThat(known).isEqualTo(documentedSections());
    }

    @Test
    void everyKeyIsExplained() {
        forEachKey(
                (path, value) -> assertThat(value.origin().comments()).as(path).isNotEmpty());
    }

    @Test
    void whatTheReferenceShowsAsTheDefaultOfAListedThingIsItsDefault() {
        String shorter = everyKey()
                .replaceAll(
                        "(?m)^ *(limit|burst|seed|errno|create|read-only|direct|threads|vcpus|cmdline|accelerator|screen|program|arguments|hang-timeout|autostart|weight|policy|delay|max-delay|start-timeout|stop-timeout|firmware|deadline) = .*$",
                        "");

        assertThat(shorter).isNotEqualTo(everyKey());
        assertThat(Settings.read(ConfigFactory.parseString(shorter)))
                .isEqualTo(Settings.read(ConfigFactory.parseString(everyKey())));
    }

    /** The sections with fixed keys: not {@code volumes} and {@code vms}, whose keys are names. */
    private static Map<String, Set<String>> documentedSections() {
        Map<String, Set<String>> sections = new TreeMap<>();
        forEachKey((path, value) -> {
            int dot = path.lastIndexOf('.');
            String section = kind(path.substring(0, dot));
            sections.computeIfAbsent(section, _ -> new TreeSet<>()).add(path.substring(dot + 1));
        });
        sections.remove("sidecore.volumes");
        sections.remove("sidecore.vms");
        return sections;
    }

    /** The examples of virtual machines show the keys of one section among them, and two of them those of a QEMU guest. */
    private static String kind(String section) {
        return section.matches("sidecore\\.vms\\.[^.]+")
                ? "sidecore.vms.NAME"
                : section.replace("sidecore.vms.desktop.", "sidecore.vms.web.");
    }

    private static void forEachKey(BiConsumer<String, ConfigValue> visit) {
        walk("sidecore", ConfigFactory.parseString(everyKey()).getObject("sidecore"), visit);
    }

    private static void walk(String path, ConfigValue value, BiConsumer<String, ConfigValue> visit) {
        switch (value) {
            case ConfigObject section ->
                section.forEach((key, inner) -> {
                    String at = path + "." + key;
                    visit.accept(at, inner);
                    walk(at, inner, visit);
                });
            case ConfigList list -> {
                for (int i = 0; i < list.size(); i++) {
                    walk(path + "[" + i + "]", list.get(i), visit);
                }
            }
            default -> {}
        }
    }

    static String everyKey() {
        try (InputStream reference = Settings.class.getResourceAsStream("/reference.conf")) {
            return new String(reference.readAllBytes(), StandardCharsets.UTF_8).replaceAll("(?m)^(\\s*)#(?=\\S)", "$1");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
