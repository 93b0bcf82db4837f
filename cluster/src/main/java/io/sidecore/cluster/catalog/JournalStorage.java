package io.sidecore.cluster.catalog;

import java.io.Closeable;
import java.io.IOException;

/** The directory that a journal lives in; the names are those of files in it. Used by one thread at a time. */
interface JournalStorage extends Closeable {
    /** A file as a sentence names it. */
    String path(String name);

    /** Whether it exists. */
    boolean exists(String name) throws IOException;

    /** Opens an existing file for reading and writing. */
    JournalFile open(String name) throws IOException;

    /** Creates a file, empty even if it exists. */
    JournalFile create(String name) throws IOException;

    /** Lets a file take another's place, at once: who looks finds the old one or the new one. Durable after {@link #force}. */
    void rename(String from, String to) throws IOException;

    /** Deletes a file. */
    void delete(String name) throws IOException;

    /** Makes what was created, renamed and deleted durable. */
    void force() throws IOException;
}
