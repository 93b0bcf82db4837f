package io.sidecore.it.ring;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.vif.GuestMemory;
import io.sidecore.actors.vif.GuestPort;
import io.sidecore.actors.vif.GuestPort.Sent;
import io.sidecore.conf.AttachMode;
import io.sidecore.devices.block.MemoryMedium;
import io.sidecore.it.ring.Served.Way;
import java.lang.foreign.Arena;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What 4 KiB reads cost a guest, by each way to be served: printed, but for its garbage. The guest looks for its answers. */
class GuestPortCostTest {
    private static final int DISK = 64 << 20;
    private static final int LENGTH = 4096;
    private static final int READS = Boolean.getBoolean("it.long") ? 2_000_000 : 200_000;

    private final SplittableRandom random = new SplittableRandom(1);
    private final GuestPort.Answer answer = new GuestPort.Answer();
    private final long[] sentAt = new long[32];
    private final long[] took = new long[READS];
    private int noted;

    @ParameterizedTest
    @CsvSource({"SHARED, 1", "SHARED, 32", "POLLED, 1", "POLLED, 32", "INLINE, 1", "INLINE, 32"})
    void readsOf4KiB(Way way, int depth) {
        ActorSystem<Void> system = ActorSystem.create(Behaviors.empty(), "cost");
        try (var medium = new MemoryMedium(DISK, DISK);
                var arena = Arena.ofShared();
                var served = new Served(
                        way,
                        system,
                        medium,
                        GuestMemory.of(arena.allocate(32 * LENGTH, LENGTH)),
                        AttachMode.EXCLUSIVE)) {
            served.port.signalAnswers(false);
            served.port.signalRoom(false);
            for (var at = 0; at < DISK; at += LENGTH) {
                ask(served.port, BlockOp.WRITE, at, 0);
                while (!take(served.port)) {
                    Thread.onSpinWait();
                }
            }
            read(served.port, depth, READS / 2);

            var threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
            var allocated = threads.getCurrentThreadAllocatedBytes();
            var began = System.nanoTime();
            read(served.port, depth, READS);
            var nanos = System.nanoTime() - began;
            allocated = threads.getCurrentThreadAllocatedBytes() - allocated;

            Arrays.sort(took, 0, noted);
            System.out.printf(
                    "%s, depth %d: %,d reads/s, p50 %.1f us, p99 %.1f us, %.2f bytes of garbage a read%n",
                    way,
                    depth,
                    (long) (READS * 1e9 / nanos),
                    took[noted / 2] / 1e3,
                    took[(int) (noted * 0.99)] / 1e3,
                    (double) allocated / READS);
            assertThat(allocated).as("garbage on the guest's thread").isLessThan(16L * READS);
        } finally {
            system.terminate();
        }
    }

    private void read(GuestPort port, int depth, int reads) {
        noted = 0;
        var asked = 0;
        for (; asked < depth; asked++) {
            ask(port, BlockOp.READ, LENGTH * (long) random.nextInt(DISK / LENGTH), asked);
        }
        while (noted < reads) {
            if (!take(port)) {
                Thread.onSpinWait();
                continue;
            }
            took[noted++] = System.nanoTime() - sentAt[(int) answer.tag];
            if (asked < reads) {
                asked++;
                ask(port, BlockOp.READ, LENGTH * (long) random.nextInt(DISK / LENGTH), (int) answer.tag);
            }
        }
    }

    private void ask(GuestPort port, BlockOp op, long offset, int tag) {
        sentAt[tag] = System.nanoTime();
        if (port.send(op, 0, offset, LENGTH, (long) tag * LENGTH, tag) != Sent.SENT) {
            throw new AssertionError("not sent");
        }
    }

    private boolean take(GuestPort port) {
        return port.recv(answer);
    }
}
