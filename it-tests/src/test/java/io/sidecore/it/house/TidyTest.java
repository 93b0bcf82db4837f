package io.sidecore.it.house;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What can be seen in the text of the project's files; {@link HouseRulesTest} sees the classes. */
class TidyTest {
    /** Longer ones want to be two. */
    private static final int MAX_LINES = 850;

    /** Maven's own scripts; what builds and tests leave; inputs of the fuzz tests. */
    private static final Pattern LEFT_OUT = Pattern.compile("mvnw.*|target|.*\\.log|.*\\.state|.*TestInputs");

    /** Others that begin with a dot are git's or an editor's. */
    private static final Set<String> WITH_A_DOT = Set.of(".mvn", ".ci");

    private static final Pattern MACHINE = Pattern.compile("/(home|Users|root|work)/\\w|[A-Z]:\\\\Users");
    private static final Pattern PUT_OFF = Pattern.compile("\\b(TO" + "DO|FIX" + "ME)\\b");
    private static final Pattern HOST = Pattern.compile("https?://([^/\"'\\s]+)");
    private static final Pattern PUBLIC_TYPE = Pattern.compile(
            "(?m)^ *public (?:(?:static|final|abstract|sealed|non-sealed) )*(?:class|interface|record|enum|@interface) (\\w+)");

    /** By its path in the project. */
    private static final TreeMap<String, String> TEXTS = new TreeMap<>();

    @BeforeAll
    static void read() throws IOException {
        var project = project();
        Files.walkFileTree(project, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) {
                return folder.equals(project) || isOurs(folder)
                        ? FileVisitResult.CONTINUE
                        : FileVisitResult.SKIP_SUBTREE;
            }

            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                if (attributes.isRegularFile() && isOurs(file)) {
                    var text = text(Files.readAllBytes(file));
                    if (text != null) {
                        TEXTS.put(project.relativize(file).toString(), text);
                    }
                }
                return FileVisitResult.CONTINUE;
            }
        });
    }

    private static boolean isOurs(Path path) {
        var name = path.getFileName().toString();
        return name.startsWith(".")
                ? WITH_A_DOT.contains(name)
                : !LEFT_OUT.matcher(name).matches();
    }

    /** Null for what is no text. */
    private static String text(byte[] bytes) {
        try {
            var text = StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
            return text.indexOf(0) < 0 ? text : null;
        } catch (CharacterCodingException e) {
            return null;
        }
    }

    @Test
    void theTextsAreThoseOfTheProject() {
        assertThat(TEXTS.keySet())
                .contains("pom.xml", "README.md", "it-tests/run", "runtime/bin/sidecore")
                .anyMatch(path -> path.endsWith("house/TidyTest.java"))
                .hasSizeGreaterThan(300);
    }

    @Test
    void everyFileEndsWithItsLastLine() {
        assertThat(everywhere(text ->
                        text.isEmpty() || text.endsWith("\n") && !text.endsWith("\n\n") ? -1 : text.length() - 1))
                .as("no end of line at the end, or empty lines")
                .isEmpty();
    }

    @Test
    void noTabAndNoBlankAtTheEndOfALine() {
        assertThat(everywhere(Pattern.compile("\t| (?=\r?\n)"))).isEmpty();
    }

    @Test
    void nothingKnowsTheMachineItWasWrittenOn() {
        assertThat(everywhere(MACHINE)).isEmpty();
    }

    @Test
    void nothingIsPutOff() {
        assertThat(everywhere(PUT_OFF)).as("an issue says it better").isEmpty();
    }

    @Test
    void theBuildAsksMavenCentralAndNobodyElse() {
        var asked = List.of("repo.maven.apache.org");
        var names = List.of("maven.apache.org", "www.apache.org", "www.w3.org");
        var strangers = new ArrayList<String>();
        TEXTS.forEach((path, text) -> {
            if (path.startsWith(".mvn") || path.endsWith("pom.xml")) {
                HOST.matcher(text)
                        .results()
                        .filter(host -> !asked.contains(host.group(1)) && !names.contains(host.group(1)))
                        .forEach(host -> strangers.add(place(path, text, host.start())));
            }
        });
        assertThat(strangers).isEmpty();
        assertThat(TEXTS.get(".mvn/wrapper/maven-wrapper.properties")).contains("=https://repo.maven.apache.org/");
    }

    @Test
    void versionsStandInTheParentPom() {
        var elsewhere = new ArrayList<String>();
        TEXTS.forEach((path, text) -> {
            if (path.endsWith("/pom.xml")) {
                var own = text.indexOf("</parent>");
                assertThat(own).as("%s has a parent", path).isPositive();
                for (var at = text.indexOf("<version>", own); at >= 0; at = text.indexOf("<version>", at + 1)) {
                    elsewhere.add(place(path, text, at));
                }
            }
        });
        assertThat(elsewhere).isEmpty();
    }

    @Test
    void noFileOfCodeIsTooLong() {
        var lengths = new TreeMap<String, Long>();
        TEXTS.forEach((path, text) -> {
            if (path.endsWith(".java")) {
                lengths.put(path, text.lines().count());
            }
        });
        var longest = lengths.entrySet().stream()
                .sorted(Comparator.comparingLong(file -> -file.getValue()))
                .limit(3)
                .toList();
        System.out.println("the longest files, in lines: " + longest);
        assertThat(lengths)
                .allSatisfy((path, lines) -> assertThat(lines).as(path).isLessThanOrEqualTo(MAX_LINES));
    }

    @Test
    void everyPublicTypeSaysWhatItIs() {
        var silent = new ArrayList<String>();
        TEXTS.forEach((path, text) -> {
            if (path.contains("/src/main/java/")) {
                PUBLIC_TYPE
                        .matcher(text)
                        .results()
                        .filter(type -> !isDocumented(text.substring(0, type.start())))
                        .forEach(type -> silent.add(place(path, text, type.start())));
            }
        });
        assertThat(silent).as("no Javadoc").isEmpty();
    }

    /** Whether nothing but annotations stand between the last Javadoc and the end. */
    private static boolean isDocumented(String before) {
        var end = before.lastIndexOf("*/");
        return end >= 0
                && before.startsWith("/**", before.lastIndexOf("/*", end - 1))
                && before.substring(end + 2)
                        .lines()
                        .map(String::strip)
                        .noneMatch(line -> line.endsWith(";") || line.equals("}"));
    }

    @Test
    void everyPackageSaysThatNullIsAnExceptionInIt() {
        var silent = TEXTS.entrySet().stream()
                .filter(file -> file.getKey().contains("/src/main/java/"))
                .filter(file -> file.getKey().endsWith("/package-info.java"))
                .filter(file -> !file.getValue().contains("\n@NullMarked\n"))
                .map(file -> file.getKey())
                .toList();

        assertThat(silent).as("else NullAway does not look there").isEmpty();
    }

    private static List<String> everywhere(Pattern unwanted) {
        return everywhere(text -> {
            var found = unwanted.matcher(text);
            return found.find() ? found.start() : -1;
        });
    }

    /** The first place of every text at which {@code unwanted} finds something. */
    private static List<String> everywhere(Function<String, Integer> unwanted) {
        var places = new ArrayList<String>();
        TEXTS.forEach((path, text) -> {
            var at = unwanted.apply(text);
            if (at >= 0) {
                places.add(place(path, text, at));
            }
        });
        return places;
    }

    private static String place(String path, String text, int at) {
        var begin = text.lastIndexOf('\n', at - 1) + 1;
        var end = text.indexOf('\n', at);
        var line = text.substring(0, at).chars().filter(c -> c == '\n').count() + 1;
        return path + ":" + line + ": " + text.substring(begin, end < 0 ? text.length() : end);
    }

    private static Path project() {
        return Path.of(System.getProperty("basedir", System.getProperty("user.dir")))
                .toAbsolutePath()
                .getParent();
    }
}
