package io.sidecore.it.metrics;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;

/**
 * Prometheus' text format 0.0.4, read strictly: what its documentation demands or advises is demanded. Each family has HELP and TYPE, once and before its samples, which stand together; no series comes twice; a counter ends in {@code _total} and is never
 * negative; a histogram's buckets grow, and the last is its count.
 */
final class PrometheusText {
    private static final Pattern NAME = Pattern.compile("[a-z][a-z0-9_]*");
    private static final Pattern SAMPLE = Pattern.compile("([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\\{(.*)})? (\\S+)");
    private static final Pattern LABEL = Pattern.compile("([a-z_][a-z0-9_]*)=\"((?:[^\"\\\\]|\\\\.)*)\"(,|$)");
    private static final Set<String> TYPES = Set.of("counter", "gauge", "histogram", "summary", "untyped");

    /** A family: its type, and its samples by name and labels. */
    record Family(String name, String help, String type, Map<String, Double> samples) {}

    private final Map<String, Family> families = new LinkedHashMap<>();
    private final Map<String, Double> series = new HashMap<>();

    private PrometheusText() {}

    static PrometheusText parse(String text) {
        var parsed = new PrometheusText();
        demand(text.endsWith("\n"), "the last line has no end");
        String help = null;
        String helped = null;
        Family family = null;
        for (var line : text.split("\n")) {
            var words = line.split(" ", 4);
            if (line.startsWith("# HELP ")) {
                demand(words.length == 4 && !words[3].isBlank(), "no help: " + line);
                helped = words[2];
                help = words[3];
            } else if (line.startsWith("# TYPE ")) {
                demand(words.length == 4 && TYPES.contains(words[3]), "no type: " + line);
                demand(words[2].equals(helped), "no HELP before: " + line);
                demand(NAME.matcher(words[2]).matches(), "no good name: " + line);
                demand(!words[3].equals("counter") || words[2].endsWith("_total"), "a counter ends in _total: " + line);
                family = new Family(words[2], help, words[3], new LinkedHashMap<>());
                demand(parsed.families.put(words[2], family) == null, "twice: " + line);
            } else {
                var sample = SAMPLE.matcher(line);
                demand(sample.matches(), "neither a comment nor a sample: " + line);
                demand(family != null && belongs(sample.group(1), family), "of no family, or not beside it: " + line);
                var key = key(sample.group(1), labels(sample.group(2)));
                var value = Double.parseDouble(sample.group(3).replace("+Inf", "Infinity"));
                demand(!family.type().equals("counter") || value >= 0, "a counter is not negative: " + line);
                demand(parsed.series.put(key, value) == null, "twice: " + line);
                family.samples().put(key, value);
            }
        }
        parsed.families.values().stream()
                .filter(one -> one.type().equals("histogram"))
                .forEach(PrometheusText::checkHistogram);
        return parsed;
    }

    private static boolean belongs(String sample, Family family) {
        return switch (family.type()) {
            case "histogram" ->
                Set.of(family.name() + "_bucket", family.name() + "_sum", family.name() + "_count")
                        .contains(sample);
            case "summary" ->
                Set.of(family.name(), family.name() + "_sum", family.name() + "_count")
                        .contains(sample);
            default -> sample.equals(family.name());
        };
    }

    private static void checkHistogram(Family family) {
        var last = new HashMap<String, double[]>();
        family.samples().forEach((key, value) -> {
            if (key.startsWith(family.name() + "_bucket")) {
                var bound = Double.parseDouble(
                        key.replaceAll(".*le=\"([^\"]*)\".*", "$1").replace("+Inf", "Infinity"));
                var of = key.replaceAll("le=\"[^\"]*\",?", "")
                        .replace("_bucket", "_count")
                        .replace(",}", "}");
                var before = last.put(of, new double[] {bound, value});
                demand(before == null || before[0] < bound && before[1] <= value, "buckets do not grow: " + key);
            }
        });
        demand(!last.isEmpty(), "no buckets: " + family.name());
        last.forEach((of, bucket) -> {
            demand(bucket[0] == Double.POSITIVE_INFINITY, "no last bucket: " + of);
            demand(family.samples().get(of) == bucket[1], "not as many as in its last bucket: " + of);
        });
    }

    private static Map<String, String> labels(String text) {
        var labels = new TreeMap<String, String>();
        if (text == null) {
            return labels;
        }
        var label = LABEL.matcher(text);
        var end = 0;
        while (label.find() && label.start() == end) {
            demand(labels.put(label.group(1), label.group(2)) == null, "a label twice: " + text);
            end = label.end();
        }
        demand(end == text.length(), "no labels: " + text);
        return labels;
    }

    private static String key(String name, Map<String, String> labels) {
        var said = new ArrayList<String>();
        labels.forEach((label, value) -> said.add(label + "=\"" + value + "\""));
        return name + "{" + String.join(",", said) + "}";
    }

    private static void demand(boolean holds, String sentence) {
        if (!holds) {
            throw new AssertionError(sentence);
        }
    }

    /** Names of all families, as Prometheus has them. */
    Set<String> names() {
        return new HashSet<>(families.keySet());
    }

    /** The value of a series; labels are names and values in turn. */
    double value(String name, String... labels) {
        var map = new TreeMap<String, String>();
        for (var i = 0; i < labels.length; i += 2) {
            map.put(labels[i], labels[i + 1]);
        }
        var value = series.get(key(name, map));
        demand(value != null, "there is no " + key(name, map) + " among " + series.keySet());
        return value;
    }

    /** Series in which this stands: {@code vif="nbd/disk"}, say. */
    List<String> with(String label) {
        return series.keySet().stream()
                .filter(key -> key.contains(label))
                .sorted()
                .toList();
    }
}
