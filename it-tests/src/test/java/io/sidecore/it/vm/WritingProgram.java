package io.sidecore.it.vm;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.vif.GuestPort;
import io.sidecore.actors.vm.GuestContext;
import io.sidecore.actors.vm.GuestProgram;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/**
 * Always has some writes in flight: the n-th puts n on block n % 64. Restored, it waits for the answers that it had not received, and looks whether what it had sent is what is on the disk. Tells how many it has sent when it is asked.
 */
final class WritingProgram implements GuestProgram {
    static final int DEPTH = 8;
    private static final int BLOCKS = 64;
    private static final int BLOCK = 512;
    private static final long READ_AT = DEPTH * BLOCK;

    private final GuestPort.Answer answer = new GuestPort.Answer();
    private long sent;
    private int busy;
    private boolean restored;
    private boolean reading;
    private int toRead;
    private int owed;

    @Override
    public void onStart(GuestContext context) {
        go(context);
    }

    private static void put(GuestContext context, long at, long value) {
        context.memory().set(ValueLayout.JAVA_LONG, at, value);
    }

    private void go(GuestContext context) {
        if (restored) {
            look(context);
            return;
        }
        while (busy != (1 << DEPTH) - 1) {
            var slot = Integer.numberOfTrailingZeros(~busy);
            put(context, (long) slot * BLOCK, sent);
            var became = context.vif(0).send(BlockOp.WRITE, 0, sent % BLOCKS * BLOCK, BLOCK, (long) slot * BLOCK, slot);
            if (became != GuestPort.Sent.SENT) {
                return;
            }
            busy |= 1 << slot;
            sent++;
        }
    }

    private void look(GuestContext context) {
        if (busy != 0) {
            return;
        }
        if (!reading) {
            reading = true;
            toRead = 1;
            context.vif(0).send(BlockOp.READ, 0, 0, BLOCKS * BLOCK, READ_AT, 99);
            return;
        }
        if (toRead == 0) {
            var wrong = 0;
            for (var block = 0; block < BLOCKS; block++) {
                var last = sent - 1 - Math.floorMod(sent - 1 - block, BLOCKS);
                var found = context.memory().get(ValueLayout.JAVA_LONG, READ_AT + (long) block * BLOCK);
                if (found != Math.max(0, last)) {
                    wrong++;
                }
            }
            restored = false;
            say(context, "restored, " + sent + " sent, " + owed + " owed, " + wrong + " wrong");
            go(context);
        }
    }

    @Override
    public void onBlock(GuestContext context, int vif) {
        while (context.vif(0).recv(answer)) {
            if (answer.error != Errno.OK) {
                throw new IllegalStateException("answered " + answer.error);
            }
            if (answer.tag == 99) {
                toRead = 0;
            } else if ((busy & 1 << answer.tag) == 0) {
                throw new IllegalStateException("an answer to nothing: " + answer.tag);
            } else {
                busy &= ~(1 << answer.tag);
            }
        }
        go(context);
    }

    @Override
    public void onMessage(GuestContext context, byte[] message) {
        say(context, String.valueOf(sent));
    }

    private static void say(GuestContext context, String text) {
        context.message(text.getBytes(StandardCharsets.UTF_8));
    }

    @Override
    public Optional<byte[]> save() {
        return Optional.of(ByteBuffer.allocate(12).putLong(sent).putInt(busy).array());
    }

    @Override
    public void onRestore(GuestContext context, byte[] saved) {
        var state = ByteBuffer.wrap(saved);
        sent = state.getLong();
        busy = state.getInt();
        owed = Integer.bitCount(busy);
        restored = true;
        go(context);
    }
}
