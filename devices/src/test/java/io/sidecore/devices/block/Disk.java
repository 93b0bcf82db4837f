package io.sidecore.devices.block;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Extents;
import io.sidecore.actors.block.InFlightLedger;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Store;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/** A store as a test likes it: one request at a time, or several, and their answers. For one thread. */
final class Disk {
    private static final int SLOTS = 256;

    private final InFlightLedger ledger = new InFlightLedger(SLOTS);
    private final Store store;
    private final BlockingQueue<Request> later = new LinkedBlockingQueue<>();

    Disk(Store store) {
        this.store = store;
    }

    /** A request that is not issued yet; its payload lies at an odd place. */
    Request request(BlockOp op, long offset, long length, int flags) {
        var request = ledger.open(op, offset, length, flags, 0, 0);
        if (op.hasPayload()) {
            var memory = Arena.ofAuto().allocate(length + 48);
            request.lend(memory.asSlice(48 - 1, length + 1).asSlice(1));
        }
        return request;
    }

    Request write(long offset, byte[] bytes, int flags) {
        var request = request(BlockOp.WRITE, offset, bytes.length, flags);
        MemorySegment.copy(MemorySegment.ofArray(bytes), 0, request.memory(), request.position(), bytes.length);
        return request;
    }

    /** Issues them as one chain. */
    void issue(List<Request> requests) {
        for (var i = 0; i + 1 < requests.size(); i++) {
            requests.get(i).link(requests.get(i + 1));
        }
        for (var done = store.serve(requests.getFirst(), later::add); done != null; ) {
            var next = done.unlink();
            later.add(done);
            done = next;
        }
    }

    /** The next answer, whichever it is. */
    Request answered() {
        try {
            var request = later.poll(30, TimeUnit.SECONDS);
            if (request == null) {
                throw new AssertionError("no answer within 30 s");
            }
            return request;
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    /** Issues them as one chain, and waits for all answers. */
    void serve(List<Request> requests) {
        issue(requests);
        var open = new ArrayList<>(requests);
        while (!open.isEmpty()) {
            if (!open.remove(answered())) {
                throw new AssertionError("answered twice");
            }
        }
    }

    /** Waits until something holds that other threads bring about. */
    static void until(BooleanSupplier holds) {
        var end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!holds.getAsBoolean()) {
            if (System.nanoTime() - end > 0) {
                throw new AssertionError("not within 30 s");
            }
            Thread.onSpinWait();
        }
    }

    private Request serve(Request request) {
        serve(List.of(request));
        free(request);
        return request;
    }

    void free(Request request) {
        ledger.answer(request, 0);
        ledger.free(request);
    }

    Errno write(long offset, byte[] bytes) {
        return serve(write(offset, bytes, 0)).error();
    }

    Errno flush() {
        return ask(BlockOp.FLUSH, 0, 0, 0);
    }

    Errno ask(BlockOp op, long offset, long length, int flags) {
        return serve(request(op, offset, length, flags)).error();
    }

    byte[] read(long offset, int length) {
        var request = request(BlockOp.READ, offset, length, 0);
        var memory = request.memory();
        serve(request);
        if (request.error() != Errno.OK) {
            throw new AssertionError("read " + offset + "+" + length + ": " + request.error());
        }
        return memory.asSlice(0, length).toArray(JAVA_BYTE);
    }

    /** As in {@code data 4096, hole 8192}. */
    String map(long offset, long length) {
        var request = request(BlockOp.STATUS, offset, length, 0);
        serve(request);
        var found = request.extents();
        var words = new ArrayList<String>();
        for (var i = 0; i < found.count(); i++) {
            words.add(((found.state(i) & Extents.HOLE) != 0 ? "hole " : "data ") + found.length(i));
        }
        return String.join(", ", words);
    }
}
