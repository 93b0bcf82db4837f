package io.sidecore.actors.vm;

import java.time.Duration;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.pattern.StatusReply;

/** Something that is done to a guest and takes its time. */
final class GuestOperation {
    final String name;
    /** In which it is done; the guest cannot be asked for it in another state. */
    final VirtualMachine.State in;

    final VirtualMachine.State after;
    final String cause;
    final ActorRef<StatusReply<VirtualMachine.Status>> replyTo;
    /** It was said that the guest has not answered. What the guest does all the same is still heard of. */
    boolean late;

    GuestOperation(
            String name,
            VirtualMachine.State in,
            VirtualMachine.State after,
            String cause,
            ActorRef<StatusReply<VirtualMachine.Status>> replyTo) {
        this.name = name;
        this.in = in;
        this.after = after;
        this.cause = cause;
        this.replyTo = replyTo;
    }

    boolean isSnapshot() {
        return after == in;
    }

    Duration patience() {
        return isSnapshot() ? VirtualMachine.SNAPSHOT_TIMEOUT : VirtualMachine.PAUSE_TIMEOUT;
    }
}
