package io.sidecore.it.ring;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.PlainMedium;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.vif.GuestAdmission.Refusal;
import io.sidecore.actors.vif.GuestMemory;
import io.sidecore.actors.vif.GuestPort;
import io.sidecore.actors.vif.GuestPort.Sent;
import io.sidecore.actors.vif.Route;
import io.sidecore.conf.AttachMode;
import io.sidecore.devices.block.FileMedium;
import io.sidecore.devices.block.LinuxImage;
import io.sidecore.devices.block.MemoryMedium;
import io.sidecore.devices.interpose.FaultInjector;
import io.sidecore.devices.interpose.FaultPlan;
import io.sidecore.it.ring.Served.Way;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What a guest inside the process may count on, however it is served; on real threads. */
@Timeout(value = 2, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class GuestPortTest {
    private static final int DISK = 1 << 20;
    private static final int MEMORY = 256 << 10;

    private static ActorSystem<Void> system;

    @TempDir
    Path directory;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment memory = arena.allocate(MEMORY, 4096);
    private final MemoryMedium medium = new MemoryMedium(DISK, DISK);

    @BeforeAll
    static void startSystem() {
        system = ActorSystem.create(Behaviors.empty(), "rings");
    }

    @AfterAll
    static void stopSystem() {
        system.terminate();
    }

    @AfterEach
    void letGo() {
        medium.close();
        arena.close();
    }

    private Served served(Way way) {
        return new Served(way, system, medium, GuestMemory.of(memory), AttachMode.EXCLUSIVE);
    }

    private static void assertAnswer(Served served, long tag, Errno error) {
        var answer = served.answer();
        assertThat(answer.tag).isEqualTo(tag);
        assertThat(answer.error).isEqualTo(error);
    }

    private static Sent flush(Served served, long tag) {
        return served.port.send(BlockOp.FLUSH, 0, 0, 0, 0, tag);
    }

    @ParameterizedTest
    @EnumSource
    void whatIsWrittenIsReadBack(Way way) {
        try (var served = served(way)) {
            memory.asSlice(4096, 4096).fill((byte) 0x5A);
            assertThat(served.port.send(BlockOp.WRITE, Request.FUA, 8192, 4096, 4096, 1))
                    .isEqualTo(Sent.SENT);
            assertAnswer(served, 1, Errno.OK);

            assertThat(served.port.send(BlockOp.READ, 0, 8192 + 1024, 2048, 100, 2))
                    .isEqualTo(Sent.SENT);
            assertAnswer(served, 2, Errno.OK);

            assertThat(memory.asSlice(100, 2048).toArray(ValueLayout.JAVA_BYTE)).containsOnly(0x5A);
            assertThat(memory.asSlice(0, 100).toArray(ValueLayout.JAVA_BYTE)).containsOnly(0);
            assertThat(memory.asSlice(2148, 1948).toArray(ValueLayout.JAVA_BYTE))
                    .containsOnly(0);
        }
    }

    @ParameterizedTest
    @EnumSource
    void aGuestWhoOnlyWaitsToBeWokenIsNeverForgotten(Way way) {
        try (var served = served(way)) {
            var guest = new LaneGuest(served.port, memory, new SplittableRandom(1), 16, 50_000, false);

            run(served, guest);

            assertThat(guest.violations()).isEmpty();
            assertThat(guest.answered()).isEqualTo(50_000);
        }
    }

    private static void run(Served served, LaneGuest guest) {
        guest.progress();
        while (!guest.done()) {
            served.await();
            guest.progress();
        }
    }

    @ParameterizedTest
    @EnumSource
    void aGuestWhoLooksIsNotWoken(Way way) {
        try (var served = served(way)) {
            served.port.signalAnswers(false);
            served.port.signalRoom(false);
            var guest = new LaneGuest(served.port, memory, new SplittableRandom(2), 16, 20_000, false);

            assertTimeoutPreemptively(Duration.ofMinutes(1), () -> {
                while (!guest.done()) {
                    guest.progress();
                }
            });

            assertThat(guest.violations()).isEmpty();
            assertThat(served.wakes.availablePermits()).isZero();
        }
    }

    @Test
    void aLoopThatPollsIsNotSignalled() {
        try (var served = served(Way.POLLED)) {
            // The switch is thrown on the loop.
            flush(served, 1);
            assertAnswer(served, 1, Errno.OK);
            var before = served.ring.signalsToService();

            var guest = new LaneGuest(served.port, memory, new SplittableRandom(3), 16, 20_000, false);
            run(served, guest);

            assertThat(guest.violations()).isEmpty();
            assertThat(served.ring.signalsToService()).isEqualTo(before);
        }
    }

    @Test
    void aReservedLoopIsNotSignalledAndTheOneAfterItIs() {
        try (var served = served(Way.SHARED)) {
            moveTo(served, served.addLoop(system, RESERVED));
            var before = served.ring.signalsToService();
            var guest = new LaneGuest(served.port, memory, new SplittableRandom(3), 16, 20_000, false);
            run(served, guest);
            assertThat(guest.violations()).isEmpty();
            assertThat(served.ring.signalsToService()).isEqualTo(before);

            moveTo(served, served.loops.getFirst());
            flush(served, 1);
            assertAnswer(served, 1, Errno.OK);
            flush(served, 2);
            assertAnswer(served, 2, Errno.OK);
            assertThat(served.ring.signalsToService()).isGreaterThan(before);
        }
    }

    private static final CoreLoop.Placement RESERVED = new CoreLoop.Placement() {
        @Override
        public void enter() {}

        @Override
        public long waitedNanos() {
            return 0;
        }

        @Override
        public void leave() {}

        @Override
        public boolean reserved() {
            return true;
        }
    };

    private static void moveTo(Served served, CoreLoop loop) {
        served.queue.change(served.queue.route(), loop).toCompletableFuture().join();
    }

    @Test
    void aBurstIsOneTaskOfTheLoop() {
        try (var served = served(Way.SHARED)) {
            flush(served, 0);
            assertAnswer(served, 0, Errno.OK);
            var loop = served.loops.getFirst();
            var handOffs = loop.counters().handOffs.get();
            var held = hold(loop);
            for (var i = 1; i <= 30; i++) {
                flush(served, i);
            }
            held.countDown();

            for (var i = 1; i <= 30; i++) {
                assertAnswer(served, i, Errno.OK);
            }

            // One is what holds the loop.
            assertThat(loop.counters().handOffs.get() - handOffs).isEqualTo(2);
        }
    }

    /** Nothing is served until it is counted down. */
    private static CountDownLatch hold(CoreLoop loop) {
        var holding = new CountDownLatch(1);
        var release = new CountDownLatch(1);
        loop.execute(() -> {
            holding.countDown();
            awaitQuietly(release);
        });
        awaitQuietly(holding);
        return release;
    }

    private static void awaitQuietly(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @ParameterizedTest
    @EnumSource
    void whatHasNoRoomIsSentOnceThereIs(Way way) {
        try (var served = served(way)) {
            var held = served.loops.isEmpty() ? new CountDownLatch(1) : hold(served.loops.getFirst());
            var sent = 0;
            while (flush(served, sent) == Sent.SENT) {
                sent++;
            }
            assertThat(sent).isEqualTo(Served.LIMITS.slots());
            assertThat(served.port.isFull()).isTrue();
            held.countDown();

            // Inline there is room again when answers were received.
            for (var i = 0; way == Way.INLINE && i < sent; i++) {
                assertAnswer(served, i, Errno.OK);
            }
            while (served.port.isFull()) {
                served.await();
            }

            assertThat(flush(served, 1_000)).isEqualTo(Sent.SENT);
        }
    }

    @Test
    void aGuestWhoTakesNoAnswersIsToldThatThereIsNoRoomAndNothingIsLost() {
        try (var served = served(Way.SHARED)) {
            var sent = 0;
            for (var tries = 0; sent < 64 && tries < 1_000_000; tries++) {
                if (flush(served, sent) == Sent.SENT) {
                    sent++;
                } else {
                    served.await();
                }
            }
            // More than the rings hold is not in flight, whatever the service has done.
            assertThat(flush(served, sent)).isEqualTo(Sent.FULL);

            for (var i = 0; i < sent; i++) {
                assertAnswer(served, i, Errno.OK);
            }
            assertThat(flush(served, sent)).isEqualTo(Sent.SENT);
        }
    }

    // --- changes

    @ParameterizedTest
    @EnumSource(names = {"SHARED", "POLLED"})
    void interposersComeAndGoAndTheQueueMovesWhileAGuestIsServed(Way way) throws Exception {
        try (var served = served(way)) {
            var guest = new LaneGuest(served.port, memory, new SplittableRandom(6), 16, 30_000, false);
            var over = new CountDownLatch(1);
            var changes = new AtomicInteger();
            var changing = new Thread(() -> {
                for (; over.getCount() > 0; changes.incrementAndGet()) {
                    var n = changes.get();
                    var slow = new FaultInjector("slow", FaultPlan.none(n).withDelay(0.05, Duration.ofNanos(100_000)));
                    served.queue
                            .change(
                                    new Route(
                                            n % 2 == 0 ? List.of(slow) : List.of(),
                                            served.queue.route().attachment()),
                                    served.loops.get(n / 2 % 2))
                            .toCompletableFuture()
                            .join();
                    if (n % 8 == 0) {
                        served.ring.polled(way == Way.POLLED ^ n % 16 == 0);
                    }
                }
            });
            changing.start();

            run(served, guest);
            over.countDown();
            changing.join();

            System.out.printf("%s: %,d changes beneath a guest%n", way, changes.get());
            assertThat(guest.violations()).isEmpty();
            assertThat(guest.answered()).isEqualTo(30_000);
            assertThat(changes.get()).isGreaterThan(20);
        }
    }

    // --- hostile guests

    private record Refused(Refusal why, BlockOp op) {}

    @ParameterizedTest
    @EnumSource
    void aWriteThroughAReadOnlyAttachmentIsRefused(Way way) {
        var refusals = new ArrayList<Refused>();
        try (var served = new Served(
                way,
                system,
                medium,
                GuestMemory.of(memory),
                AttachMode.READ_ONLY,
                Served.LIMITS,
                (why, op, flags, offset, length, address) -> refusals.add(new Refused(why, op)))) {
            assertThat(served.port.readOnly()).isTrue();
            for (var op : List.of(BlockOp.WRITE, BlockOp.TRIM, BlockOp.WRITE_ZEROES)) {
                assertThat(served.port.send(op, 0, 0, 512, 0, 1)).isEqualTo(Sent.REFUSED);
            }
            assertThat(refusals)
                    .containsExactly(
                            new Refused(Refusal.READ_ONLY, BlockOp.WRITE),
                            new Refused(Refusal.READ_ONLY, BlockOp.TRIM),
                            new Refused(Refusal.READ_ONLY, BlockOp.WRITE_ZEROES));
            assertThat(served.refused()).isEqualTo(3);

            served.port.send(BlockOp.READ, 0, 0, 512, 0, 2);
            assertAnswer(served, 2, Errno.OK);
        }
    }

    /** Of all that could be asked: what is sound is done, and everything else touches nothing. */
    @ParameterizedTest
    @EnumSource
    void whateverAGuestAsksNothingButItsOwnIsTouched(Way way) {
        var present = 100_000;
        var told = new int[1];
        var around = arena.allocate(3 * MEMORY, 4096);
        around.fill((byte) 0x77);
        var own = around.asSlice(MEMORY, MEMORY);
        own.asSlice(0, present).fill((byte) 0);
        try (var served = new Served(
                way,
                system,
                medium,
                new GuestMemory(own, () -> present),
                AttachMode.EXCLUSIVE,
                Served.LIMITS,
                (why, op, flags, offset, length, address) -> told[0]++)) {
            var fuzz = new Fuzz(served, own, present);

            fuzz.run(120_000);

            System.out.printf("%s: %,d requests served, %,d refused%n", way, fuzz.served, fuzz.refused);
            assertThat(fuzz.violations).isEmpty();
            assertThat(fuzz.served).isGreaterThan(5_000);
            assertThat(fuzz.refused).isGreaterThan(60_000);
            assertThat(served.refused()).isEqualTo(fuzz.refused);
            assertThat(told[0]).isEqualTo(fuzz.refused);
            assertThat(served.tally().requests()).isEqualTo(fuzz.served);
            assertThat(around.asSlice(0, MEMORY).toArray(ValueLayout.JAVA_BYTE)).containsOnly(0x77);
            assertThat(around.asSlice(MEMORY + present).toArray(ValueLayout.JAVA_BYTE))
                    .containsOnly(0x77);
            flush(served, 1);
            assertAnswer(served, 1, Errno.OK);
        }
    }

    /** Requests from a seed, one after the other, and the same requests done to arrays. */
    private static final class Fuzz {
        private static final List<BlockOp> OPS = List.of(BlockOp.values());
        private static final long[] EDGES = {
            Long.MIN_VALUE,
            -DISK,
            -1,
            0,
            1,
            Integer.MAX_VALUE,
            1L << 31,
            1L << 32,
            (1L << 32) + 4096,
            1L << 62,
            Long.MAX_VALUE - 4095,
            Long.MAX_VALUE
        };

        private final Served by;
        private final MemorySegment memory;
        private final int present;
        private final SplittableRandom random = new SplittableRandom(11);
        private final byte[] disk = new byte[DISK];
        private final List<String> violations = new ArrayList<>();
        private int served;
        private int refused;

        Fuzz(Served by, MemorySegment memory, int present) {
            this.by = by;
            this.memory = memory;
            this.present = present;
        }

        private long number(long bound) {
            return switch (random.nextInt(8)) {
                case 0 -> EDGES[random.nextInt(EDGES.length)];
                case 1 -> bound + random.nextInt(-2, 3);
                case 2 -> bound - random.nextInt(9_000);
                case 3 -> random.nextLong();
                default -> random.nextLong(bound);
            };
        }

        void run(int requests) {
            for (var i = 0; i < requests && violations.isEmpty(); i++) {
                var op = random.nextInt(50) == 0 ? null : OPS.get(random.nextInt(OPS.size()));
                var flags =
                        random.nextInt(3) > 0 ? 0 : random.nextInt(4) > 0 ? 1 << random.nextInt(4) : random.nextInt();
                var length = random.nextInt(4) > 0 ? random.nextInt(9_000) : number(DISK);
                var zero = op == BlockOp.FLUSH && random.nextBoolean();
                one(op, flags, zero ? 0 : number(DISK), zero ? 0 : length, number(present), i);
            }
        }

        private void one(BlockOp op, int flags, long offset, long length, long address, long tag) {
            var sound = sound(op, flags, offset, length, address);
            var payload = new byte[op == BlockOp.WRITE && sound ? (int) length : 0];
            random.nextBytes(payload);
            MemorySegment.copy(
                    payload, 0, memory, ValueLayout.JAVA_BYTE, payload.length > 0 ? address : 0, payload.length);
            var sent = by.port.send(op, flags, offset, length, address, tag);
            if (sent != (sound ? Sent.SENT : Sent.REFUSED)) {
                violations.add("%s: %s flags %x %d+%d at %d".formatted(sent, op, flags, offset, length, address));
            }
            if (sent == Sent.REFUSED) {
                refused++;
                return;
            }
            served++;
            var answer = by.answer();
            if (answer.tag != tag || answer.error != Errno.OK) {
                violations.add(answer.error + " for " + op);
            }
            switch (op) {
                case WRITE -> System.arraycopy(payload, 0, disk, (int) offset, payload.length);
                case TRIM, WRITE_ZEROES -> Arrays.fill(disk, (int) offset, (int) (offset + length), (byte) 0);
                case READ -> {
                    var found = memory.asSlice(address, length).toArray(ValueLayout.JAVA_BYTE);
                    if (!Arrays.equals(found, 0, found.length, disk, (int) offset, (int) (offset + length))) {
                        violations.add("wrong bytes at " + offset);
                    }
                }
                default -> {}
            }
        }

        /** Said once more, in other words. */
        private boolean sound(BlockOp op, int flags, long offset, long length, long address) {
            var onDisk = length > 0 && length <= DISK && offset >= 0 && offset <= DISK && offset + length <= DISK;
            var inMemory = address >= 0 && address <= present && address + length <= present;
            var allowed = Request.FUA;
            return switch (op) {
                case null -> false;
                case READ -> flags == 0 && onDisk && inMemory;
                case WRITE -> (flags | allowed) == allowed && onDisk && inMemory;
                case TRIM -> (flags | allowed) == allowed && onDisk;
                case WRITE_ZEROES -> flags >= 0 && flags < 8 && onDisk;
                case FLUSH -> flags == 0 && offset == 0 && length == 0;
                case CACHE, STATUS -> false;
            };
        }
    }

    // --- the end

    @ParameterizedTest
    @EnumSource
    void afterTheEndThereIsNoRoomAndTheVolumeIsFree(Way way) {
        try (var served = served(way)) {
            flush(served, 1);
            assertAnswer(served, 1, Errno.OK);

            served.end();
            served.ended().toCompletableFuture().join();

            assertThat(served.port.isFull()).isTrue();
            assertThat(flush(served, 2)).isEqualTo(Sent.FULL);
            assertThat(served.port.recv(new GuestPort.Answer())).isFalse();
            assertThat(served.port.isEmpty()).isTrue();
            awaitDetached(served);
        }
    }

    private static void awaitDetached(Served served) {
        assertTimeoutPreemptively(Duration.ofMinutes(1), () -> {
            while (!served.volume.attachments().isEmpty()) {
                Thread.onSpinWait();
            }
        });
    }

    /** Whenever the end comes: each request that was taken is answered, once, and the guest learns of it. */
    @ParameterizedTest
    @EnumSource
    void whatWasSentIsAnsweredOnceThoughTheQueueEnds(Way way) throws Exception {
        for (var round = 0; round < 60; round++) {
            try (var served = served(way)) {
                var ending = new Thread(served::end);
                var random = new SplittableRandom(round);
                var endAfter = random.nextInt(300);
                var answered = new BitSet();
                var sent = 0;
                var answer = new GuestPort.Answer();
                while (true) {
                    if (sent == endAfter && ending.getState() == Thread.State.NEW) {
                        ending.start();
                    }
                    if (flush(served, sent) == Sent.SENT) {
                        sent++;
                    } else if (ending.getState() == Thread.State.TERMINATED
                            && served.ended().toCompletableFuture().isDone()) {
                        break;
                    }
                    while (served.port.recv(answer)) {
                        assertThat(answered.get((int) answer.tag)).isFalse();
                        answered.set((int) answer.tag);
                        assertThat(answer.error).isIn(Errno.OK, Errno.ESHUTDOWN);
                    }
                }
                while (served.port.recv(answer)) {
                    answered.set((int) answer.tag);
                }
                ending.join();
                assertThat(answered.cardinality()).isEqualTo(sent);
            }
        }
    }

    // --- other stores

    @ParameterizedTest
    @EnumSource
    void aFileIsServedToo(Way way) {
        var path = directory.resolve("disk.raw");
        try (var file = FileMedium.of(new LinuxImage.Options(path, DISK, true, false, false), 2);
                var served = new Served(way, system, file, GuestMemory.of(memory), AttachMode.EXCLUSIVE)) {
            var guest = new LaneGuest(served.port, memory, new SplittableRandom(4), 16, 5_000, false);

            run(served, guest);

            assertThat(guest.violations()).isEmpty();
        }
    }

    @ParameterizedTest
    @EnumSource
    void aStoreThatAnswersOnItsOwnThreadsMayBeReplacedAtAnyTime(Way way) {
        try (var threads = Executors.newFixedThreadPool(2);
                var plain = new ArrayMedium(threads);
                var served = new Served(way, system, plain, GuestMemory.of(memory), AttachMode.EXCLUSIVE)) {
            var guest = new LaneGuest(served.port, memory, new SplittableRandom(5), 16, 20_000, false);
            var replaced = 0;
            var due = 0;

            guest.progress();
            while (!guest.done()) {
                served.await();
                guest.progress();
                // Not several times in a row, however much was answered at once: that would be more than a request is
                // replayed.
                if (guest.answered() > due) {
                    due = guest.answered() + 200;
                    replaced++;
                    served.volume.replace();
                }
            }

            assertThat(guest.violations()).isEmpty();
            assertThat(replaced).isGreaterThan(10);
        }
    }

    /** A user's medium on an executor; whatever it cannot do is done by its base. */
    private static final class ArrayMedium extends PlainMedium {
        private final byte[] bytes = new byte[DISK];

        ArrayMedium(Executor executor) {
            super(DISK, executor);
        }

        @Override
        protected synchronized void read(long offset, MemorySegment into) {
            MemorySegment.copy(bytes, (int) offset, into, ValueLayout.JAVA_BYTE, 0, (int) into.byteSize());
        }

        @Override
        protected synchronized void write(long offset, MemorySegment from) {
            MemorySegment.copy(from, ValueLayout.JAVA_BYTE, 0, bytes, (int) offset, (int) from.byteSize());
        }
    }
}
