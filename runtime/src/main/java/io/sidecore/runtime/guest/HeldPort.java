package io.sidecore.runtime.guest;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.vif.GuestPort;
import io.sidecore.runtime.guest.EventState.Port;
import java.util.ArrayDeque;
import java.util.List;

/** A port whose answers can be held back for a while: those that came before a snapshot are part of it, and are received by the run that goes on and by the one that is restored. For the guest's thread. */
final class HeldPort implements GuestPort {
    /** An answer that has come and was not received. */
    record Held(long tag, Errno error) {}

    private final GuestPort port;
    private final Runnable wake;
    private final ArrayDeque<Held> held = new ArrayDeque<>();
    private final Answer answer = new Answer();
    private long unanswered;
    private boolean signalled = true;
    private boolean roomSignalled = true;

    /**
     * The port that is given to the guest in place of this one.
     *
     * @param wake wakes the guest, as the port itself does; must not wait
     */
    HeldPort(GuestPort port, Runnable wake) {
        this.port = port;
        this.wake = wake;
    }

    @Override
    public long size() {
        return port.size();
    }

    @Override
    public boolean readOnly() {
        return port.readOnly();
    }

    @Override
    public boolean isFull() {
        return port.isFull();
    }

    @Override
    public Sent send(BlockOp op, int flags, long offset, long length, long address, long tag) {
        var sent = port.send(op, flags, offset, length, address, tag);
        if (sent == Sent.SENT) {
            unanswered++;
        }
        return sent;
    }

    @Override
    public boolean isEmpty() {
        return held.isEmpty() && port.isEmpty();
    }

    @Override
    public boolean recv(Answer into) {
        var first = held.poll();
        if (first != null) {
            into.tag = first.tag();
            into.error = first.error();
            return true;
        }
        if (port.recv(into)) {
            unanswered--;
            return true;
        }
        return false;
    }

    @Override
    public void signalAnswers(boolean on) {
        signalled = on;
        port.signalAnswers(on);
        if (on && !held.isEmpty()) {
            wake.run();
        }
    }

    @Override
    public void signalRoom(boolean on) {
        roomSignalled = on;
        port.signalRoom(on);
    }

    /** Takes what has come, whether or not the guest looks for it; true once nothing more will come. If not, the guest is woken when it does; {@link #goOn} in any case. */
    boolean drained() {
        port.signalAnswers(true);
        while (port.recv(answer)) {
            unanswered--;
            held.add(new Held(answer.tag, answer.error));
        }
        return unanswered == 0;
    }

    /** The guest goes on: it is woken as it wants to be, also by what came while it stood still. */
    void goOn() {
        signalAnswers(signalled);
    }

    /** As it is now. */
    Port state() {
        return new Port(signalled, roomSignalled, List.copyOf(held));
    }

    /** As it was at a snapshot. Which signals were due then nobody knows: each comes, if it is on. */
    void restore(Port state) {
        held.addAll(state.held());
        signalRoom(state.room());
        signalAnswers(state.answers());
    }
}
