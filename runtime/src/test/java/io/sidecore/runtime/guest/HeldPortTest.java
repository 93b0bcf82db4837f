package io.sidecore.runtime.guest;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.vif.GuestPort;
import io.sidecore.runtime.guest.EventState.Port;
import io.sidecore.runtime.guest.HeldPort.Held;
import java.util.ArrayDeque;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Answers that are held back over a snapshot, and who is woken for them. */
class HeldPortTest {
    /** Answers what it is told to. */
    private static final class Service implements GuestPort {
        final ArrayDeque<Long> answers = new ArrayDeque<>();
        boolean answersOn = true;
        boolean roomOn = true;

        @Override
        public long size() {
            return 4096;
        }

        @Override
        public boolean readOnly() {
            return false;
        }

        @Override
        public boolean isFull() {
            return false;
        }

        @Override
        public Sent send(BlockOp op, int flags, long offset, long length, long address, long tag) {
            return Sent.SENT;
        }

        @Override
        public boolean isEmpty() {
            return answers.isEmpty();
        }

        @Override
        public boolean recv(Answer into) {
            var tag = answers.poll();
            if (tag == null) {
                return false;
            }
            into.tag = tag;
            into.error = Errno.OK;
            return true;
        }

        @Override
        public void signalAnswers(boolean on) {
            answersOn = on;
        }

        @Override
        public void signalRoom(boolean on) {
            roomOn = on;
        }
    }

    private final Service service = new Service();
    private int woken;
    private final HeldPort port = new HeldPort(service, () -> woken++);

    /** One answer is held. */
    private void hold() {
        port.send(BlockOp.FLUSH, 0, 0, 0, 0, 7);
        assertThat(port.drained()).isFalse();
        service.answers.add(7L);
        assertThat(port.drained()).isTrue();
    }

    @Test
    void theSignalComesWhenItIsSwitchedOnWhileAnAnswerIsHeld() {
        port.signalAnswers(false);
        hold();
        port.goOn();
        assertThat(woken).as("it is off").isZero();
        assertThat(service.answersOn).isFalse();

        port.signalAnswers(true);

        assertThat(woken).isEqualTo(1);
    }

    @Test
    void whoGoesOnIsWokenForWhatCameMeanwhileAndReceivesItFirst() {
        hold();
        service.answers.add(8L);

        port.goOn();

        assertThat(woken).isEqualTo(1);
        var answer = new GuestPort.Answer();
        assertThat(port.recv(answer)).isTrue();
        assertThat(answer.tag).isEqualTo(7);
        assertThat(port.recv(answer)).isTrue();
        assertThat(answer.tag).isEqualTo(8);
        assertThat(port.isEmpty()).isTrue();
        port.goOn();
        assertThat(woken).as("nothing is held any more").isEqualTo(1);
    }

    @Test
    void oneThatIsRestoredHoldsAndSignalsWhatItDidWhenItWasSaved() {
        port.signalRoom(false);
        hold();
        var saved = port.state();
        assertThat(saved).isEqualTo(new Port(true, false, List.of(new Held(7, Errno.OK))));
        var other = new Service();
        var restored = new HeldPort(other, () -> woken++);

        restored.restore(saved);

        assertThat(woken).isEqualTo(1);
        assertThat(other.roomOn).isFalse();
        assertThat(restored.isEmpty()).isFalse();
        assertThat(restored.state()).isEqualTo(saved);
    }
}
