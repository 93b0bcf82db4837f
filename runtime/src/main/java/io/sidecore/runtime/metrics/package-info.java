/**
 * What a host tells those that watch it: metrics for Prometheus, health and readiness, over HTTP. Nothing here is on the data path, and nothing is kept: what queues, loops and volumes count anyhow is read when somebody asks ({@link io.sidecore.runtime.metrics.HostMetrics}),
 * so what comes and goes needs no registering, and what has gone is not told any more.
 *
 * <p>The server is the JDK's own ({@code com.sun.net.httpserver}): three pages that are read every few seconds need no other, and it costs a host that idles a thread and next to no memory. Metrics of the JVM are Micrometer's, which is loaded when metrics are asked for first.
 */
@NullMarked
package io.sidecore.runtime.metrics;

import org.jspecify.annotations.NullMarked;
