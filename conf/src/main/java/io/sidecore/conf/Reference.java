package io.sidecore.conf;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** {@code reference.conf} as what it is to people: the explanation of every key. */
public final class Reference {
    /**
     * A key and its explanation.
     *
     * @param path full path; {@code NAME} where users choose the key, {@code []} for an element of a list
     * @param value the default, or an example where {@code isDefault} is false; empty for a section
     * @param isDefault whether it holds unless something else is said
     * @param text what it is, with unit, default and consequence; sentences
     * @param line where it stands in {@code reference.conf}
     */
    public record Key(String path, String value, boolean isDefault, String text, int line) {}

    /** A line that opens or sets something: {@code key = value}, <code>key {</code>, {@code key = [} or <code>{</code>. */
    private static final Pattern ENTRY =
            Pattern.compile("(?<key>[\\w.-]*)\\s*(?:(?<open>=?\\s*[{\\[])|=\\s*(?<value>.*?)),?");

    /** Where keys are names; elsewhere every key is fixed. */
    private static final Set<String> NAMED = Set.of("sidecore.volumes", "sidecore.vms");

    private static final String NAME = "NAME";

    /** How an example begins of what was explained before. */
    private static final Pattern AGAIN = Pattern.compile("For example|As above");

    private static final String FILE = "reference.conf";

    private final List<Key> keys = new ArrayList<>();
    private final Deque<String> within = new ArrayDeque<>();
    private final List<String> comment = new ArrayList<>();

    private Reference(String text) {
        int number = 0;
        for (String line : text.lines().toList()) {
            number++;
            read(line.strip(), number);
        }
    }

    /** Of this version. */
    public static Reference read() {
        try (InputStream file = ours().openStream()) {
            return new Reference(new String(file.readAllBytes(), StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Many libraries have a file of this name: the one that lies with this class is meant. */
    private static URL ours() throws IOException {
        String self = Reference.class.getResource("Reference.class").toString();
        String folder =
                self.substring(0, self.length() - (Reference.class.getName().replace('.', '/') + ".class").length());
        return URI.create(folder + FILE).toURL();
    }

    private void read(String line, int number) {
        if (line.isEmpty()) {
            comment.clear();
        } else if (line.equals("#") || line.startsWith("# ")) {
            comment.add(line.substring(1).strip());
        } else {
            boolean set = line.charAt(0) != '#';
            String said = set ? line : line.substring(1);
            if (said.startsWith("}") || said.startsWith("]")) {
                within.pop();
            } else {
                entry(said, set, number);
            }
            comment.clear();
        }
    }

    private void entry(String said, boolean set, int number) {
        Matcher entry = ENTRY.matcher(said);
        if (!entry.matches()) {
            throw new IllegalStateException(FILE + ":" + number + " is not understood: " + said);
        }
        String path = path(entry.group("key"));
        boolean opens = entry.group("open") != null;
        String text = String.join(" ", comment);
        boolean element = entry.group("key").isEmpty();
        if (!(element && text.isEmpty()) && !AGAIN.matcher(text).lookingAt()) {
            add(new Key(path, opens ? "" : entry.group("value"), set && !opens, text, number));
        }
        if (opens) {
            within.push(path);
        }
    }

    /** A key that stands in several shapes of a thing is explained by all of them together; elements of lists are each a thing of their own. */
    private void add(Key key) {
        for (int i = 0; i < keys.size(); i++) {
            Key before = keys.get(i);
            if (before.path().equals(key.path()) && !key.path().contains("[]")) {
                keys.set(
                        i,
                        new Key(
                                before.path(),
                                before.value(),
                                before.isDefault(),
                                before.text() + " " + key.text(),
                                before.line()));
                return;
            }
        }
        keys.add(key);
    }

    private String path(String key) {
        String outer = within.isEmpty() ? "" : within.peek();
        if (key.isEmpty()) {
            return outer + "[]";
        }
        return outer.isEmpty() ? key : outer + "." + (NAMED.contains(outer) ? NAME : key);
    }

    /** All of them, in the order of the file. */
    public List<Key> keys() {
        return List.copyOf(keys);
    }

    /**
     * The keys that a user may mean: by full path, without {@code sidecore.} before it, or by its end alone; names and indices of the user's own are understood. Several if it is not unique, none if there is none.
     */
    public List<Key> find(String asked) {
        String wanted = asked.strip().replaceAll("\\[\\d*]", "[]").replaceFirst("^sidecore\\.", "");
        List<Key> exact = keys.stream()
                .filter(key -> key.path().equals(asked) || matches(key.path(), "sidecore." + wanted))
                .toList();
        return exact.isEmpty()
                ? keys.stream().filter(key -> key.path().endsWith("." + wanted)).toList()
                : exact;
    }

    private static boolean matches(String path, String wanted) {
        String pattern = path.replace("[]", "\\[]").replace(".", "\\.").replace("\\." + NAME, "\\.[^.\\[]+");
        return wanted.matches(pattern);
    }

    /** A clause for the end of a message: the key that was probably meant. */
    public String hint(String asked) {
        Collection<String> words = new LinkedHashSet<>();
        for (Key key : keys) {
            words.add(key.path());
            words.add(key.path().replaceFirst("^sidecore\\.", ""));
            words.add(key.path().substring(key.path().lastIndexOf('.') + 1));
        }
        return Spelling.nearest(asked, words)
                .map(nearest -> "; did you mean \"" + nearest + "\"?")
                .orElse("; without KEY all of them are listed");
    }
}
