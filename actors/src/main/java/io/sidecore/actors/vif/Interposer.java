package io.sidecore.actors.vif;

import io.sidecore.actors.block.Request;
import io.sidecore.actors.core.Loop;
import org.apache.pekko.stream.BidiShape;
import org.apache.pekko.stream.Graph;

/**
 * What sits between a queue and its resource. The object keeps the state (tokens, seeds, captures) and belongs to a VIF; it makes a stage for each queue and generation, which
 * keeps nothing that must survive. Most extend {@link InterposerStage}.
 */
public interface Interposer {
    /** Where a stage will run: for the queue of this name, on this loop. */
    record Site(String queue, Loop loop) {}

    /** What people call it; unique in its VIF. */
    String name();

    /** A new stage: requests in, requests out, completions in, completions out. */
    Graph<BidiShape<Request, Request, Request, Request>, ?> stage(Site site);
}
