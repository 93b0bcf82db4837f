package io.sidecore.conf;

import java.nio.file.Path;

/** {@code sidecore.volumes.NAME.store}: what keeps the bytes of a volume. */
public sealed interface StoreSettings {
    /**
     * Sparse memory of the host, gone when the host stops.
     *
     * @param limitBytes how much written data it may hold, in bytes, at most the volume's size; a write beyond answers ENOSPC
     */
    record MemoryStore(long limitBytes) implements StoreSettings {}

    /**
     * A raw image file or a block device. Linux only.
     *
     * @param path where it is; what was relative in a file is resolved against that file's folder, other relative paths against the data directory
     * @param create whether an image that is not there is created, sparse, of the volume's size
     * @param readOnly whether nothing is ever written to it
     * @param direct whether reads and writes pass the host's page cache by
     * @param threads how many threads may wait for the file at a time, at most
     */
    record FileStore(Path path, boolean create, boolean readOnly, boolean direct, int threads)
            implements StoreSettings {}
}
