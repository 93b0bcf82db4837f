package io.sidecore.runtime.guest.wasm;

import io.sidecore.conf.Amounts;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.lang.ref.WeakReference;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.objectweb.asm.MethodTooLargeException;
import run.endive.compiler.InterpreterFallback;
import run.endive.compiler.MachineFactoryCompiler;
import run.endive.runtime.Instance;
import run.endive.runtime.Machine;
import run.endive.wasm.Parser;
import run.endive.wasm.WasmEngineException;
import run.endive.wasm.WasmModule;
import run.endive.wasm.types.MemoryLimits;
import run.endive.wasm.types.SectionId;

/**
 * A WebAssembly module that can be a guest: parsed, checked, and compiled to bytecode when first started. All VMs of the same bytes share one, as long as any of them is there. For any thread.
 *
 * <p>To check a configuration, {@link #read} it and {@link #checkMemory} against the VM's memory: nothing is compiled or run by that; {@link #compile} leaves nothing to chance. A function too large for a method of the JVM (64 KiB of bytecode) is refused: interpreted, its calls would be on the host's heap, where no limit holds.
 */
public final class GuestModule {
    /** What a module is, by what it exports. */
    public enum Kind {
        /** Made of event handlers, {@code on_start} first: {@link WasmProgram}. */
        EVENTS,
        /** A program of WASI preview 1, {@code _start}: {@link WasiProgram}. */
        PROGRAM
    }

    private static final int TEXT_MAX = 200;
    /** Modules that are compiled at a time, on all of a host. */
    private static final int COMPILING = 2;

    private static final ThreadPoolExecutor COMPILERS = compilers();
    /** By their hashes; guarded by itself. */
    private static final Map<String, WeakReference<GuestModule>> SHARED = new HashMap<>();

    private final String hash;
    /** Bytes of the heap that it takes, estimated from above. */
    private final long heap;

    private final Kind kind;
    /** Without its start function, which is called where its traps and its time are accounted for, and not again when it is restored. */
    private final WasmModule module;

    private final int start;
    private @Nullable Function<Instance, Machine> machines;

    private GuestModule(String hash, byte[] wasm, long heap) {
        this.heap = heap;
        WasmModule parsed;
        try {
            parsed = parser().parse(() -> new ByteArrayInputStream(wasm));
            this.kind = ModuleCheck.check(parsed);
            // Only now: the validator keeps each mistake as an exception, and they were bounded by that.
            copy(parsed, true).build();
            this.start = parsed.startSection().map(s -> (int) s.startIndex()).orElse(-1);
            this.module = copy(parsed, false).build();
        } catch (ModuleException e) {
            throw e;
        } catch (RuntimeException | StackOverflowError | AssertionError e) {
            throw new ModuleException("this WebAssembly module is not valid: " + text(e), e);
        }
        this.hash = hash;
    }

    /** Of all sections but custom ones: names and debugging information would be kept without being used. */
    private static Parser parser() {
        var parser = Parser.builder();
        for (var section = SectionId.TYPE; section <= SectionId.TAG; section++) {
            parser.includeSectionId(section);
        }
        return parser.withValidation(false).build();
    }

    /** For the validator with the start function, for instances without it. */
    private static WasmModule.Builder copy(WasmModule m, boolean validated) {
        var copy = WasmModule.builder()
                .withValidation(validated)
                .setTypeSection(m.typeSection())
                .setImportSection(m.importSection())
                .setFunctionSection(m.functionSection())
                .setTableSection(m.tableSection())
                .setGlobalSection(m.globalSection())
                .setExportSection(m.exportSection())
                .setElementSection(m.elementSection())
                .setCodeSection(m.codeSection())
                .setDataSection(m.dataSection());
        m.memorySection().ifPresent(copy::setMemorySection);
        m.dataCountSection().ifPresent(copy::setDataCountSection);
        if (validated) {
            m.startSection().ifPresent(copy::setStartSection);
        }
        return copy;
    }

    /** A module's code is on the heap as long as any VM runs it: all of them together have half of it. */
    static void checkHeap(int length, long heap) {
        var half = Runtime.getRuntime().maxMemory() / 2;
        if (heap > half - others()) {
            // Those that nobody runs any more are still there until somebody looks.
            System.gc();
            var others = others();
            if (heap > half - others) {
                throw new ModuleException(
                        "the module has " + length + " bytes, which take about " + mebibytes(heap)
                                + " of the host's heap; modules may take " + mebibytes(half) + ", half of it, and "
                                + mebibytes(others)
                                + " are taken by others: give the JVM a larger heap (SIDECORE_JAVA_OPTS=-Xmx), or make the module smaller");
            }
        }
    }

    private static long others() {
        return SHARED.values().stream()
                .map(WeakReference::get)
                .filter(Objects::nonNull)
                .mapToLong(module -> module.heap)
                .sum();
    }

    private static String mebibytes(long bytes) {
        return (bytes + (1 << 20) - 1 >> 20) + " MiB";
    }

    /**
     * The module of these bytes.
     *
     * @throws ModuleException if they are none, or one that cannot be a guest
     */
    public static GuestModule of(byte[] wasm) {
        var hash = sha256(wasm);
        // One after the other: what they take of the heap is known by that.
        synchronized (SHARED) {
            var shared = shared(hash);
            if (shared != null) {
                return shared;
            }
            SHARED.values().removeIf(reference -> reference.get() == null);
            var heap = ModuleScan.check(wasm);
            checkHeap(wasm.length, heap);
            var module = aside(() -> new GuestModule(hash, wasm, heap));
            SHARED.put(hash, new WeakReference<>(module));
            return module;
        }
    }

    private static @Nullable GuestModule shared(String hash) {
        var reference = SHARED.get(hash);
        return reference == null ? null : reference.get();
    }

    /**
     * The module in this file.
     *
     * @throws ModuleException if it cannot be read, is none, or cannot be a guest; names the file
     */
    public static GuestModule read(Path file) {
        try (var in = Files.newInputStream(file)) {
            // What is not a file may go on for ever; one byte too many is refused.
            return of(in.readNBytes(ModuleScan.MODULE_MAX + 1));
        } catch (NoSuchFileException e) {
            throw new ModuleException(file + " cannot be read: it is not there", e);
        } catch (IOException e) {
            throw new ModuleException(file + " cannot be read: " + text(e), e);
        } catch (ModuleException e) {
            throw new ModuleException(file + ": " + e.getMessage(), e);
        }
    }

    /** The one that comes with Sidecore: {@code sdk/demo.c}. */
    public static GuestModule demo() {
        try (var demo = GuestModule.class.getResourceAsStream("demo.wasm")) {
            if (demo == null) {
                throw new ModuleException("this Sidecore comes without its demo module");
            }
            return of(demo.readAllBytes());
        } catch (IOException e) {
            throw new ModuleException("the demo module cannot be read: " + text(e), e);
        }
    }

    private static String sha256(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every JVM has SHA-256", e);
        }
    }

    /** What it says, cut where it goes on without end: the validator says all that is wrong. */
    static String text(Throwable e) {
        if (e.getMessage() == null) {
            return e.getClass().getSimpleName();
        }
        return e.getMessage().length() <= TEXT_MAX
                ? e.getMessage()
                : e.getMessage().substring(0, TEXT_MAX) + "...";
    }

    /** What it is. */
    public Kind kind() {
        return kind;
    }

    /** SHA-256 of its bytes, in hexadecimal digits. */
    public String hash() {
        return hash;
    }

    /** Bytes of memory that it starts with: its VM must have them. */
    public long initialMemory() {
        return (long) limits().initialPages() * LinearMemory.PAGE;
    }

    /**
     * Whether a VM of so many bytes of memory can run it.
     *
     * @throws ModuleException if it has too few
     */
    public void checkMemory(long bytes) {
        if (initialMemory() > bytes) {
            throw new ModuleException("the module starts with " + Amounts.size(initialMemory())
                    + " of memory, and its VM has " + Amounts.size(bytes) + ": set guest.memory to at least as much");
        }
    }

    MemoryLimits limits() {
        return module.memorySection().orElseThrow().getMemory(0).limits();
    }

    WasmModule module() {
        return module;
    }

    /** The number of the function that a module may name to be called first. */
    Optional<Integer> start() {
        return start < 0 ? Optional.empty() : Optional.of(start);
    }

    /**
     * Compiles it now rather than when it is first started.
     *
     * @throws ModuleException if it cannot be compiled
     */
    public void compile() {
        machines();
    }

    /** What runs instances of it; compiles when asked first. */
    synchronized Function<Instance, Machine> machines() {
        var compiled = machines;
        if (compiled == null) {
            compiled = aside(this::compiled);
            machines = compiled;
        }
        return compiled;
    }

    private Function<Instance, Machine> compiled() {
        try {
            return MachineFactoryCompiler.builder(module)
                    .withInterpreterFallback(InterpreterFallback.FAIL)
                    .compile();
        } catch (WasmEngineException e) {
            throw new ModuleException(
                    e.getCause() instanceof MethodTooLargeException large
                            ? "function " + large.getMethodName().replace("func_", "")
                                    + " of the module is too large to be compiled (64 KiB of bytecode at most): split it"
                            : "this WebAssembly module cannot be compiled: " + text(e),
                    e);
        } catch (RuntimeException | LinkageError | StackOverflowError | AssertionError e) {
            throw new ModuleException("this WebAssembly module cannot be compiled: " + text(e), e);
        }
    }

    /** Done on a thread that reads and compiles: it takes seconds of a processor, and there are as few threads that carry virtual ones as there are processors. */
    private static <T> T aside(Supplier<T> work) {
        try {
            return CompletableFuture.supplyAsync(work, COMPILERS).join();
        } catch (CompletionException e) {
            switch (e.getCause()) {
                case RuntimeException known -> throw known;
                case Error error -> throw error;
                case null, default -> throw e;
            }
        }
    }

    private static ThreadPoolExecutor compilers() {
        var threads = new ThreadPoolExecutor(
                COMPILING,
                COMPILING,
                10,
                TimeUnit.SECONDS,
                new LinkedBlockingQueue<>(),
                Thread.ofPlatform().daemon().name("sidecore-wasm-compiler-", 0).factory());
        threads.allowCoreThreadTimeOut(true);
        return threads;
    }
}
