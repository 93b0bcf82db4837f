package io.sidecore.it.simulation;

import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.Simulation;
import io.sidecore.devices.transport.Transport;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * An NBD client that asks random things of its part of a disk and checks every answer against a model of its own. Requests in flight never overlap, so every read has one right answer. Speaks the
 * transmission phase by its own code, written from proto.md.
 */
final class SimulatedClient implements Transport.Listener {
    private record Asked(int type, int offset, int length, byte[] payload) {}

    /** Bytes of the largest request. One in so many is large: at least half of this, which is what a medium may lend its memory for. */
    private static final int LARGE = 128 << 10;

    private static final int ONE_IN = 24;

    private final String name;
    private final Simulation simulation;
    private final SplittableRandom random;
    private final SimulatedTransport transport;
    private final int base;
    private final byte[] model;
    private final int depth;
    private final Map<Long, Asked> inFlight = new HashMap<>();
    private final List<String> violations = new ArrayList<>();
    private final ByteBuffer out = ByteBuffer.allocate(LARGE + 28).flip();
    private final ByteBuffer in = ByteBuffer.allocate(2 * LARGE);
    private final boolean tolerant;
    private final boolean structured;
    private int toAsk;
    private int toVerify;
    private long cookie;
    private long answers;
    private boolean goodbye;

    /** A client of the bytes {@code base … base + size} that asks {@code requests} things, up to {@code depth} at a time, then reads everything and leaves. It has agreed on {@code structured} replies or not. A {@code tolerant} one leaves earlier if something fails with EIO. */
    SimulatedClient(
            String name,
            Simulation simulation,
            SimulatedTransport transport,
            int base,
            int size,
            int requests,
            int depth,
            boolean structured,
            boolean tolerant) {
        this.structured = structured;
        this.tolerant = tolerant;
        this.name = name;
        this.simulation = simulation;
        this.random = simulation.random().split();
        this.transport = transport;
        this.base = base;
        this.model = new byte[size];
        this.toAsk = requests;
        this.depth = depth;
    }

    void start(CoreLoop loop) {
        transport.attach(loop, this);
        progress();
    }

    @Override
    public String toString() {
        return name + " in flight " + inFlight.size() + ", to ask " + toAsk + ", verified " + toVerify + ", "
                + transport;
    }

    boolean done() {
        return goodbye || !violations.isEmpty();
    }

    long answers() {
        return answers;
    }

    List<String> violations() {
        return violations;
    }

    @Override
    public void readable() {
        var n = transport.read(in);
        if (n < 0) {
            if (!goodbye) {
                violations.add(
                        name + ": the server closed the connection with " + inFlight.size() + " requests in flight");
            }
            transport.close();
            return;
        }
        in.flip();
        while (reply()) {}
        in.compact();
        progress();
    }

    @Override
    public void writable() {
        progress();
    }

    private boolean reply() {
        if (in.remaining() < 16) {
            return false;
        }
        var at = in.position();
        var chunk = in.getInt(at) == 0x668e33ef;
        if (!chunk && in.getInt(at) != 0x67446698 || chunk && !structured) {
            violations.add(name + ": a reply begins with 0x" + Integer.toHexString(in.getInt(at)));
            return false;
        }
        var key = in.getLong(at + 8);
        var asked = inFlight.get(key);
        if (asked == null) {
            violations.add(name + ": an answer to " + key + ", which was not asked or was answered before");
            return false;
        }
        return chunk ? chunk(at, key, asked) : simple(at, key, asked);
    }

    private boolean simple(int at, long key, Asked asked) {
        var error = in.getInt(at + 4);
        if (structured && asked.type() == 0) {
            violations.add(name + ": a simple reply to the read " + key);
            return false;
        }
        var payload = asked.type() == 0 && error == 0 ? asked.length() : 0;
        return in.remaining() >= 16 + payload && answered(at + 16, key, asked, error);
    }

    /** The only one of its reply: what a read has found, or a failure. */
    private boolean chunk(int at, long key, Asked asked) {
        if (in.remaining() < 20 || in.remaining() < 20 + in.getInt(at + 16)) {
            return false;
        }
        var flags = in.getShort(at + 4);
        var type = in.getShort(at + 6);
        var length = in.getInt(at + 16);
        if (flags != 1) {
            violations.add(name + ": a reply of several chunks to " + key);
            return false;
        }
        if (type < 0) {
            // Behind the number a text, and perhaps the offset.
            return answered(at + 20 + length, key, asked, in.getInt(at + 20));
        }
        if (type != 1
                || asked.type() != 0
                || length != 8 + asked.length()
                || in.getLong(at + 20) != base + asked.offset()) {
            violations.add("%s: a chunk of type %d with %d bytes of request %d".formatted(name, type, length, key));
            return false;
        }
        return answered(at + 28, key, asked, 0);
    }

    private boolean answered(int behindHeader, long key, Asked asked, int error) {
        in.position(behindHeader);
        inFlight.remove(key);
        answers++;
        simulation.note(key);
        simulation.note(error);
        if (error == 5 && tolerant) {
            // What it asked to write may or may not be there: no more to learn from the contents.
            toAsk = 0;
            toVerify = model.length;
        } else if (error != 0) {
            violations.add(
                    name + ": request " + key + " " + asked.offset() + "+" + asked.length() + " failed with " + error);
        } else if (asked.type() == 0) {
            check(asked, key);
        } else if (asked.type() == 1) {
            System.arraycopy(asked.payload(), 0, model, asked.offset(), asked.length());
        }
        return true;
    }

    private void check(Asked asked, long key) {
        var from = in.position();
        in.position(from + asked.length());
        var i = Arrays.mismatch(
                in.array(), from, from + asked.length(), model, asked.offset(), asked.offset() + asked.length());
        if (i >= 0) {
            violations.add("%s: request %d read %d at %d, where the model has %d"
                    .formatted(name, key, in.get(from + i), base + asked.offset() + i, model[asked.offset() + i]));
        }
    }

    private void progress() {
        if (!violations.isEmpty()) {
            transport.interest(false, false);
            return;
        }
        while (true) {
            if (out.hasRemaining()) {
                transport.write(out);
                if (out.hasRemaining()) {
                    break;
                }
            }
            if (!ask()) {
                break;
            }
        }
        transport.interest(true, out.hasRemaining());
    }

    private boolean ask() {
        out.clear();
        if (toAsk > 0 && inFlight.size() < depth) {
            var length = random.nextInt(ONE_IN) == 0
                    ? LARGE / 2 + 512 * random.nextInt(LARGE / 1024 + 1)
                    : 512 * (1 + random.nextInt(16));
            var offset = 512 * random.nextInt((model.length - length) / 512 + 1);
            var free = inFlight.values().stream()
                    .allMatch(a -> a.offset() + a.length() <= offset || offset + length <= a.offset());
            if (free) {
                toAsk--;
                switch (random.nextInt(10)) {
                    case 0 -> send(3, 0, 0, null);
                    case 1, 2, 3 -> send(0, offset, length, null);
                    default -> {
                        var payload = new byte[length];
                        random.nextBytes(payload);
                        send(1, offset, length, payload);
                    }
                }
                return true;
            }
        } else if (toAsk == 0 && inFlight.isEmpty() && toVerify < model.length) {
            var length = Math.min(LARGE, model.length - toVerify);
            send(0, toVerify, length, null);
            toVerify += length;
            return true;
        } else if (toVerify == model.length && inFlight.isEmpty() && !goodbye) {
            goodbye = true;
            header(2, 0, 0, 0);
            out.flip();
            return true;
        }
        out.flip();
        return false;
    }

    private void send(int type, int offset, int length, byte[] payload) {
        inFlight.put(++cookie, new Asked(type, offset, length, payload));
        header(type, cookie, type == 3 ? 0 : base + offset, length);
        if (payload != null) {
            out.put(payload);
        }
        out.flip();
    }

    private void header(int type, long key, long offset, int length) {
        out.putInt(0x25609513)
                .putShort((short) 0)
                .putShort((short) type)
                .putLong(key)
                .putLong(offset)
                .putInt(length);
    }
}
