package io.sidecore.it.embedding;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.PlainMedium;
import io.sidecore.conf.AttachMode;
import io.sidecore.it.NbdClient;
import io.sidecore.it.Peers;
import io.sidecore.runtime.HostException;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.junit.SidecoreExtension;
import io.sidecore.runtime.transfer.InProcessEnd;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.SplittableRandom;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

class PlainMediumTest {
    private static final int SIZE = 1 << 20;

    @RegisterExtension
    final SidecoreExtension extension = SidecoreExtension.with("other", SIZE);

    /** In an array; as slow and as broken as the test wants it. */
    private static final class Array extends PlainMedium {
        private final MemorySegment bytes = MemorySegment.ofArray(new byte[SIZE]);
        private volatile boolean broken;
        private volatile int flushes;
        private volatile boolean closed;
        private volatile CountDownLatch gate = new CountDownLatch(0);

        Array() {
            super(SIZE);
        }

        Array(Executor executor) {
            super(SIZE, executor);
        }

        @Override
        protected void read(long offset, MemorySegment into) throws IOException {
            await();
            into.copyFrom(bytes.asSlice(offset, into.byteSize()));
        }

        @Override
        protected void write(long offset, MemorySegment from) throws IOException {
            await();
            if (broken) {
                throw new IOException("the disk is broken");
            }
            bytes.asSlice(offset, from.byteSize()).copyFrom(from);
        }

        @Override
        protected void flush() {
            flushes++;
        }

        private void await() throws IOException {
            try {
                gate.await();
            } catch (InterruptedException e) {
                throw new IOException(e);
            }
        }

        @Override
        public void close() {
            closed = true;
        }
    }

    private Sidecore host;
    private InProcessEnd guest;

    @BeforeEach
    void begin(Sidecore injected) {
        host = injected;
        guest = new InProcessEnd(host.slabs());
    }

    @AfterEach
    void leave() throws Exception {
        host.storage().leave("test", "the test is over").get();
        guest.drop();
        if (host.volume("own").isPresent()) {
            host.storage().delete("own");
        }
    }

    private Array enter(Array medium) {
        host.storage().create("own", medium);
        host.storage().enter("test", "own", AttachMode.EXCLUSIVE, guest);
        return medium;
    }

    private Errno write(int value) throws InterruptedException {
        var slab = guest.borrow();
        slab.memory().asSlice(0, 4096).fill((byte) value);
        guest.write(8192, 4096, slab);
        return guest.take().error();
    }

    private byte read() throws InterruptedException {
        guest.read(8192, 4096);
        var answer = guest.take();
        assertThat(answer.error()).isEqualTo(Errno.OK);
        var first = answer.slab().buffer().get(0);
        guest.giveBack(answer.slab());
        return first;
    }

    @Test
    void whatIsWrittenIsReadAgain_andFlushed() throws Exception {
        var medium = enter(new Array());

        assertThat(write(5)).isEqualTo(Errno.OK);
        assertThat(read()).isEqualTo((byte) 5);
        guest.ask(BlockOp.FLUSH, 0, 0);
        assertThat(guest.take().error()).isEqualTo(Errno.OK);

        assertThat(medium.flushes).isEqualTo(1);
    }

    @Test
    void itIsClosedWithItsVolume() throws Exception {
        var medium = enter(new Array());
        leave();

        assertThat(medium.closed).isTrue();
    }

    @Test
    void itIsClosedIfItCannotBeAVolume() {
        enter(new Array());
        var second = new Array();

        assertThatThrownBy(() -> host.storage().create("own", second))
                .isInstanceOf(HostException.class)
                .hasMessage("there is a volume own already");

        assertThat(second.closed).isTrue();
    }

    @Test
    void aRequestThatThrowsFails_andTheVolumeIsDegradedUntilOthersSucceed() throws Exception {
        var medium = enter(new Array());
        var volume = host.volume("own").orElseThrow();
        medium.broken = true;

        assertThat(write(1)).isEqualTo(Errno.EIO);
        assertThat(write(1)).isEqualTo(Errno.EIO);
        assertThat(volume.conditions()).containsExactly("I/O errors: the disk is broken");
        assertThat(host.events().recent())
                .filteredOn(event -> event.what().equals("degraded"))
                .hasSize(1);

        medium.broken = false;
        assertThat(write(2)).isEqualTo(Errno.OK);
        Peers.until("it is well again", Duration.ofSeconds(30), () -> {
            try {
                return read() == 2 && volume.conditions().isEmpty();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        assertThat(volume.failure()).isEmpty();
    }

    @Test
    void oneThatWaitsDoesNotHoldTheLoop() throws Exception {
        try (var threads = Executors.newFixedThreadPool(2)) {
            var medium = enter(new Array(threads));
            medium.gate = new CountDownLatch(1);
            guest.read(0, 4096);
            // Served by the same loop.
            try (var client = NbdClient.connect(extension.uri("other"))) {
                client.batch(true, 64, 4096, new SplittableRandom(1));
            }
            medium.gate.countDown();
            var answer = guest.take();
            assertThat(answer.error()).isEqualTo(Errno.OK);
            guest.giveBack(answer.slab());
            assertThat(write(6)).isEqualTo(Errno.OK);
            assertThat(read()).isEqualTo((byte) 6);
        }
    }

    @Test
    void oneWhoseThreadsHaveEndedFailsItsRequests() throws Exception {
        var threads = Executors.newFixedThreadPool(1);
        enter(new Array(threads));
        threads.close();

        assertThat(write(1)).isEqualTo(Errno.EIO);
    }
}
