package io.sidecore.devices.transport;

import io.sidecore.actors.core.Loop;
import java.io.IOException;
import java.nio.ByteBuffer;

/** A connected, non-blocking byte stream that a core loop watches. Used on that loop; survives a move to another. */
public interface Transport {
    /** What the transport tells its user, on the loop. */
    interface Listener {
        /** Bytes may have arrived, or the peer has closed. */
        void readable();

        /** Bytes can be written again. */
        void writable();

        /** Looks for bytes without having been told of any; whether there were some. */
        default boolean poll() {
            return false;
        }

        /** Whether a little of something has come, whose rest is to be expected within microseconds. */
        default boolean expectsRest() {
            return false;
        }
    }

    /** Watches on this loop from now on. */
    void attach(Loop loop, Listener listener);

    /** No longer watches; nothing of it stays on the loop. */
    void detach();

    /** Whether {@link Listener#readable()} and {@link Listener#writable()} are wanted. Cheap if nothing changes. */
    void interest(boolean read, boolean write);

    /** Reads what is there into the buffer; bytes read, 0 for none, −1 at the end. */
    int read(ByteBuffer into) throws IOException;

    /** Reads what is there into the buffers, the first one first; bytes read, 0 for none, −1 at the end. */
    long read(ByteBuffer[] into) throws IOException;

    /** Writes what fits of the first {@code count} buffers, in order; bytes written. */
    long write(ByteBuffer[] from, int count) throws IOException;

    /** Writes what fits; bytes written. */
    int write(ByteBuffer from) throws IOException;

    /** Tells the peer that nothing more comes behind what was written. Reading goes on, but only to learn when the peer ends its part, too: bytes that come until then may be left out. */
    void endOutput() throws IOException;

    /** Closes it. */
    void close();
}
