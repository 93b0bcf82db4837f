package io.sidecore.it.performance;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.vif.GuestPort;
import io.sidecore.actors.vif.GuestPort.Sent;
import io.sidecore.actors.vm.GuestContext;
import io.sidecore.actors.vm.GuestProgram;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * A guest that reads or writes 4 KiB at random places of its disk, so many at a time and for so long as a message says, and answers what that took. Its counterpart in WebAssembly is {@code calls.c}.
 *
 * <pre>
 *   the message                                       the answer
 *    0  u32 0: read, 1: write                          0  u64 requests
 *    4  u32 requests in flight                         8  u64 nanoseconds
 *    8  u32 1: waits by returning, 0: looks           16  u64 requests that failed
 *   12  u32 0                                         24  u32 [1024] requests by latency: see {@link Calls#atLeast}
 *   16  u64 nanoseconds
 * </pre>
 */
final class CallingGuest implements GuestProgram {
    private static final BlockOp[] OPERATIONS = {BlockOp.READ, BlockOp.WRITE};

    private final long[] sentAt = new long[Calls.DEPTH_MAX];
    private final int[] took = new int[Calls.BUCKETS];
    private final GuestPort.Answer answer = new GuestPort.Answer();
    private BlockOp operation = BlockOp.READ;
    private long wanted;
    private boolean told;
    private long began;
    private long now;
    private int inFlight;
    private long requests;
    private long errors;
    private long blocks;
    private long random = 88172645463325252L;

    @Override
    public void onStart(GuestContext context) {
        blocks = context.vif(0).size() / Calls.LENGTH;
    }

    @Override
    public void onMessage(GuestContext context, byte[] message) {
        var job = ByteBuffer.wrap(message).order(ByteOrder.LITTLE_ENDIAN);
        var port = context.vif(0);
        operation = OPERATIONS[job.getInt(0)];
        told = job.getInt(8) != 0;
        wanted = job.getLong(16);
        requests = 0;
        errors = 0;
        Arrays.fill(took, 0);
        port.signalAnswers(told);
        port.signalRoom(told);
        began = now = context.nanos();
        for (var slot = 0; slot < job.getInt(4); slot++) {
            send(port, slot);
        }
        if (!told) {
            while (inFlight > 0) {
                drain(context, port);
            }
            report(context);
        }
    }

    @Override
    public void onBlock(GuestContext context, int vif) {
        if (inFlight > 0) {
            drain(context, context.vif(vif));
            if (inFlight == 0) {
                report(context);
            }
        }
    }

    private void send(GuestPort port, int slot) {
        random ^= random << 13;
        random ^= random >>> 7;
        random ^= random << 17;
        sentAt[slot] = now;
        var offset = (random >>> 16) % blocks * Calls.LENGTH;
        if (port.send(operation, 0, offset, Calls.LENGTH, (long) slot * Calls.LENGTH, slot) == Sent.SENT) {
            inFlight++;
        } else {
            errors++;
        }
    }

    /** Takes what is answered, and asks anew while there is time. */
    private void drain(GuestContext context, GuestPort port) {
        while (port.recv(answer)) {
            var slot = (int) answer.tag;
            now = context.nanos();
            inFlight--;
            requests++;
            if (answer.error != Errno.OK) {
                errors++;
            }
            took[Calls.bucket(now - sentAt[slot])]++;
            if (now - began < wanted) {
                send(port, slot);
            }
        }
    }

    private void report(GuestContext context) {
        var result = ByteBuffer.allocate(24 + 4 * took.length).order(ByteOrder.LITTLE_ENDIAN);
        result.putLong(requests).putLong(context.nanos() - began).putLong(errors);
        for (var count : took) {
            result.putInt(count);
        }
        context.message(result.array());
    }
}
