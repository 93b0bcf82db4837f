package io.sidecore.runtime.guest;

import io.sidecore.actors.block.Errno;
import io.sidecore.actors.vm.GuestContext;
import io.sidecore.actors.vm.GuestException;
import io.sidecore.runtime.guest.HeldPort.Held;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.UTFDataFormatException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * What a snapshot of an {@link EventGuest} has beside its memory and its disks, in a file (big-endian):
 *
 * <pre>
 *   u32      "SCV1"
 *   UTF      the class of its program
 *   u32      n, then u8[n]: what the program has saved
 *   i64[64]  its timers: nanoseconds that remain, or -1
 *   u32      ports, then for each:
 *     u8       1 if answers are signalled
 *     answers that it has not received, each: u8 1, u64 tag, UTF error; then u8 0
 * </pre>
 *
 * What is read is not trusted.
 */
final class KeptState {
    private static final String FILE = "program.state";
    private static final int MAGIC = 0x53435631;

    /** A port, and the answers that have come there. */
    record Port(boolean signalled, List<Held> held) {}

    final String program;
    final byte[] own;
    /** Nanoseconds that remain, or -1. */
    final long[] timers;

    final List<Port> ports;

    KeptState(String program, byte[] own, long[] timers, List<Port> ports) {
        this.program = program;
        this.own = own;
        this.timers = timers;
        this.ports = ports;
    }

    /** The state of a port now. */
    static Port port(HeldPort port) {
        var held = new ArrayList<Held>();
        port.held().forEach(held::add);
        return new Port(port.signalled(), held);
    }

    void write(Path folder) throws IOException {
        var bytes = new ByteArrayOutputStream();
        var out = new DataOutputStream(bytes);
        out.writeInt(MAGIC);
        out.writeUTF(program);
        out.writeInt(own.length);
        out.write(own);
        for (var timer : timers) {
            out.writeLong(timer);
        }
        out.writeInt(ports.size());
        for (var port : ports) {
            out.writeBoolean(port.signalled());
            for (var held : port.held()) {
                out.writeBoolean(true);
                out.writeLong(held.tag());
                out.writeUTF(held.error().name());
            }
            out.writeBoolean(false);
        }
        Files.write(folder.resolve(FILE), bytes.toByteArray());
    }

    /**
     * What is in the folder of a snapshot.
     *
     * @throws GuestException if it is of something else, or damaged
     */
    static KeptState read(Path folder) throws IOException {
        try (var in = new DataInputStream(new ByteArrayInputStream(Files.readAllBytes(folder.resolve(FILE))))) {
            if (in.readInt() != MAGIC) {
                throw new GuestException("the snapshot is of another kind of guest");
            }
            var program = in.readUTF();
            var own = in.readNBytes(in.readInt());
            var timers = new long[GuestContext.TIMERS];
            for (var i = 0; i < timers.length; i++) {
                timers[i] = in.readLong();
            }
            var ports = new ArrayList<Port>();
            for (var left = in.readInt(); left > 0; left--) {
                var signalled = in.readBoolean();
                var held = new ArrayList<Held>();
                while (in.readBoolean()) {
                    held.add(new Held(in.readLong(), Errno.valueOf(in.readUTF())));
                }
                ports.add(new Port(signalled, held));
            }
            if (in.read() >= 0) {
                throw new GuestException("the snapshot is damaged: there is more than its state");
            }
            return new KeptState(program, own, timers, ports);
        } catch (NoSuchFileException e) {
            throw new GuestException("the snapshot is of another kind of guest", e);
        } catch (EOFException e) {
            throw new GuestException("the snapshot is damaged: its state is cut off", e);
        } catch (UTFDataFormatException | IllegalArgumentException e) {
            throw new GuestException("the snapshot is damaged: " + e.getMessage(), e);
        }
    }
}
