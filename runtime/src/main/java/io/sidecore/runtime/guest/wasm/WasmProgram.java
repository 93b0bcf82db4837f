package io.sidecore.runtime.guest.wasm;

import io.sidecore.actors.vm.GuestContext;
import io.sidecore.actors.vm.GuestProgram;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A guest that is a WebAssembly module made of events: it exports {@code on_start}, and of {@code on_message} (with {@code message_buffer}), {@code on_timer}, {@code on_block} and {@code on_stop} those that it wants. What it can call is in {@code sdk/sidecore.h}. Its linear memory is its VM's memory.
 *
 * <p>An event that is not to return, because it loops, is stopped by interrupting the thread that runs it. After a {@link WasmTrap} it takes no more events. For one thread at a time.
 */
public final class WasmProgram implements GuestProgram {
    /** Bytes of stack that its thread has at least. */
    private static final long STACK_BYTES = 1 << 20;

    private final GuestModule module;
    private @Nullable SidecoreImports imports;
    private @Nullable WasmInstance instance;
    private boolean trapped;

    /**
     * @throws ModuleException if the module is not made of events
     */
    public WasmProgram(GuestModule module) {
        if (module.kind() != GuestModule.Kind.EVENTS) {
            throw new ModuleException(
                    "the module is a program of WASI (it exports _start), and one made of events is expected (on_start)");
        }
        this.module = module;
    }

    private WasmInstance running() {
        if (instance == null || trapped) {
            throw new IllegalStateException(trapped ? "the guest was stopped by a trap" : "the guest was not started");
        }
        return instance;
    }

    private boolean exports(String name) {
        return WasmInstance.function(module, name) >= 0;
    }

    /** Calls a handler, if the module has it; what it returns, or nothing. */
    private long[] call(GuestContext context, String name, long... arguments) {
        var running = running();
        var function = WasmInstance.function(module, name);
        if (function < 0) {
            return new long[0];
        }
        if (imports != null) {
            imports.enter(context);
        }
        trapped = true;
        var results = running.call(function, name, arguments);
        trapped = false;
        return results == null ? new long[0] : results;
    }

    @Override
    public void onStart(GuestContext context) {
        var memory = WasmInstance.memory(module, context.memory(), false);
        imports = new SidecoreImports(context, memory, new CallStack(STACK_BYTES), null);
        instance = WasmInstance.start(module, memory, imports.functions(module));
        call(context, "_initialize");
        call(context, "on_start");
    }

    /** A message is put where {@code message_buffer} says, then told to {@code on_message}; where that says 0, the guest does not take it. */
    @Override
    public void onMessage(GuestContext context, byte[] message) {
        if (!exports("on_message")) {
            return;
        }
        var at = (int) call(context, "message_buffer", message.length)[0];
        if (at == 0) {
            return;
        }
        var memory = running().memory();
        if (!memory.holds(at, message.length)) {
            trapped = true;
            throw new WasmTrap(
                    WasmTrap.Reason.OUT_OF_BOUNDS,
                    "the guest's message_buffer has given " + Integer.toUnsignedLong(at) + " for " + message.length
                            + " bytes, which does not lie in its memory of " + memory.bytes());
        }
        memory.write(at, message, 0, message.length);
        call(context, "on_message", at, message.length);
    }

    @Override
    public void onTimer(GuestContext context, int timer) {
        call(context, "on_timer", timer);
    }

    @Override
    public void onBlock(GuestContext context, int vif) {
        call(context, "on_block", vif);
    }

    /** Calls {@code on_stop}; a module without it ends at once. */
    @Override
    public void onStop(GuestContext context) {
        if (exports("on_stop")) {
            call(context, "on_stop");
        } else {
            context.exit(0);
        }
    }

    /** Globals, tables and the size of the memory; nothing if it was not started, or stopped by a trap. */
    @Override
    public Optional<byte[]> save() {
        return instance == null || trapped ? Optional.empty() : Optional.of(instance.save());
    }

    /**
     * Refuses what another module gave.
     *
     * @throws ModuleException if it did
     */
    @Override
    public void check(byte[] saved) {
        SavedState.check(module, saved);
    }

    /**
     * Goes on from what {@link #save} gave, the memory being there already. What was saved is not trusted.
     *
     * @throws ModuleException if it was saved by another module, does not fit the VM's memory, or is damaged
     */
    @Override
    public void onRestore(GuestContext context, byte[] saved) {
        var memory = WasmInstance.memory(module, context.memory(), true);
        imports = new SidecoreImports(context, memory, new CallStack(STACK_BYTES), null);
        instance = WasmInstance.restore(module, memory, imports.functions(module), saved);
    }

    /** Lets go of the VM's memory. */
    @Override
    public void close() {
        instance = null;
        imports = null;
    }
}
