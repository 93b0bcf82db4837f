package io.sidecore.actors.vif;

import jdk.jfr.Description;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.Timespan;

/** In a flight recording: a queue stood still for a change, told when it runs again. Its time is {@code stall}; the event itself has no length. */
@Name("io.sidecore.QueueStall")
@Label("Queue Stall")
@Description("A queue stood still while what lies behind it was changed")
@SuppressWarnings("NullAway.Init") // Filled in by tell(), or never told.
final class QueueStall extends QueueEvent {
    @Label("Generation")
    @Description("The one that begins")
    int generation;

    @Label("Stall")
    @Timespan(Timespan.NANOSECONDS)
    long stall;

    @Label("Replayed")
    @Description("Requests that are issued again")
    int replayed;

    @Label("Chain Lost")
    @Description("Whether the former chain was given up, since its requests did not drain or it broke")
    boolean chainLost;

    @Label("Interposers")
    @Description("What stands in the chain now")
    String interposers;

    /** Tells of one, if anybody records. On the loop. */
    static void tell(Queue queue, Queue.Changed change) {
        var event = new QueueStall();
        if (!event.isEnabled()) {
            return;
        }
        event.about(queue);
        event.generation = queue.generation();
        event.stall = change.stallNanos();
        event.replayed = change.replayed();
        event.chainLost = change.lost();
        event.interposers = String.join(
                ", ", queue.route().interposers().stream().map(Interposer::name).toList());
        event.commit();
    }
}
