package io.sidecore.runtime.vm;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The serial console of a VM, which outlives its guest's restarts. What the guest writes goes to the scrollback, a ring, and from there to any number of viewers; what viewers type goes to the guest. Bytes are nobody's business but the guest's
 * and the terminal's: none is changed.
 *
 * <p>Each viewer is a place in the ring, not a queue: one that is slower than the guest for longer than the ring lasts loses the oldest bytes and is told how many; the guest never waits. In turn viewers do wait for a guest that reads slowly,
 * each for itself.
 *
 * <p>Safe for all threads. A console that nobody wrote to has no ring; it grows with what is written, in doublings.
 */
public final class Console implements AutoCloseable {
    /** Bytes that are kept for those who look later, unless it is said otherwise. */
    public static final int SCROLLBACK = 64 << 10;

    /** Bytes that were typed and that the guest has not taken, at most. */
    public static final int TYPED_AHEAD = 16 << 10;

    private static final int FIRST_RING = 1 << 10;
    private static final int LONGEST_SCROLLBACK = 8 << 20;

    private final int scrollback;

    /** Byte number {@code n} of all that the guest ever wrote lies at {@code n % ring.length}. */
    private byte[] ring = {};

    private long written;
    private int viewers;
    /** How often one has come or gone. */
    private int guests;

    private boolean closed;

    private @Nullable Attached input;
    private @Nullable Attached pumping;
    private @Nullable ByteArrayOutputStream typed;
    private long dropped;

    /** Where a guest takes what is typed. */
    @FunctionalInterface
    public interface GuestInput {
        /**
         * Takes all of it. It is called by one thread at a time, which may wait; once a guest is gone nothing may wait any longer.
         *
         * @throws IOException if the guest is gone: it is given nothing more
         */
        void accept(byte[] bytes) throws IOException;
    }

    /** Ends what {@link #attach} began, once the guest is gone; a guest that came after it is left alone. */
    @FunctionalInterface
    public interface Attachment extends AutoCloseable {
        @Override
        void close();
    }

    /**
     * What a viewer sees next.
     *
     * @param lost bytes before these that this viewer was too slow for
     */
    public record Chunk(long lost, byte[] bytes) {}

    /** A console that keeps {@value #SCROLLBACK} bytes. */
    public Console() {
        this(SCROLLBACK);
    }

    /**
     * A console that keeps so many bytes.
     *
     * @throws IllegalArgumentException if they are less than 1 KiB or more than 8 MiB
     */
    public Console(int scrollback) {
        if (scrollback < FIRST_RING || scrollback > LONGEST_SCROLLBACK) {
            throw new IllegalArgumentException("expected a scrollback of %d to %d bytes, found %d"
                    .formatted(FIRST_RING, LONGEST_SCROLLBACK, scrollback));
        }
        this.scrollback = scrollback;
    }

    // --- the guest's side

    /** The guest wrote this. Returns as soon as it is copied. */
    public synchronized void written(byte[] bytes, int offset, int length) {
        if (length == 0 || closed) {
            return;
        }
        grow(length);
        // Of more than fits all but the end is gone at once.
        var kept = Math.min(length, ring.length);
        var from = offset + length - kept;
        var at = (int) ((written + length - kept) % ring.length);
        var first = Math.min(kept, ring.length - at);
        System.arraycopy(bytes, from, ring, at, first);
        System.arraycopy(bytes, from + first, ring, 0, kept - first);
        written += length;
        notifyAll();
    }

    /** Nothing was overwritten in a ring that can still grow, so everything stays where it is. */
    private void grow(int length) {
        if (ring.length < scrollback && written + length > ring.length) {
            var enough = Math.max(FIRST_RING, Long.highestOneBit(written + length - 1) << 1);
            ring = Arrays.copyOf(ring, (int) Math.min(scrollback, enough));
        }
    }

    /** From now on this guest takes what is typed; what was typed for another one before it is dropped. */
    public synchronized Attachment attach(GuestInput guest) {
        var attached = new Attached(guest);
        input(closed ? null : attached);
        return attached;
    }

    private void input(@Nullable Attached guest) {
        if (typed != null) {
            dropped += typed.size();
            typed = null;
        }
        if (input != guest) {
            guests++;
        }
        input = guest;
        notifyAll();
    }

    /** Whether there is a guest to take what is typed. */
    public synchronized boolean isAttached() {
        return input != null;
    }

    /** Bytes that the guests wrote so far. */
    public synchronized long bytesWritten() {
        return written;
    }

    /** Bytes that were typed and that no guest took. */
    public synchronized long bytesDropped() {
        return dropped;
    }

    /** How many look at it. */
    public synchronized int viewers() {
        return viewers;
    }

    /** Bytes that it takes up now, but for a constant. */
    synchronized int footprint() {
        return ring.length + (typed == null ? 0 : typed.size());
    }

    /** Ends it, with its VM: viewers see what is there and then the end. */
    @Override
    public synchronized void close() {
        closed = true;
        input(null);
    }

    /** One run of a guest. What was typed is given to it by a thread of its own, since guests may be slow. */
    private final class Attached implements Attachment {
        private final GuestInput guest;

        private Attached(GuestInput guest) {
            this.guest = guest;
        }

        private void pump() {
            for (byte[] bytes; (bytes = take()) != null; ) {
                try {
                    guest.accept(bytes);
                } catch (IOException | RuntimeException gone) {
                    failed(bytes.length);
                }
            }
        }

        private byte @Nullable [] take() {
            synchronized (Console.this) {
                if (input != this || typed == null) {
                    if (pumping == this) {
                        pumping = null;
                    }
                    return null;
                }
                var bytes = typed.toByteArray();
                typed = null;
                Console.this.notifyAll();
                return bytes;
            }
        }

        private void failed(int bytes) {
            synchronized (Console.this) {
                dropped += bytes;
                close();
            }
        }

        @Override
        public void close() {
            synchronized (Console.this) {
                if (input == this) {
                    input(null);
                }
            }
        }
    }

    // --- the viewers' side

    /** Begins with what the scrollback has, and goes on with what is written from now on: no byte is missing in between and none comes twice. */
    public View view() {
        return new View(true);
    }

    /** Begins with what is written from now on. */
    public View viewLive() {
        return new View(false);
    }

    /** Somebody who looks at a console and may type. One thread looks; any may type and close. */
    public final class View implements AutoCloseable {
        /** The scrollback as it was at the beginning: so that a guest that is writing now does not overtake its viewer there. */
        private byte @Nullable [] past;

        private long next;
        private long end = Long.MAX_VALUE;
        private int guests;

        private View(boolean withPast) {
            synchronized (Console.this) {
                guests = Console.this.guests;
                if (withPast && written > 0) {
                    past = copy(Math.max(0, written - ring.length));
                }
                next = written;
                viewers++;
            }
        }

        /** How many guests have come and gone before what is seen next: such a change is news, too. */
        public int guests() {
            synchronized (Console.this) {
                return guests;
            }
        }

        /**
         * What comes next. Waits for it so long; empty if nothing was written, or will be: {@link #guests} and {@link #hasEnded} tell.
         *
         * @throws InterruptedException if the thread is interrupted meanwhile
         */
        public Optional<Chunk> next(Duration patience) throws InterruptedException {
            var until = System.nanoTime() + patience.toNanos();
            synchronized (Console.this) {
                for (long left;
                        available() == 0
                                && guests == Console.this.guests
                                && !hasEnded()
                                && (left = until - System.nanoTime()) > 0; ) {
                    Console.this.wait(left / 1_000_000, (int) (left % 1_000_000));
                }
                if (past != null) {
                    var chunk = new Chunk(0, past);
                    past = null;
                    return Optional.of(chunk);
                }
                if (available() == 0) {
                    guests = Console.this.guests;
                    return Optional.empty();
                }
                var oldest = Math.max(next, written - ring.length);
                var lost = Math.min(oldest, end) - next;
                var bytes = copy(oldest);
                next = Math.min(end, written);
                return Optional.of(new Chunk(lost, bytes));
            }
        }

        private long available() {
            return past != null ? past.length : Math.min(end, written) - next;
        }

        private byte[] copy(long from) {
            var bytes = new byte[(int) Math.max(0, Math.min(end, written) - from)];
            var at = (int) (from % ring.length);
            var first = Math.min(bytes.length, ring.length - at);
            System.arraycopy(ring, at, bytes, 0, first);
            System.arraycopy(ring, 0, bytes, first, bytes.length - first);
            return bytes;
        }

        /** Whether there is nothing more to see and never will be: this or the console was closed, and what was written before has been seen. */
        public boolean hasEnded() {
            synchronized (Console.this) {
                return available() == 0 && (closed || end != Long.MAX_VALUE);
            }
        }

        /**
         * Types. Waits while the guest has more than {@value #TYPED_AHEAD} bytes before it that it did not take.
         *
         * @return how many bytes were dropped, since there is no guest, it went, or this was closed meanwhile
         * @throws InterruptedException if the thread is interrupted meanwhile
         */
        public int type(byte[] bytes) throws InterruptedException {
            synchronized (Console.this) {
                var guest = input;
                var done = 0;
                while (done < bytes.length) {
                    var ahead = typed == null ? 0 : typed.size();
                    if (guest == null || input != guest || end != Long.MAX_VALUE) {
                        dropped += bytes.length - done;
                        return bytes.length - done;
                    }
                    if (ahead == TYPED_AHEAD) {
                        Console.this.wait();
                        continue;
                    }
                    var more = Math.min(bytes.length - done, TYPED_AHEAD - ahead);
                    typed = typed == null ? new ByteArrayOutputStream(more) : typed;
                    typed.write(bytes, done, more);
                    done += more;
                    if (pumping != guest) {
                        pumping = guest;
                        Thread.ofVirtual().name("sidecore-console-input").start(guest::pump);
                    }
                }
                return 0;
            }
        }

        /** Ends it with what has been written so far, which can still be seen. */
        @Override
        public void close() {
            synchronized (Console.this) {
                if (end == Long.MAX_VALUE) {
                    end = written;
                    viewers--;
                    Console.this.notifyAll();
                }
            }
        }
    }
}
