package io.sidecore.it.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.typesafe.config.ConfigFactory;
import io.sidecore.conf.Settings;
import io.sidecore.conf.TlsSettings;
import io.sidecore.it.Peers;
import io.sidecore.it.Peers.Tool;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What the pages of {@code runtime/docs} show at a terminal goes as they show it: each page is a session in a directory of its own, with the files that it shows. */
class DocumentationTest {
    private static final Path ROOT =
            Path.of(System.getProperty("basedir", ".")).toAbsolutePath().getParent();
    private static final Path PAGES = ROOT.resolve("runtime/docs");
    private static final Pattern LINK = Pattern.compile("]\\(([^)#:]*)(?:#([^)]*))?\\)");

    static List<Path> pages() throws IOException {
        try (Stream<Path> all = Files.list(PAGES)) {
            return all.filter(page -> page.toString().endsWith(".md")).sorted().toList();
        }
    }

    /** What needs QEMU is left out where there is none, and must not be in CI. */
    @ParameterizedTest
    @MethodSource("pages")
    void whatIsShownAtATerminalGoesAsThePageShowsIt(Path page) throws IOException {
        Peers.need(Tool.NBDINFO, Tool.NBDCOPY, Tool.QEMU_IO, Tool.QEMU_IMG, Tool.OPENSSL);
        try (var directory = new Peers.ShortDirectory();
                var terminal = new Terminal(directory.path())) {
            var session = new StringBuilder();
            for (var fence : Fence.of(page)) {
                if (fence.language().equals("hocon")) {
                    Files.writeString(directory.path().resolve(fence.file()), fence.text());
                } else if (fence.language().equals("console") && fence.isPlayedHere()) {
                    // Lines keep their numbers.
                    session.append("\n"
                            .repeat(fence.line()
                                    - (int) session.chars()
                                            .filter(c -> c == '\n')
                                            .count()));
                    session.append(fence.text());
                }
            }
            Transcript.parse(session.toString()).play(page.getFileName().toString(), terminal);
        }
    }

    @ParameterizedTest
    @MethodSource("pages")
    void everyFenceIsOfAKindThatIsTested(Path page) throws IOException {
        for (var fence : Fence.of(page)) {
            assertThat(fence.language())
                    .as("%s:%d", page.getFileName(), fence.line())
                    .isIn("hocon", "console", "java");
            assertThat(fence.file())
                    .as("%s:%d: a file has a name, and a session what it needs", page.getFileName(), fence.line())
                    .matches(
                            switch (fence.language()) {
                                case "hocon" -> "[a-z-]+\\.conf";
                                case "console" -> "(qemu)?";
                                default -> "";
                            });
        }
    }

    /** What is compiled and run cannot be out of date. */
    @Test
    void everyLineOfJavaIsCutOutOfSourcesThatAreCompiled() throws IOException {
        var sources = new ArrayList<String>();
        try (Stream<Path> all = Files.walk(ROOT)) {
            for (var source :
                    all.filter(file -> file.toString().endsWith(".java")).toList()) {
                sources.add(withoutIndentation(Files.readString(source)));
            }
        }
        for (var page : pagesAndReadme()) {
            for (var fence : Fence.of(page)) {
                if (fence.language().equals("java")) {
                    var text = withoutIndentation(fence.text());
                    assertThat(sources.stream().anyMatch(source -> source.contains(text)))
                            .as("%s:%d is in no source:\n%s", page.getFileName(), fence.line(), fence.text())
                            .isTrue();
                }
            }
        }
    }

    private static String withoutIndentation(String text) {
        return text.lines().map(String::strip).collect(Collectors.joining("\n", "\n", "\n"));
    }

    private static List<Path> pagesAndReadme() throws IOException {
        return Stream.concat(pages().stream(), Stream.of(ROOT.resolve("README.md")))
                .toList();
    }

    @Test
    void linksLeadSomewhere() throws IOException {
        var broken = new ArrayList<String>();
        for (var page : pagesAndReadme()) {
            var links = LINK.matcher(Files.readString(page));
            while (links.find()) {
                var target = links.group(1).isEmpty() ? page : page.resolveSibling(links.group(1));
                if (!Files.exists(target)
                        || links.group(2) != null && !anchors(target).contains(links.group(2))) {
                    broken.add(page.getFileName() + ": " + links.group());
                }
            }
        }
        assertThat(broken).isEmpty();
    }

    /** Headings, as they are made into anchors where the pages are read. */
    private static List<String> anchors(Path page) throws IOException {
        try (var lines = Files.lines(page)) {
            var fenced = new boolean[1];
            return lines.peek(line -> fenced[0] ^= line.startsWith("```"))
                    .filter(line -> line.startsWith("#") && !fenced[0])
                    .map(line -> line.replaceFirst("^#+ ", "")
                            .toLowerCase(Locale.ROOT)
                            .replaceAll("[^\\w -]", "")
                            .replace(' ', '-'))
                    .toList();
        }
    }

    /** In the README configurations are shown and not run: their files and addresses are a reader's. */
    @Test
    void theConfigurationsOfTheReadmeAreRight() throws IOException {
        var shown = Fence.of(ROOT.resolve("README.md")).stream()
                .filter(fence -> fence.language().equals("hocon"))
                .toList();
        assertThat(shown).hasSize(2);
        var whole = ConfigFactory.parseString(shown.getFirst().text())
                .withFallback(ConfigFactory.parseString(shown.getLast().text()).atKey("sidecore"));
        assertThat(Settings.read(whole).nbd().orElseThrow().tls().mode()).isEqualTo(TlsSettings.Mode.REQUIRE);
    }

    @Test
    void theReadmeNamesEveryPage() throws IOException {
        var readme = Files.readString(ROOT.resolve("README.md"));
        for (var page : pages()) {
            assertThat(readme).contains("(runtime/docs/" + page.getFileName() + ")");
        }
    }

    /** A fenced block of a page: three backticks, its language, and the name of the file that it shows; or {@code qemu}, for a session that is played where QEMU is. */
    private record Fence(int line, String language, String file, String text) {
        boolean isPlayedHere() {
            return file.isEmpty() || Peers.has(Tool.QEMU_X86);
        }

        static List<Fence> of(Path page) throws IOException {
            var fences = new ArrayList<Fence>();
            var lines = Files.readAllLines(page);
            for (var i = 0; i < lines.size(); i++) {
                if (lines.get(i).startsWith("```")) {
                    var begin = i;
                    var text = new StringBuilder();
                    while (!lines.get(++i).equals("```")) {
                        text.append(lines.get(i)).append('\n');
                    }
                    var words = (lines.get(begin).substring(3) + " ").split(" ", 2);
                    fences.add(new Fence(begin + 1, words[0], words[1].strip(), text.toString()));
                }
            }
            return fences;
        }
    }
}
