package io.sidecore.actors.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.actors.core.Topology.Core;
import io.sidecore.actors.core.Topology.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TopologyTest {
    private static final String CPU = "sys/devices/system/cpu/";
    private static final String NODE = "sys/devices/system/node/";
    private static final String STATUS = "proc/self/status";
    private static final String CGROUP = "proc/self/cgroup";

    @TempDir
    Path root;

    @Test
    void aHybridProcessorTellsItsPerformanceCoresFromItsEfficiencyCores() {
        file(CPU + "present", "0-7");
        file(CPU + "online", "0-7");
        for (int cpu = 0; cpu < 8; cpu++) {
            int first = cpu & ~1;
            file(CPU + "cpu" + cpu + "/topology/core_cpus_list", cpu < 4 ? first + "-" + (first + 1) : "" + cpu);
        }
        file("sys/devices/cpu_core/cpus", "0-3");
        file("sys/devices/cpu_atom/cpus", "4-6");
        file("sys/devices/cpu_lowpower/cpus", "7");

        Topology topology = read();

        assertThat(each(topology, Core::kind))
                .startsWith(Kind.PERFORMANCE, Kind.PERFORMANCE, Kind.PERFORMANCE, Kind.PERFORMANCE)
                .endsWith(Kind.EFFICIENCY, Kind.EFFICIENCY, Kind.EFFICIENCY, Kind.EFFICIENCY);
        assertThat(each(topology, Core::siblings))
                .containsExactly(
                        List.of(0, 1),
                        List.of(0, 1),
                        List.of(2, 3),
                        List.of(2, 3),
                        List.of(4),
                        List.of(5),
                        List.of(6),
                        List.of(7));
        assertThat(topology.usableCores()).isEqualTo(8);
    }

    @Test
    void whereTheProcessorDoesNotNameCoreTypesTheirCapacityDecides() {
        file(CPU + "online", "0-3");
        capacities(279, 279, 774, 1024);

        assertThat(each(read(), Core::kind))
                .containsExactly(Kind.EFFICIENCY, Kind.EFFICIENCY, Kind.PERFORMANCE, Kind.PERFORMANCE);
    }

    @Test
    void coresOfNearlyTheSameCapacityAreUniform() {
        file(CPU + "online", "0-2");
        capacities(1010, 1024, 1024);

        assertThat(each(read(), Core::kind)).containsOnly(Kind.UNIFORM);
    }

    @Test
    void twoMemoryNodesWithSimultaneousMultithreadingKeepTheirShape() {
        file(CPU + "present", "0-7");
        file(CPU + "online", "0-7");
        for (int cpu = 0; cpu < 8; cpu++) {
            // As older kernels name it.
            file(CPU + "cpu" + cpu + "/topology/thread_siblings_list", cpu % 4 + "," + (cpu % 4 + 4));
        }
        file(NODE + "node0/cpulist", "0-1,4-5\n");
        file(NODE + "node1/cpulist", "2-3,6-7\n");
        file(NODE + "node7x/cpulist", "0-7\n");
        file(NODE + "online", "0-1\n");

        Topology topology = read();

        assertThat(each(topology, Core::numaNode)).containsExactly(0, 0, 1, 1, 0, 0, 1, 1);
        assertThat(each(topology, Core::siblings))
                .contains(List.of(0, 4), List.of(1, 5), List.of(2, 6), List.of(3, 7))
                .doesNotContain(List.of(0));
        assertThat(each(topology, Core::kind)).containsOnly(Kind.UNIFORM);
        assertThat(topology.quota()).isInfinite();
        assertThat(topology.source()).endsWith("devices/system/cpu");
    }

    @Test
    void aCoreThatIsOfflineOrNotPresentIsNotListedAndIsNobodysSibling() {
        file(CPU + "present", "0-3");
        file(CPU + "online", "0,2-3,9");
        file(CPU + "cpu0/topology/core_cpus_list", "0-1");

        Topology topology = read();

        assertThat(each(topology, Core::id)).containsExactly(0, 2, 3);
        assertThat(topology.cores().getFirst().siblings()).containsExactly(0);
    }

    @Test
    void aContainerSeesItsMaskAndItsQuota() {
        file(CPU + "present", "0-15");
        file(CPU + "online", "0-15");
        file(STATUS, "Name:\tjava\nCpus_allowed:\t00f0\nCpus_allowed_list:\t4-7\nMems_allowed_list:\t0\n");
        file(CGROUP, "0::/\n");
        file("sys/fs/cgroup/cpu.max", "250000 100000\n");

        Topology topology = read();

        assertThat(topology.cores()).hasSize(16);
        assertThat(topology.allowed()).extracting(Core::id).containsExactly(4, 5, 6, 7);
        assertThat(topology.quota()).isEqualTo(2.5);
        assertThat(topology.usableCores()).isEqualTo(3);
    }

    @Test
    void aMaskThatContradictsTheOnlineCoresDoesNotCount() {
        file(CPU + "online", "0-1");
        file(STATUS, "Cpus_allowed_list:\t64-127\n");

        assertThat(read().allowed()).hasSize(2);
    }

    @Test
    void theTightestQuotaOfAllAncestorsWins() {
        file(CGROUP, "0::/machine.slice/vm.scope/host\n");
        file("sys/fs/cgroup/machine.slice/cpu.max", "150000 100000\n");
        file("sys/fs/cgroup/machine.slice/vm.scope/cpu.max", "max 100000\n");
        file("sys/fs/cgroup/machine.slice/vm.scope/host/cpu.max", "800000 100000\n");

        assertThat(read().quota()).isEqualTo(1.5);
    }

    @ParameterizedTest
    @ValueSource(strings = {"/docker/0123", "/../../elsewhere", "/..", "//", "/a\u0000b", ""})
    void aGroupThatIsNotVisibleInHereFallsBackToTheMountPoint(String group) {
        file(CGROUP, "0::" + group + "\n");
        file("sys/fs/cgroup/cpu.max", "50000 100000\n");

        assertThat(read().quota()).isEqualTo(0.5);
        assertThat(read().usableCores()).isEqualTo(1);
    }

    @Test
    void versionOneOfControlGroupsIsReadToo() {
        file(CGROUP, "5:cpuset:/a\n4:cpu,cpuacct:/a/b\n1:name=systemd:/a\n0::/\n");
        file("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
        file("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
        file("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000\n");
        file("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
        file("sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "40000\n");
        file("sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "20000\n");

        assertThat(read().quota()).isEqualTo(2.0);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"", "max", "max 100000", "-1 100000", "0 100000", "100000 0", "100000", "x y", "1e5 100000"})
    void aQuotaThatIsNoneOrOddIsNoLimit(String limit) {
        file(CGROUP, "0::/\n");
        file("sys/fs/cgroup/cpu.max", limit);

        assertThat(read().quota()).isInfinite();
    }

    @Test
    void anEmptyTreeHasTheCoresThatTheJvmCountsAndSaysSo() {
        Topology topology = read();

        int processors = Runtime.getRuntime().availableProcessors();
        assertThat(topology.cores()).hasSize(processors);
        assertThat(topology.cores().getFirst()).isEqualTo(new Core(0, 0, List.of(0), Kind.UNIFORM, true));
        assertThat(topology.usableCores()).isEqualTo(processors);
        assertThat(topology.source()).startsWith("Runtime.availableProcessors").contains("lists no CPU");
    }

    @Test
    void withoutSysTheNumbersComeFromTheMask() {
        int processors = Runtime.getRuntime().availableProcessors();
        file(STATUS, "Cpus_allowed_list:\t100-" + (100 + 2 * processors) + "\n");

        Topology topology = read();

        assertThat(topology.allowed()).hasSize(processors);
        assertThat(topology.cores().getFirst().id()).isEqualTo(100);
    }

    @Test
    void directoriesInPlaceOfFilesAreMissingFiles() throws IOException {
        Files.createDirectories(root.resolve(CPU + "online"));
        Files.createDirectories(root.resolve(STATUS));
        Files.createDirectories(root.resolve(CGROUP));
        file(NODE.substring(0, NODE.length() - 1), "not a directory");

        assertThat(read().source()).contains("availableProcessors");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "''|{}",
                "0|{0}",
                "0-3,8|{0, 1, 2, 3, 8}",
                "' 1 , 3-4 \n'|{1, 3, 4}",
                "3-1,5|{5}",
                "-1,1-,a,1-2-3,0x7,,6|{6}",
                "0-99999999,7|{7}",
                "99999999999999999999,7|{7}",
                "8191,8192|{8191}"
            })
    void aListLeavesOutWhatItCannotMean(String list, String cpus) {
        assertThat(Topology.cpuList(list)).hasToString(cpus);
    }

    @Test
    void noJunkInAnyFileMakesReadingFail() {
        Random random = new Random(20_251);
        String alphabet = "0123456789,,,---  \n\n:/.max\u0000\u00e9abcCpus_allowed_list:";
        List<String> files = List.of(
                CPU + "online",
                CPU + "present",
                CPU + "cpu0/topology/core_cpus_list",
                CPU + "cpu1/cpu_capacity",
                NODE + "node1/cpulist",
                NODE + "node99999999999/cpulist",
                "sys/devices/cpu_atom/cpus",
                "sys/fs/cgroup/cpu.max",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us",
                STATUS,
                CGROUP);
        for (int round = 0; round < 300; round++) {
            for (String name : files) {
                String prefix = random.nextInt(3) > 0 ? "" : name.equals(STATUS) ? "Cpus_allowed_list:" : "0::/";
                file(name, prefix + junk(random, alphabet));
            }

            Topology topology = read();

            assertThat(topology.quota()).as("round %d", round).isPositive();
            assertThat(topology.usableCores())
                    .as("round %d", round)
                    .isBetween(1, topology.cores().size());
        }
    }

    @Test
    void thisMachineHasAtLeastTheCoresThatTheJvmMayUse() {
        Topology topology = Topology.ofThisMachine();

        assertThat(topology.allowed()).hasSizeGreaterThanOrEqualTo(topology.usableCores());
        assertThat(topology.usableCores()).isPositive();
    }

    @Test
    void aTopologyMadeByHandMustMakeSense() {
        Core core = new Core(3, 0, List.of(3), Kind.UNIFORM, true);

        assertThatThrownBy(() -> new Topology(List.of(), 1, "test")).hasMessageContaining("at least one core");
        assertThatThrownBy(() -> new Topology(List.of(core), Double.NaN, "test"))
                .hasMessageContaining("NaN");
        assertThatThrownBy(() -> new Core(3, 0, List.of(2), Kind.UNIFORM, true))
                .hasMessage("Core 3 must be among its own siblings, which are [2]");
    }

    private Topology read() {
        return Topology.read(root.resolve("sys"), root.resolve("proc"));
    }

    private static <T> List<T> each(Topology topology, Function<Core, T> property) {
        return topology.cores().stream().map(property).toList();
    }

    private void capacities(int... capacities) {
        for (int cpu = 0; cpu < capacities.length; cpu++) {
            file(CPU + "cpu" + cpu + "/cpu_capacity", capacities[cpu] + "\n");
        }
    }

    private static String junk(Random random, String alphabet) {
        var junk = new StringBuilder();
        for (int length = random.nextInt(40); length > 0; length--) {
            junk.append(alphabet.charAt(random.nextInt(alphabet.length())));
        }
        return junk.toString();
    }

    private void file(String name, String content) {
        try {
            Path file = root.resolve(name);
            Files.createDirectories(file.getParent());
            Files.writeString(file, content);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }
}
