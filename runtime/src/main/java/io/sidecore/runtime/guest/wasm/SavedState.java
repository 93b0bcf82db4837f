package io.sidecore.runtime.guest.wasm;

import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import run.endive.runtime.Instance;
import run.endive.wasm.types.MutabilityType;
import run.endive.wasm.types.ValType;
import run.endive.wasm.types.Value;

/**
 * What of an instance is not in its linear memory, as bytes (big-endian):
 *
 * <pre>
 *   u32     "SCW1"
 *   u8[32]  SHA-256 of the module
 *   u32     pages of memory
 *   u32     mutable globals, then u64 each: its bits; a function reference is its number, or -1
 *   u32     tables, then for each: u32 entries, u32 each: a function's number, or -1
 *   u32     data segments, then u8 each: 1 if dropped
 *   u32     element segments, then u8 each: 1 if dropped
 * </pre>
 *
 * What is read is not trusted: it fits the module, or is refused.
 */
final class SavedState {
    private static final int MAGIC = 0x53435731;

    private final GuestModule module;
    private final Instance instance;
    private final LinearMemory memory;

    SavedState(GuestModule module, Instance instance, LinearMemory memory) {
        this.module = module;
        this.instance = instance;
        this.memory = memory;
    }

    private boolean isMutable(int global) {
        return instance.global(global).getMutabilityType() == MutabilityType.Var;
    }

    private int mutableGlobals() {
        var count = 0;
        for (var i = 0; i < instance.globalCount(); i++) {
            count += isMutable(i) ? 1 : 0;
        }
        return count;
    }

    byte[] save() {
        var bytes = 4 + 32 + 4 + 4 + 8L * mutableGlobals() + 4 + 4 + memory.segments() + 4 + instance.elementCount();
        for (var i = 0; i < instance.tableCount(); i++) {
            bytes += 4 + 4L * instance.table(i).size();
        }
        var to = ByteBuffer.allocate(Math.toIntExact(bytes));
        to.putInt(MAGIC).put(HexFormat.of().parseHex(module.hash())).putInt(memory.pages());
        to.putInt(mutableGlobals());
        for (var i = 0; i < instance.globalCount(); i++) {
            if (isMutable(i)) {
                to.putLong(instance.global(i).getValue());
            }
        }
        to.putInt(instance.tableCount());
        for (var i = 0; i < instance.tableCount(); i++) {
            var table = instance.table(i);
            to.putInt(table.size());
            for (var j = 0; j < table.size(); j++) {
                to.putInt(table.ref(j));
            }
        }
        to.putInt(memory.segments());
        for (var i = 0; i < memory.segments(); i++) {
            to.put((byte) (memory.isDropped(i) ? 1 : 0));
        }
        to.putInt(instance.elementCount());
        for (var i = 0; i < instance.elementCount(); i++) {
            to.put((byte) (instance.element(i) == null ? 1 : 0));
        }
        return to.array();
    }

    /**
     * Refuses what is not the state of this module, which alone does not say that it fits.
     *
     * @throws ModuleException if it is not
     */
    static void check(GuestModule module, byte[] saved) {
        beginning(module, ByteBuffer.wrap(saved));
    }

    private static void beginning(GuestModule module, ByteBuffer from) {
        try {
            if (from.getInt() != MAGIC) {
                throw new ModuleException(
                        "what was saved is not the state of a WebAssembly guest, or of another version: \"SCW1\" is expected at its beginning");
            }
            var of = new byte[32];
            from.get(of);
            var hash = HexFormat.of().formatHex(of);
            if (!hash.equals(module.hash())) {
                throw new ModuleException(
                        "what was saved is the state of another module (SHA-256 %.12s…); this one is %.12s…: its file has changed since"
                                .formatted(hash, module.hash()));
            }
        } catch (BufferUnderflowException e) {
            throw damaged("it is cut off");
        }
    }

    void restore(byte[] saved) {
        var from = ByteBuffer.wrap(saved);
        beginning(module, from);
        try {
            restore(from);
            if (from.hasRemaining()) {
                throw damaged("it is too long");
            }
        } catch (BufferUnderflowException e) {
            throw damaged("it is cut off");
        }
    }

    private void restore(ByteBuffer from) {
        var pages = from.getInt();
        if (pages < memory.pages() || pages > memory.maximumPages()) {
            throw new ModuleException(
                    "what was saved had " + pages + " pages of memory (64 KiB each), and here it can have "
                            + memory.pages() + " to " + memory.maximumPages());
        }
        memory.grow(pages - memory.pages());
        expect(from, mutableGlobals(), "globals");
        for (var i = 0; i < instance.globalCount(); i++) {
            if (isMutable(i)) {
                var global = instance.global(i);
                var value = from.getLong();
                global.setValue(global.getType().equals(ValType.FuncRef) ? reference((int) value) : value);
            }
        }
        expect(from, instance.tableCount(), "tables");
        for (var i = 0; i < instance.tableCount(); i++) {
            table(i, from);
        }
        expect(from, memory.segments(), "data segments");
        for (var i = 0; i < memory.segments(); i++) {
            if (from.get() != 0) {
                memory.drop(i);
            }
        }
        expect(from, instance.elementCount(), "element segments");
        for (var i = 0; i < instance.elementCount(); i++) {
            if (from.get() != 0) {
                instance.setElement(i, null);
            }
        }
    }

    private void table(int number, ByteBuffer from) {
        var table = instance.table(number);
        var size = from.getInt();
        if (size < table.size() || size > table.limits().max() || size > from.remaining() / Integer.BYTES) {
            throw damaged("table " + number + " cannot have " + size + " entries");
        }
        if (table.grow(size - table.size(), Value.REF_NULL_VALUE, instance) < 0) {
            throw damaged("its tables have too many entries");
        }
        for (var i = 0; i < size; i++) {
            table.setRef(i, reference(from.getInt()), instance);
        }
    }

    private int reference(int function) {
        if (function != Value.REF_NULL_VALUE && (function < 0 || function >= instance.functionCount())) {
            throw damaged("there is no function " + function);
        }
        return function;
    }

    private void expect(ByteBuffer from, int count, String what) {
        var saved = from.getInt();
        if (saved != count) {
            throw damaged("it has " + saved + " " + what + ", and the module " + count);
        }
    }

    private static ModuleException damaged(String how) {
        return new ModuleException("what was saved is damaged: " + how);
    }
}
