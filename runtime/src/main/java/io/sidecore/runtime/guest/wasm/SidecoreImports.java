package io.sidecore.runtime.guest.wasm;

import static java.util.Map.entry;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.vif.GuestPort;
import io.sidecore.actors.vm.GuestContext;
import io.sidecore.runtime.vm.Messages;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import run.endive.runtime.HostFunction;
import run.endive.runtime.ImportFunction;
import run.endive.runtime.Instance;
import run.endive.runtime.WasmFunctionHandle;
import run.endive.wasm.types.FunctionImport;
import run.endive.wasm.types.FunctionType;

/**
 * What a module can import from "sidecore": its VIFs, timers, clocks, console and messages. {@code sdk/sidecore.h} is the same for C. Whatever a guest passes, it is answered: a pointer that does not lie in its memory with {@code -EFAULT}, a VIF that it does not hold with {@code -EBADF}.
 *
 * <pre>
 *   struct request            struct answer
 *    0  u32 operation          0  u64 tag
 *    4  u32 flags              8  u32 error: 0, or a positive errno
 *    8  u64 offset            12  u32 0
 *   16  u64 length            16
 *   24  u64 tag
 *   32  u32 address
 *   36  u32 0
 *   40
 * </pre>
 *
 * For the thread that runs the guest.
 */
final class SidecoreImports {
    static final String MODULE = "sidecore";

    /** Those of both kinds of module, and those that only one has. */
    private static final Map<String, FunctionType> OF_BOTH = Map.ofEntries(
            entry("vif_count", Signature.of(">i")),
            entry("vif_size", Signature.of("i>I")),
            entry("vif_is_read_only", Signature.of("i>i")),
            entry("vif_is_full", Signature.of("i>i")),
            entry("vif_send", Signature.of("ii>i")),
            entry("vif_is_empty", Signature.of("i>i")),
            entry("vif_recv", Signature.of("ii>i")),
            entry("vif_signal", Signature.of("ii>i")),
            entry("clock_nanos", Signature.of(">I")),
            entry("wall_nanos", Signature.of(">I")),
            entry("print", Signature.of("ii>i")),
            entry("message_send", Signature.of("ii>i")),
            entry("exit", Signature.of("i>")));

    static final Map<String, FunctionType> OF_EVENTS =
            and(entry("timer_set", Signature.of("iI>i")), entry("timer_cancel", Signature.of("i>i")));
    static final Map<String, FunctionType> OF_PROGRAMS = and(entry("vif_wait", Signature.of("ii>i")));

    /** Longest text and message, in bytes. */
    static final int BYTES_MAX = Messages.LONGEST;

    static final int E2BIG = 7;
    static final int EBADF = 9;
    static final int EAGAIN = 11;
    static final int EFAULT = 14;
    static final int EINVAL = 22;

    static final int ANSWERS = 1;
    static final int ROOM = 2;

    private static final int REQUEST_BYTES = 40;
    private static final int ANSWER_BYTES = 16;
    private static final int FLAGS = Request.FUA | Request.NO_HOLE | Request.FAST_ZERO;
    private static final BlockOp[] OPERATIONS = {
        BlockOp.READ, BlockOp.WRITE, BlockOp.FLUSH, BlockOp.TRIM, BlockOp.WRITE_ZEROES
    };

    private final LinearMemory memory;
    private final CallStack stack;
    private final @Nullable ProgramWait waits;
    private final GuestPort.Answer answer = new GuestPort.Answer();
    private GuestContext context;

    /**
     * @param context of the guest; {@link #enter} sets it anew
     * @param stack of the thread that runs the guest
     * @param waits how a program waits; none for a module made of events
     */
    SidecoreImports(GuestContext context, LinearMemory memory, CallStack stack, @Nullable ProgramWait waits) {
        this.context = context;
        this.memory = memory;
        this.stack = stack;
        this.waits = waits;
    }

    @SafeVarargs
    private static Map<String, FunctionType> and(Map.Entry<String, FunctionType>... more) {
        var all = new TreeMap<>(OF_BOTH);
        for (var each : more) {
            all.put(each.getKey(), each.getValue());
        }
        return Collections.unmodifiableMap(all);
    }

    /** For the event that follows. */
    void enter(GuestContext context) {
        this.context = context;
        stack.enter();
    }

    /** As functions, those that the module imports. */
    List<ImportFunction> functions(GuestModule module) {
        var functions = new ArrayList<ImportFunction>();
        for (var each : module.module().importSection().stream().distinct().toList()) {
            if (each instanceof FunctionImport && each.module().equals(MODULE)) {
                var type = waits == null ? OF_EVENTS.get(each.name()) : OF_PROGRAMS.get(each.name());
                var handle = handle(each.name());
                functions.add(new HostFunction(MODULE, each.name(), Objects.requireNonNull(type), (instance, a) -> {
                    stack.check();
                    return handle.apply(instance, a);
                }));
            }
        }
        return functions;
    }

    private interface ByVif {
        long apply(GuestPort port, int argument);
    }

    private WasmFunctionHandle handle(String name) {
        return switch (name) {
            case "vif_count" -> (i, a) -> result(context.vifs());
            case "vif_size" -> byVif((port, none) -> port.size());
            case "vif_is_read_only" -> byVif((port, none) -> port.readOnly() ? 1 : 0);
            case "vif_is_full" -> byVif((port, none) -> port.isFull() ? 1 : 0);
            case "vif_send" -> (i, a) -> result(send((int) a[0], (int) a[1]));
            case "vif_is_empty" -> byVif((port, none) -> port.isEmpty() ? 1 : 0);
            case "vif_recv" -> byVif(this::receive);
            case "vif_signal" -> byVif(SidecoreImports::signal);
            case "vif_wait" -> (i, a) -> result(await((int) a[0], (int) a[1]));
            case "timer_set" -> (i, a) -> result(setTimer((int) a[0], a[1]));
            case "timer_cancel" -> (i, a) -> result(cancelTimer((int) a[0]));
            case "clock_nanos" -> (i, a) -> result(context.nanos());
            case "wall_nanos" -> (i, a) -> result(context.wallNanos());
            case "print" -> (i, a) -> result(print((int) a[0], (int) a[1]));
            case "message_send" -> (i, a) -> result(message((int) a[0], (int) a[1]));
            case "exit" -> (i, a) -> exit((int) a[0]);
            default -> throw new AssertionError("checked before: " + name);
        };
    }

    private static long[] result(long value) {
        return new long[] {value};
    }

    private WasmFunctionHandle byVif(ByVif call) {
        return (Instance instance, long... a) -> {
            var vif = (int) a[0];
            return result(isHeld(vif) ? call.apply(context.vif(vif), a.length > 1 ? (int) a[1] : 0) : -EBADF);
        };
    }

    private boolean isHeld(int vif) {
        return vif >= 0 && vif < context.vifs();
    }

    // --- VIFs

    private long send(int vif, int at) {
        if (!isHeld(vif)) {
            return -EBADF;
        }
        if (!memory.holds(at, REQUEST_BYTES)) {
            return -EFAULT;
        }
        var code = memory.readInt(at);
        var flags = memory.readInt(at + 4);
        if (code < 0 || code >= OPERATIONS.length || (flags & ~FLAGS) != 0 || memory.readInt(at + 36) != 0) {
            return -EINVAL;
        }
        var operation = OPERATIONS[code];
        var length = memory.readLong(at + 16);
        var address = memory.readInt(at + 32);
        // The port checks against the VM's memory; what the guest has of it so far is known here.
        if (operation.hasPayload() && !memory.holds(address, length)) {
            // Counted and reported as what lies outside of the VM's memory is, also where the guest could still grow
            // to.
            var outside =
                    Math.max(Integer.toUnsignedLong(address), context.memory().byteSize());
            context.vif(vif).send(operation, flags, memory.readLong(at + 8), length, outside, memory.readLong(at + 24));
            return -EFAULT;
        }
        var sent = context.vif(vif)
                .send(
                        operation,
                        flags,
                        memory.readLong(at + 8),
                        length,
                        Integer.toUnsignedLong(address),
                        memory.readLong(at + 24));
        return switch (sent) {
            case SENT -> 0;
            case FULL -> full(vif);
            case REFUSED -> -EINVAL;
        };
    }

    private long full(int vif) {
        if (waits != null) {
            waits.foundFull(vif);
        }
        return -EAGAIN;
    }

    private long receive(GuestPort port, int at) {
        if (!memory.holds(at, ANSWER_BYTES)) {
            return -EFAULT;
        }
        if (!port.recv(answer)) {
            return 0;
        }
        memory.writeLong(at, answer.tag);
        memory.writeI32(at + 8, answer.error.number());
        memory.writeI32(at + 12, 0);
        return 1;
    }

    private static long signal(GuestPort port, int which) {
        if ((which & ~(ANSWERS | ROOM)) != 0) {
            return -EINVAL;
        }
        port.signalAnswers((which & ANSWERS) != 0);
        port.signalRoom((which & ROOM) != 0);
        return 0;
    }

    private long await(int vif, int milliseconds) {
        if (!isHeld(vif)) {
            return -EBADF;
        }
        return Objects.requireNonNull(waits).await(context, vif, milliseconds);
    }

    // --- timers, console, messages

    private long setTimer(int number, long nanos) {
        if (number < 0 || number >= GuestContext.TIMERS || nanos < 0) {
            return -EINVAL;
        }
        context.timer(number, Duration.ofNanos(nanos));
        return 0;
    }

    private long cancelTimer(int number) {
        if (number < 0 || number >= GuestContext.TIMERS) {
            return -EINVAL;
        }
        context.cancelTimer(number);
        return 0;
    }

    private int refused(int at, int length) {
        return !memory.holds(at, Integer.toUnsignedLong(length))
                ? -EFAULT
                : length < 0 || length > BYTES_MAX ? -E2BIG : 0;
    }

    private long print(int at, int length) {
        var refused = refused(at, length);
        if (refused == 0) {
            context.print(memory.take(at, length), 0, length);
        }
        return refused;
    }

    private long message(int at, int length) {
        var refused = refused(at, length);
        if (refused == 0) {
            context.message(memory.take(at, length));
        }
        return refused;
    }

    private long[] exit(int code) {
        if (waits != null) {
            throw new GuestExit(code);
        }
        context.exit(code);
        return new long[0];
    }
}
