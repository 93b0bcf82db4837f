package io.sidecore.it.performance;

import com.typesafe.config.ConfigFactory;
import io.sidecore.actors.vm.GuestProgram;
import io.sidecore.conf.Settings;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.VmHandle;
import io.sidecore.runtime.guest.wasm.GuestModule;
import io.sidecore.runtime.guest.wasm.WasmProgram;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * VIF calls of guests inside this process, measured: guests in Java and in WebAssembly, each on all placements and with traps ({@link TrapPort}), all of them VMs of hosts in this JVM. {@code it-tests/bench --vif} drives it: for each line on its standard input, whose
 * only word is how many milliseconds a cell lasts, it measures every cell once and writes a line for each:
 *
 * <pre>   guest way read|write depth looks|told requests/s p50-ns p99-ns</pre>
 *
 * and then {@code done}.
 */
public final class Calls implements AutoCloseable {
    static final int LENGTH = 4096;
    static final int DEPTH_MAX = 32;
    static final int BUCKETS = 1024;

    private static final int RESULT_HEAD = 24;

    /** How requests are served: the placements, and traps. */
    enum Way {
        TRAP,
        INLINE,
        SHARED,
        SIDECORE;

        String placement() {
            return this == TRAP ? "inline" : word();
        }

        String word() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** What is measured at once. */
    record Cell(String guest, Way way, boolean write, int depth, boolean told) {
        @Override
        public String toString() {
            return "%s %s %s %d %s"
                    .formatted(guest, way.word(), write ? "write" : "read", depth, told ? "told" : "looks");
        }
    }

    /**
     * What came out.
     *
     * @param took requests by {@link #bucket}
     */
    record Result(long requests, long nanos, long errors, int[] took) {
        double perSecond() {
            return requests * 1e9 / nanos;
        }

        /** Nanoseconds of which this share of the requests took no more, within 3 %. */
        long percentile(double share) {
            var left = (long) Math.ceil(share * requests);
            for (var i = 0; i < took.length; i++) {
                left -= took[i];
                if (left <= 0) {
                    return atLeast(i + 1);
                }
            }
            throw new AssertionError("not all requests are counted");
        }
    }

    private final List<Sidecore> hosts = new ArrayList<>();
    private final Map<String, VmHandle> guests = new LinkedHashMap<>();
    private final LinkedBlockingQueue<byte[]> answers = new LinkedBlockingQueue<>();

    /**
     * Starts the hosts and their guests.
     *
     * @param folder for what they keep
     * @param sidecores whether there is a core for one
     */
    Calls(Path folder, boolean sidecores) throws Exception {
        try {
            start(folder.resolve("plain"), 0, List.of(Way.TRAP, Way.INLINE, Way.SHARED));
            if (sidecores) {
                start(folder.resolve("sidecore"), 1, List.of(Way.SIDECORE));
            }
        } catch (Exception e) {
            close();
            throw e;
        }
    }

    private void start(Path folder, int sidecores, List<Way> ways) throws Exception {
        var volumes = new StringBuilder();
        var vms = new StringBuilder();
        for (var guest : List.of("java", "wasm")) {
            for (var way : ways) {
                volumes.append("%s-%s { size = 16 MiB, store { type = memory } }\n".formatted(guest, way.word()));
                vms.append("""
                        %1$s-%2$s {
                          guest { type = java, class = Calls, memory = 2 MiB, deadline = 60 s }
                          disks = [{ volume = %1$s-%2$s, placement = %3$s }]
                          autostart = false
                        }
                        """.formatted(guest, way.word(), way.placement()));
            }
        }
        var all = Settings.read(ConfigFactory.parseString("""
                sidecore {
                  data-directory = "%s"
                  cores.service = %d
                  volumes { %s }
                  vms { %s }
                }
                """.formatted(folder, sidecores, volumes, vms)));
        // The VMs run programs made here, not classes by their names: so they are defined once the host is there.
        var host = Sidecore.start(new Settings(
                all.dataDirectory(),
                all.host(),
                all.cores(),
                all.loop(),
                all.vif(),
                all.volumes(),
                all.nbd(),
                Map.of(),
                all.metrics(),
                all.log()));
        hosts.add(host);
        var module = GuestModule.of(resource());
        for (var vm : all.vms().entrySet()) {
            var wasm = vm.getKey().startsWith("wasm");
            Supplier<GuestProgram> program = () -> wasm ? new WasmProgram(module) : new CallingGuest();
            Supplier<GuestProgram> seen =
                    vm.getKey().endsWith(Way.TRAP.word()) ? () -> TrapPort.trapped(program.get()) : program;
            var handle = host.vms().create(vm.getKey(), vm.getValue(), seen);
            handle.messages().listen(answers::add);
            handle.start("measured").toCompletableFuture().join();
            guests.put(vm.getKey(), handle);
        }
    }

    private static byte[] resource() throws IOException {
        try (var in = Calls.class.getResourceAsStream("/calls.wasm")) {
            return in.readAllBytes();
        }
    }

    /** All that can be measured here, those that are compared next to each other. */
    List<Cell> cells() {
        var cells = new ArrayList<Cell>();
        for (var guest : List.of("java", "wasm")) {
            for (var write : List.of(false, true)) {
                for (var depth : List.of(1, DEPTH_MAX)) {
                    for (var told : List.of(false, true)) {
                        for (var way : Way.values()) {
                            // Who sleeps until the answer is there has one request, and nothing to be told.
                            if (guests.containsKey(guest + "-" + way.word())
                                    && (way != Way.TRAP || depth == 1 && !told)) {
                                cells.add(new Cell(guest, way, write, depth, told));
                            }
                        }
                    }
                }
            }
        }
        return cells;
    }

    /** Lets a guest make requests for this time. */
    Result measure(Cell cell, Duration time) throws Exception {
        var job = ByteBuffer.allocate(24).order(ByteOrder.LITTLE_ENDIAN);
        job.putInt(cell.write ? 1 : 0)
                .putInt(cell.depth)
                .putInt(cell.told ? 1 : 0)
                .putInt(0);
        job.putLong(time.toNanos());
        var name = cell.guest + "-" + cell.way.word();
        if (!guests.get(name).messages().send(job.array())) {
            throw new IllegalStateException(name + " does not run");
        }
        var answer = answers.poll(60, TimeUnit.SECONDS);
        if (answer == null) {
            throw new IllegalStateException(cell + ": no end after a minute; the VM: "
                    + guests.get(name).inspect().toCompletableFuture().join());
        }
        var read = ByteBuffer.wrap(answer).order(ByteOrder.LITTLE_ENDIAN);
        return new Result(
                read.getLong(0),
                read.getLong(8),
                read.getLong(16),
                IntStream.range(0, BUCKETS)
                        .map(i -> read.getInt(RESULT_HEAD + 4 * i))
                        .toArray());
    }

    /** The number of those that took about so long: exact below 64 ns, then 32 for each power of two. */
    static int bucket(long nanos) {
        if (nanos < 64) {
            return (int) nanos;
        }
        var shift = 58 - Long.numberOfLeadingZeros(nanos);
        return (int) Math.min(BUCKETS - 1, shift * 32L + (nanos >> shift));
    }

    /** The fewest nanoseconds in a bucket. */
    static long atLeast(int bucket) {
        if (bucket < 64) {
            return bucket;
        }
        var shift = bucket / 32 - 1;
        return (bucket - 32L * shift) << shift;
    }

    @Override
    public void close() {
        hosts.forEach(Sidecore::close);
    }

    /** Measures as its standard input says; its argument is a folder that is empty. */
    public static void main(String[] arguments) throws Exception {
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (var calls = new Calls(Path.of(arguments[0]), Runtime.getRuntime().availableProcessors() > 1)) {
            for (String line; (line = lines.readLine()) != null; ) {
                for (var cell : calls.cells()) {
                    var result = calls.measure(cell, Duration.ofMillis(Long.parseLong(line.strip())));
                    if (result.errors > 0) {
                        throw new IllegalStateException(cell + ": " + result.errors + " requests failed");
                    }
                    System.out.printf(
                            "%s %.0f %d %d%n",
                            cell, result.perSecond(), result.percentile(0.5), result.percentile(0.99));
                }
                System.out.println("done");
            }
        }
    }
}
