package io.sidecore.runtime.guest.wasm;

import java.util.EnumSet;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import run.endive.wasm.WasmModule;
import run.endive.wasm.types.Export;
import run.endive.wasm.types.ExternalType;
import run.endive.wasm.types.FunctionBody;
import run.endive.wasm.types.FunctionImport;
import run.endive.wasm.types.FunctionType;
import run.endive.wasm.types.OpCode;
import run.endive.wasm.types.ValType;

/**
 * Whether a parsed module can be a guest: what it is made of, what it imports and what it exports. Left out of WebAssembly is what would keep a guest's data on the host's heap, where no limit holds (garbage-collected types, exceptions), and what the engine does not compile (vectors).
 */
final class ModuleCheck {
    static final int TABLES_MAX = 16;
    /** Of all tables together: they are on the host's heap, eight bytes each. */
    static final int TABLE_ENTRIES_MAX = 65_536;

    static final int GLOBALS_MAX = 10_000;
    static final long LAYOUT_MAX = 8 << 20;
    /** More than a method of the JVM has room for. */
    static final long TAKEN_MAX = 131_072;

    /** What an event-driven module may export for the host to call. */
    static final Map<String, FunctionType> HANDLERS = Map.of(
            "_initialize", Signature.of(">"),
            "on_start", Signature.of(">"),
            "on_message", Signature.of("ii>"),
            "message_buffer", Signature.of("i>i"),
            "on_timer", Signature.of("i>"),
            "on_block", Signature.of("i>"),
            "on_frame", Signature.of("i>"),
            "on_stop", Signature.of(">"));

    private static final Set<OpCode> REFUSED = EnumSet.of(
            OpCode.THROW,
            OpCode.THROW_REF,
            OpCode.TRY_TABLE,
            OpCode.CALL_REF,
            OpCode.RETURN_CALL_REF,
            OpCode.RETURN_CALL,
            OpCode.RETURN_CALL_INDIRECT,
            OpCode.REF_EQ,
            OpCode.REF_AS_NON_NULL,
            OpCode.BR_ON_NULL,
            OpCode.BR_ON_NON_NULL);

    private final WasmModule module;

    private ModuleCheck(WasmModule module) {
        this.module = module;
    }

    /**
     * Checks, and tells what kind of guest it is.
     *
     * @throws ModuleException if it cannot be one
     */
    static GuestModule.Kind check(WasmModule module) {
        var check = new ModuleCheck(module);
        check.makings();
        check.memory();
        var kind = check.kind();
        check.imports(kind);
        return kind;
    }

    // --- what it is made of

    private void makings() {
        var types = module.typeSection();
        for (var i = 0; i < types.subTypeCount(); i++) {
            if (types.getSubType(i).compType().funcType() == null) {
                throw unsupported("garbage-collected types");
            }
        }
        for (var type : types.types()) {
            type.params().forEach(ModuleCheck::value);
            type.returns().forEach(ModuleCheck::value);
        }
        if (module.tagSection().isPresent()) {
            throw unsupported("exceptions");
        }
        var tables = module.tableSection();
        if (tables.tableCount() > TABLES_MAX) {
            throw new ModuleException(
                    "the module has " + tables.tableCount() + " tables: at most " + TABLES_MAX + " are taken");
        }
        var entries = 0L;
        for (var i = 0; i < tables.tableCount(); i++) {
            var table = tables.getTable(i);
            if (!table.elementType().equals(ValType.FuncRef)) {
                throw unsupported("tables of anything but funcref");
            }
            entries += table.limits().min();
        }
        if (entries > TABLE_ENTRIES_MAX) {
            throw new ModuleException("the tables of the module have " + entries + " entries: at most "
                    + TABLE_ENTRIES_MAX + " are taken, of all tables together");
        }
        var globals = module.globalSection().globals();
        if (globals.length > GLOBALS_MAX) {
            throw new ModuleException(
                    "the module has " + globals.length + " globals: at most " + GLOBALS_MAX + " are taken");
        }
        for (var global : globals) {
            value(global.valueType());
        }
        for (var i = 0; i < module.codeSection().functionBodyCount(); i++) {
            body(i, module.codeSection().getFunctionBody(i));
        }
    }

    private void body(int number, FunctionBody body) {
        body.localTypes().forEach(ModuleCheck::value);
        for (var instruction : body.instructions()) {
            operation(instruction.opcode());
        }
        var layout = FunctionLayout.of(module, number);
        if (layout.bytes() > LAYOUT_MAX) {
            throw new ModuleException(
                    "function body " + number
                            + " of the module has too many values on its stack under too many branches to be compiled: split it");
        }
        if (layout.taken() > TAKEN_MAX) {
            throw new ModuleException("function body " + number + " of the module takes " + layout.taken()
                    + " values from its stack: at most " + TAKEN_MAX + " can be compiled: split it");
        }
    }

    private static void value(ValType type) {
        if (!type.isNumeric() && !type.equals(ValType.FuncRef)) {
            throw unsupported(
                    type.isReference()
                            ? "references to other things than functions"
                            : "values of type " + Signature.name(type));
        }
    }

    private static void operation(OpCode code) {
        var prefix = code.opcode() >> 8;
        if (prefix == 0xFB || prefix == 0xFD || REFUSED.contains(code)) {
            throw unsupported("the instruction " + code.name().toLowerCase(Locale.ROOT)
                    + (prefix == 0xFD ? " (vectors: build without -msimd128)" : ""));
        }
    }

    private static ModuleException unsupported(String what) {
        return new ModuleException(
                "the module uses " + what
                        + ": a guest may use WebAssembly 2.0 without vectors, garbage-collected types, exceptions and tail calls");
    }

    private void memory() {
        var count = module.memorySection().map(s -> s.memoryCount()).orElse(0);
        if (module.importSection().count(ExternalType.MEMORY) > 0) {
            throw new ModuleException(
                    "the module imports its memory: it must define and export it as \"memory\" (no --import-memory)");
        }
        if (count > 1) {
            throw new ModuleException("the module has " + count + " memories: one is expected, exported as \"memory\"");
        }
        var export = export("memory");
        if (count == 0 || export == null || export.exportType() != ExternalType.MEMORY) {
            throw new ModuleException("the module exports no memory: one is expected, exported as \"memory\"");
        }
        if (module.memorySection().orElseThrow().getMemory(0).limits().shared()) {
            throw new ModuleException("the module's memory is shared between threads: a guest has one thread");
        }
    }

    // --- what it exports

    private GuestModule.Kind kind() {
        var events = isFunction("on_start");
        var program = isFunction("_start");
        if (events && program) {
            throw new ModuleException(
                    "the module exports both on_start and _start: one of them says what it is, made of events or a program of WASI");
        }
        if (program) {
            exported("_start", Signature.of(">"));
            return GuestModule.Kind.PROGRAM;
        }
        if (!events) {
            throw new ModuleException(
                    "the module exports neither on_start (then it is made of events) nor _start (then it is a program of WASI)"
                            + among(functions()));
        }
        HANDLERS.forEach(this::exported);
        if (isFunction("on_message") != isFunction("message_buffer")) {
            throw new ModuleException(
                    "the module exports one of on_message and message_buffer: both are expected, since a message is put where message_buffer(length) says");
        }
        return GuestModule.Kind.EVENTS;
    }

    private static String among(Set<String> names) {
        return names.isEmpty()
                ? "; it exports no function at all"
                : "; the functions it exports are " + String.join(", ", names);
    }

    private Set<String> functions() {
        var section = module.exportSection();
        var names = new TreeSet<String>();
        for (var i = 0; i < section.exportCount() && names.size() < 10; i++) {
            if (section.getExport(i).exportType() == ExternalType.FUNCTION) {
                names.add(section.getExport(i).name());
            }
        }
        return names;
    }

    private @Nullable Export export(String name) {
        var section = module.exportSection();
        for (var i = 0; i < section.exportCount(); i++) {
            if (section.getExport(i).name().equals(name)) {
                return section.getExport(i);
            }
        }
        return null;
    }

    private boolean isFunction(String name) {
        var export = export(name);
        return export != null && export.exportType() == ExternalType.FUNCTION;
    }

    private void exported(String name, FunctionType expected) {
        var export = export(name);
        if (export == null) {
            return;
        }
        if (export.exportType() != ExternalType.FUNCTION) {
            throw new ModuleException(
                    "the module's export " + name + " is no function: " + Signature.text(expected) + " is expected");
        }
        var actual = FunctionLayout.functionType(module, export.index());
        if (!actual.equals(expected)) {
            throw new ModuleException("the module's function " + name + " is " + Signature.text(actual) + ": "
                    + Signature.text(expected) + " is expected");
        }
    }

    // --- what it imports

    private void imports(GuestModule.Kind kind) {
        var program = kind == GuestModule.Kind.PROGRAM;
        for (var each : module.importSection().stream().toList()) {
            var name = each.module() + "." + each.name();
            if (!(each instanceof FunctionImport function)) {
                throw new ModuleException(
                        "the module imports " + name + ", which is no function: only functions can be imported");
            }
            var offered = offered(each.module(), program);
            var expected = offered.get(each.name());
            if (expected == null) {
                throw new ModuleException("the module imports " + name + ", which is not there"
                        + why(each.module(), each.name(), program, offered));
            }
            var actual = module.typeSection().getType(function.typeIndex());
            if (!actual.equals(expected)) {
                throw new ModuleException("the module imports " + name + " as " + Signature.text(actual) + ": "
                        + Signature.text(expected) + " is expected");
            }
        }
    }

    private static Map<String, FunctionType> offered(String from, boolean program) {
        return switch (from) {
            case SidecoreImports.MODULE -> program ? SidecoreImports.OF_PROGRAMS : SidecoreImports.OF_EVENTS;
            case WasiImports.MODULE -> program ? WasiImports.TYPES : Map.of();
            default -> Map.of();
        };
    }

    private static String why(String from, String name, boolean program, Map<String, FunctionType> offered) {
        if (from.equals(WasiImports.MODULE) && !program) {
            return ": WASI is for programs, which export _start; a module made of events must not wait";
        }
        if (from.equals(SidecoreImports.MODULE)) {
            var elsewhere = program ? SidecoreImports.OF_EVENTS : SidecoreImports.OF_PROGRAMS;
            if (elsewhere.containsKey(name)) {
                return program
                        ? ": it is for modules made of events, which export on_start"
                        : ": it waits, and is for programs, which export _start";
            }
            return ": \"sidecore\" has " + sorted(offered.keySet());
        }
        return ": \"sidecore\"" + (program ? " and \"wasi_snapshot_preview1\"" : "") + " can be imported from";
    }

    private static String sorted(Set<String> names) {
        return names.stream().sorted().collect(Collectors.joining(", "));
    }
}
