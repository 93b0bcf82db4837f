package io.sidecore.it.launcher;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.it.Peers;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What {@code runtime/packaging/build} makes, used as somebody would who has nothing else. */
class DistributionTest {
    private static final Duration PATIENCE = Duration.ofMinutes(5);

    /** How the script says that it cannot have a root of its own here. */
    private static final int NO_ROOT = 77;

    @TempDir
    static Path packages;

    @TempDir
    Path directory;

    @BeforeAll
    static void build() {
        if (!Files.exists(Launched.ROOT.resolve("runtime/target/dist/sidecore.cdx.json"))) {
            Peers.missing("this build has no bill of materials; make it with: mvn -Pdist verify");
        }
        done(Launched.ROOT.resolve("runtime/packaging/build").toString(), "--no-maven", packages.toString());
    }

    private static Peers.Result ended(String... command) {
        try (var running = Peers.start(List.of(command))) {
            return running.await(PATIENCE);
        }
    }

    private static String done(String... command) {
        return ended(command).ok();
    }

    private static Path made(String end) throws IOException {
        try (var files = Files.list(packages)) {
            return files.filter(file -> file.toString().endsWith(end))
                    .findFirst()
                    .orElseThrow();
        }
    }

    private static void needCommand(String program, String debianPackage) {
        if (ended("sh", "-c", "command -v " + program).exit() != 0) {
            Peers.missing(program + " is missing; install it with: apt-get install " + debianPackage);
        }
    }

    private Path unpacked() throws IOException {
        var place = Files.createDirectory(directory.resolve("a place"));
        done("tar", "-xzf", made(".tar.gz").toString(), "-C", place.toString());
        try (var trees = Files.list(place)) {
            return trees.findFirst().orElseThrow();
        }
    }

    private static void makeReadOnly(Path tree) throws IOException {
        List<Path> all;
        try (var walk = Files.walk(tree)) {
            all = walk.toList();
        }
        for (var path : all) {
            var executable = Files.isExecutable(path) || Files.isDirectory(path);
            Files.setPosixFilePermissions(
                    path,
                    executable
                            ? Set.of(PosixFilePermission.OWNER_READ, PosixFilePermission.OWNER_EXECUTE)
                            : Set.of(PosixFilePermission.OWNER_READ));
        }
    }

    @Test
    void theArchiveRunsAHostFromAReadOnlyPlaceWithSpacesThroughASymlink() throws Exception {
        var tree = unpacked();
        assertThat(tree).isDirectoryContaining("glob:**/LICENSE").isDirectoryContaining("glob:**/README.md");
        assertThat(tree.resolve("conf/reference.conf")).exists();
        assertThat(tree.resolve("conf/examples/memory-disk.conf")).exists();
        var first = Files.createSymbolicLink(directory.resolve("first link"), tree.resolve("bin/sidecore"));
        var link = Files.createSymbolicLink(directory.resolve("second"), first.getFileName());
        makeReadOnly(tree);
        try (var host = Launched.run(link, directory.resolve("work here"), Map.of())) {
            host.serves();
            assertThat(host.out()).as("hints name the command as it was called").contains(link + " status");
            assertThat(host.terminate().exitCode()).isZero();
            assertThat(host.err()).doesNotContain("WARN", "Exception");
        } finally {
            done("chmod", "-R", "u+w", tree.toString());
        }
    }

    /** In a root of its own, a layer over the one that is there: nothing on this machine changes. */
    @Test
    void thePackageIsInstalledServesAsItsUserAndIsPurgedLeavingTheDisks() throws Exception {
        needCommand("dpkg", "dpkg");
        needCommand("setpriv", "util-linux");
        var script = Files.createFile(directory.resolve("script"));
        try (var resource = DistributionTest.class.getResourceAsStream("/package-session")) {
            Files.write(script, resource.readAllBytes());
        }
        var ended = ended(
                "unshare",
                "--mount",
                "bash",
                script.toString(),
                Files.createDirectory(directory.resolve("layer")).toString(),
                made(".deb").toString(),
                System.getProperty("java.home"));
        if (ended.exit() == NO_ROOT || ended.err().startsWith("unshare:")) {
            Peers.missing("a package cannot be installed here without changing this machine; run the tests as root, "
                    + "or in a container with --cap-add SYS_ADMIN: "
                    + ended.err().strip());
        }
        assertThat(ended.ok()).contains("enable --now sidecore").endsWith("all is well\n");
    }

    @Test
    void systemdFindsNothingWrongWithTheUnit() throws Exception {
        needCommand("systemd-analyze", "systemd");
        // Verified where the program is: its path is the only thing that differs from the installed one.
        var unit = Files.readString(Launched.ROOT.resolve("runtime/packaging/sidecore.service"), StandardCharsets.UTF_8)
                .replace("/usr/bin/sidecore", Launched.LAUNCHER.toString());
        var file = Files.writeString(directory.resolve("sidecore.service"), unit);

        var ended = ended("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", file.toString());

        assertThat(ended.ok() + ended.err()).doesNotContain("sidecore.service");
    }

    @Test
    void theBillOfMaterialsListsWhatIsInTheLibFolder() throws Exception {
        var tree = unpacked();
        var bill = Files.readString(made(".cdx.json"));
        assertThat(bill).contains("CycloneDX").contains("pkg:maven/org.apache.pekko/pekko-actor_2.13@");
        List<String> jars;
        try (var files = Files.list(tree.resolve("lib"))) {
            jars = files.map(jar -> jar.getFileName().toString()).toList();
        }
        assertThat(jars).isNotEmpty().allSatisfy(jar -> {
            var name = jar.replaceFirst("-[0-9][^-]*(-SNAPSHOT)?\\.jar$", "");
            assertThat(bill).contains("\"name\" : \"" + name + "\"");
        });
    }
}
