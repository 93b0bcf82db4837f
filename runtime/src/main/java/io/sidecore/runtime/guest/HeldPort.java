package io.sidecore.runtime.guest;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.vif.GuestPort;
import java.util.ArrayDeque;

/** A port whose answers can be held back for a while: those that came before a snapshot are part of it, and are received by the run that goes on and by the one that is restored. For the guest's thread. */
final class HeldPort implements GuestPort {
    /** An answer that has come and was not received. */
    record Held(long tag, Errno error) {}

    private final GuestPort port;
    private final ArrayDeque<Held> held = new ArrayDeque<>();
    private final Answer answer = new Answer();
    private long unanswered;
    private boolean signalled = true;

    HeldPort(GuestPort port) {
        this.port = port;
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
    }

    @Override
    public void signalRoom(boolean on) {
        port.signalRoom(on);
    }

    /** Takes what has come, whether or not the guest looks for it; true once nothing more will come. If not, the guest is woken when it does. */
    boolean drained() {
        port.signalAnswers(true);
        while (port.recv(answer)) {
            unanswered--;
            held.add(new Held(answer.tag, answer.error));
        }
        if (unanswered > 0) {
            return false;
        }
        port.signalAnswers(signalled);
        return true;
    }

    /** Whether the guest wants to be woken by answers. */
    boolean signalled() {
        return signalled;
    }

    /** What has come, and was not received. */
    Iterable<Held> held() {
        return held;
    }

    /** Answers as they were at a snapshot. */
    void hold(long tag, Errno error) {
        held.add(new Held(tag, error));
    }

    boolean holdsAny() {
        return !held.isEmpty();
    }
}
