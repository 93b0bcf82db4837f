package io.sidecore.it.launcher;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.abort;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What {@code mvn -Pdist package} makes, used as somebody would who has nothing else. */
class DistributionTest {
    private static final Path TARGET = Launched.ROOT.resolve("runtime/target");

    @TempDir
    Path directory;

    private static Path made(String end) throws IOException {
        try (var files = Files.list(TARGET)) {
            var found = files.filter(file -> file.getFileName().toString().matches("sidecore-[0-9].*\\" + end))
                    .findFirst();
            if (found.isEmpty()) {
                var why = "no *" + end + " in " + TARGET + ": mvn -Pdist package makes it";
                return Boolean.getBoolean("it.ci") ? fail(why) : abort(why);
            }
            return found.get();
        }
    }

    /** Debian's own tools: elsewhere there is nothing to test with them. */
    private static void onlyWith(String program) {
        for (var folder : System.getenv("PATH").split(":")) {
            if (Files.isExecutable(Path.of(folder, program))) {
                return;
            }
        }
        abort("there is no " + program + " here");
    }

    private String done(String... command) throws Exception {
        var process = new ProcessBuilder(command)
                .directory(directory.toFile())
                .redirectErrorStream(true)
                .start();
        process.getOutputStream().close();
        var said = new String(process.getInputStream().readAllBytes());
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue())
                .as(String.join(" ", command) + ": " + said)
                .isZero();
        return said;
    }

    private static void makeReadOnly(Path tree) throws IOException {
        List<Path> all;
        try (var walk = Files.walk(tree)) {
            all = walk.toList();
        }
        for (var path : all) {
            var executable = Files.isExecutable(path);
            Files.setPosixFilePermissions(
                    path,
                    executable
                            ? Set.of(PosixFilePermission.OWNER_READ, PosixFilePermission.OWNER_EXECUTE)
                            : Set.of(PosixFilePermission.OWNER_READ));
        }
    }

    private Path unpacked() throws Exception {
        var place = Files.createDirectory(directory.resolve("a place"));
        done("tar", "-xzf", made(".tar.gz").toString(), "-C", place.toString());
        try (var trees = Files.list(place)) {
            return trees.findFirst().orElseThrow();
        }
    }

    private void runsThrough(Path launcher, Map<String, String> environment) throws Exception {
        try (var host = Launched.run(launcher, directory.resolve("work here"), environment)) {
            host.serves();
            assertThat(host.terminate().exitCode()).isZero();
            assertThat(host.err()).doesNotContain("WARNING");
        }
    }

    @Test
    void theArchiveRunsAHostFromAReadOnlyPlaceWithSpacesThroughASymlink() throws Exception {
        var tree = unpacked();
        assertThat(tree.resolve("LICENSE")).exists();
        assertThat(tree.resolve("README.md")).exists();
        assertThat(tree.resolve("conf/reference.conf")).exists();
        assertThat(tree.resolve("conf/examples/memory-disk.conf")).exists();
        var first = Files.createSymbolicLink(directory.resolve("first link"), tree.resolve("bin/sidecore"));
        var link = Files.createSymbolicLink(directory.resolve("second"), first.getFileName());
        makeReadOnly(tree);
        try {
            runsThrough(link, Map.of());
        } finally {
            done("chmod", "-R", "u+w", tree.toString());
        }
    }

    @Test
    void anInstalledTreeKeepsItsStartCacheInItsUsersCacheFolder() throws Exception {
        var tree = unpacked();
        var home =
                Map.of("SIDECORE_CACHE", "", "CACHE_DIRECTORY", "", "XDG_CACHE_HOME", "", "HOME", directory.toString());
        try (var make = Launched.start(tree.resolve("bin/sidecore"), directory, home, "--make-cache")) {
            assertThat(make.exitCode()).as(make.err()).isZero();
        }
        assertThat(directory.resolve(".cache/sidecore")).isDirectoryContaining("glob:**.aot");
        runsThrough(tree.resolve("bin/sidecore"), home);
    }

    @Test
    void thePackageHoldsAProgramThatRunsAUnitAndAConfigurationThatIsTheAdministrators() throws Exception {
        onlyWith("dpkg-deb");
        var deb = made(".deb").toString();
        var root = directory.resolve("root");
        done("dpkg-deb", "-x", deb, root.toString());

        runsThrough(root.resolve("usr/bin/sidecore"), Map.of());
        assertThat(root.resolve("usr/lib/systemd/system/sidecore.service"))
                .content()
                .contains("ExecStart=/usr/bin/sidecore run /etc/sidecore/sidecore.conf");
        assertThat(root.resolve("etc/sidecore/sidecore.conf")).exists();
        assertThat(root.resolve("usr/lib/sysusers.d/sidecore.conf")).exists();
        assertThat(root.resolve("usr/share/doc/sidecore/copyright")).exists();
        done("dpkg-deb", "-e", deb, directory.resolve("control").toString());
        assertThat(directory.resolve("control/conffiles")).content().contains("/etc/sidecore/sidecore.conf");
        assertThat(directory.resolve("control/control"))
                .content()
                .contains("Package: sidecore")
                .doesNotContain("[[");
        // Nothing else is needed than what every Debian has: which Java it is, is the launcher's business.
        assertThat(done("dpkg-deb", "-f", deb, "Depends").strip()).isEqualTo("bash, coreutils, findutils");
    }

    @Test
    void systemdFindsNothingWrongWithTheUnit() throws Exception {
        onlyWith("systemd-analyze");
        // Verified where the program is: its path is the only thing that differs from the installed one.
        var unit = Files.readString(Launched.ROOT.resolve("runtime/packaging/sidecore.service"))
                .replace("/usr/bin/sidecore", Launched.LAUNCHER.toString());
        var file = Files.writeString(directory.resolve("sidecore.service"), unit);

        assertThat(done("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", file.toString()))
                .doesNotContain("sidecore.service");
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
