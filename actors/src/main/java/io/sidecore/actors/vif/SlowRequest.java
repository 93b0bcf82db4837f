package io.sidecore.actors.vif;

import io.sidecore.actors.block.Request;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.Timespan;

/** In a flight recording: a request that took longer than {@code sidecore.vif.slow-after}, told when it was answered. Its time is {@code latency}; the event itself has no length. */
@Name("io.sidecore.SlowRequest")
@Label("Slow Request")
@Description("A request that took longer than sidecore.vif.slow-after, from its arrival to its answer")
@SuppressWarnings("NullAway.Init") // Filled in by tell(), or never told.
final class SlowRequest extends QueueEvent {
    @Label("Operation")
    String op;

    @Label("Offset")
    long offset;

    @Label("Length")
    @DataAmount
    long length;

    @Label("Error")
    String error;

    @Label("Latency")
    @Description("From its arrival to its answer")
    @Timespan(Timespan.NANOSECONDS)
    long latency;

    @Label("Before the Store")
    @Description("Until it was handed to the store for the last time: in the stream, its interposers, and changes")
    @Timespan(Timespan.NANOSECONDS)
    long beforeStore;

    @Label("In the Store and After")
    @Description("From then to its answer; zero if it never reached the store")
    @Timespan(Timespan.NANOSECONDS)
    long store;

    @Label("Replays")
    @Description("How often it was issued again because its chain was lost")
    int replays;

    /** Tells of one, if anybody records. On the loop. */
    static void tell(Queue queue, Request request, long took, long now, int replays) {
        var event = new SlowRequest();
        if (!event.isEnabled()) {
            return;
        }
        var served = request.servedAt();
        event.about(queue);
        event.op = request.op().name();
        event.offset = request.offset();
        event.length = request.length();
        event.error = request.error().name();
        event.latency = took;
        event.store = served == Request.NOT_SERVED ? 0 : now - served;
        event.beforeStore = took - event.store;
        event.replays = replays;
        event.commit();
    }
}
