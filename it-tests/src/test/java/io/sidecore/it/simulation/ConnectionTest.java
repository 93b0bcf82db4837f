package io.sidecore.it.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.block.SlabPool;
import io.sidecore.actors.block.Store;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.Deadline;
import io.sidecore.actors.core.LoopDispatcher;
import io.sidecore.actors.core.Simulation;
import io.sidecore.actors.vif.Attachment;
import io.sidecore.actors.vif.Interposer;
import io.sidecore.actors.vif.Queue;
import io.sidecore.actors.vif.Route;
import io.sidecore.actors.vif.Volume;
import io.sidecore.conf.AttachMode;
import io.sidecore.conf.LoopSettings;
import io.sidecore.conf.VifSettings;
import io.sidecore.devices.block.FaultStore;
import io.sidecore.devices.block.MemoryMedium;
import io.sidecore.devices.interpose.FaultInjector;
import io.sidecore.devices.interpose.FaultPlan;
import io.sidecore.devices.linux.OffHeap;
import io.sidecore.devices.nbd.NbdConnection;
import io.sidecore.devices.nbd.NbdExport;
import io.sidecore.devices.nbd.NbdSession;
import io.sidecore.devices.transport.Transport;
import io.sidecore.it.StoresOn;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.stream.SystemMaterializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** One connection on virtual time, with a client that behaves as no good client does: it does not take its answers, asks for more than there is memory for, leaves in the middle. */
class ConnectionTest {
    private static final int MIB = 1 << 20;
    private static final int SIZE = 64 * MIB;
    private static final int READ = 0;
    private static final int WRITE = 1;
    private static final Duration TIMEOUT = Duration.ofSeconds(60);
    private static final LoopSettings LOOPS =
            new LoopSettings(Duration.ZERO, 16, 8, Duration.ofNanos(200_000), Duration.ofMillis(100));

    private static ActorSystem<Void> system;
    private static int runs;

    private final Simulation simulation = new Simulation(11);
    private final CoreLoop loop = loop("loop");
    private final CoreLoop other = loop("other");
    private final CoreLoop storeLoop = loop("store");
    private final CoreLoop guests = loop("guests");
    private final MemoryMedium medium = new MemoryMedium(SIZE, SIZE);
    private UnaryOperator<Store> storeOf = UnaryOperator.identity();
    private final Volume volume = new Volume("disk", new StoresOn(medium, () -> storeOf.apply(medium.open())));
    private final Attachment attachment = volume.attach("nbd/disk", AttachMode.EXCLUSIVE);
    private final SlabPool slabs = new SlabPool(OffHeap::map, 1 << 30);
    private boolean connectionClosed;
    private Queue queue;
    private Client client;

    @BeforeAll
    static void startSystem() {
        system = SupervisorExecutor.system();
    }

    @AfterAll
    static void stopSystem() {
        system.terminate();
    }

    @BeforeEach
    void begin() {
        SupervisorExecutor.runOn(guests);
    }

    /** Whatever a test did: in the end the connection lets go of all its memory. */
    @AfterEach
    void end() {
        queue.close("the test is over");
        while (queue.state() != Queue.State.CLOSED) {
            assertThat(simulation.step()).as("the queue ends").isTrue();
        }
        for (var i = 0; i < 1_000 && simulation.step(); i++) {}
        SupervisorExecutor.runOn(Runnable::run);
        assertThat(connectionClosed).isTrue();
        assertThat(slabs.borrowedBytes()).as("bytes that did not come back").isZero();
        volume.close();
        medium.close();
        slabs.close();
    }

    private CoreLoop loop(String name) {
        var loop = simulation.loop("c" + ++runs + "-" + name, LOOPS);
        LoopDispatcher.install(system.classicSystem(), loop);
        return loop;
    }

    private void connect(VifSettings limits, Interposer... interposers) {
        var ends = SimulatedTransport.pair(simulation.random(), 256 << 10);
        var connection = new NbdConnection(
                ends[0],
                NbdSession.plain(NbdExport.of("disk", attachment)),
                slabs,
                ByteBuffer.allocate(0),
                closed -> connectionClosed = true);
        queue = new Queue(
                "q",
                limits,
                loop,
                new Route(List.of(interposers), attachment),
                connection,
                SystemMaterializer.get(system).materializer(),
                () -> {});
        client = new Client(ends[1]);
        queue.start();
        guests.execute(client::start);
    }

    private static VifSettings limits(int slots, long bytes) {
        return new VifSettings(
                slots, bytes, Duration.ofMillis(50), Duration.ofSeconds(5), TIMEOUT, 1_000, Duration.ofSeconds(1));
    }

    private void pass(Duration time) {
        var end = simulation.clock().nanos() + time.toNanos();
        // Where nothing happens time leaps to what happens next, which is not to be later than this.
        guests.execute(() -> guests.arm(new Deadline(() -> {}), end));
        while (simulation.clock().nanos() - end < 0 && simulation.step()) {}
    }

    /** The client's end of the wire. It sends what it is told, and takes of its answers what it is allowed to. */
    private final class Client implements Transport.Listener {
        private final SimulatedTransport transport;
        private final ByteBuffer in = ByteBuffer.allocate(MIB);
        private ByteBuffer out = ByteBuffer.allocate(0);
        private long allowed;
        private long taken;
        private boolean left;
        private boolean hangsUp = true;
        private boolean sawEnd;

        Client(SimulatedTransport transport) {
            this.transport = transport;
        }

        void start() {
            transport.attach(guests, this);
            progress();
        }

        /** Sends requests of these bytes each, one behind the other. */
        void asks(int type, int count, int bytes) {
            var message = ByteBuffer.allocate(count * (28 + (type == WRITE ? bytes : 0)));
            for (var i = 0; i < count; i++) {
                header(message, type, i, (long) i * bytes % SIZE, bytes);
                if (type == WRITE) {
                    message.position(message.position() + bytes);
                }
            }
            sends(message.array());
        }

        void sends(byte[] bytes) {
            guests.execute(() -> {
                var both = ByteBuffer.allocate(out.remaining() + bytes.length);
                out = both.put(out).put(bytes).flip();
                progress();
            });
        }

        /** So many more bytes. */
        void takes(long bytes) {
            guests.execute(() -> {
                allowed += bytes;
                progress();
            });
        }

        void leaves() {
            guests.execute(() -> {
                left = true;
                transport.close();
            });
        }

        private void progress() {
            if (left) {
                return;
            }
            transport.write(out);
            transport.interest(allowed > 0, out.hasRemaining());
        }

        @Override
        public void readable() {
            in.clear().limit((int) Math.min(in.capacity(), allowed));
            var n = transport.read(in);
            if (n < 0) {
                sawEnd = true;
                if (hangsUp) {
                    leaves();
                } else {
                    transport.interest(false, false);
                }
                return;
            }
            taken += n;
            allowed -= n;
            progress();
        }

        @Override
        public void writable() {
            progress();
        }
    }

    private static void header(ByteBuffer out, int type, long cookie, long offset, int length) {
        out.putInt(0x25609513)
                .putShort((short) 0)
                .putShort((short) type)
                .putLong(cookie)
                .putLong(offset)
                .putInt(length);
    }

    // --- a client that does not take its answers

    @Test
    void aClientThatNeverTakesItsAnswersIsDisconnectedInTheEnd() {
        connect(limits(256, 64 * MIB));
        client.asks(READ, 64, 32 << 10);

        pass(TIMEOUT.minusSeconds(1));
        assertThat(queue.state()).isEqualTo(Queue.State.RUNNING);
        pass(Duration.ofSeconds(3));

        assertThat(queue.state()).isEqualTo(Queue.State.CLOSED);
        assertThat(slabs.borrowedBytes()).isZero();
    }

    @Test
    void aClientThatTakesAByteNowAndThenIsDisconnectedToo() {
        connect(limits(256, 64 * MIB));
        client.asks(READ, 64, 32 << 10);

        for (var i = 0; i < 62; i++) {
            client.takes(1);
            pass(Duration.ofSeconds(1));
        }

        assertThat(queue.state()).isEqualTo(Queue.State.CLOSED);
    }

    @Test
    void aClientThatTakesItsAnswersSlowlyIsServed() {
        connect(limits(256, 64 * MIB));
        client.asks(READ, 64, 32 << 10);

        for (var i = 0; i < 600; i++) {
            client.takes(4 << 10);
            pass(Duration.ofSeconds(1));
        }

        assertThat(client.taken).isEqualTo(64 * (16 + (32 << 10)));
        assertThat(queue.state()).isEqualTo(Queue.State.RUNNING);
    }

    @Test
    void aClientThatTakesEverythingAtTheLastMomentIsForgiven() {
        connect(limits(256, 64 * MIB));
        client.asks(READ, 64, 32 << 10);
        pass(TIMEOUT.minusSeconds(1));

        client.takes(Long.MAX_VALUE);
        pass(TIMEOUT.multipliedBy(3));

        assertThat(client.taken).isEqualTo(64 * (16 + (32 << 10)));
        assertThat(queue.state()).isEqualTo(Queue.State.RUNNING);
    }

    @Test
    void theTimeOfAClientGoesOnWhileItsQueueMoves() {
        connect(limits(256, 64 * MIB));
        client.asks(READ, 64, 32 << 10);

        pass(TIMEOUT.dividedBy(2));
        queue.change(null, other);
        pass(TIMEOUT.dividedBy(2).minusSeconds(1));
        assertThat(queue.state()).isEqualTo(Queue.State.RUNNING);
        assertThat(queue.loop()).isSameAs(other);
        pass(Duration.ofSeconds(3));

        assertThat(queue.state()).isEqualTo(Queue.State.CLOSED);
    }

    // --- a client that does not send the rest of a request

    @Test
    void aClientThatStopsInTheMiddleOfARequestIsDisconnectedInTheEnd() {
        connect(limits(256, 64 * MIB));
        client.sends(aWriteOf(8 * MIB, MIB));

        pass(TIMEOUT.minusSeconds(1));
        assertThat(queue.state()).isEqualTo(Queue.State.RUNNING);
        pass(TIMEOUT.plusSeconds(3));

        assertThat(queue.state()).isEqualTo(Queue.State.CLOSED);
        assertThat(slabs.borrowedBytes()).isZero();
    }

    @Test
    void aClientThatStopsInAHeaderIsDisconnectedToo() {
        connect(limits(256, 64 * MIB));
        client.sends(Arrays.copyOf(aWriteOf(4096, 0), 27));

        pass(TIMEOUT.plusSeconds(2));

        assertThat(queue.state()).isEqualTo(Queue.State.CLOSED);
    }

    @Test
    void aClientThatStopsInAPayloadThatIsRefusedIsDisconnectedToo() {
        connect(limits(256, 64 * MIB));
        client.takes(Long.MAX_VALUE);
        client.sends(aWriteOf(64 * MIB, 4096));

        pass(TIMEOUT.minusSeconds(1));
        assertThat(client.taken)
                .as("the refusal, which comes behind the payload")
                .isZero();
        assertThat(queue.state()).isEqualTo(Queue.State.RUNNING);
        pass(Duration.ofSeconds(3));

        assertThat(queue.state()).isEqualTo(Queue.State.CLOSED);
    }

    @Test
    void aClientThatSendsARequestSlowlyIsServed() {
        connect(limits(256, 64 * MIB));
        client.takes(Long.MAX_VALUE);
        var whole = aWriteOf(MIB, MIB);

        for (var at = 0; at < whole.length; at += 4 << 10) {
            client.sends(Arrays.copyOfRange(whole, at, Math.min(at + (4 << 10), whole.length)));
            pass(Duration.ofSeconds(1));
        }

        assertThat(client.taken).isEqualTo(16);
        assertThat(queue.state()).isEqualTo(Queue.State.RUNNING);
    }

    /** There is always half a request, but never the same one for long. */
    @Test
    void aClientThatStopsInEachOfItsRequestsForAShorterTimeIsServed() {
        connect(limits(256, 64 * MIB));
        client.takes(Long.MAX_VALUE);
        var whole = aWriteOf(4096, 4096);
        var restAndBeginning = ByteBuffer.allocate(whole.length)
                .put(whole, 100, whole.length - 100)
                .put(whole, 0, 100)
                .array();
        client.sends(Arrays.copyOf(whole, 100));

        for (var i = 1; i <= 20; i++) {
            pass(TIMEOUT.multipliedBy(2).dividedBy(3));
            client.sends(restAndBeginning);
            pass(Duration.ofSeconds(1));
            assertThat(client.taken).isEqualTo(16L * i);
        }

        assertThat(queue.state()).isEqualTo(Queue.State.RUNNING);
    }

    @Test
    void theTimeForTheRestOfARequestGoesOnWhileItsQueueMoves() {
        connect(limits(256, 64 * MIB));
        client.sends(aWriteOf(8 * MIB, MIB));

        pass(TIMEOUT.dividedBy(2));
        queue.change(null, other);
        pass(TIMEOUT.dividedBy(2).minusSeconds(1));
        assertThat(queue.state()).isEqualTo(Queue.State.RUNNING);
        assertThat(queue.loop()).isSameAs(other);
        pass(TIMEOUT.plusSeconds(3));

        assertThat(queue.state()).isEqualTo(Queue.State.CLOSED);
    }

    /** The beginning of a write: its header, and so much of its payload. */
    private static byte[] aWriteOf(int length, int sent) {
        var message = ByteBuffer.allocate(28 + sent);
        header(message, WRITE, 1, 0, length);
        return message.array();
    }

    // --- a client that asks for more than there is memory for

    /** Each answer is large enough to leave at once, and all slots are in use when it does. */
    @Test
    void aQueueThatHadNoSlotsGoesOnWhenAnswersLeaveAtOnce() {
        connect(limits(4, 64 * MIB), new FaultInjector("slow", FaultPlan.none(1).withDelay(1, Duration.ofMillis(1))));
        client.takes(Long.MAX_VALUE);

        client.asks(READ, 64, 40 << 10);
        pass(Duration.ofSeconds(1));

        assertThat(client.taken).isEqualTo(64 * (16 + (40 << 10)));
    }

    /** Lent by the medium they cost nothing, and without it 200 MiB: a change must not take what a client could not. */
    @Test
    void lentReadsThatAreIssuedAgainKeepWithinTheBound() {
        storeOf = store -> new FaultStore(store, FaultPlan.none(1).withDelay(1, Duration.ofSeconds(1)), storeLoop);
        volume.replace();
        connect(limits(256, 33 * MIB));
        client.asks(WRITE, 64, MIB);
        client.takes(64 * 16);
        pass(Duration.ofSeconds(70));
        assertThat(client.taken).isEqualTo(64 * 16);
        client.asks(READ, 200, MIB);
        pass(Duration.ofMillis(500));
        assertThat(queue.ledger().open()).isEqualTo(200);
        assertThat(slabs.borrowedBytes()).isLessThan(3 * MIB);

        queue.change(new Route(List.of(new FaultInjector("none", FaultPlan.none(1))), attachment), null);
        client.takes(Long.MAX_VALUE);
        var most = 0L;
        for (var i = 0; i < 300; i++) {
            pass(Duration.ofMillis(100));
            most = Math.max(most, slabs.mappedBytes());
        }

        assertThat(client.taken).isEqualTo(64 * 16 + 200L * (16 + MIB));
        assertThat(most).as("bytes mapped").isLessThanOrEqualTo(36 * MIB);
    }

    /** A store that answers at once empties the ledger as fast as it is filled, and what was answered still waits for the client. */
    @Test
    void readsThatAreIssuedAgainForAClientThatTakesNothingKeepWithinTheBound() {
        storeOf = store -> new FaultStore(store, FaultPlan.none(1).withDelay(1, Duration.ofSeconds(1)), storeLoop);
        volume.replace();
        connect(limits(256, 33 * MIB));
        client.asks(WRITE, 64, MIB);
        client.takes(64 * 16);
        pass(Duration.ofSeconds(70));
        client.asks(READ, 200, MIB);
        pass(Duration.ofMillis(500));
        assertThat(queue.ledger().open()).isEqualTo(200);

        storeOf = UnaryOperator.identity();
        volume.replace();
        queue.change(new Route(List.of(new FaultInjector("none", FaultPlan.none(1))), attachment), null);
        var most = 0L;
        for (var i = 0; i < 100; i++) {
            pass(Duration.ofMillis(100));
            most = Math.max(most, slabs.borrowedBytes());
        }
        assertThat(most).as("bytes in use").isBetween(1L * MIB, 36L * MIB);
        client.takes(Long.MAX_VALUE);
        pass(Duration.ofSeconds(30));

        assertThat(client.taken).isEqualTo(64 * 16 + 200L * (16 + MIB));
    }

    /** With 33 MiB for all, and 2 MiB in use by the connection itself, not even one fits. */
    @Test
    void aLentReadThatIsLargerThanTheBoundIsIssuedAgainAlone() {
        connect(limits(256, 33 * MIB), new FaultInjector("none", FaultPlan.none(1)));
        client.asks(WRITE, 64, MIB);
        client.takes(64 * 16);
        pass(Duration.ofSeconds(1));
        storeOf = store -> new FaultStore(store, FaultPlan.none(1).withDelay(1, Duration.ofSeconds(1)), storeLoop);
        volume.replace();
        queue.change(new Route(List.of(), attachment), null);
        pass(Duration.ofSeconds(1));
        client.asks(READ, 2, 32 * MIB);
        pass(Duration.ofMillis(1));
        assertThat(queue.ledger().open()).isEqualTo(2);
        assertThat(slabs.borrowedBytes()).isLessThan(3 * MIB);

        queue.change(new Route(List.of(new FaultInjector("none", FaultPlan.none(1))), attachment), null);
        client.takes(Long.MAX_VALUE);
        var all = 64 * 16 + 2L * (16 + 32 * MIB);
        // Copies of this size are made by a thread of the medium's, which knows nothing of virtual time.
        var until = System.nanoTime() + 60_000_000_000L;
        while (client.taken < all && System.nanoTime() < until) {
            pass(Duration.ofMillis(1));
        }

        assertThat(client.taken).isEqualTo(all);
    }

    // --- a store that is slower than a drain may be

    @Test
    void aChangeGivesUpASlowStoreOnceAndNotItsSuccessorsToo() {
        var opened = new int[1];
        storeOf = store -> {
            opened[0]++;
            return new FaultStore(store, FaultPlan.none(1).withDelay(1, Duration.ofSeconds(1)), storeLoop);
        };
        volume.replace();
        connect(limits(256, 64 * MIB));
        client.takes(Long.MAX_VALUE);
        client.asks(READ, 4, 4096);
        pass(Duration.ofMillis(100));

        var changed = queue.change(new Route(List.of(), attachment), null).toCompletableFuture();
        pass(Duration.ofSeconds(5));

        assertThat(changed).isCompletedWithValueMatching(Queue.Changed::lost);
        assertThat(client.taken).isEqualTo(4 * (16 + 4096));
        assertThat(opened).containsExactly(2);
    }

    // --- a client that breaks the protocol

    /** What came in one piece with it was decoded, and never arrived at the queue. */
    @Test
    void aRequestBeforeGarbageHasNoTime() {
        connect(limits(256, 64 * MIB));
        pass(TIMEOUT.multipliedBy(2));
        var message = ByteBuffer.allocate(3 * 28);
        header(message, READ, 1, 0, 4096);
        header(message, READ, 2, 0, 4096);

        client.sends(message.array());
        pass(Duration.ofSeconds(1));

        assertThat(queue.state()).isEqualTo(Queue.State.CLOSED);
        assertThat(queue.tally().latencies().longestNanos()).isLessThan(TIMEOUT.toNanos());
    }

    // --- a host that ends the connection

    /** Closed with bytes unread, a TCP connection is reset, and its client loses the answers that it has not read. */
    @Test
    void whatWasUnderWayWhenTheHostEndsIsRefusedAndTheHostWaitsUntilTheClientHangsUp() {
        connect(limits(256, 64 * MIB));
        client.takes(Long.MAX_VALUE);
        pass(Duration.ofMillis(10));

        queue.close("the host stops");
        pass(Duration.ofMillis(8));
        client.asks(READ, 3, 4096);
        pass(Duration.ofMillis(8));
        assertThat(client.taken).isEqualTo(3 * 16);
        client.asks(WRITE, 2, 4096);
        pass(Duration.ofMillis(8));
        assertThat(client.taken).isEqualTo(5 * 16);
        assertThat(client.sawEnd).isFalse();
        assertThat(connectionClosed).isFalse();
        pass(Duration.ofMillis(8));

        assertThat(client.left).isTrue();
        assertThat(queue.state()).isEqualTo(Queue.State.CLOSED);
    }

    @Test
    void aClientThatSendsMoreBehindTheEndIsDisconnectedInTime() {
        connect(limits(256, 64 * MIB));
        client.takes(Long.MAX_VALUE);
        client.hangsUp = false;
        pass(Duration.ofMillis(10));

        queue.close("the host stops");
        pass(Duration.ofMillis(20));
        assertThat(client.sawEnd).isTrue();
        client.asks(WRITE, 8, 32 << 10);
        pass(Duration.ofMillis(20));
        assertThat(client.taken).isZero();
        assertThat(connectionClosed).isFalse();
        pass(Duration.ofMillis(20));

        assertThat(queue.state()).isEqualTo(Queue.State.CLOSED);
    }

    @Test
    void aClientThatAsksOnAndTakesNothingIsNotRefusedWithoutBound() {
        connect(new VifSettings(
                256, 64 * MIB, Duration.ofSeconds(5), Duration.ofSeconds(5), TIMEOUT, 1_000, Duration.ofSeconds(1)));
        pass(Duration.ofMillis(10));

        queue.close("the host stops");
        for (var i = 0; i < 400; i++) {
            client.asks(READ, 2_000, 4096);
            pass(Duration.ofMillis(10));
        }
        assertThat(connectionClosed).isFalse();
        assertThat(slabs.borrowedBytes()).isLessThan(4 * MIB);
        pass(Duration.ofSeconds(2));

        assertThat(queue.state()).isEqualTo(Queue.State.CLOSED);
    }

    /** A retransmission takes longer than a pause. */
    @Test
    void aRequestThatIsHalfSentWhenTheHostEndsIsRefusedToo() {
        connect(limits(256, 64 * MIB));
        client.takes(Long.MAX_VALUE);
        pass(Duration.ofMillis(10));
        var whole = aWriteOf(4096, 4096);
        client.sends(Arrays.copyOf(whole, 1000));
        pass(Duration.ofMillis(1));

        queue.close("the host stops");
        pass(Duration.ofMillis(30));
        client.sends(Arrays.copyOfRange(whole, 1000, whole.length));
        pass(Duration.ofMillis(5));

        assertThat(client.taken).isEqualTo(16);
        assertThat(client.sawEnd).isFalse();
    }

    @Test
    void aClientThatGoesOnAskingIsRefusedForATimeAndThenDisconnected() {
        connect(limits(256, 64 * MIB));
        client.takes(Long.MAX_VALUE);
        pass(Duration.ofMillis(10));

        queue.close("the host stops");
        for (var i = 0; i < 9; i++) {
            client.asks(READ, 1, 4096);
            pass(Duration.ofMillis(5));
        }
        assertThat(client.taken).isEqualTo(9 * 16);
        assertThat(connectionClosed).isFalse();
        for (var i = 0; i < 3; i++) {
            client.asks(READ, 1, 4096);
            pass(Duration.ofMillis(5));
        }

        assertThat(queue.state()).isEqualTo(Queue.State.CLOSED);
    }

    // --- a client that leaves

    @Test
    void aClientThatLeavesInTheMiddleOfALargeWriteIsLetGo() {
        connect(limits(256, 64 * MIB));
        client.sends(aWriteOf(8 * MIB, MIB));
        pass(Duration.ofSeconds(1));
        assertThat(medium.allocatedBytes()).as("the write lands in the medium").isEqualTo(8 * MIB);
        assertThat(queue.ledger().used()).isZero();

        client.leaves();
        pass(Duration.ofSeconds(1));

        assertThat(queue.state()).isEqualTo(Queue.State.CLOSED);
        assertThat(slabs.borrowedBytes()).isZero();
    }

    @Test
    void aClientThatLeavesWithLentAnswersUnsentIsLetGo() {
        connect(limits(256, 64 * MIB));
        client.asks(WRITE, 8, MIB);
        client.takes(8 * 16);
        pass(Duration.ofSeconds(1));
        client.asks(READ, 8, MIB);
        pass(Duration.ofSeconds(1));
        assertThat(client.taken).isEqualTo(8 * 16);

        client.leaves();
        pass(Duration.ofSeconds(1));

        assertThat(queue.state()).isEqualTo(Queue.State.CLOSED);
    }
}
