package io.sidecore.it.house;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class HouseRulesTest {
    private static final List<String> MODULES = List.of("conf", "actors", "devices", "cluster", "runtime");
    private static JavaClasses house;

    @BeforeAll
    static void read() {
        house = new ClassFileImporter()
                .withImportOption(new ImportOption.DoNotIncludeTests())
                .importPackages("io.sidecore");
    }

    @ParameterizedTest
    @ValueSource(strings = {"conf", "actors", "devices", "cluster", "runtime"})
    void theModuleIsAmongWhatIsChecked(String module) {
        assertThat(house.stream().filter(c -> c.getPackageName().startsWith("io.sidecore." + module)))
                .isNotEmpty();
    }

    @ParameterizedTest(name = "{0} does not know {1}")
    @CsvSource({
        "conf, actors",
        "conf, devices",
        "conf, cluster",
        "conf, runtime",
        "actors, devices",
        "actors, cluster",
        "actors, runtime",
        "devices, cluster",
        "devices, runtime",
        "cluster, devices",
        "cluster, runtime"
    })
    void dependenciesPointOneWay(String module, String stranger) {
        noClasses()
                .that()
                .resideInAPackage("io.sidecore." + module + "..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage("io.sidecore." + stranger + "..")
                .because("conf <- actors <- devices, actors <- cluster, devices + cluster <- runtime")
                .allowEmptyShould(true)
                .check(house);
    }

    @Test
    void confKnowsNoPekko() {
        noClasses()
                .that()
                .resideInAPackage("io.sidecore.conf..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage("org.apache.pekko..")
                .check(house);
    }

    @Test
    void theCommandLineReachesAHostThroughItsControlSocketOnly() {
        noClasses()
                .that()
                .resideInAPackage("io.sidecore.runtime.cli..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage(
                        "org.apache.pekko..", "org.slf4j..", "io.sidecore.actors..", "io.sidecore.devices..")
                .because("a command must start fast")
                .check(house);
    }

    @Test
    void theContractOfBlockDevicesKnowsNoStreamAndNoCore() {
        noClasses()
                .that()
                .resideInAPackage("io.sidecore.actors.block..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("org.apache.pekko..", "io.sidecore.actors.core..", "io.sidecore.actors.vif..")
                .check(house);
    }

    /** SV-5, beside {@link GuestReachTest}: a cast would be a way around the types. */
    @Test
    void noCodeOfTheDevicesKnowsManagement() {
        var management = GuestReachTest.MANAGEMENT.stream().map(Class::getName).toList();
        noClasses()
                .that()
                .resideInAPackage("io.sidecore.devices..")
                .should()
                .dependOnClassesThat(describe(
                        "are management",
                        c -> management.contains(c.getName())
                                || management.contains(c.getName().split("\\$")[0])))
                .check(house);
    }

    @Test
    void theContractOfTheCatalogKnowsTheJdkOnly() {
        noClasses()
                .that()
                .resideInAPackage("io.sidecore.actors.catalog..")
                .should()
                .dependOnClassesThat()
                .resideOutsideOfPackages("java..", "org.jspecify.annotations..", "io.sidecore.actors.catalog..")
                .because("a journal and a replicated log run the same state machine")
                .check(house);
    }

    @Test
    void aClassIsARoleAndNotAPattern() {
        noClasses()
                .should()
                .haveNameMatching(".*(Manager|Helper|Helpers|Util|Utils|Impl)")
                .because("a class is a role (LearningSwitch, InFlightLedger)")
                .check(house);
    }

    @Test
    void onlyTheCommandLineWritesToTheTerminal() {
        noClasses()
                .that()
                .resideOutsideOfPackage("io.sidecore.runtime.cli..")
                .and()
                .haveNameNotMatching("io\\.sidecore\\.runtime\\.(Main|Rehearsal)(\\$.*)?")
                .should()
                .accessField(System.class, "out")
                .orShould()
                .accessField(System.class, "err")
                .orShould()
                .callMethod(Throwable.class, "printStackTrace")
                .check(house);
    }

    @Test
    void everyPackageSaysWhyItExists() throws IOException {
        var silent = sources().map(Path::getParent).collect(Collectors.toCollection(java.util.TreeSet::new)).stream()
                .filter(folder -> !Files.exists(folder.resolve("package-info.java")))
                .toList();

        assertThat(silent).isEmpty();
    }

    @Test
    void everyPackageBelongsToItsModule() throws IOException {
        for (var module : MODULES) {
            var root = project().resolve(module).resolve("src/main/java");
            assertThat(sources().filter(source -> source.startsWith(root)))
                    .allMatch(source ->
                            source.startsWith(root.resolve("io/sidecore").resolve(module)));
        }
    }

    /** The project's main sources. */
    private static Stream<Path> sources() throws IOException {
        var all = Stream.<Path>builder();
        for (var module : MODULES) {
            var root = project().resolve(module).resolve("src/main/java");
            assertThat(root).isDirectory();
            try (var walk = Files.walk(root)) {
                walk.filter(path -> path.toString().endsWith(".java")).forEach(all);
            }
        }
        return all.build();
    }

    private static Path project() {
        return Path.of(System.getProperty("basedir", System.getProperty("user.dir")))
                .toAbsolutePath()
                .getParent();
    }
}
