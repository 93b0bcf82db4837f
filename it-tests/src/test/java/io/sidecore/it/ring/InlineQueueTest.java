package io.sidecore.it.ring;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.core.Clock;
import io.sidecore.actors.vif.GuestMemory;
import io.sidecore.actors.vif.GuestPort;
import io.sidecore.actors.vif.GuestPort.Sent;
import io.sidecore.actors.vif.InlineQueue;
import io.sidecore.actors.vif.Volume;
import io.sidecore.conf.AttachMode;
import io.sidecore.devices.block.MemoryMedium;
import io.sidecore.it.StoresOn;
import io.sidecore.it.simulation.ForwardingStore;
import java.lang.foreign.Arena;
import org.junit.jupiter.api.Test;

class InlineQueueTest {
    @Test
    void aStoreThatThrowsAnErrorDoesNotBreakTheGuestThatCallsIt() {
        try (var medium = new MemoryMedium(1 << 20, 1 << 20);
                var arena = Arena.ofShared()) {
            var broken = new StoresOn(medium, () -> new ForwardingStore(medium.open()) {
                @Override
                public Request serve(Request chain, Completions later) {
                    if (chain.cookie() == 1) {
                        throw new AssertionError("this store is broken");
                    }
                    return super.serve(chain, later);
                }
            });
            var port = new InlineQueue(
                            new Volume("disk", broken).attach("guest/disk", AttachMode.EXCLUSIVE),
                            GuestMemory.of(arena.allocate(4096, 4096)),
                            Served.LIMITS,
                            Clock.SYSTEM,
                            () -> {},
                            (why, op, flags, offset, length, address) -> {})
                    .port();

            assertThat(port.send(BlockOp.FLUSH, 0, 0, 0, 0, 1)).isEqualTo(Sent.SENT);
            assertThat(port.send(BlockOp.FLUSH, 0, 0, 0, 0, 2)).isEqualTo(Sent.SENT);

            var answer = new GuestPort.Answer();
            assertThat(port.recv(answer)).isTrue();
            assertThat(answer.tag).isEqualTo(2);
            assertThat(port.recv(answer)).isFalse();
        }
    }
}
