package io.sidecore.example;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.vif.GuestPort;
import io.sidecore.actors.vm.GuestContext;
import io.sidecore.actors.vm.GuestProgram;
import java.nio.charset.StandardCharsets;

/** A guest that counts its starts in the first sector of its disk, says the number, and ends. */
public final class StartCounter implements GuestProgram {
    private static final int SECTOR = 512;
    private static final long READ = 1;
    private static final long WRITTEN = 2;

    @Override
    public void onStart(GuestContext context) {
        context.vif(0).send(BlockOp.READ, 0, 0, SECTOR, 0, READ);
    }

    @Override
    public void onBlock(GuestContext context, int vif) {
        var disk = context.vif(vif);
        var answer = new GuestPort.Answer();
        while (disk.recv(answer)) {
            if (answer.error != Errno.OK) {
                throw new IllegalStateException("the disk has answered " + answer.error);
            }
            if (answer.tag == READ) {
                context.memory().set(JAVA_LONG, 0, context.memory().get(JAVA_LONG, 0) + 1);
                disk.send(BlockOp.WRITE, Request.FUA, 0, SECTOR, 0, WRITTEN);
            } else {
                var said = "start " + context.memory().get(JAVA_LONG, 0);
                context.message(said.getBytes(StandardCharsets.UTF_8));
                context.exit(0);
            }
        }
    }
}
