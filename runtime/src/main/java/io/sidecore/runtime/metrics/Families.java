package io.sidecore.runtime.metrics;

import io.prometheus.metrics.model.snapshots.ClassicHistogramBuckets;
import io.prometheus.metrics.model.snapshots.CounterSnapshot;
import io.prometheus.metrics.model.snapshots.CounterSnapshot.CounterDataPointSnapshot;
import io.prometheus.metrics.model.snapshots.GaugeSnapshot;
import io.prometheus.metrics.model.snapshots.GaugeSnapshot.GaugeDataPointSnapshot;
import io.prometheus.metrics.model.snapshots.HistogramSnapshot;
import io.prometheus.metrics.model.snapshots.HistogramSnapshot.HistogramDataPointSnapshot;
import io.prometheus.metrics.model.snapshots.InfoSnapshot;
import io.prometheus.metrics.model.snapshots.InfoSnapshot.InfoDataPointSnapshot;
import io.prometheus.metrics.model.snapshots.Labels;
import io.prometheus.metrics.model.snapshots.MetricSnapshots;
import io.sidecore.actors.vif.Latencies;
import java.util.LinkedHashMap;
import java.util.Map;

/** Collects values into families of one name. Names are without the ending ({@code _total}, {@code _info}) that Prometheus' formats add; labels are names and values in turn. */
final class Families {
    /** Powers of two of a microsecond, 4 us to 34 s: bounds that {@link Latencies} has, too. */
    private static final int FIRST_BOUND = 2;

    private static final int LAST_BOUND = 25;
    private static final double NANOS = 1e9;

    private final Map<String, CounterSnapshot.Builder> counters = new LinkedHashMap<>();
    private final Map<String, GaugeSnapshot.Builder> gauges = new LinkedHashMap<>();
    private final Map<String, HistogramSnapshot.Builder> histograms = new LinkedHashMap<>();
    private final Map<String, InfoSnapshot.Builder> infos = new LinkedHashMap<>();

    void counter(String name, String help, double value, String... labels) {
        counters.computeIfAbsent(
                        name, family -> CounterSnapshot.builder().name(family).help(help))
                .dataPoint(CounterDataPointSnapshot.builder()
                        .value(value)
                        .labels(Labels.of(labels))
                        .build());
    }

    void gauge(String name, String help, double value, String... labels) {
        gauges.computeIfAbsent(
                        name, family -> GaugeSnapshot.builder().name(family).help(help))
                .dataPoint(GaugeDataPointSnapshot.builder()
                        .value(value)
                        .labels(Labels.of(labels))
                        .build());
    }

    void info(String name, String help, String... labels) {
        infos.computeIfAbsent(
                        name, family -> InfoSnapshot.builder().name(family).help(help))
                .dataPoint(InfoDataPointSnapshot.builder()
                        .labels(Labels.of(labels))
                        .build());
    }

    void histogram(String name, String help, Latencies latencies, String... labels) {
        histograms
                .computeIfAbsent(
                        name, family -> HistogramSnapshot.builder().name(family).help(help))
                .dataPoint(HistogramDataPointSnapshot.builder()
                        .classicHistogramBuckets(buckets(latencies))
                        .sum(latencies.nanos() / NANOS)
                        .labels(Labels.of(labels))
                        .build());
    }

    private static ClassicHistogramBuckets buckets(Latencies latencies) {
        var bounds = new double[LAST_BOUND - FIRST_BOUND + 2];
        var counts = new Number[bounds.length];
        var from = 0;
        for (var i = 0; i < bounds.length; i++) {
            var last = i == bounds.length - 1;
            var nanos = last ? Long.MAX_VALUE : 1_000L << FIRST_BOUND + i;
            var count = 0L;
            while (from < Latencies.buckets() && (last || Latencies.boundNanos(from) <= nanos)) {
                count += latencies.inBucket(from++);
            }
            bounds[i] = last ? Double.POSITIVE_INFINITY : nanos / NANOS;
            counts[i] = count;
        }
        return ClassicHistogramBuckets.of(bounds, counts);
    }

    MetricSnapshots snapshots() {
        var all = MetricSnapshots.builder();
        infos.values().forEach(family -> all.metricSnapshot(family.build()));
        counters.values().forEach(family -> all.metricSnapshot(family.build()));
        gauges.values().forEach(family -> all.metricSnapshot(family.build()));
        histograms.values().forEach(family -> all.metricSnapshot(family.build()));
        return all.build();
    }
}
