package io.sidecore.devices.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.sidecore.actors.block.Capabilities;
import io.sidecore.actors.block.Capabilities.BlockSizes;
import io.sidecore.devices.block.MemoryMedium;
import io.sidecore.devices.nbd.ServerInMemory.Disk;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterAll;

/**
 * Whatever bytes a client sends, in whatever pieces, the engines answer or say that it is out of step; they lose no memory and run no further than they should. The ordinary build runs the inputs kept under
 * {@code src/test/resources}; with {@code JAZZER_FUZZ=1} in the environment Jazzer looks for others: {@code it-tests/run --long} does, for some minutes.
 */
class NbdFuzzTest {
    private static final NbdExport ROOT = new NbdExport("root", () -> 8L << 30, false, Capabilities.ALL);
    private static final NbdExport SCRATCH = new NbdExport("scratch", () -> 1 << 20, true, Capabilities.ALL);
    private static final BlockSizes SECTORS = new BlockSizes(512, 4096, 64 << 10);
    private static final Disk[] DISKS = {Disk.ALL, Disk.ALL.asReadOnly(), Disk.ALL.bare(), Disk.ALL.with(SECTORS)};

    private static MemoryMedium medium;

    @AfterAll
    static void closeMedium() {
        if (medium != null) {
            medium.close();
        }
    }

    /** The first byte is the size of the pieces, the rest what the client sends. */
    @FuzzTest(maxDuration = "2m")
    void handshake(byte[] input) {
        if (input.length < 1) {
            return;
        }
        var bytes = Arrays.copyOfRange(input, 1, input.length);

        var inPieces = outcome(bytes, 1 + (input[0] & 0xff));
        var atOnce = outcome(bytes, bytes.length + 1);

        assertThat(inPieces).as("in pieces of %d", 1 + (input[0] & 0xff)).isEqualTo(atOnce);
    }

    private record Outcome(List<Byte> answers, NbdSession session, String error) {}

    private static Outcome outcome(byte[] bytes, int piece) {
        var handshake = new NbdHandshake(List.of(ROOT, SCRATCH));
        var answers = new ByteArrayOutputStream();
        var in = ByteBuffer.allocate(bytes.length);
        String error = null;
        try {
            for (var at = 0; at < bytes.length && !handshake.done(); ) {
                var n = Math.min(piece, bytes.length - at);
                in.put(bytes, at, n).flip();
                at += n;
                feed(handshake, in, answers);
                in.compact();
            }
        } catch (NbdProtocolException e) {
            error = e.getMessage();
        }
        take(handshake, answers);
        assertThat(answers.size()).as("bytes of answers").isLessThan(NbdHandshake.MAX_OPTIONS * 8_192);
        return new Outcome(
                Arrays.asList(boxed(answers.toByteArray())), handshake.chosen().orElse(null), error);
    }

    private static void feed(NbdHandshake handshake, ByteBuffer in, ByteArrayOutputStream answers)
            throws NbdProtocolException {
        int before;
        do {
            before = in.remaining();
            handshake.feed(in);
            take(handshake, answers);
        } while (in.remaining() < before && !handshake.done());
    }

    private static void take(NbdHandshake handshake, ByteArrayOutputStream answers) {
        var out = handshake.output();
        var bytes = new byte[out.remaining()];
        out.get(bytes);
        answers.writeBytes(bytes);
        handshake.sent(bytes.length);
    }

    private static Byte[] boxed(byte[] bytes) {
        var boxed = new Byte[bytes.length];
        for (var i = 0; i < bytes.length; i++) {
            boxed[i] = bytes[i];
        }
        return boxed;
    }

    /** The first byte is the size of the pieces, the second one the kind of session, the rest what the client sends. */
    @FuzzTest(maxDuration = "2m")
    void transmission(byte[] input) {
        if (input.length < 2) {
            return;
        }
        if (medium == null) {
            medium = new MemoryMedium(ServerInMemory.SIZE, ServerInMemory.SIZE);
        }
        var structured = (input[1] & 1) != 0;
        var allocation = structured && (input[1] & 2) != 0;
        var lending = (input[1] & 4) != 0;
        var disk = DISKS[input[1] >> 3 & 3];
        var server = new ServerInMemory(medium, disk, structured, allocation, lending);
        if ((input[1] & 1 << 5) != 0) {
            server.codec().shutDown();
        }
        try {
            server.feed(Arrays.copyOfRange(input, 2, input.length), 1 + (input[0] & 0xff));
        } catch (NbdProtocolException e) {
            assertThat(e.getMessage()).contains("magic");
        }
        if (structured) {
            // Only then can replies be told from each other without knowing what was asked.
            assertThat(server.replies().size()).isLessThanOrEqualTo(input.length / NbdRequestHeader.BYTES);
        }
        server.detach();
    }
}
