package io.sidecore.runtime.transfer;

import java.io.IOException;

/** Is told how far a copy is, several times a second. */
@FunctionalInterface
public interface Progress {
    /**
     * So much is done.
     *
     * @param done bytes
     * @param total bytes
     * @throws IOException if whoever wanted the copy has gone: it is given up
     */
    void at(long done, long total) throws IOException;
}
