package io.sidecore.cluster.catalog;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;

/** What a journal needs of a file. */
interface JournalFile extends Closeable {
    /** Its size in bytes. */
    long size() throws IOException;

    /** Fills the buffer with what begins at an offset. */
    void read(long offset, ByteBuffer into) throws IOException;

    /** Writes all of a buffer at an offset. After an exception any part of it may have been written. */
    void write(long offset, ByteBuffer from) throws IOException;

    /** Cuts off what begins at an offset. */
    void truncate(long size) throws IOException;

    /** Makes what was written durable, and the size with it. After an exception nobody knows what is. */
    void force() throws IOException;
}
