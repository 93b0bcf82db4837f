package io.sidecore.runtime.control;

import java.io.IOException;

/** Where an operation puts what it finds before it is done. */
public interface Answers {
    /**
     * An element of a list, an event, how far a copy is.
     *
     * @throws IOException if whoever asked has gone
     */
    void item(Object view) throws IOException;

    /**
     * Says that there is nothing new, and learns whether anybody still listens.
     *
     * @throws IOException if whoever asked has gone
     */
    void stillHere() throws IOException;
}
