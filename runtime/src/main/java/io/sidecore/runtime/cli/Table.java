package io.sidecore.runtime.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/** Text in columns, each as wide as its widest cell. */
final class Table {
    private static final String GAP = "  ";

    private final List<String> heads;
    private final List<Boolean> right = new ArrayList<>();
    private final List<List<String>> rows = new ArrayList<>();

    /** Columns with these heads; one that begins with {@code >} is aligned to the right, as numbers are. */
    Table(String... heads) {
        this.heads = new ArrayList<>();
        for (var head : heads) {
            right.add(head.startsWith(">"));
            this.heads.add(head.replaceFirst("^>", ""));
        }
    }

    Table row(Object... cells) {
        if (cells.length != heads.size()) {
            throw new IllegalArgumentException(cells.length + " cells for " + heads.size() + " columns");
        }
        var row = new ArrayList<String>();
        for (var cell : cells) {
            var text = String.valueOf(cell);
            row.add(text.isEmpty() ? "-" : text);
        }
        rows.add(row);
        return this;
    }

    boolean isEmpty() {
        return rows.isEmpty();
    }

    /** Lines, without a line end behind the last. */
    @Override
    public String toString() {
        var all = new ArrayList<List<String>>();
        all.add(heads);
        all.addAll(rows);
        var widths = new int[heads.size()];
        for (var row : all) {
            for (var i = 0; i < widths.length; i++) {
                widths[i] = Math.max(widths[i], row.get(i).length());
            }
        }
        return all.stream().map(row -> line(row, widths)).collect(Collectors.joining("\n"));
    }

    private String line(List<String> row, int[] widths) {
        var line = new StringBuilder();
        for (var i = 0; i < widths.length; i++) {
            var pad = " ".repeat(widths[i] - row.get(i).length());
            line.append(right.get(i) ? pad + row.get(i) : row.get(i) + pad).append(GAP);
        }
        return line.toString().stripTrailing();
    }
}
