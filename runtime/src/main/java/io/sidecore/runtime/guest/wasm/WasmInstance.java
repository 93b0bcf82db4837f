package io.sidecore.runtime.guest.wasm;

import java.lang.foreign.MemorySegment;
import java.util.List;
import run.endive.runtime.ImportFunction;
import run.endive.runtime.ImportValues;
import run.endive.runtime.Instance;
import run.endive.runtime.TableInstance;
import run.endive.runtime.TrapException;
import run.endive.runtime.WasmInterruptedException;
import run.endive.wasm.WasmEngineException;
import run.endive.wasm.types.ExternalType;
import run.endive.wasm.types.Table;
import run.endive.wasm.types.TableLimits;

/** One guest's instance of a module: its linear memory, globals and tables. For one thread at a time. */
final class WasmInstance {
    private final GuestModule module;
    private final LinearMemory memory;
    private final Instance instance;

    private WasmInstance(GuestModule module, LinearMemory memory, List<ImportFunction> imports) {
        this.module = module;
        this.memory = memory;
        this.instance = guarded(
                "its start",
                () -> Instance.builder(module.module())
                        .withMachineFactory(module.machines())
                        .withMemoryFactory(limits -> memory)
                        .withTableFactory(new Tables()::table)
                        .withImportValues(ImportValues.builder()
                                .addFunction(imports.toArray(ImportFunction[]::new))
                                .build())
                        .withStart(false)
                        .build());
    }

    /** The tables of an instance, which together have a bounded number of entries. */
    private static final class Tables {
        private long entries;

        /** One with limits of its own: the engine counts its growth in them, and those of the module are everyone's. */
        TableInstance table(Table table, int initial) {
            var limits = table.limits();
            var max = Math.max(limits.min(), Math.min(limits.max(), ModuleCheck.TABLE_ENTRIES_MAX));
            entries += limits.min();
            return new TableInstance(new Table(table.elementType(), new TableLimits(limits.min(), max)), initial) {
                @Override
                public int grow(int size, int value, Instance instance) {
                    if (size < 0 || size > ModuleCheck.TABLE_ENTRIES_MAX - entries) {
                        return -1;
                    }
                    var before = super.grow(size, value, instance);
                    entries += before < 0 ? 0 : size;
                    return before;
                }
            };
        }
    }

    /** A memory for {@link #start} or {@link #restore}; imports may refer to it before. */
    static LinearMemory memory(GuestModule module, MemorySegment segment, boolean restored) {
        module.checkMemory(segment.byteSize());
        return new LinearMemory(segment, module.limits(), restored);
    }

    /** A fresh one, its data written and its start function, if it names one, called. */
    static WasmInstance start(GuestModule module, LinearMemory memory, List<ImportFunction> imports) {
        var fresh = new WasmInstance(module, memory, imports);
        module.start().ifPresent(function -> fresh.call(function, "its start function"));
        return fresh;
    }

    /**
     * One as it was saved.
     *
     * @throws ModuleException if what was saved is not of this module, or damaged
     */
    static WasmInstance restore(GuestModule module, LinearMemory memory, List<ImportFunction> imports, byte[] saved) {
        var fresh = new WasmInstance(module, memory, imports);
        new SavedState(module, fresh.instance, memory).restore(saved);
        return fresh;
    }

    /** Everything but the memory's bytes. */
    byte[] save() {
        return new SavedState(module, instance, memory).save();
    }

    LinearMemory memory() {
        return memory;
    }

    /** The number of an exported function; −1 if there is none of this name. */
    static int function(GuestModule module, String name) {
        var exports = module.module().exportSection();
        for (var i = 0; i < exports.exportCount(); i++) {
            var export = exports.getExport(i);
            if (export.exportType() == ExternalType.FUNCTION && export.name().equals(name)) {
                return export.index();
            }
        }
        return -1;
    }

    /**
     * Calls a function of it.
     *
     * @throws WasmTrap if it does not return
     * @throws GuestExit if it exits
     */
    long[] call(int function, String name, long... arguments) {
        return guarded(name, () -> instance.getMachine().call(function, arguments));
    }

    private interface Call<T> {
        T run();
    }

    private static <T> T guarded(String name, Call<T> call) {
        try {
            return call.run();
        } catch (ModuleException | GuestExit e) {
            throw e;
        } catch (WasmTrap e) {
            throw new WasmTrap(e.reason(), "the guest was stopped in " + name + ": " + e.getMessage(), e);
        } catch (WasmInterruptedException e) {
            throw new WasmTrap(
                    WasmTrap.Reason.INTERRUPTED, "the guest was stopped in " + name + ": it was interrupted", e);
        } catch (StackOverflowError e) {
            throw stack(name, e);
        } catch (WasmEngineException e) {
            if (e.getCause() instanceof StackOverflowError) {
                throw stack(name, e);
            }
            if (e instanceof TrapException && String.valueOf(e.getMessage()).contains("unreachable")) {
                throw new WasmTrap(
                        WasmTrap.Reason.UNREACHABLE,
                        "the guest was stopped in " + name
                                + ": it reached an unreachable instruction (an abort, a panic or a failed assertion)",
                        e);
            }
            throw other(name, e);
        } catch (RuntimeException e) {
            throw other(name, e);
        }
    }

    private static WasmTrap stack(String name, Throwable e) {
        return new WasmTrap(
                WasmTrap.Reason.STACK,
                "the guest was stopped in " + name + ": its calls are nested too deeply for its stack",
                e);
    }

    private static WasmTrap other(String name, RuntimeException e) {
        return new WasmTrap(WasmTrap.Reason.OTHER, "the guest was stopped in " + name + ": " + GuestModule.text(e), e);
    }
}
