package io.sidecore.actors.vif;

import jdk.jfr.Category;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.StackTrace;

/** What a flight recording is told of a queue. */
@Category("Sidecore")
@StackTrace(false)
@SuppressWarnings("NullAway.Init") // Filled in where it is told, or never told.
abstract class QueueEvent extends Event {
    @Label("VIF")
    String vif;

    @Label("Queue")
    String queue;

    @Label("Volume")
    String volume;

    @Label("Loop")
    String loop;

    /** On the loop. */
    final void about(Queue it) {
        vif = it.vif();
        queue = it.name();
        volume = it.route().volume().name();
        loop = it.loop().name();
    }
}
