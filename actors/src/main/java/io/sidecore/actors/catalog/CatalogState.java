package io.sidecore.actors.catalog;

import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The catalog's state machine: the same commands in the same order give the same results and the same entries, on every keeper. No thread, file or clock inside; not safe for several threads.
 *
 * <p>Its snapshot is {@link #revision} and {@link #entries}; a keeper that starts from a snapshot and applies the commands after it is where it was.
 */
public final class CatalogState {
    /** The longest value, in bytes of UTF-8. */
    public static final int MAX_VALUE_BYTES = 64 << 10;

    /** The most that all kinds, names and values together may have, in bytes of UTF-8. The same on every replica, thus no setting. */
    public static final long MAX_BYTES = 64 << 20;

    private final TreeMap<String, TreeMap<String, CatalogEntry>> kinds = new TreeMap<>();
    private long revision;
    private long bytes;
    private int size;

    /** An empty catalog that never had a change. */
    public CatalogState() {}

    /**
     * A catalog from a snapshot.
     *
     * @param revision the number of the last change that it contains
     * @param entries its entries, in any order
     * @throws IllegalArgumentException if they cannot be the entries of a catalog at that revision
     */
    public CatalogState(long revision, Collection<CatalogEntry> entries) {
        for (var entry : entries) {
            if (entry.revision() > revision) {
                throw new IllegalArgumentException(
                        entry.key() + " has revision " + entry.revision() + " in a snapshot of revision " + revision);
            }
            if (place(entry) != null) {
                throw new IllegalArgumentException(entry.key() + " stands twice in a snapshot");
            }
        }
        this.revision = revision;
    }

    /** A copy that goes its own way. */
    public CatalogState copy() {
        var copy = new CatalogState();
        kinds.forEach((kind, names) -> copy.kinds.put(kind, new TreeMap<>(names)));
        copy.revision = revision;
        copy.bytes = bytes;
        copy.size = size;
        return copy;
    }

    /** Does what a command asks, or says why not; then nothing has changed. */
    public CatalogResult apply(CatalogCommand command) {
        var key = command.key();
        var present = get(key);
        if (present.map(CatalogEntry::revision).orElse(0L) != command.expected()) {
            return new CatalogResult.Conflict(command, present);
        }
        return switch (command) {
            case CatalogCommand.Put put -> {
                var entry = new CatalogEntry(key, revision + 1, put.value());
                var growth = entry.bytes() - present.map(CatalogEntry::bytes).orElse(0L);
                // What makes the catalog smaller is allowed whatever its size.
                if (growth > 0 && bytes + growth > MAX_BYTES) {
                    yield new CatalogResult.Full(command, bytes);
                }
                revision++;
                place(entry);
                yield new CatalogResult.Changed(new CatalogChange(revision, key, present, Optional.of(entry)));
            }
            case CatalogCommand.Delete _ -> {
                revision++;
                remove(key);
                yield new CatalogResult.Changed(new CatalogChange(revision, key, present, Optional.empty()));
            }
        };
    }

    private @Nullable CatalogEntry place(CatalogEntry entry) {
        var old = kinds.computeIfAbsent(entry.key().kind(), _ -> new TreeMap<>())
                .put(entry.key().name(), entry);
        bytes += entry.bytes() - (old == null ? 0 : old.bytes());
        size += old == null ? 1 : 0;
        return old;
    }

    private void remove(CatalogKey key) {
        var names = kinds.get(key.kind());
        assert names != null : key;
        var old = names.remove(key.name());
        assert old != null : key;
        if (names.isEmpty()) {
            kinds.remove(key.kind());
        }
        bytes -= old.bytes();
        size--;
    }

    /** An entry. */
    public Optional<CatalogEntry> get(CatalogKey key) {
        var names = kinds.get(key.kind());
        return names == null ? Optional.empty() : Optional.ofNullable(names.get(key.name()));
    }

    /** The entries of a kind, in the order of their names. */
    public List<CatalogEntry> list(String kind) {
        var names = kinds.get(kind);
        return names == null ? List.of() : List.copyOf(names.values());
    }

    /** All entries, in the order of kinds and names. */
    public Stream<CatalogEntry> entries() {
        return kinds.values().stream().flatMap(names -> names.values().stream());
    }

    /** The number of the last change; 0 if there never was one. */
    public long revision() {
        return revision;
    }

    /** How many entries there are. */
    public int size() {
        return size;
    }

    /** How many bytes of UTF-8 all kinds, names and values have. */
    public long bytes() {
        return bytes;
    }

    static void checkValue(CatalogKey key, String value) {
        var length = Utf8.length("the definition of " + key, value);
        if (length > MAX_VALUE_BYTES) {
            throw new IllegalArgumentException(
                    "the definition of " + key + " has " + length + " bytes, more than " + MAX_VALUE_BYTES);
        }
    }
}
