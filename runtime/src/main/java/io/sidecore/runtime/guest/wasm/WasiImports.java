package io.sidecore.runtime.guest.wasm;

import io.sidecore.actors.vm.GuestContext;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import run.endive.runtime.HostFunction;
import run.endive.runtime.ImportFunction;
import run.endive.wasm.types.FunctionImport;
import run.endive.wasm.types.FunctionType;

/**
 * WASI preview 1, as much of it as concerns a program without files and without a network: arguments, environment, clocks, random bytes, three streams, waiting, exit. Everything else can be imported, as a C library does, and answers EBADF or ENOTCAPABLE.
 *
 * <p>Source: WASI, legacy/preview1/docs.md. For the program's thread.
 */
final class WasiImports {
    static final String MODULE = "wasi_snapshot_preview1";

    private static final String BRIEF = """
            args_get ii>i; args_sizes_get ii>i; environ_get ii>i; environ_sizes_get ii>i; clock_res_get ii>i; clock_time_get iIi>i;
            fd_advise iIIi>i; fd_allocate iII>i; fd_close i>i; fd_datasync i>i; fd_fdstat_get ii>i; fd_fdstat_set_flags ii>i;
            fd_fdstat_set_rights iII>i; fd_filestat_get ii>i; fd_filestat_set_size iI>i; fd_filestat_set_times iIIi>i;
            fd_pread iiiIi>i; fd_prestat_get ii>i; fd_prestat_dir_name iii>i; fd_pwrite iiiIi>i; fd_read iiii>i; fd_readdir iiiIi>i;
            fd_renumber ii>i; fd_seek iIii>i; fd_sync i>i; fd_tell ii>i; fd_write iiii>i; path_create_directory iii>i;
            path_filestat_get iiiii>i; path_filestat_set_times iiiiIIi>i; path_link iiiiiii>i; path_open iiiiiIIii>i;
            path_readlink iiiiii>i; path_remove_directory iii>i; path_rename iiiiii>i; path_symlink iiiii>i; path_unlink_file iii>i;
            poll_oneoff iiii>i; proc_exit i>; proc_raise i>i; sched_yield >i; random_get ii>i; sock_accept iii>i; sock_recv iiiiii>i;
            sock_send iiiii>i; sock_shutdown ii>i""";

    /** All functions of preview 1. */
    static final Map<String, FunctionType> TYPES = types();

    private static final int SUCCESS = 0;
    private static final int BADF = 8;
    private static final int FAULT = 21;
    private static final int INVAL = 28;
    private static final int IO = 29;
    private static final int NOTSUP = 58;
    private static final int OVERFLOW = 61;
    private static final int SPIPE = 70;
    private static final int NOTCAPABLE = 76;

    private static final int CHARACTER_DEVICE = 2;
    private static final long RIGHT_READ = 1 << 1;
    private static final long RIGHT_WRITE = 1 << 6;
    private static final int VECTORS_MAX = 1024;
    private static final int SUBSCRIPTIONS_MAX = 1024;
    private static final int CHUNK = 8192;
    private static final int STREAMS = 3;

    private final GuestContext context;
    private final LinearMemory memory;
    private final CallStack stack;
    private final ProgramWait waits;
    private final WasiProgram.Streams streams;
    private final List<byte[]> arguments = new ArrayList<>();
    private final List<byte[]> environment = new ArrayList<>();
    private final SecureRandom random = new SecureRandom();
    private final byte[] buffer = new byte[CHUNK];
    private final boolean[] closed = new boolean[STREAMS];

    WasiImports(
            GuestContext context,
            LinearMemory memory,
            CallStack stack,
            ProgramWait waits,
            WasiProgram.Streams streams,
            List<String> arguments,
            Map<String, String> environment) {
        this.context = context;
        this.memory = memory;
        this.stack = stack;
        this.waits = waits;
        this.streams = streams;
        arguments.forEach(a -> this.arguments.add(terminated(a)));
        new TreeMap<>(environment).forEach((name, value) -> this.environment.add(terminated(name + "=" + value)));
    }

    private static Map<String, FunctionType> types() {
        var types = new TreeMap<String, FunctionType>();
        for (var each : BRIEF.split(";\\s*")) {
            var space = each.indexOf(' ');
            types.put(each.substring(0, space), Signature.of(each.substring(space + 1)));
        }
        return Map.copyOf(types);
    }

    private static byte[] terminated(String text) {
        return (text + "\0").getBytes(StandardCharsets.UTF_8);
    }

    private interface Call {
        int apply(long[] a);
    }

    /** As functions, those that the module imports. */
    List<ImportFunction> functions(GuestModule module) {
        var functions = new ArrayList<ImportFunction>();
        for (var each : module.module().importSection().stream().distinct().toList()) {
            if (each instanceof FunctionImport && each.module().equals(MODULE)) {
                var type = Objects.requireNonNull(TYPES.get(each.name()));
                var call = call(each.name());
                functions.add(
                        new HostFunction(MODULE, each.name(), type, (instance, a) -> new long[] {guarded(call, a)}));
            }
        }
        return functions;
    }

    /** A pointer outside the memory is an error that WASI has a number for. */
    private int guarded(Call call, long[] a) {
        stack.check();
        try {
            return call.apply(a);
        } catch (WasmTrap e) {
            if (e.reason() == WasmTrap.Reason.OUT_OF_BOUNDS) {
                return FAULT;
            }
            throw e;
        }
    }

    private Call call(String name) {
        return switch (name) {
            case "args_get" -> a -> list(arguments, (int) a[0], (int) a[1]);
            case "args_sizes_get" -> a -> sizes(arguments, (int) a[0], (int) a[1]);
            case "environ_get" -> a -> list(environment, (int) a[0], (int) a[1]);
            case "environ_sizes_get" -> a -> sizes(environment, (int) a[0], (int) a[1]);
            case "clock_res_get" -> a -> clock((int) a[0], (int) a[1], true);
            case "clock_time_get" -> a -> clock((int) a[0], (int) a[2], false);
            case "fd_write" -> a -> write((int) a[0], (int) a[1], (int) a[2], (int) a[3]);
            case "fd_read" -> a -> read((int) a[0], (int) a[1], (int) a[2], (int) a[3]);
            case "fd_close" -> a -> close((int) a[0]);
            case "fd_fdstat_get" -> a -> stat((int) a[0], (int) a[1]);
            case "fd_fdstat_set_flags" -> a -> isOpen((int) a[0]) ? NOTSUP : BADF;
            case "fd_filestat_get" -> a -> fileStat((int) a[0], (int) a[1]);
            case "fd_seek", "fd_tell", "fd_pread", "fd_pwrite" -> a -> isOpen((int) a[0]) ? SPIPE : BADF;
            case "fd_sync", "fd_datasync" -> a -> isOpen((int) a[0]) ? SUCCESS : BADF;
            case "poll_oneoff" -> a -> poll((int) a[0], (int) a[1], (int) a[2], (int) a[3]);
            case "proc_exit" ->
                a -> {
                    throw new GuestExit((int) a[0]);
                };
            case "random_get" -> a -> random((int) a[0], (int) a[1]);
            case "sched_yield" -> a -> SUCCESS;
            case "proc_raise" -> a -> NOTSUP;
            default -> a -> name.startsWith("path_") ? NOTCAPABLE : BADF;
        };
    }

    // --- arguments, environment, clocks, random bytes

    private int sizes(List<byte[]> texts, int count, int bytes) {
        memory.writeI32(count, texts.size());
        memory.writeI32(bytes, texts.stream().mapToInt(t -> t.length).sum());
        return SUCCESS;
    }

    private int list(List<byte[]> texts, int pointers, int at) {
        var pointer = pointers;
        for (var text : texts) {
            memory.writeI32(pointer, at);
            memory.write(at, text, 0, text.length);
            pointer += Integer.BYTES;
            at += text.length;
        }
        return SUCCESS;
    }

    private int clock(int id, int to, boolean resolution) {
        if (id != 0 && id != 1) {
            return INVAL;
        }
        memory.writeLong(to, resolution ? 1 : now(id));
        return SUCCESS;
    }

    /** Of clock 0, the time of day, or 1, which never goes back. */
    private long now(int id) {
        return id == 0 ? context.wallNanos() : context.nanos();
    }

    private int random(int at, int length) {
        if (!memory.holds(at, Integer.toUnsignedLong(length))) {
            return FAULT;
        }
        var bytes = new byte[Math.min(CHUNK, length < 0 ? CHUNK : length)];
        for (var done = 0L; done < Integer.toUnsignedLong(length); done += bytes.length) {
            if (Thread.currentThread().isInterrupted()) {
                throw WasmTrap.interrupted();
            }
            random.nextBytes(bytes);
            memory.write(
                    at + (int) done, bytes, 0, (int) Math.min(bytes.length, Integer.toUnsignedLong(length) - done));
        }
        return SUCCESS;
    }

    // --- streams

    private boolean isOpen(int fd) {
        return fd >= 0 && fd < STREAMS && !closed[fd];
    }

    private int close(int fd) {
        if (!isOpen(fd)) {
            return BADF;
        }
        closed[fd] = true;
        return SUCCESS;
    }

    private int stat(int fd, int to) {
        if (!isOpen(fd)) {
            return BADF;
        }
        memory.writeLong(to, CHARACTER_DEVICE);
        memory.writeLong(to + 8, fd == 0 ? RIGHT_READ : RIGHT_WRITE);
        memory.writeLong(to + 16, 0);
        return SUCCESS;
    }

    private int fileStat(int fd, int to) {
        if (!isOpen(fd)) {
            return BADF;
        }
        memory.write(to, new byte[64], 0, 64);
        memory.writeByte(to + 16, (byte) CHARACTER_DEVICE);
        return SUCCESS;
    }

    private int write(int fd, int vectors, int count, int written) {
        if (!isOpen(fd) || fd == 0) {
            return BADF;
        }
        if (count < 0 || count > VECTORS_MAX) {
            return INVAL;
        }
        var to = fd == 1 ? streams.out() : streams.error();
        var done = 0L;
        try {
            for (var i = 0; i < count; i++) {
                var at = memory.readInt(vectors + 8 * i);
                var length = Integer.toUnsignedLong(memory.readInt(vectors + 8 * i + 4));
                if (!memory.holds(at, length)) {
                    return FAULT;
                }
                if (done + length > Integer.MAX_VALUE) {
                    return OVERFLOW;
                }
                for (var from = 0L; from < length; from += CHUNK) {
                    if (Thread.currentThread().isInterrupted()) {
                        throw WasmTrap.interrupted();
                    }
                    to.write(memory.take(at + (int) from, (int) Math.min(CHUNK, length - from)));
                }
                done += length;
            }
            to.flush();
        } catch (IOException e) {
            return IO;
        }
        memory.writeI32(written, (int) done);
        return SUCCESS;
    }

    /** As much as the first vector that is not empty takes, and is there; 0 at the end. */
    private int read(int fd, int vectors, int count, int taken) {
        if (fd != 0 || closed[0]) {
            return BADF;
        }
        if (count < 0 || count > VECTORS_MAX) {
            return INVAL;
        }
        var done = 0;
        try {
            for (var i = 0; i < count && done == 0; i++) {
                var at = memory.readInt(vectors + 8 * i);
                var length = Integer.toUnsignedLong(memory.readInt(vectors + 8 * i + 4));
                if (!memory.holds(at, length)) {
                    return FAULT;
                }
                if (length > 0) {
                    done = streams.in().read(buffer, 0, (int) Math.min(CHUNK, length));
                    memory.write(at, buffer, 0, Math.max(done, 0));
                }
            }
        } catch (IOException e) {
            if (Thread.currentThread().isInterrupted()) {
                throw WasmTrap.interrupted();
            }
            return IO;
        }
        memory.writeI32(taken, Math.max(done, 0));
        return SUCCESS;
    }

    // --- waiting

    /** Clocks are waited for; a stream counts as ready, for reading waits itself. */
    private int poll(int in, int out, int count, int events) {
        if (count <= 0 || count > SUBSCRIPTIONS_MAX) {
            return INVAL;
        }
        var least = Long.MAX_VALUE;
        for (var i = 0; i < count; i++) {
            least = Math.min(least, left(in + 48 * i));
        }
        if (least > 0) {
            waits.sleep(context, least);
        }
        var told = 0;
        for (var i = 0; i < count; i++) {
            var from = in + 48 * i;
            var type = memory.read(from + 8);
            // What was waited for is over, even if its own clock is not yet there.
            if (type != 0 || left(from) <= Math.max(0, least)) {
                var to = out + 32 * told++;
                memory.write(to, new byte[32], 0, 32);
                memory.writeLong(to, memory.readLong(from));
                memory.writeShort(to + 8, (short) (isSubscription(from) ? SUCCESS : INVAL));
                memory.writeByte(to + 10, type);
            }
        }
        memory.writeI32(events, told);
        return SUCCESS;
    }

    private boolean isSubscription(int at) {
        return switch (memory.read(at + 8)) {
            case 0 -> memory.readInt(at + 16) == 0 || memory.readInt(at + 16) == 1;
            case 1, 2 -> isOpen(memory.readInt(at + 16));
            default -> false;
        };
    }

    /** Nanoseconds until a subscription is due. */
    private long left(int at) {
        if (memory.read(at + 8) != 0 || !isSubscription(at)) {
            return 0;
        }
        var time = memory.readLong(at + 24);
        var absolute = (memory.readShort(at + 40) & 1) != 0;
        var left = absolute ? time - now(memory.readInt(at + 16)) : time;
        // As an unsigned number it is further away than anybody waits.
        return time < 0 ? Long.MAX_VALUE : left;
    }
}
