package io.sidecore.it.ring;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.vif.GuestPort;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * A guest that has one request in flight on each of its lanes: a part of the disk, and a part of its memory. It checks every answer against a model of its own; that nothing of its memory changes but what it asked to be read into; and that nothing changes at all once it has been answered. It looks
 * only when it is woken.
 */
public final class LaneGuest {
    /** Bytes of the disk for each lane. */
    public static final int DISK = 64 << 10;

    /** Bytes of memory for each lane. */
    public static final int MEMORY = 16 << 10;

    private static final int LONGEST = 8 << 10;

    private final class Lane {
        final int number;
        final byte[] model = new byte[DISK];
        final boolean[] unknown = new boolean[DISK];
        final byte[] memory = new byte[MEMORY];
        BlockOp op = BlockOp.FLUSH;
        int offset;
        int length;
        int address;
        boolean inFlight;
        boolean prepared;

        Lane(int number) {
            this.number = number;
        }

        void prepare() {
            op = switch (random.nextInt(10)) {
                case 0 -> BlockOp.FLUSH;
                case 1 -> BlockOp.WRITE_ZEROES;
                case 2 -> BlockOp.TRIM;
                case 3, 4, 5 -> BlockOp.WRITE;
                default -> BlockOp.READ;
            };
            length = op == BlockOp.FLUSH ? 0 : 1 + random.nextInt(random.nextBoolean() ? LONGEST : 64);
            offset = op == BlockOp.FLUSH ? 0 : random.nextInt(DISK - length + 1);
            address = random.nextInt(MEMORY - length + 1);
            checkMemory("between its requests");
            var fill = (byte) random.nextInt();
            for (var i = 0; i < MEMORY; i++) {
                memory[i] = (byte) (fill + i * 7);
            }
            MemorySegment.copy(memory, 0, all, ValueLayout.JAVA_BYTE, (long) number * MEMORY, MEMORY);
            prepared = true;
        }

        boolean send() {
            var flags = op.changes() && random.nextInt(4) == 0 ? Request.FUA : 0;
            var at = op == BlockOp.FLUSH ? 0 : (long) number * DISK + offset;
            switch (port.send(op, flags, at, length, (long) number * MEMORY + address, tag(number))) {
                case SENT -> {
                    inFlight = true;
                    prepared = false;
                    asked++;
                    return true;
                }
                case FULL -> full++;
                case REFUSED -> violations.add("refused: " + this);
            }
            return false;
        }

        void answered(Errno error) {
            if (!inFlight) {
                violations.add("answered twice: " + this);
                return;
            }
            inFlight = false;
            var unsupported = op == BlockOp.WRITE_ZEROES && error == Errno.ENOTSUP;
            if (error != Errno.OK && !unsupported) {
                failed++;
                if (!tolerant) {
                    violations.add(error + " for " + this);
                }
            }
            switch (op) {
                case READ -> read(error);
                case WRITE -> changed(error, address);
                case WRITE_ZEROES, TRIM -> changed(error, -1);
                default -> {}
            }
            checkMemory("outside of its payload");
        }

        private void changed(Errno error, int from) {
            for (var i = 0; i < length; i++) {
                model[offset + i] = from < 0 ? 0 : memory[from + i];
                unknown[offset + i] = error != Errno.OK || op == BlockOp.TRIM;
            }
        }

        private void read(Errno error) {
            var found = new byte[length];
            MemorySegment.copy(all, ValueLayout.JAVA_BYTE, (long) number * MEMORY + address, found, 0, length);
            for (var i = 0; i < length && error == Errno.OK; i++) {
                if (unknown[offset + i]) {
                    model[offset + i] = found[i];
                    unknown[offset + i] = false;
                } else if (model[offset + i] != found[i]) {
                    violations.add("byte %d is %02x, not %02x: %s".formatted(i, found[i], model[offset + i], this));
                    break;
                }
            }
            // What it holds now is what it is to hold from now on.
            System.arraycopy(found, 0, memory, address, length);
        }

        private void checkMemory(String where) {
            var found = new byte[MEMORY];
            MemorySegment.copy(all, ValueLayout.JAVA_BYTE, (long) number * MEMORY, found, 0, MEMORY);
            var at = Arrays.mismatch(found, memory);
            if (at >= 0) {
                violations.add("memory was changed at " + at + " " + where + ": " + this);
            }
        }

        @Override
        public String toString() {
            return "lane " + number + " " + op + " " + offset + "+" + length + " at " + address
                    + (inFlight ? " in flight" : "");
        }
    }

    private final GuestPort port;
    private final MemorySegment all;
    private final SplittableRandom random;
    private final boolean tolerant;
    private final int requests;
    private final List<Lane> lanes = new ArrayList<>();
    private final List<String> violations = new ArrayList<>();
    private final GuestPort.Answer answer = new GuestPort.Answer();
    private int asked;
    private int answered;
    private int failed;
    private int full;

    /**
     * A guest of a disk that is zero.
     *
     * @param memory zero, too; {@link #MEMORY} for each lane
     * @param requests so many in all
     * @param tolerant whether requests may fail
     */
    public LaneGuest(
            GuestPort port, MemorySegment memory, SplittableRandom random, int lanes, int requests, boolean tolerant) {
        this.port = port;
        this.all = memory;
        this.random = random;
        this.requests = requests;
        this.tolerant = tolerant;
        for (var i = 0; i < lanes; i++) {
            this.lanes.add(new Lane(i));
        }
    }

    private static long tag(int lane) {
        return 0xFEED_0000_0000_0000L + lane;
    }

    /** Takes what has been answered and asks more; to be called at first, and whenever it is woken. */
    public void progress() {
        do {
            while (port.recv(answer)) {
                answered++;
                var lane = (int) (answer.tag - tag(0));
                if (lane < 0 || lane >= lanes.size()) {
                    violations.add("an answer to nobody: " + answer.tag);
                } else {
                    lanes.get(lane).answered(answer.error);
                }
            }
            ask();
        } while (!port.isEmpty());
    }

    private void ask() {
        for (var lane : lanes) {
            if (!lane.inFlight && asked < requests && violations.isEmpty()) {
                if (!lane.prepared) {
                    lane.prepare();
                }
                if (!lane.send()) {
                    return;
                }
            }
        }
    }

    /** Whether everything was asked and answered, or something is wrong. */
    public boolean done() {
        return !violations.isEmpty() || asked == requests && answered == asked;
    }

    /** What went wrong; empty if nothing did. */
    public List<String> violations() {
        return violations;
    }

    /** Answers received. */
    public int answered() {
        return answered;
    }

    /** Answers that were errors. */
    public int failed() {
        return failed;
    }

    /** How often there was no room. */
    public int full() {
        return full;
    }

    @Override
    public String toString() {
        return "asked " + asked + ", answered " + answered + ", full " + full + ", "
                + lanes.stream().filter(lane -> lane.inFlight).toList();
    }
}
