package io.sidecore.it.model;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * An NBD client as a state machine: what it asks is random, what it is answered it holds against a {@link DiskModel}. It keeps to its own part of the disk, and no two of its requests in flight touch the same bytes; so every answer has one right
 * form. Bytes in, bytes out: a simulation and a socket drive it alike.
 */
public final class ModelClient {
    /** What a client can ask; numbers as in proto.md. */
    enum Command {
        READ(0),
        WRITE(1),
        FLUSH(3),
        TRIM(4),
        CACHE(5),
        WRITE_ZEROES(6),
        BLOCK_STATUS(7);

        final int number;

        Command(int number) {
            this.number = number;
        }

        boolean changes() {
            return this == WRITE || this == TRIM || this == WRITE_ZEROES;
        }
    }

    private static final int REQUEST_MAGIC = 0x25609513;
    private static final int SIMPLE_MAGIC = 0x67446698;
    private static final int STRUCTURED_MAGIC = 0x668e33ef;
    private static final int FUA = 1;
    private static final int NO_HOLE = 1 << 1;
    private static final int DF = 1 << 2;
    private static final int REQ_ONE = 1 << 3;
    private static final int FAST_ZERO = 1 << 4;
    private static final int CHUNK_DONE = 1;
    private static final int CHUNK_NONE = 0;
    private static final int CHUNK_DATA = 1;
    private static final int CHUNK_HOLE = 2;
    private static final int CHUNK_STATUS = 5;
    private static final int CHUNK_ERRORS = 1 << 15;
    private static final int EINVAL = 22;
    private static final int ENOTSUP = 95;
    private static final int EOVERFLOW = 75;
    private static final int LARGEST = 160 << 10;

    /** A request in flight. {@code refusal} is the error that it must be answered with, 0 for none. */
    private static final class Asked {
        final Command command;
        final int flags;
        final int offset;
        final int length;
        final byte[] payload;
        final int refusal;
        boolean failed;
        int covered;

        Asked(Command command, int flags, int offset, int length, byte[] payload, int refusal) {
            this.command = command;
            this.flags = flags;
            this.offset = offset;
            this.length = length;
            this.payload = payload;
            this.refusal = refusal;
        }
    }

    /** How a connection was negotiated. */
    public record Connection(int size, boolean structured) {}

    private final String name;
    private final SplittableRandom random;
    private final DiskModel model;
    private final int from;
    private final int to;
    private final int depth;
    private final boolean faults;
    private final Map<Long, Asked> inFlight = new LinkedHashMap<>();
    private final List<String> violations = new ArrayList<>();
    private final ByteBuffer out = ByteBuffer.allocate(1 << 20);
    private final ByteBuffer in = ByteBuffer.allocate(1 << 20);
    private Connection connection;
    private long cookie;
    private long steps;
    private long answers;
    private boolean paused;

    /**
     * A client that is not connected.
     *
     * @param from first byte of its part
     * @param to first byte behind its part; the end of the disk may come before
     * @param faults whether requests may be answered with errors
     */
    public ModelClient(
            String name, SplittableRandom random, DiskModel model, int from, int to, int depth, boolean faults) {
        this.name = name;
        this.random = random;
        this.model = model;
        this.from = from;
        this.to = to;
        this.depth = depth;
        this.faults = faults;
    }

    public List<String> violations() {
        return violations;
    }

    /** Requests asked. */
    public long steps() {
        return steps;
    }

    public long answers() {
        return answers;
    }

    public boolean idle() {
        return inFlight.isEmpty();
    }

    public boolean isConnected() {
        return connection != null;
    }

    /** Asks nothing new until told to go on. */
    public void pause(boolean whether) {
        paused = whether;
    }

    public void connected(Connection to) {
        connection = to;
        in.clear();
        out.clear();
    }

    /** The connection is gone, and nothing of it reaches the disk any more. */
    public void disconnected() {
        connection = null;
        for (var asked : inFlight.values()) {
            perhaps(asked);
        }
        inFlight.clear();
    }

    // --- asking

    /** What is to be sent; ask again when it is empty. Consumed by the caller. */
    public ByteBuffer output() {
        if (out.position() == 0 && !paused) {
            for (var burst = 1 + random.nextInt(4); burst > 0 && inFlight.size() < depth; burst--) {
                ask();
            }
        }
        return out;
    }

    private void ask() {
        if (random.nextInt(20) == 0) {
            askWhatMustBeRefused();
            return;
        }
        var command = Command.values()[pick(30, 62, 66, 74, 78, 92, connection.structured() ? 100 : 92)];
        var end = Math.min(Math.min(to, model.size()), connection.size());
        var length = command == Command.FLUSH ? 0 : length(end - from);
        var offset = command == Command.FLUSH ? 0 : from + random.nextInt(end - from - length + 1);
        if (random.nextBoolean() && command != Command.FLUSH) {
            offset -= (offset - from) % 512;
        }
        if (overlaps(offset, length)) {
            return;
        }
        var flags = random.nextInt(4) == 0 ? FUA : 0;
        var payload = new byte[0];
        switch (command) {
            case WRITE -> {
                payload = new byte[length];
                random.nextBytes(payload);
            }
            case WRITE_ZEROES -> {
                flags |= random.nextInt(3) == 0 ? NO_HOLE : 0;
                flags |= random.nextInt(8) == 0 ? FAST_ZERO : 0;
            }
            case READ -> flags |= connection.structured() && random.nextInt(3) == 0 ? DF : 0;
            case BLOCK_STATUS -> flags |= random.nextInt(3) == 0 ? REQ_ONE : 0;
            default -> {}
        }
        send(new Asked(command, flags, offset, length, payload, 0));
    }

    /** One of the bounds at random, each being the upper one of a share in percent. */
    private int pick(int... bounds) {
        var drawn = random.nextInt(bounds[bounds.length - 1]);
        var i = 0;
        while (bounds[i] <= drawn) {
            i++;
        }
        return i;
    }

    private int length(int room) {
        var most = random.nextInt(30) == 0 ? LARGEST : 12 << 10;
        var length = 1 + random.nextInt(Math.min(room, most));
        return random.nextInt(3) == 0 || length < 512 ? length : length - length % 512;
    }

    private boolean overlaps(int offset, int length) {
        return inFlight.values().stream()
                .anyMatch(a -> a.refusal == 0 && a.offset < offset + length && offset < a.offset + a.length);
    }

    private void askWhatMustBeRefused() {
        var beyond = connection.size() - random.nextInt(100);
        switch (random.nextInt(4)) {
            case 0 -> send(new Asked(Command.READ, 0, beyond, 101 + random.nextInt(5_000), new byte[0], EINVAL));
            case 1 -> {
                var payload = new byte[101 + random.nextInt(5_000)];
                send(new Asked(Command.WRITE, 0, beyond, payload.length, payload, 28));
            }
            case 2 -> send(new Asked(Command.WRITE, NO_HOLE, from, 512, new byte[512], EINVAL));
            default -> send(new Asked(Command.READ, 1 << 9, from, 512, new byte[0], EINVAL));
        }
    }

    private void send(Asked asked) {
        if (out.remaining() < 28 + asked.payload.length) {
            return;
        }
        steps++;
        inFlight.put(++cookie, asked);
        out.putInt(REQUEST_MAGIC)
                .putShort((short) asked.flags)
                .putShort((short) asked.command.number)
                .putLong(cookie)
                .putLong(asked.offset)
                .putInt(asked.length)
                .put(asked.payload);
    }

    // --- being answered

    /** Bytes from the server. */
    public void received(ByteBuffer bytes) {
        while (bytes.hasRemaining() && violations.isEmpty()) {
            var n = Math.min(bytes.remaining(), in.remaining());
            in.put(bytes.slice(bytes.position(), n));
            bytes.position(bytes.position() + n);
            in.flip();
            while (violations.isEmpty() && oneAnswer()) {}
            in.compact();
        }
    }

    private boolean oneAnswer() {
        if (in.remaining() < 4) {
            return false;
        }
        var magic = in.getInt(in.position());
        if (magic == SIMPLE_MAGIC) {
            return simple();
        }
        if (magic == STRUCTURED_MAGIC && connection.structured()) {
            return chunk();
        }
        violations.add(name + ": out of step, a reply begins with 0x%x".formatted(magic));
        return false;
    }

    private boolean simple() {
        if (in.remaining() < 16) {
            return false;
        }
        var at = in.position();
        var error = in.getInt(at + 4);
        var key = in.getLong(at + 8);
        var asked = inFlight.get(key);
        if (asked == null) {
            violations.add(name + ": an answer to " + key + ", which was not asked");
            return false;
        }
        var data = asked.command == Command.READ && error == 0 ? asked.length : 0;
        if (connection.structured() && (data > 0 || asked.command == Command.BLOCK_STATUS && error == 0)) {
            violations.add(name + ": a simple reply to " + asked.command + ", though structured ones were negotiated");
            return false;
        }
        if (in.remaining() < 16 + data) {
            return false;
        }
        in.position(at + 16);
        check(asked, asked.offset, data);
        asked.covered += data;
        end(key, asked, error);
        return true;
    }

    private boolean chunk() {
        if (in.remaining() < 20) {
            return false;
        }
        var at = in.position();
        var flags = in.getShort(at + 4);
        var type = in.getShort(at + 6) & 0xffff;
        var key = in.getLong(at + 8);
        var length = in.getInt(at + 16);
        if (length < 0 || length > (1 << 20) - 20) {
            violations.add(name + ": a chunk of " + length + " bytes");
            return false;
        }
        if (in.remaining() < 20 + length) {
            return false;
        }
        in.position(at + 20);
        var end = at + 20 + length;
        var asked = inFlight.get(key);
        if (asked == null) {
            violations.add(name + ": a chunk for " + key + ", which was not asked");
            return false;
        }
        var done = (flags & CHUNK_DONE) != 0;
        var error = 0;
        switch (type) {
            case CHUNK_NONE -> {}
            case CHUNK_DATA -> data(asked, length - 8, done);
            case CHUNK_HOLE -> hole(asked);
            case CHUNK_STATUS -> status(asked, length);
            default -> {
                if ((type & CHUNK_ERRORS) == 0) {
                    violations.add(name + ": a chunk of the unknown type " + type);
                } else {
                    error = in.getInt();
                }
            }
        }
        in.position(end);
        asked.failed |= error != 0;
        if (done) {
            end(key, asked, error);
        }
        return true;
    }

    private void data(Asked asked, int bytes, boolean done) {
        var offset = in.getLong();
        if (asked.command != Command.READ
                || offset < asked.offset
                || offset + bytes > asked.offset + asked.length
                || (asked.flags & DF) != 0 && bytes != asked.length) {
            violations.add(name + ": data " + offset + "+" + bytes + " for " + describe(asked)
                    + (done ? "" : " (more follows)"));
            return;
        }
        check(asked, (int) offset, bytes);
        asked.covered += bytes;
    }

    private void hole(Asked asked) {
        var offset = (int) in.getLong();
        var bytes = in.getInt();
        if (asked.command != Command.READ || (asked.flags & DF) != 0 && bytes != asked.length) {
            violations.add(name + ": a hole " + offset + "+" + bytes + " for " + describe(asked));
            return;
        }
        for (var i = 0; i < bytes; i++) {
            checkOne(asked, offset + i, (byte) 0);
        }
        asked.covered += bytes;
    }

    private void status(Asked asked, int bytes) {
        in.getInt();
        var count = (bytes - 4) / 8;
        var offset = asked.offset;
        if (asked.command != Command.BLOCK_STATUS || count == 0 || (asked.flags & REQ_ONE) != 0 && count != 1) {
            violations.add(name + ": " + count + " extents for " + describe(asked));
            return;
        }
        for (var i = 0; i < count; i++) {
            var length = in.getInt();
            var state = in.getInt();
            var beyond = offset + length > asked.offset + asked.length;
            if (length <= 0 || beyond && (i < count - 1 || (asked.flags & REQ_ONE) != 0)) {
                violations.add(name + ": extent " + offset + "+" + length + " for " + describe(asked));
                return;
            }
            for (var at = offset;
                    (state & 2) != 0 && at < Math.min(offset + length, asked.offset + asked.length);
                    at++) {
                checkOne(asked, at, (byte) 0);
            }
            offset += length;
        }
        asked.covered = asked.length;
    }

    private void check(Asked asked, int offset, int bytes) {
        for (var i = 0; i < bytes; i++) {
            checkOne(asked, offset + i, in.get());
        }
    }

    private void checkOne(Asked asked, int at, byte found) {
        if (violations.isEmpty() && !model.reads(at, found)) {
            violations.add(name + ": byte " + at + " is %02x, expected ".formatted(found) + model.expected(at) + ", by "
                    + describe(asked));
        }
    }

    private void end(long key, Asked asked, int error) {
        inFlight.remove(key);
        answers++;
        var failed = asked.failed || error != 0;
        if (asked.refusal != 0) {
            if (!failed || error != 0 && error != asked.refusal) {
                violations.add(
                        name + ": " + describe(asked) + " was answered " + error + ", expected " + asked.refusal);
            }
            return;
        }
        if (failed) {
            if (!faults && !mayFail(asked, error)) {
                violations.add(name + ": " + describe(asked) + " failed with " + error);
            }
            perhaps(asked);
            return;
        }
        if ((asked.command == Command.READ || asked.command == Command.BLOCK_STATUS) && asked.covered != asked.length) {
            violations.add(name + ": " + asked.covered + " bytes for " + describe(asked));
        }
        switch (asked.command) {
            case WRITE -> model.written(asked.offset, asked.payload);
            case WRITE_ZEROES -> model.zeroed(asked.offset, asked.length);
            case TRIM -> model.perhapsZeroed(asked.offset, asked.length);
            default -> {}
        }
    }

    /** A fast zero that is none may be refused; so may what had become too long. */
    private boolean mayFail(Asked asked, int error) {
        return (asked.flags & FAST_ZERO) != 0 && error == ENOTSUP
                || asked.command == Command.READ && (asked.flags & DF) != 0 && error == EOVERFLOW
                || asked.offset + asked.length > model.size();
    }

    private void perhaps(Asked asked) {
        if (asked.refusal != 0 || asked.offset + asked.length > model.size()) {
            return;
        }
        switch (asked.command) {
            case WRITE -> model.perhapsWritten(asked.offset, asked.payload);
            case WRITE_ZEROES, TRIM -> model.perhapsZeroed(asked.offset, asked.length);
            default -> {}
        }
    }

    private static String describe(Asked asked) {
        return asked.command + " " + asked.offset + "+" + asked.length + " flags " + asked.flags;
    }

    @Override
    public String toString() {
        return name + " " + steps + " asked, "
                + Arrays.toString(
                        inFlight.values().stream().map(ModelClient::describe).toArray());
    }
}
