package io.sidecore.runtime.guest.wasm;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.HexFormat;
import org.jspecify.annotations.Nullable;

/**
 * How much of its thread's stack a guest has left to itself. What it imports runs on the stack it has used up so far, and an overflow there may come between any two steps of the host: an index taken in a queue whose entry is never written. So every import first asks for {@link #RESERVE}, and a guest without it
 * is trapped before anything of the host was touched.
 *
 * <p>Java does not tell where its stack pointer is; two instructions of the processor do, in a page of their own, for 3 ns a call. On processors that are not known here as many bytes are called for instead, at 2 µs.
 *
 * <p>For the thread that runs the guest.
 */
final class CallStack {
    /** Bytes that a call of the host finds at least, the JVM's own zones at the stack's end included: classes are loaded in them, and errors logged. */
    static final long RESERVE = 512 << 10;

    /** Deep enough for {@link #RESERVE} / 4 in compiled code, and for more where it is interpreted. */
    private static final int CALLS = 4_096;

    private static final @Nullable MethodHandle POINTER = pointer();

    private final long bytes;
    private long limit;

    /**
     * @param stack bytes of the stack that its thread has, or more
     */
    CallStack(long stack) {
        this.bytes = stack - RESERVE;
        enter();
    }

    /** Here, near the stack's beginning, the guest is called. */
    void enter() {
        limit = POINTER == null ? 0 : now(POINTER) - bytes;
    }

    /**
     * Here, on top of the guest, the host is called.
     *
     * @throws WasmTrap if there is not enough left for that
     */
    void check() {
        if (POINTER == null) {
            called(CALLS);
        } else if (now(POINTER) < limit) {
            throw new WasmTrap(WasmTrap.Reason.STACK, "its calls are nested too deeply for its stack");
        }
    }

    /** Overflows if there is no room for so many calls. */
    static int called(int times) {
        return times == 0 ? 0 : called(times - 1) + 1;
    }

    private static long now(MethodHandle pointer) {
        try {
            return (long) pointer.invokeExact();
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    /** A function of one instruction that copies the stack pointer, and one that returns. */
    private static @Nullable MethodHandle pointer() {
        var code = switch (System.getProperty("os.name") + " " + System.getProperty("os.arch")) {
            // mov rax, rsp; ret
            case "Linux amd64" -> "4889E0C3";
            // mov x0, sp; ret
            case "Linux aarch64" -> "E0030091C0035FD6";
            default -> "";
        };
        if (code.isEmpty()) {
            return null;
        }
        var linker = Linker.nativeLinker();
        var libc = linker.defaultLookup();
        var map = linker.downcallHandle(
                libc.findOrThrow("mmap"),
                FunctionDescriptor.of(ADDRESS, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG));
        var protect = linker.downcallHandle(
                libc.findOrThrow("mprotect"), FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT));
        var bytes = HexFormat.of().parseHex(code);
        try {
            // PROT_READ | PROT_WRITE and MAP_PRIVATE | MAP_ANONYMOUS, then PROT_READ | PROT_EXEC.
            var page = (MemorySegment) map.invokeExact(0L, (long) bytes.length, 1 | 2, 0x02 | 0x20, -1, 0L);
            if (page.address() == -1) {
                return null;
            }
            MemorySegment.copy(bytes, 0, page.reinterpret(bytes.length), JAVA_BYTE, 0, bytes.length);
            if ((int) protect.invokeExact(page, (long) bytes.length, 1 | 4) != 0) {
                return null;
            }
            return linker.downcallHandle(page, FunctionDescriptor.of(JAVA_LONG), Linker.Option.critical(false));
        } catch (Throwable e) {
            throw new AssertionError("the C library has mmap and mprotect", e);
        }
    }
}
