package io.sidecore.runtime.metrics;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.sidecore.conf.ListenAddress;
import io.sidecore.runtime.Health;
import io.sidecore.runtime.HostException;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.control.Views;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Serves what is to be known of a host over HTTP, for reading only:
 *
 * <ul>
 *   <li>{@code /metrics}: metrics in Prometheus' text format, or OpenMetrics' for who asks for it.
 *   <li>{@code /health}: 200 as long as everything is served that is to be, else 503; JSON says what is wrong.
 *   <li>{@code /ready}: the same, and 503 also while the host starts or stops.
 * </ul>
 */
public final class MetricsServer implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(MetricsServer.class);
    private static final int BACKLOG = 16;
    private static final int PATIENCE_SECONDS = 3;
    /** As many may send half a request, for as long as {@link #LIMITS} let them, before others wait for a thread. */
    private static final int THREADS = 8;

    /** Of the JDK's server, which reads them when the first one of a process is made: seconds, and connections. What the process was started with has precedence. */
    private static final Map<String, String> LIMITS = Map.of(
            "sun.net.httpserver.maxReqTime", "10",
            "sun.net.httpserver.maxRspTime", "10",
            "jdk.httpserver.maxConnections", "64");

    private static final int OK = 200;
    private static final int NOT_FOUND = 404;
    private static final int NOT_ALLOWED = 405;
    private static final int FAILED = 500;
    private static final int UNAVAILABLE = 503;
    private static final String TEXT = "text/plain; charset=utf-8";

    /** A page: how it is answered, of what type it is, and its bytes. */
    private record Page(int status, String type, byte[] bytes) {
        static Page of(int status, String text) {
            return new Page(status, TEXT, (text + "\n").getBytes(StandardCharsets.UTF_8));
        }
    }

    private final Sidecore host;
    private final ListenAddress.Tcp address;
    private final HttpServer server;
    private final ThreadPoolExecutor threads;
    private final JsonMapper mapper = new JsonMapper();
    private @Nullable HostMetrics metrics;
    private boolean closed;

    private MetricsServer(ListenAddress.Tcp address, HttpServer server, Sidecore host) {
        this.address = address;
        this.server = server;
        this.host = host;
        this.threads = new ThreadPoolExecutor(
                THREADS,
                THREADS,
                0,
                TimeUnit.SECONDS,
                new LinkedBlockingQueue<>(),
                Thread.ofPlatform().daemon().name("sidecore-metrics-", 0).factory());
        // A thread is started by whoever first needs it and stays on that one's core: not on a sidecore's.
        threads.prestartAllCoreThreads();
        server.setExecutor(threads);
        server.createContext("/", this::answer);
    }

    /**
     * Begins to serve.
     *
     * @param host it may be starting still
     * @throws HostException if the address is in use or not to be had
     */
    public static MetricsServer start(ListenAddress.Tcp address, Sidecore host) {
        LIMITS.forEach((limit, value) -> {
            if (System.getProperty(limit) == null) {
                System.setProperty(limit, value);
            }
        });
        try {
            var socket = new InetSocketAddress(InetAddress.getByName(address.host()), address.port());
            var server = new MetricsServer(address, HttpServer.create(socket, BACKLOG), host);
            server.server.start();
            return server;
        } catch (IOException e) {
            throw new HostException(
                    "cannot listen on " + address + ": " + e.getMessage()
                            + "; stop what uses it, or change sidecore.metrics.listen",
                    e);
        }
    }

    /** Where it serves: {@code http://HOST:PORT}. */
    public String uri() {
        return "http://"
                + new ListenAddress.Tcp(address.host(), server.getAddress().getPort());
    }

    private void answer(HttpExchange exchange) throws IOException {
        try (exchange) {
            var reads = exchange.getRequestMethod().equals("GET");
            var page = reads || exchange.getRequestMethod().equals("HEAD")
                    ? page(exchange)
                    : Page.of(NOT_ALLOWED, "this is for reading only");
            exchange.getResponseHeaders().set("Content-Type", page.type());
            exchange.getResponseHeaders().set("Cache-Control", "no-store");
            exchange.sendResponseHeaders(page.status(), reads ? page.bytes().length : -1);
            if (reads) {
                exchange.getResponseBody().write(page.bytes());
            }
        }
    }

    private Page page(HttpExchange exchange) {
        try {
            return switch (exchange.getRequestURI().getPath()) {
                case "/metrics" -> metrics(exchange.getRequestHeaders().getFirst("Accept"));
                case "/health" -> {
                    var health = host.health();
                    yield health(health, health.healthy());
                }
                case "/ready" -> {
                    var health = host.health();
                    yield health(health, health.ready());
                }
                case "/" -> Page.of(OK, "Sidecore: /metrics /health /ready");
                default -> Page.of(NOT_FOUND, "there are /metrics, /health and /ready");
            };
        } catch (RuntimeException | IOException e) {
            LOG.warn("{} could not be answered", exchange.getRequestURI().getPath(), e);
            return Page.of(FAILED, "it could not be told: " + e.getMessage());
        }
    }

    private Page metrics(@Nullable String accept) throws IOException {
        if (host.health().phase() == Health.Phase.STARTING) {
            return Page.of(UNAVAILABLE, "the host is starting");
        }
        var bytes = new ByteArrayOutputStream(16 << 10);
        var type = metrics().write(accept, bytes);
        return new Page(OK, type, bytes.toByteArray());
    }

    private synchronized HostMetrics metrics() {
        if (closed) {
            throw new IllegalStateException("the host has stopped");
        }
        var present = metrics;
        if (present == null) {
            present = new HostMetrics(host);
            metrics = present;
        }
        return present;
    }

    private Page health(Health health, boolean well) throws IOException {
        var troubles = health.troubles().stream().map(Views.TroubleView::of).toList();
        var view = new LinkedHashMap<String, Object>();
        view.put("health", word(health.state()));
        view.put("phase", word(health.phase()));
        view.put("ready", health.ready());
        view.put("troubles", troubles);
        return new Page(well ? OK : UNAVAILABLE, "application/json", mapper.writeValueAsBytes(view));
    }

    private static String word(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT);
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
        try {
            threads.awaitTermination(PATIENCE_SECONDS, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        synchronized (this) {
            closed = true;
            if (metrics != null) {
                metrics.close();
            }
        }
    }
}
