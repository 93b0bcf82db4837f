package io.sidecore.it.metrics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.typesafe.config.ConfigFactory;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.PlainMedium;
import io.sidecore.conf.InterposerSettings;
import io.sidecore.conf.Placement;
import io.sidecore.conf.Settings;
import io.sidecore.devices.interpose.FaultInjector;
import io.sidecore.devices.interpose.FaultPlan;
import io.sidecore.it.NbdClient;
import io.sidecore.it.Peers;
import io.sidecore.it.Peers.ShortDirectory;
import io.sidecore.it.Peers.Verified;
import io.sidecore.runtime.HostEvent;
import io.sidecore.runtime.HostException;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.VmHandle;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.MemorySegment;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.regex.Pattern;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** PL-4: a host that is watched over HTTP while clients drive it. */
class MetricsTest {
    private static final int MIB = 1 << 20;
    private static final Duration PATIENCE = Duration.ofMinutes(2);
    private static final Path PAGE = Path.of(System.getProperty("basedir", "."))
            .toAbsolutePath()
            .getParent()
            .resolve("runtime/docs/observability.md");
    private static final Pattern MENTIONED = Pattern.compile("(sidecore_\\w+?)(_bucket)?\\b");
    private static final Pattern METRIC = Pattern.compile("(?m)^\\| `(\\w+)`");

    private final ShortDirectory directory = new ShortDirectory();
    private final HttpClient http = HttpClient.newHttpClient();
    private Sidecore host;

    @BeforeEach
    void start() {
        host = Sidecore.start(Settings.read(ConfigFactory.parseString("""
                sidecore {
                  data-directory = "%1$s"
                  metrics.listen = "127.0.0.1:0"
                  vif.slow-after = 20 ms
                  volumes {
                    disk { size = 16 MiB, store { type = memory } }
                    image { size = 1 MiB, store { type = file, path = "%1$s/image" } }
                  }
                  exports.nbd { listen = ["unix:s"], volumes = [disk, image] }
                  vms {
                    demo { guest { type = wasm, module = demo }, autostart = false }
                    broken { guest { type = java, class = "no.such.Program" }, autostart = false }
                  }
                }
                """.formatted(directory.path()))));
    }

    @AfterEach
    void stop() {
        host.close();
        http.close();
        directory.close();
    }

    private HttpResponse<String> get(String path) {
        return send(HttpRequest.newBuilder(URI.create(host.metricsUri().orElseThrow() + path)));
    }

    private HttpResponse<String> send(HttpRequest.Builder request) {
        try {
            return http.send(request.build(), HttpResponse.BodyHandlers.ofString());
        } catch (IOException e) {
            throw new AssertionError(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
    }

    private PrometheusText scrape() {
        var answer = get("/metrics");
        assertThat(answer.statusCode()).isEqualTo(200);
        assertThat(answer.headers().firstValue("Content-Type"))
                .hasValueSatisfying(type -> assertThat(type).startsWith("text/plain; version=0.0.4"));
        return PrometheusText.parse(answer.body());
    }

    private String uri(String export) {
        return host.uris(export).getFirst();
    }

    private static String[] of(String export, String volume, String... more) {
        var labels = new String[4 + more.length];
        System.arraycopy(new String[] {"vif", "nbd/" + export, "volume", volume}, 0, labels, 0, 4);
        System.arraycopy(more, 0, labels, 4, more.length);
        return labels;
    }

    // --- metrics

    @Test
    void whatFioDroveIsWhatIsCounted() {
        Verified fio;
        try (var running =
                Peers.start(Peers.Tool.FIO, Peers.fioVerify(uri("disk"), "--bs=4k", "--size=8m", "--iodepth=8"))) {
            fio = Verified.of(running.await(PATIENCE));
        }
        // Its connection is closed behind its back.
        Peers.until("fio has left", PATIENCE, () -> scrape().value("sidecore_vif_queues", of("disk", "disk")) == 0);

        var metrics = scrape();

        var writes = of("disk", "disk", "op", "write");
        var reads = of("disk", "disk", "op", "read");
        assertThat(metrics.value("sidecore_vif_requests_total", writes)).isEqualTo(fio.written());
        assertThat(metrics.value("sidecore_vif_payload_bytes_total", writes)).isEqualTo(4096.0 * fio.written());
        assertThat(metrics.value("sidecore_vif_requests_total", reads)).isEqualTo(fio.read());
        assertThat(metrics.value("sidecore_vif_payload_bytes_total", reads)).isEqualTo(4096.0 * fio.read());
        assertThat(metrics.value("sidecore_vif_request_duration_seconds_count", writes))
                .isEqualTo(fio.written());
        assertThat(metrics.value("sidecore_vif_request_duration_seconds_sum", writes))
                .isPositive();
        assertThat(metrics.value("sidecore_vif_requests_in_flight", of("disk", "disk")))
                .isZero();
        assertThat(metrics.with("sidecore_vif_errors_total")).isEmpty();
        assertThat(metrics.value("sidecore_volume_allocated_bytes", "volume", "disk"))
                .isBetween(65536.0, 8.0 * MIB);
        assertThat(metrics.value("sidecore_volume_size_bytes", "volume", "disk"))
                .isEqualTo(16.0 * MIB);
        assertThat(metrics.value(
                        "sidecore_loop_requests_total",
                        "loop",
                        host.loops().shared().name()))
                .isEqualTo(sum(metrics, "sidecore_vif_requests_total"));
        assertThat(metrics.value("sidecore_payload_memory_limit_bytes")).isEqualTo(1 << 30);
    }

    private static double sum(PrometheusText metrics, String name) {
        return metrics.with(name + "{").stream()
                .mapToDouble(key -> metrics.value(name, labels(key)))
                .sum();
    }

    private static String[] labels(String key) {
        return Pattern.compile("(\\w+)=\"([^\"]*)\"")
                .matcher(key)
                .results()
                .flatMap(label -> List.of(label.group(1), label.group(2)).stream())
                .toArray(String[]::new);
    }

    @Test
    void aConnectionIsAQueueAsLongAsItIsOpenAndItsErrorsAreCounted() throws IOException {
        connectAndFail();
    }

    private void connectAndFail() throws IOException {
        host.vif("disk")
                .orElseThrow()
                .insert(new FaultInjector("faults", FaultPlan.none(1).withError(1.0, Errno.ENOSPC)), 0)
                .toCompletableFuture()
                .join();
        try (var client = NbdClient.connect(uri("disk"))) {
            assertThatThrownBy(() -> client.batch(true, 1, 4096, new SplittableRandom(1)))
                    .isInstanceOf(IOException.class);

            var metrics = scrape();

            assertThat(metrics.value("sidecore_vif_queues", of("disk", "disk"))).isEqualTo(1);
            assertThat(metrics.value("sidecore_nbd_connections")).isEqualTo(1);
            assertThat(metrics.value("sidecore_nbd_connections_limit")).isEqualTo(256);
            assertThat(metrics.value("sidecore_vif_errors_total", of("disk", "disk", "op", "write", "error", "ENOSPC")))
                    .isEqualTo(1);
            assertThat(metrics.value("sidecore_vif_payload_bytes_total", of("disk", "disk", "op", "write")))
                    .isZero();
        }
    }

    private VmHandle vm(String name) {
        return host.vms().vm(name).orElseThrow();
    }

    @Test
    void ofAVirtualMachineItsStateItsStartsAndItsTimeAreTold() {
        assertThat(scrape().with("vm=\"demo\""))
                .containsExactlyInAnyOrder(
                        "sidecore_vm_starts_total{vm=\"demo\"}", "sidecore_vm_state{state=\"defined\",vm=\"demo\"}");

        for (var start = 1; start <= 2; start++) {
            vm("demo").start("the test wants it").toCompletableFuture().join();
            var runs = scrape();
            assertThat(runs.value("sidecore_vm_state", "vm", "demo", "state", "running"))
                    .isEqualTo(1);
            assertThat(runs.value("sidecore_vm_starts_total", "vm", "demo")).isEqualTo(start);
            assertThat(runs.value("sidecore_vm_cpu_seconds_total", "vm", "demo"))
                    .isPositive();
            vm("demo").stop("it was enough").toCompletableFuture().join();
        }

        assertThat(scrape().with("vm=\"demo\""))
                .containsExactlyInAnyOrder(
                        "sidecore_vm_starts_total{vm=\"demo\"}", "sidecore_vm_state{state=\"stopped\",vm=\"demo\"}");
    }

    @Test
    void whatIsGoneIsNotToldAnyMoreAndWhatComesAgainBeginsAnew() throws IOException {
        try (var client = NbdClient.connect(uri("disk"))) {
            client.batch(false, 10, 4096, new SplittableRandom(1));
        }
        assertThat(scrape().value("sidecore_vif_requests_total", of("disk", "disk", "op", "read")))
                .isEqualTo(10);
        var export = host.storage().exports().get("disk");

        host.storage().unexport("disk").join();
        var without = scrape();
        assertThat(without.with("vif=\"nbd/disk\"")).isEmpty();
        assertThat(without.with("volume=\"disk\"")).isNotEmpty();
        host.storage().delete("disk");
        assertThat(scrape().with("\"disk\"")).isEmpty();

        host.storage().create("disk", Settings.embedded().volumes().get("scratch"));
        host.storage().export(export, Placement.SHARED);
        var again = scrape();
        assertThat(again.value("sidecore_vif_queues", of("disk", "disk"))).isZero();
        assertThat(again.with("sidecore_vif_requests_total{")).isEmpty();
    }

    @Test
    void behindALimitTheTimeOfRequestsHasTheirWaitInIt() throws IOException {
        var vif = host.vif("disk").orElseThrow();
        vif.limit(new InterposerSettings.RateLimit(OptionalLong.of(200), OptionalLong.empty(), Duration.ofMillis(5)))
                .toCompletableFuture()
                .join();
        try (var client = NbdClient.connect(uri("disk"))) {
            for (var i = 0; i < 5; i++) {
                client.batch(false, 10, 4096, new SplittableRandom(i));
            }
        }

        var metrics = scrape();

        var reads = of("disk", "disk", "op", "read");
        // Ten at once, one each 5 ms, but for the burst: the mean is more than 20 ms whatever the machine.
        assertThat(metrics.value("sidecore_vif_request_duration_seconds_sum", reads)
                        / metrics.value("sidecore_vif_request_duration_seconds_count", reads))
                .isGreaterThan(0.02);
        assertThat(metrics.value("sidecore_vif_slow_requests_total", of("disk", "disk")))
                .as("longer than 20 ms")
                .isPositive();
        assertThat(host.events().recent())
                .filteredOn(event -> event.kind().equals("vif"))
                .singleElement()
                .extracting(HostEvent::name, HostEvent::what, HostEvent::detail)
                .containsExactly("nbd/disk", "changed", "limited to 200 requests/s");
    }

    @Test
    void thePageNamesEveryMetricThatAHostHasAndNoOther() throws IOException {
        connectAndFail();
        vm("demo").start("the test wants it").toCompletableFuture().join();
        var told = scrape().names();
        var page = new HashSet<String>();
        METRIC.matcher(Files.readString(PAGE)).results().forEach(metric -> page.add(metric.group(1)));

        var own = new HashSet<>(told);
        own.removeIf(name -> !name.startsWith("sidecore_"));
        assertThat(page).isEqualTo(own);
        assertThat(MENTIONED.matcher(Files.readString(PAGE)).results().map(metric -> metric.group(1)))
                .as("what queries ask for")
                .hasSizeGreaterThan(page.size())
                .allMatch(own::contains);
        told.removeAll(own);
        assertThat(told)
                .isNotEmpty()
                .allMatch(name -> Set.of("jvm", "process", "system").contains(name.split("_")[0]));
    }

    @Test
    void openMetricsIsWrittenForWhoAsksForIt() {
        var answer = send(HttpRequest.newBuilder(URI.create(host.metricsUri().orElseThrow() + "/metrics"))
                .header("Accept", "application/openmetrics-text; version=1.0.0; charset=utf-8"));

        assertThat(answer.headers().firstValue("Content-Type"))
                .hasValueSatisfying(type -> assertThat(type).startsWith("application/openmetrics-text"));
        assertThat(answer.body()).endsWith("# EOF\n");
    }

    @Test
    void nothingIsChangedThroughItAndNothingElseIsThere() {
        var uri = URI.create(host.metricsUri().orElseThrow() + "/metrics");

        assertThat(send(HttpRequest.newBuilder(uri).POST(HttpRequest.BodyPublishers.noBody()))
                        .statusCode())
                .isEqualTo(405);
        assertThat(send(HttpRequest.newBuilder(uri).method("HEAD", HttpRequest.BodyPublishers.noBody()))
                        .statusCode())
                .isEqualTo(200);
        assertThat(get("/metricsandmore").statusCode()).isEqualTo(404);
        assertThat(get("/").body()).contains("/metrics", "/health", "/ready");
    }

    @Test
    void anAddressThatIsTakenIsRefusedBeforeAnythingIsServed() {
        var taken = URI.create(host.metricsUri().orElseThrow()).getPort();

        assertThatThrownBy(() -> Sidecore.start(Settings.read(ConfigFactory.parseString(
                        "sidecore { data-directory = \"%s\", metrics.listen = \"127.0.0.1:%d\" }"
                                .formatted(directory.path().resolve("other"), taken)))))
                .isInstanceOf(HostException.class)
                .hasMessageContaining("cannot listen on 127.0.0.1:" + taken)
                .hasMessageContaining("sidecore.metrics.listen");
    }

    // --- health

    @Test
    void aVolumeThatFailsIsNamedUntilItIsRecovered() throws IOException {
        assertThat(get("/health").statusCode()).isEqualTo(200);
        assertThat(get("/health").body())
                .isEqualTo("{\"health\":\"ok\",\"phase\":\"serving\",\"ready\":true,\"troubles\":[]}");
        var image = directory.path().resolve("image");
        try (var client = NbdClient.connect(uri("image"))) {
            truncate(image, 0);
            assertThatThrownBy(() -> client.batch(false, 1, 4096, new SplittableRandom(1)))
                    .isInstanceOf(IOException.class);
        }

        var failed = get("/health");
        assertThat(failed.statusCode()).isEqualTo(503);
        assertThat(failed.body())
                .contains("\"health\":\"failed\"", "\"kind\":\"volume\"", "\"name\":\"image\"", "truncated");
        assertThat(get("/ready").statusCode()).isEqualTo(503);
        assertThat(scrape().value("sidecore_volume_failed", "volume", "image")).isEqualTo(1);
        assertThat(scrape().value("sidecore_volume_failed", "volume", "disk")).isZero();
        assertThat(scrape().value("sidecore_healthy")).isZero();
        assertThat(host.health().troubles())
                .singleElement()
                .hasToString("volume image: "
                        + host.volume("image").orElseThrow().failure().orElseThrow());

        truncate(image, MIB);
        host.storage().recover("image");
        assertThat(get("/health").statusCode()).isEqualTo(200);
        assertThat(get("/ready").statusCode()).isEqualTo(200);
        assertThat(scrape().value("sidecore_healthy")).isEqualTo(1);
    }

    private static void truncate(Path image, long bytes) throws IOException {
        try (var file = new RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(bytes);
        }
    }

    @Test
    void aVirtualMachineThatHasFailedDegradesHealthUntilItIsToldToStop() {
        assertThat(get("/health").body()).contains("\"health\":\"ok\"");

        assertThatThrownBy(() -> vm("broken")
                        .start("the test wants it")
                        .toCompletableFuture()
                        .join())
                .hasMessageContaining("there is no class no.such.Program");

        var degraded = get("/health");
        assertThat(degraded.statusCode()).isEqualTo(200);
        assertThat(degraded.body())
                .contains("\"health\":\"degraded\"", "\"kind\":\"vm\"", "\"name\":\"broken\"", "no.such.Program");
        assertThat(get("/ready").statusCode()).isEqualTo(200);
        assertThat(scrape().value("sidecore_healthy")).isEqualTo(1);
        assertThat(scrape().value("sidecore_vm_state", "vm", "broken", "state", "failed"))
                .isEqualTo(1);

        vm("broken").stop("it is known").toCompletableFuture().join();
        assertThat(get("/health").body()).contains("\"health\":\"ok\"");
    }

    @Test
    void aLoopThatIsHeldIsNamedUntilItIsLetGo() throws InterruptedException {
        var release = new CountDownLatch(1);
        host.loops().shared().execute(() -> {
            try {
                release.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });

        Peers.until("the loop is found held", PATIENCE, () -> get("/health").statusCode() == 503);
        assertThat(get("/health").body())
                .contains("\"kind\":\"loop\"", host.loops().shared().name(), "MetricsTest");

        release.countDown();
        Peers.until("the loop is let go", PATIENCE, () -> get("/health").statusCode() == 200);
    }

    @Test
    void aHostThatStopsIsNotReadyAnyMore() {
        var gate = new CountDownLatch(1);
        host.storage().create("slow", new PlainMedium(4096) {
            @Override
            protected void read(long offset, MemorySegment into) {}

            @Override
            protected void write(long offset, MemorySegment from) {}

            @Override
            public void close() {
                try {
                    gate.await();
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }
        });
        var closing = CompletableFuture.runAsync(host::close);

        Peers.until("it says that it stops", PATIENCE, () -> get("/ready").statusCode() == 503);
        assertThat(get("/health").body()).contains("\"phase\":\"closing\"", "\"ready\":false");
        assertThat(closing).isNotDone();

        gate.countDown();
        closing.join();
    }

    @Test
    void whoSendsHalfARequestKeepsNobodyElseWaiting() throws IOException {
        var uri = URI.create(host.metricsUri().orElseThrow());
        var slow = new ArrayList<Socket>();
        try {
            for (var i = 0; i < 4; i++) {
                var socket = new Socket(uri.getHost(), uri.getPort());
                slow.add(socket);
                socket.getOutputStream().write("GET /health HT".getBytes(StandardCharsets.US_ASCII));
            }

            assertThat(get("/health").statusCode()).isEqualTo(200);
            assertThat(get("/metrics").statusCode()).isEqualTo(200);
        } finally {
            for (var socket : slow) {
                socket.close();
            }
        }
    }

    // --- flight recordings

    @Test
    void aRecordingHasSlowRequestsAndStalls() throws IOException {
        List<RecordedEvent> events;
        try (var recording = new Recording()) {
            recording.start();
            try (var client = NbdClient.connect(uri("disk"))) {
                client.batch(false, 4, 4096, new SplittableRandom(1));
                var delay = FaultPlan.none(1).withDelay(1.0, Duration.ofMillis(30));
                host.vif("disk")
                        .orElseThrow()
                        .insert(new FaultInjector("slow", delay), 0)
                        .toCompletableFuture()
                        .join();
                client.batch(true, 1, 8192, new SplittableRandom(2));
            }
            recording.stop();
            var file = directory.path().resolve("slow.jfr");
            recording.dump(file);
            events = RecordingFile.readAllEvents(file);
        }

        assertThat(events)
                .filteredOn(event -> event.getEventType().getName().equals("io.sidecore.SlowRequest")
                        && event.getLong("length") == 8192)
                .singleElement()
                .satisfies(slow -> {
                    assertThat(slow.getString("vif")).isEqualTo("nbd/disk");
                    assertThat(slow.getString("queue")).isEqualTo("nbd/disk#0");
                    assertThat(slow.getString("volume")).isEqualTo("disk");
                    assertThat(slow.getString("op")).isEqualTo("WRITE");
                    assertThat(slow.getString("error")).isEqualTo("OK");
                    assertThat(slow.getDuration("latency")).isGreaterThanOrEqualTo(Duration.ofMillis(30));
                    assertThat(slow.getDuration("beforeStore")).isGreaterThanOrEqualTo(Duration.ofMillis(30));
                    assertThat(slow.getDuration("beforeStore").plus(slow.getDuration("store")))
                            .isEqualTo(slow.getDuration("latency"));
                });
        assertThat(events)
                .filteredOn(event -> event.getEventType().getName().equals("io.sidecore.QueueStall"))
                .singleElement()
                .satisfies(stall -> {
                    assertThat(stall.getString("queue")).isEqualTo("nbd/disk#0");
                    assertThat(stall.getString("interposers")).isEqualTo("slow");
                    assertThat(stall.getBoolean("chainLost")).isFalse();
                    assertThat(stall.getDuration("stall")).isPositive();
                });
        assertThat(scrape().value("sidecore_vif_stalls_total", of("disk", "disk")))
                .isEqualTo(1);
    }
}
