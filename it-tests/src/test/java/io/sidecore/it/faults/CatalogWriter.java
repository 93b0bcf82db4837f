package io.sidecore.it.faults;

import io.sidecore.actors.catalog.CatalogEntry;
import io.sidecore.actors.catalog.CatalogKey;
import io.sidecore.cluster.catalog.JournalCatalog;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.concurrent.CompletableFuture;

/**
 * Changes definitions until it is killed, a few at a time, and says each time {@code try NAME NUMBER} before and {@code done NAME NUMBER} after. A number divisible by seven is a deletion; the next change
 * creates the definition again.
 */
final class CatalogWriter {
    static final String KIND = "volume";
    static final int NAMES = 6;
    private static final JournalCatalog.Bounds SMALL = new JournalCatalog.Bounds(64, 2_000);

    private final PrintStream out =
            new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.US_ASCII);

    private CatalogWriter() {}

    /** DIRECTORY, and the number to begin with. */
    public static void main(String[] arguments) {
        new CatalogWriter().write(Path.of(arguments[0]), Long.parseLong(arguments[1]));
    }

    private void write(Path directory, long from) {
        try (var catalog = JournalCatalog.open(directory, SMALL)) {
            // Until it is killed, or nobody listens any more: a test that was itself killed leaves no writer behind.
            for (var number = from; !out.checkError(); number++) {
                var changes = new ArrayList<CompletableFuture<?>>();
                for (int i = 0; i < NAMES; i++) {
                    changes.add(change(catalog, new CatalogKey(KIND, "v" + i), number));
                }
                CompletableFuture.allOf(changes.toArray(CompletableFuture[]::new))
                        .join();
            }
        }
    }

    private CompletableFuture<?> change(JournalCatalog catalog, CatalogKey key, long number) {
        var there = catalog.get(key).toCompletableFuture().join();
        var delete = number % 7 == 0 && there.isPresent();
        out.println("try " + key.name() + " " + number);
        var answer = delete
                ? catalog.delete(key, there.get().revision())
                : catalog.put(
                        key,
                        value(key.name(), number),
                        there.map(CatalogEntry::revision).orElse(0L));
        return answer.thenRun(() -> out.println("done " + key.name() + " " + number))
                .toCompletableFuture();
    }

    /** A text that is whole or is not. */
    static String value(String name, long number) {
        return "number = " + number + ", name = " + name + ", " + "x".repeat((int) (number * 31 % 300)) + " end";
    }
}
