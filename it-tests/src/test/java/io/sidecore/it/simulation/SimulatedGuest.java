package io.sidecore.it.simulation;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Chain;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Slab;
import io.sidecore.actors.vif.GuestEnd;
import io.sidecore.actors.vif.ServiceEnd;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;

/** A guest without a wire: it reads, or writes, the same bytes again and again, so many at a time, and notes when each request was asked and answered. What it reads it does not look at. */
final class SimulatedGuest implements GuestEnd {
    /** A request: its number in the order asked, and when; {@code error} is null as long as there is no answer. */
    record Asked(long number, long at, long answeredAt, Errno error) {
        long nanos() {
            return answeredAt - at;
        }
    }

    private final BlockOp op;
    private final int depth;
    private final int length;
    private int most;
    private final Slab memory;
    private final List<Asked> asked = new ArrayList<>();
    private final Chain batch = new Chain();
    private ServiceEnd queue;
    private int inFlight;
    private int answers;

    /** A guest with up to {@code depth} reads of {@code length} bytes in flight, {@code most} in all. */
    SimulatedGuest(int depth, int length, int most) {
        this(BlockOp.READ, depth, length, most);
    }

    SimulatedGuest(BlockOp op, int depth, int length, int most) {
        this.op = op;
        this.depth = depth;
        this.length = length;
        this.most = most;
        this.memory = new Slab(Arena.ofAuto().allocate(length));
    }

    /** Asks so many more. */
    void ask(int more) {
        queue.loop().execute(() -> {
            most += more;
            queue.ready();
        });
    }

    /** All requests, in the order asked. */
    List<Asked> asked() {
        return asked;
    }

    /** Requests answered so far. */
    int answers() {
        return answers;
    }

    private long now() {
        return queue.loop().clock().nanos();
    }

    @Override
    public void attach(ServiceEnd queue) {
        this.queue = queue;
    }

    @Override
    public void detach() {}

    @Override
    public Request receive() {
        while (inFlight < depth && asked.size() < most && queue.ledger().hasRoom()) {
            var request = queue.ledger().open(op, 0, length, 0, asked.size(), queue.generation());
            request.payload(memory, 0);
            asked.add(new Asked(asked.size(), now(), 0, null));
            batch.add(request);
            inFlight++;
        }
        return batch.take();
    }

    @Override
    public void answer(Request chain) {
        while (chain != null) {
            var following = chain.unlink();
            var one = asked.get((int) chain.cookie());
            if (one.error() != null) {
                throw new IllegalStateException("answered twice: " + chain);
            }
            asked.set((int) chain.cookie(), new Asked(one.number(), one.at(), now(), chain.error()));
            queue.ledger().free(chain);
            inFlight--;
            answers++;
            chain = following;
        }
        queue.ready();
    }

    @Override
    public boolean renew(Request read, boolean alone) {
        read.payload(memory, 0);
        return true;
    }

    @Override
    public void release(Request orphan) {}

    @Override
    public void refuseRest() {}

    @Override
    public boolean flushed() {
        return true;
    }

    @Override
    public void close(String reason) {}
}
