package io.sidecore.runtime.guest;

import io.sidecore.actors.block.Errno;
import io.sidecore.actors.vm.GuestContext;
import io.sidecore.actors.vm.GuestException;
import io.sidecore.runtime.guest.HeldPort.Held;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
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
 * What a guest of events is made of between two of them, its memory and its disks apart.
 *
 * @param program the class of its program
 * @param own what the program itself has kept
 * @param timers nanoseconds until each comes; negative for one that is not set
 * @param ports its VIFs
 * @param messages that were sent to it and not told yet
 */
record EventState(String program, byte[] own, long[] timers, List<Port> ports, List<byte[]> messages) {
    /**
     * A VIF.
     *
     * @param answers whether it is signalled that answers have come
     * @param room whether it is signalled that there is room
     * @param held answers that have come, and were not received
     */
    record Port(boolean answers, boolean room, List<Held> held) {}

    private static final int MAGIC = 0x53435632;

    void write(Path file) throws IOException {
        try (var out = new DataOutputStream(new BufferedOutputStream(Files.newOutputStream(file)))) {
            out.writeInt(MAGIC);
            out.writeUTF(program);
            write(out, own);
            for (var timer : timers) {
                out.writeLong(timer);
            }
            out.writeInt(ports.size());
            for (var port : ports) {
                out.writeBoolean(port.answers());
                out.writeBoolean(port.room());
                for (var held : port.held()) {
                    out.writeBoolean(true);
                    out.writeLong(held.tag());
                    out.writeUTF(held.error().name());
                }
                out.writeBoolean(false);
            }
            for (var message : messages) {
                out.writeBoolean(true);
                write(out, message);
            }
            out.writeBoolean(false);
        }
    }

    private static void write(DataOutputStream out, byte[] bytes) throws IOException {
        out.writeInt(bytes.length);
        out.write(bytes);
    }

    /**
     * What {@link #write} has kept.
     *
     * @throws GuestException if the file is damaged, or of another kind of guest
     */
    static EventState read(Path file) throws IOException {
        try (var in = new DataInputStream(new BufferedInputStream(Files.newInputStream(file)))) {
            if (in.readInt() != MAGIC) {
                throw new GuestException("the snapshot is of another kind of guest, or of another version of sidecore");
            }
            var program = in.readUTF();
            var own = bytes(in);
            var timers = new long[GuestContext.TIMERS];
            for (var i = 0; i < timers.length; i++) {
                timers[i] = in.readLong();
            }
            var ports = new ArrayList<Port>();
            for (var left = in.readInt(); left > 0; left--) {
                ports.add(port(in));
            }
            var messages = new ArrayList<byte[]>();
            while (in.readBoolean()) {
                messages.add(bytes(in));
            }
            if (in.read() >= 0) {
                throw new GuestException("the snapshot is damaged: there is more than its state");
            }
            return new EventState(program, own, timers, ports, messages);
        } catch (NoSuchFileException e) {
            throw new GuestException("the snapshot is of another kind of guest", e);
        } catch (EOFException e) {
            throw new GuestException("the snapshot is damaged: its state is cut off", e);
        } catch (UTFDataFormatException | IllegalArgumentException e) {
            throw new GuestException("the snapshot is damaged: " + e.getMessage(), e);
        }
    }

    private static Port port(DataInputStream in) throws IOException {
        var answers = in.readBoolean();
        var room = in.readBoolean();
        var held = new ArrayList<Held>();
        while (in.readBoolean()) {
            held.add(new Held(in.readLong(), Errno.valueOf(in.readUTF())));
        }
        return new Port(answers, room, held);
    }

    private static byte[] bytes(DataInputStream in) throws IOException {
        var length = in.readInt();
        var bytes = in.readNBytes(length);
        if (bytes.length < length) {
            throw new EOFException("it ends early");
        }
        return bytes;
    }
}
