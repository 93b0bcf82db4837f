package io.sidecore.devices.block;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.InFlightLedger;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.Simulation;
import io.sidecore.conf.LoopSettings;
import io.sidecore.devices.interpose.FaultPlan;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** In virtual time: the loop on which the store delays is driven by a simulation. */
class FaultStoreTest {
    private static final FaultPlan NONE = FaultPlan.none(1);

    private final Simulation simulation = new Simulation(1);
    private final CoreLoop loop = simulation.loop(
            "faults", new LoopSettings(Duration.ZERO, 64, 8, Duration.ofNanos(200_000), Duration.ofSeconds(1)));
    private final MemoryMedium medium = new MemoryMedium(1 << 20, 1 << 20);
    private final InFlightLedger ledger = new InFlightLedger(16);
    private final List<Request> late = new ArrayList<>();

    @AfterEach
    void close() {
        medium.close();
    }

    @Test
    void withoutFaultsItIsTheStoreBehindIt() {
        var store = store(NONE);

        assertThat(store.serve(flush(), late::add).error()).isEqualTo(Errno.OK);
        assertThat(store.size()).isEqualTo(medium.size());
    }

    @Test
    void aRequestThatIsToFailFailsAsPlanned() {
        var answer = store(NONE.withError(1, Errno.ENOMEM)).serve(flush(), late::add);

        assertThat(answer.error()).isEqualTo(Errno.ENOMEM);
    }

    @Test
    void aDelayedRequestComesLaterAndNotBeforeItsTime() {
        var began = simulation.clock().nanos();

        assertThat(store(NONE.withDelay(1, Duration.ofMillis(5))).serve(flush(), late::add))
                .isNull();
        while (late.isEmpty() && simulation.step()) {}

        assertThat(late).hasSize(1);
        assertThat(simulation.clock().nanos() - began).isGreaterThanOrEqualTo(5_000_000);
    }

    @Test
    void aHangingRequestNeverComesByItself() {
        assertThat(store(NONE.withHang(1)).serve(flush(), late::add)).isNull();

        run();

        assertThat(late).isEmpty();
    }

    @Test
    void whatHungComesWhenItIsWoken() {
        var store = store(NONE.withHang(1));
        store.serve(flush(), late::add);
        run();

        store.wake();
        run();

        assertThat(late).hasSize(1);
        assertThat(late.getFirst().error()).isEqualTo(Errno.OK);
    }

    @Test
    void whatHungBehindAFenceComesBackUnserved() {
        var store = store(NONE.withHang(1));
        store.serve(flush(), late::add);
        run();
        store.fence();

        store.wake();
        run();

        assertThat(late.getFirst().error()).isEqualTo(Errno.RETURNED);
    }

    @Test
    void everyRequestOfAChainComesBackExactlyOnceOrHangs() {
        var store = store(NONE.withDelay(0.3, Duration.ofMillis(1))
                .withError(0.2, Errno.EIO)
                .withHang(0.2));
        var cookies = new ArrayList<Long>();
        for (var round = 0; round < 500; round++) {
            var first = flush();
            first.link(flush());
            for (var done = store.serve(first, late::add); done != null; ) {
                var next = done.unlink();
                late.add(done);
                done = next;
            }
            run();
            store.wake();
            run();
            for (var request : late) {
                cookies.add(request.cookie());
                assertThat(ledger.answer(request, 1)).isTrue();
                ledger.free(request);
            }
            late.clear();
        }

        assertThat(cookies).hasSize(1_000).doesNotHaveDuplicates();
        assertThat(ledger.used()).isZero();
    }

    private long cookie;

    private Request flush() {
        return ledger.open(BlockOp.FLUSH, 0, 0, 0, cookie++, 1);
    }

    private FaultStore store(FaultPlan plan) {
        return new FaultStore(medium.open(), plan, loop);
    }

    private void run() {
        while (simulation.step()) {}
    }
}
