package io.sidecore.conf;

/** {@code sidecore.volumes.NAME.store}: what keeps the bytes of a volume. */
public sealed interface StoreSettings {
    /**
     * Sparse memory of the host, gone when the host stops.
     *
     * @param limitBytes how much written data it may hold, in bytes, at most the volume's size; a write beyond answers ENOSPC
     */
    record MemoryStore(long limitBytes) implements StoreSettings {}
}
