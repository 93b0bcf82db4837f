package io.sidecore.runtime.guest.wasm;

import io.sidecore.actors.vm.GuestContext;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import run.endive.runtime.ImportFunction;

/**
 * A guest that is a program of WASI preview 1: it exports {@code _start}, runs on a thread of its own, and may wait. It has arguments, an environment, clocks, random bytes and three streams, and its VIFs as {@code sdk/sidecore.h} has them; neither files nor a network. Its linear memory is its VM's memory.
 *
 * <p>{@link #onBlock} is for any thread, the rest for the thread that makes it and then runs it.
 */
public final class WasiProgram {
    /**
     * A program's streams.
     *
     * @param in what it reads; a read that waits should end, by an exception, when its thread is interrupted
     * @param out what it writes
     * @param error what it writes about its mistakes
     */
    public record Streams(InputStream in, OutputStream out, OutputStream error) {
        /** Its VM's console for what it writes. */
        public static Streams console(GuestContext context, InputStream in) {
            var console = new OutputStream() {
                @Override
                public void write(int b) {
                    write(new byte[] {(byte) b}, 0, 1);
                }

                @Override
                public void write(byte[] bytes, int offset, int length) {
                    context.print(bytes, offset, length);
                }
            };
            return new Streams(in, console, console);
        }
    }

    /** Bytes of stack that its thread is to have: enough for programs that recurse, and only as much of it is used as they need. */
    public static final long STACK_BYTES = 8 << 20;

    private final GuestModule module;
    private final LinearMemory memory;
    private final CallStack stack = new CallStack(STACK_BYTES);
    private final ProgramWait waits;
    private final List<ImportFunction> imports;

    /**
     * Prepares a program; {@link #run} runs it.
     *
     * @param arguments the first is by custom the program's name
     * @throws ModuleException if the module is no program, or its VM's memory too small
     */
    public WasiProgram(
            GuestModule module,
            GuestContext context,
            Streams streams,
            List<String> arguments,
            Map<String, String> environment) {
        if (module.kind() != GuestModule.Kind.PROGRAM) {
            throw new ModuleException(
                    "the module is made of events (it exports on_start), and a program of WASI is expected (_start)");
        }
        this.module = module;
        this.memory = WasmInstance.memory(module, context.memory(), false);
        this.waits = new ProgramWait(context.vifs());
        this.imports = new ArrayList<>(new SidecoreImports(context, memory, stack, waits).functions(module));
        imports.addAll(
                new WasiImports(context, memory, stack, waits, streams, arguments, environment).functions(module));
    }

    /**
     * Runs the program to its end, once; interrupting the thread stops it.
     *
     * @return what it exits with; 0 if it returns
     * @throws WasmTrap if it is stopped by a trap, or by an interrupt
     */
    public int run() {
        waits.begin();
        stack.enter();
        try {
            WasmInstance.start(module, memory, imports).call(WasmInstance.function(module, "_start"), "_start");
            return 0;
        } catch (GuestExit e) {
            return e.code();
        }
    }

    /** The VIF of this number has answers, or has room again: ends a wait. */
    public void onBlock(int vif) {
        waits.wake();
    }
}
