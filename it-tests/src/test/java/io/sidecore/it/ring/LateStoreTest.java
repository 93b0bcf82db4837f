package io.sidecore.it.ring;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.InFlightLedger;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Slab;
import io.sidecore.actors.block.Store;
import io.sidecore.actors.vif.GuestMemory;
import io.sidecore.actors.vif.GuestPort.Sent;
import io.sidecore.actors.vif.Queue;
import io.sidecore.conf.AttachMode;
import io.sidecore.devices.block.MemoryMedium;
import io.sidecore.it.StoresOn;
import io.sidecore.it.ring.Served.Way;
import io.sidecore.it.simulation.ForwardingStore;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A store that cannot be cut off in time: it may still write into a guest's memory, which must not be the guest's again before. */
@Timeout(value = 2, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class LateStoreTest {
    private static final int DISK = 1 << 20;

    /** Keeps whatever reads it is handed, and its fence open. */
    private static final class Late extends ForwardingStore {
        private final CompletableFuture<Void> fence = new CompletableFuture<>();
        private final CompletableFuture<Request> held = new CompletableFuture<>();

        Late(Store store) {
            super(store);
        }

        @Override
        public Request serve(Request chain, Completions later) {
            if (chain.op() == BlockOp.READ) {
                held.complete(chain);
                return null;
            }
            return super.serve(chain, later);
        }

        @Override
        public CompletionStage<Void> fence() {
            return fence;
        }
    }

    private final ActorSystem<Void> system = ActorSystem.create(Behaviors.empty(), "late");
    private final Arena arena = Arena.ofShared();
    private final MemorySegment memory = arena.allocate(64 << 10);
    private final MemoryMedium medium = new MemoryMedium(DISK, DISK);
    private final Late late = new Late(medium.open());
    private final boolean[] opened = new boolean[1];
    private Served served;

    @BeforeEach
    void readThroughIt() {
        served = new Served(
                Way.SHARED,
                system,
                new StoresOn(medium, () -> {
                    if (opened[0]) {
                        return medium.open();
                    }
                    opened[0] = true;
                    return late;
                }),
                GuestMemory.of(memory),
                AttachMode.EXCLUSIVE);
        assertThat(served.port.send(BlockOp.READ, 0, 0, 4096, 8192, 1)).isEqualTo(Sent.SENT);
        late.held.join();
    }

    @AfterEach
    void letGo() {
        served.close();
        medium.close();
        arena.close();
        system.terminate();
    }

    private void writeLate() {
        var request = late.held.join();
        request.memory().asSlice(request.position(), 4096).fill((byte) 0x66);
    }

    @Test
    void aReadIsAnsweredOnlyOnceNobodyCanWriteIntoItsMemory() {
        served.volume.replace();
        // Behind the other one: when this is answered, that was.
        served.port.send(BlockOp.READ, 0, 0, 512, 0, 2);
        var answer = served.answer();
        assertThat(answer.tag).isEqualTo(2);
        assertThat(answer.error).isEqualTo(Errno.EIO);
        assertThat(served.volume.failure()).isPresent();
        assertThat(served.port.isEmpty()).isTrue();

        writeLate();
        late.fence.complete(null);

        answer = served.answer();
        assertThat(answer.tag).isEqualTo(1);
        assertThat(answer.error).isEqualTo(Errno.EIO);
        assertThat(memory.asSlice(8192, 4096).toArray(ValueLayout.JAVA_BYTE)).containsOnly(0x66);
    }

    @Test
    void theMemoryIsNotLetGoBeforeTheStoreIsCutOff() {
        served.volume.replace();
        served.port.send(BlockOp.READ, 0, 0, 512, 0, 2);
        assertThat(served.answer().tag).isEqualTo(2);

        served.end();
        while (served.queue.state() != Queue.State.CLOSED) {
            Thread.onSpinWait();
        }
        assertThat(served.ended().toCompletableFuture()).isNotDone();
        writeLate();
        late.fence.complete(null);

        served.ended().toCompletableFuture().join();
        assertThat(served.answer().tag).isEqualTo(1);
    }

    @Test
    void aReadWhoseStoreWasCutOffIsDoneByTheNextOne() {
        medium.open().serve(write(), request -> {});
        served.volume.replace();
        late.fence.complete(null);

        var answer = served.answer();

        assertThat(answer.tag).isEqualTo(1);
        assertThat(answer.error).isEqualTo(Errno.OK);
        assertThat(memory.asSlice(8192, 4096).toArray(ValueLayout.JAVA_BYTE)).containsOnly(0x44);
    }

    private Request write() {
        var payload = arena.allocate(4096).fill((byte) 0x44);
        var request = new InFlightLedger(1).open(BlockOp.WRITE, 0, 4096, 0, 0, 0);
        request.payload(new Slab(payload), 0);
        return request;
    }
}
