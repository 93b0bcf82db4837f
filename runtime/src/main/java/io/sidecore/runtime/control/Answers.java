package io.sidecore.runtime.control;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.util.Optional;

/** Where an operation puts what it finds before it is done, and hears what whoever asked says meanwhile. One thread puts, one hears. */
public interface Answers {
    /**
     * An element of a list, an event, how far something is that takes long.
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

    /**
     * What whoever asked says next; waits for it. Empty once nothing more can come: that is so at once where nobody can say anything.
     *
     * @throws IOException if it is no JSON or too long, or whoever asked has gone
     */
    default Optional<JsonNode> hear() throws IOException {
        return Optional.empty();
    }
}
