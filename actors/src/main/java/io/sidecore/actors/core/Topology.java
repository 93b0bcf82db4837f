package io.sidecore.actors.core;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/**
 * The cores of a machine as a scheduler needs to see them: which exist, which this process may use, which share a
 * physical core or a memory node, which are the strong ones, and how much processor time the control group grants.
 *
 * <p>A topology is a snapshot. Reading it parses a few small files and never fails: what is missing or odd leaves the
 * default that is documented beside each component, because a host must also start in a container that hides half of
 * {@code /sys}. The record is immutable and may be shared between threads.
 *
 * @param cores the cores that are online, by ascending {@link Core#id}; never empty
 * @param quota processors' worth of time granted by the tightest control group above this process (1.5 is one and a
 *     half); {@link Double#POSITIVE_INFINITY} when there is no such limit
 * @param source where the list of cores was found, for logs and status pages
 */
public record Topology(List<Core> cores, double quota, String source) {

    /** Kernels are built for at most 8,192 CPUs; a number beyond that is not a CPU. */
    private static final int MAX_CPUS = 8192;

    /** {@code /proc/self/status} is the longest file read here: a line of up to 65,536 groups. */
    private static final int MAX_FILE_BYTES = 1 << 20;

    private static final int MAX_PATH_CHARS = 4096;
    private static final int MAX_CONTROL_GROUPS = 64;

    /** A core below three quarters of the strongest one is an efficiency core; favoured cores differ by far less. */
    private static final double EFFICIENCY_BELOW = 0.75;

    /** What a core is good for, in comparison with the other cores of its machine. */
    public enum Kind {
        /** A strong core of a machine that has weaker ones. */
        PERFORMANCE,
        /** A weak, thrifty core of a machine that has stronger ones. */
        EFFICIENCY,
        /** Nothing is known that sets this core apart: the default, and every core of most servers. */
        UNIFORM
    }

    /**
     * One logical CPU, the unit a thread is pinned to.
     *
     * @param id the kernel's number of it
     * @param numaNode the memory node it is near to; 0 when nothing is known
     * @param siblings the logical CPUs of the same physical core, by ascending number and with this one among them; just
     *     this one when nothing is known
     * @param kind how it compares with the others
     * @param allowed whether the affinity mask of this process contains it; true when there is no mask to be read. The
     *     kernel would let a thread leave a mask set by {@code taskset} again, so honouring it is up to us
     */
    public record Core(int id, int numaNode, List<Integer> siblings, Kind kind, boolean allowed) {
        public Core {
            siblings = List.copyOf(siblings);
            if (!siblings.contains(id)) {
                throw new IllegalArgumentException(
                        "Core " + id + " must be among its own siblings, which are " + siblings);
            }
        }
    }

    public Topology {
        cores = List.copyOf(cores);
        if (cores.isEmpty()) {
            throw new IllegalArgumentException("A topology needs at least one core");
        }
        if (!(quota > 0)) {
            throw new IllegalArgumentException("A quota must be positive (no limit is infinity), but was " + quota);
        }
    }

    /**
     * The topology of the machine this process runs on. Where there is no {@code /sys} it has one core for each of
     * {@link Runtime#availableProcessors()}, and {@link #source} says so.
     */
    public static Topology ofThisMachine() {
        return read(Path.of("/sys"), Path.of("/proc"));
    }

    /**
     * The topology that a pair of file systems describes.
     *
     * @param sys what is mounted as {@code /sys}
     * @param proc what is mounted as {@code /proc}
     */
    public static Topology read(Path sys, Path proc) {
        Path cpus = sys.resolve("devices/system/cpu");
        BitSet listed = intersection(cpuList(cpus.resolve("online")), cpuList(cpus.resolve("present")));
        BitSet mask = affinityMask(proc);
        boolean found = !listed.isEmpty();
        BitSet online = found ? listed : counted(mask);
        BitSet allowed = found ? intersection(online, mask) : online;
        Map<Integer, Integer> nodes = numaNodes(sys);
        Map<Integer, Kind> kinds = kinds(sys, online);
        List<Core> cores = online.stream()
                .mapToObj(id -> new Core(
                        id,
                        nodes.getOrDefault(id, 0),
                        siblings(cpus, id, online),
                        kinds.getOrDefault(id, Kind.UNIFORM),
                        allowed.get(id)))
                .toList();
        String source = found ? cpus.toString() : "Runtime.availableProcessors, because " + cpus + " lists no CPU";
        return new Topology(cores, quota(sys, proc), source);
    }

    /** The cores that the affinity mask of this process contains. */
    public List<Core> allowed() {
        return cores.stream().filter(Core::allowed).toList();
    }

    /** How many cores can be kept busy at once: the allowed ones, or the quota rounded up when that is less; at least 1. */
    public int usableCores() {
        return (int) Math.max(1, Math.min(allowed().size(), Math.ceil(quota)));
    }

    /** As many cores as the JVM counts. It does not number them, so their numbers are those of the mask, else from 0. */
    private static BitSet counted(BitSet mask) {
        int count = Runtime.getRuntime().availableProcessors();
        IntStream ids = mask.cardinality() < count
                ? IntStream.range(0, count)
                : mask.stream().limit(count);
        return ids.collect(BitSet::new, BitSet::set, BitSet::or);
    }

    private static BitSet affinityMask(Path proc) {
        return text(proc.resolve("self/status"))
                .lines()
                .filter(line -> line.startsWith("Cpus_allowed_list:"))
                .findFirst()
                .map(line -> cpuList(line.substring(line.indexOf(':') + 1)))
                .orElseGet(BitSet::new);
    }

    private static List<Integer> siblings(Path cpus, int id, BitSet online) {
        Path topology = cpus.resolve("cpu" + id).resolve("topology");
        // core_cpus_list is what thread_siblings_list is called since Linux 5.3.
        BitSet siblings = cpuList(topology.resolve("core_cpus_list"));
        if (siblings.isEmpty()) {
            siblings = cpuList(topology.resolve("thread_siblings_list"));
        }
        siblings.and(online);
        if (!siblings.get(id)) {
            return List.of(id);
        }
        return siblings.stream().boxed().toList();
    }

    private static Map<Integer, Integer> numaNodes(Path sys) {
        Map<Integer, Integer> nodes = new HashMap<>();
        try (var directories = Files.newDirectoryStream(sys.resolve("devices/system/node"), "node[0-9]*")) {
            for (Path directory : directories) {
                String number = directory.getFileName().toString().substring("node".length());
                number(number)
                        .ifPresent(node -> cpuList(directory.resolve("cpulist")).stream()
                                .forEach(cpu -> nodes.merge(cpu, (int) Math.min(node, Integer.MAX_VALUE), Math::min)));
            }
        } catch (IOException | DirectoryIteratorException e) {
            // No node directory: the machine has one node, or hides them.
        }
        return nodes;
    }

    private static Map<Integer, Kind> kinds(Path sys, BitSet online) {
        Map<Integer, Kind> kinds = new HashMap<>();
        // x86 names the core types of a hybrid processor by their performance counters.
        Map.of("cpu_core", Kind.PERFORMANCE, "cpu_atom", Kind.EFFICIENCY, "cpu_lowpower", Kind.EFFICIENCY)
                .forEach((name, kind) -> cpuList(
                                sys.resolve("devices").resolve(name).resolve("cpus"))
                        .stream()
                        .forEach(cpu -> kinds.put(cpu, kind)));
        return kinds.isEmpty() ? kindsByCapacity(sys, online) : kinds;
    }

    /** Arm and RISC-V tell a capacity for each core, 1024 being that of the strongest. */
    private static Map<Integer, Kind> kindsByCapacity(Path sys, BitSet online) {
        Map<Integer, Long> capacities = new HashMap<>();
        online.stream()
                .forEach(cpu -> number(text(sys.resolve("devices/system/cpu/cpu" + cpu + "/cpu_capacity")))
                        .ifPresent(capacity -> capacities.put(cpu, capacity)));
        double threshold = EFFICIENCY_BELOW
                * capacities.values().stream().mapToLong(Long::longValue).max().orElse(0);
        Map<Integer, Kind> kinds = new HashMap<>();
        capacities.forEach(
                (cpu, capacity) -> kinds.put(cpu, capacity < threshold ? Kind.EFFICIENCY : Kind.PERFORMANCE));
        return kinds.containsValue(Kind.EFFICIENCY) ? kinds : Map.of();
    }

    private static double quota(Path sys, Path proc) {
        Path mounts = sys.resolve("fs/cgroup");
        return text(proc.resolve("self/cgroup"))
                .lines()
                .limit(MAX_CONTROL_GROUPS)
                .map(line -> line.split(":", 3))
                .filter(fields -> fields.length == 3)
                .mapToDouble(fields -> quota(mounts, fields[1], fields[2]))
                .min()
                .orElse(Double.POSITIVE_INFINITY);
    }

    /** One line of {@code /proc/self/cgroup}: version 2 has no controllers in it, version 1 has a hierarchy for each. */
    private static double quota(Path mounts, String controllers, String group) {
        if (controllers.isEmpty()) {
            return tightest(mounts, group, Topology::quotaOfVersion2);
        }
        if (List.of(controllers.split(",")).contains("cpu")) {
            return Math.min(
                    tightest(mounts.resolve("cpu"), group, Topology::quotaOfVersion1),
                    tightest(mounts.resolve(controllers), group, Topology::quotaOfVersion1));
        }
        return Double.POSITIVE_INFINITY;
    }

    /**
     * The tightest limit of a group and its ancestors. In a container the path may be the one that the host sees, which
     * does not exist in here: then what remains is the mount point, and that is the container's own group.
     */
    private static double tightest(Path mount, String group, ToDoubleFunction<Path> quota) {
        Path root = mount.normalize();
        Path directory = root;
        if (group.length() <= MAX_PATH_CHARS) {
            try {
                directory = root.resolve(group.replaceFirst("^/+", "")).normalize();
            } catch (InvalidPathException e) {
                // Not a name of this file system: the mount point is left.
            }
        }
        if (!directory.startsWith(root)) {
            directory = root; // "/.." : a group outside of the namespace that we can see
        }
        double tightest = Double.POSITIVE_INFINITY;
        for (; directory != null && directory.startsWith(root); directory = directory.getParent()) {
            tightest = Math.min(tightest, quota.applyAsDouble(directory));
        }
        return tightest;
    }

    /** {@code cpu.max} holds quota and period in microseconds, or "max" in place of a quota. */
    private static double quotaOfVersion2(Path group) {
        String[] fields = text(group.resolve("cpu.max")).split("\\s+");
        return fields.length < 2 ? Double.POSITIVE_INFINITY : quota(number(fields[0]), number(fields[1]));
    }

    /** Version 1 has a file for each; a quota of -1 is none. */
    private static double quotaOfVersion1(Path group) {
        return quota(number(text(group.resolve("cpu.cfs_quota_us"))), number(text(group.resolve("cpu.cfs_period_us"))));
    }

    private static double quota(OptionalLong quota, OptionalLong period) {
        if (quota.orElse(0) == 0 || period.orElse(0) == 0) {
            return Double.POSITIVE_INFINITY;
        }
        return (double) quota.getAsLong() / period.getAsLong();
    }

    private static BitSet cpuList(Path file) {
        return cpuList(text(file));
    }

    /** The kernel's list format, as in "0-3,8". An entry that is no number, no range or out of bounds is left out. */
    static BitSet cpuList(String list) {
        BitSet cpus = new BitSet();
        for (String entry : list.split(",")) {
            String[] ends = entry.split("-", -1);
            long first = number(ends[0]).orElse(MAX_CPUS);
            long last = number(ends[ends.length - 1]).orElse(MAX_CPUS);
            if (ends.length <= 2 && first <= last && last < MAX_CPUS) {
                cpus.set((int) first, (int) last + 1);
            }
        }
        return cpus;
    }

    /** What both contain, and where that is nothing the first: a list that is missing, or contradicts, does not count. */
    private static BitSet intersection(BitSet list, BitSet restriction) {
        BitSet both = (BitSet) list.clone();
        both.and(restriction);
        if (!both.isEmpty()) {
            return both;
        }
        return list.isEmpty() ? restriction : list;
    }

    /** A number without a sign, or nothing. */
    private static OptionalLong number(String digits) {
        String trimmed = digits.strip();
        boolean plain = !trimmed.isEmpty()
                && trimmed.length() <= 18
                && trimmed.chars().allMatch(digit -> digit >= '0' && digit <= '9');
        return plain ? OptionalLong.of(Long.parseLong(trimmed)) : OptionalLong.empty();
    }

    /** The text of a file, cut at {@link #MAX_FILE_BYTES}; empty when it cannot be read. */
    private static String text(Path file) {
        try (var in = Files.newInputStream(file)) {
            return new String(in.readNBytes(MAX_FILE_BYTES), UTF_8);
        } catch (IOException e) {
            return "";
        }
    }
}
