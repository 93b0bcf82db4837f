package io.sidecore.it.performance;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.vif.GuestPort;
import io.sidecore.actors.vm.GuestContext;
import io.sidecore.actors.vm.GuestProgram;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * What sidecalls are measured against: a guest that traps. Each request is handed to a service thread under a lock, and the guest sleeps until it is answered: two thread switches a request. The service thread calls the same engine
 * that serves a guest inline.
 *
 * <p>Source: Raj, Virtualization services: sidecalls against calls that leave the guest and come back.
 */
final class TrapPort implements GuestPort, AutoCloseable {
    private final GuestPort engine;
    private final Thread service =
            Thread.ofPlatform().daemon().name("trap-service").unstarted(this::serve);
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition asked = lock.newCondition();
    private final Condition served = lock.newCondition();
    private final Answer answer = new Answer();

    // Of the lock.
    private BlockOp op = BlockOp.FLUSH;
    private int flags;
    private long offset;
    private long length;
    private long address;
    private long tag;
    private Sent sent = Sent.FULL;
    private boolean waiting;
    private boolean over;

    private boolean answered;

    /** A port whose requests are served by {@code engine}, which answers at once. */
    TrapPort(GuestPort engine) {
        this.engine = engine;
        service.start();
    }

    @Override
    public Sent send(BlockOp op, int flags, long offset, long length, long address, long tag) {
        if (answered) {
            return Sent.FULL;
        }
        lock.lock();
        try {
            this.op = op;
            this.flags = flags;
            this.offset = offset;
            this.length = length;
            this.address = address;
            this.tag = tag;
            waiting = true;
            asked.signal();
            while (waiting) {
                served.awaitUninterruptibly();
            }
            answered = sent == Sent.SENT;
            return sent;
        } finally {
            lock.unlock();
        }
    }

    private void serve() {
        lock.lock();
        try {
            while (!over) {
                if (!waiting) {
                    asked.awaitUninterruptibly();
                    continue;
                }
                sent = engine.send(op, flags, offset, length, address, tag);
                while (sent == Sent.SENT && !engine.recv(answer)) {
                    Thread.onSpinWait();
                }
                waiting = false;
                served.signal();
            }
        } finally {
            lock.unlock();
        }
    }

    @Override
    public boolean recv(Answer into) {
        if (!answered) {
            return false;
        }
        answered = false;
        into.tag = answer.tag;
        into.error = answer.error;
        return true;
    }

    @Override
    public long size() {
        return engine.size();
    }

    @Override
    public boolean readOnly() {
        return engine.readOnly();
    }

    @Override
    public boolean isFull() {
        return answered;
    }

    @Override
    public boolean isEmpty() {
        return !answered;
    }

    @Override
    public void signalAnswers(boolean on) {
        engine.signalAnswers(on);
    }

    @Override
    public void signalRoom(boolean on) {
        engine.signalRoom(on);
    }

    @Override
    public void close() {
        lock.lock();
        try {
            over = true;
            asked.signal();
        } finally {
            lock.unlock();
        }
    }

    /** A program whose disks are reached by traps. */
    static GuestProgram trapped(GuestProgram program) {
        return new GuestProgram() {
            private TrapPort port;

            private GuestContext seen(GuestContext context) {
                if (port == null) {
                    port = new TrapPort(context.vif(0));
                }
                return new Seen(context, port);
            }

            @Override
            public void onStart(GuestContext context) {
                program.onStart(seen(context));
            }

            @Override
            public void onMessage(GuestContext context, byte[] message) {
                program.onMessage(seen(context), message);
            }

            @Override
            public void onBlock(GuestContext context, int vif) {
                program.onBlock(seen(context), vif);
            }

            @Override
            public void close() {
                if (port != null) {
                    port.close();
                }
                program.close();
            }
        };
    }

    /** What a trapped program sees of its host. */
    private record Seen(GuestContext host, GuestPort port) implements GuestContext {
        @Override
        public String name() {
            return host.name();
        }

        @Override
        public MemorySegment memory() {
            return host.memory();
        }

        @Override
        public int vifs() {
            return 1;
        }

        @Override
        public GuestPort vif(int number) {
            return port;
        }

        @Override
        public long nanos() {
            return host.nanos();
        }

        @Override
        public long wallNanos() {
            return host.wallNanos();
        }

        @Override
        public void timer(int number, Duration after) {
            host.timer(number, after);
        }

        @Override
        public void cancelTimer(int number) {
            host.cancelTimer(number);
        }

        @Override
        public void print(byte[] text, int offset, int length) {
            host.print(text, offset, length);
        }

        @Override
        public void message(byte[] message) {
            host.message(message);
        }

        @Override
        public void exit(int code) {
            host.exit(code);
        }
    }
}
