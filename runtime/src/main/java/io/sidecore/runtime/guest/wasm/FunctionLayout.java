package io.sidecore.runtime.guest.wasm;

import java.util.ArrayDeque;
import java.util.EnumSet;
import java.util.Set;
import run.endive.wasm.WasmModule;
import run.endive.wasm.types.AnnotatedInstruction;
import run.endive.wasm.types.ExternalType;
import run.endive.wasm.types.FunctionImport;
import run.endive.wasm.types.FunctionType;
import run.endive.wasm.types.OpCode;

/**
 * How much of a class file the layouts of a compiled function take: at each of its branches stands the type of every local variable and of every value on the stack. A JVM ends where those of one method exceed 16 MiB, and a small module can make it so; hence they are estimated from above before anything is
 * compiled.
 *
 * <p>Source: Java Virtual Machine Specification, section 4.7.4; HotSpot, where a method's layouts are one block of metaspace.
 */
final class FunctionLayout {
    private static final Set<OpCode> BRANCHES = EnumSet.of(
            OpCode.BLOCK,
            OpCode.LOOP,
            OpCode.IF,
            OpCode.ELSE,
            OpCode.BR,
            OpCode.BR_IF,
            OpCode.BR_TABLE,
            OpCode.SELECT,
            OpCode.SELECT_T,
            OpCode.REF_IS_NULL,
            OpCode.CALL_INDIRECT);

    /** Labels that the compiler makes of a branch at most, and what every layout has besides: the instance and its memory. */
    private static final int LABELS = 2;

    private static final int FIXED = 4;

    /** The code of a block without a result. */
    private static final int EMPTY = 0x40;

    /** A block that is open: the values below it, and those that it leaves. */
    private record Block(long below, int results) {}

    private final WasmModule module;
    private final ArrayDeque<Block> blocks = new ArrayDeque<>();
    private long height;
    private long bytes;
    /** Values that are taken from the stack, counted from above. */
    private long taken;
    /** Values that a jump takes along at most. */
    private int arity;

    private FunctionLayout(WasmModule module) {
        this.module = module;
    }

    /** Bytes that the layouts take at most. */
    long bytes() {
        return bytes;
    }

    /** Values that the function takes from its stack, or tries to: as many mistakes can be in it, of which the validator keeps each. */
    long taken() {
        return taken;
    }

    /** Of a function by its number; those that are imported are not counted. The module need not be valid. */
    static FunctionLayout of(WasmModule module, int function) {
        var layout = new FunctionLayout(module);
        var body = module.codeSection().getFunctionBody(function);
        var type = module.functionSection().getFunctionType(function, module.typeSection());
        var locals = (long) body.localTypes().size()
                + type.params().size()
                + type.returns().size()
                + FIXED;
        layout.blocks.push(new Block(0, type.returns().size()));
        layout.arity = type.returns().size();
        for (var instruction : body.instructions()) {
            layout.take(instruction);
            layout.step(instruction);
            if (BRANCHES.contains(instruction.opcode())) {
                layout.bytes += LABELS * (locals + layout.height);
            }
        }
        return layout;
    }

    private void take(AnnotatedInstruction instruction) {
        taken += switch (instruction.opcode()) {
            case NOP, I32_CONST, I64_CONST, F32_CONST, F64_CONST, LOCAL_GET, GLOBAL_GET, BLOCK, LOOP, IF -> 0;
            case CALL ->
                functionType(module, (int) instruction.operand(0)).params().size();
            case CALL_INDIRECT ->
                1
                        + module.typeSection()
                                .getType((int) instruction.operand(0))
                                .params()
                                .size();
            case BR, BR_IF, RETURN, ELSE, END -> 1 + arity;
            case BR_TABLE -> 1 + (long) arity * instruction.operandCount();
            default -> 2;
        };
    }

    private void step(AnnotatedInstruction instruction) {
        switch (instruction.opcode()) {
            case BLOCK, LOOP -> open(instruction);
            case IF -> {
                change(-1);
                open(instruction);
            }
            case ELSE ->
                height = blocks.isEmpty()
                        ? height
                        : blocks.peek().below() + blocks.peek().results();
            case END -> {
                if (!blocks.isEmpty()) {
                    var ended = blocks.pop();
                    height = ended.below() + ended.results();
                }
            }
            case CALL -> called(functionType(module, (int) instruction.operand(0)));
            case CALL_INDIRECT -> {
                change(-1);
                called(module.typeSection().getType((int) instruction.operand(0)));
            }
            default -> change(effect(instruction.opcode()));
        }
    }

    /** What it takes from the stack stays counted below it: too much rather than too little. */
    private void open(AnnotatedInstruction instruction) {
        // A type's number, or the code of a single type or of none; which may look like a number.
        var code = instruction.operand(0);
        var listed = code >= 0 && code < module.typeSection().subTypeCount();
        var type = listed ? module.typeSection().getType((int) code) : null;
        var results = type != null ? type.returns().size() : code == EMPTY ? 0 : 1;
        blocks.push(new Block(height, results));
        arity = Math.max(
                arity, Math.max(results, type == null ? 0 : type.params().size()));
        taken += 1 + arity;
    }

    private void called(FunctionType type) {
        change(-type.params().size());
        change(type.returns().size());
    }

    /** Behind a jump values may be taken that are not there: never below the block. */
    private void change(int by) {
        height = Math.max(height + by, blocks.isEmpty() ? 0 : blocks.peek().below());
    }

    /** By how much an instruction changes the height of the stack; 0 where it is unknown and not above. */
    private static int effect(OpCode code) {
        return switch (code) {
            case I32_CONST,
                    I64_CONST,
                    F32_CONST,
                    F64_CONST,
                    LOCAL_GET,
                    GLOBAL_GET,
                    MEMORY_SIZE,
                    TABLE_SIZE,
                    REF_NULL,
                    REF_FUNC -> 1;
            case DROP, LOCAL_SET, GLOBAL_SET, BR_IF, BR_TABLE -> -1;
            case SELECT, SELECT_T, TABLE_SET -> -2;
            case MEMORY_COPY, MEMORY_FILL, MEMORY_INIT -> -3;
            default -> effect(code.opcode());
        };
    }

    private static int effect(int code) {
        var stores = code >= 0x36 && code <= 0x3E;
        var compares = code >= 0x46 && code <= 0x4F || code >= 0x51 && code <= 0x66;
        var calculates = code >= 0x6A && code <= 0x78
                || code >= 0x7C && code <= 0x8A
                || code >= 0x92 && code <= 0x98
                || code >= 0xA0 && code <= 0xA6;
        return stores ? -2 : compares || calculates ? -1 : 0;
    }

    /** The type of a function by its number, imported ones first. */
    static FunctionType functionType(WasmModule module, int index) {
        var imports = module.importSection().count(ExternalType.FUNCTION);
        if (index >= imports) {
            return module.functionSection().getFunctionType(index - imports, module.typeSection());
        }
        var function = module.importSection().stream()
                .filter(FunctionImport.class::isInstance)
                .map(FunctionImport.class::cast)
                .skip(index)
                .findFirst()
                .orElseThrow();
        return module.typeSection().getType(function.typeIndex());
    }
}
