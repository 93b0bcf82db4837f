package io.sidecore.runtime.guest.wasm;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import run.endive.wasm.types.FunctionType;
import run.endive.wasm.types.ValType;

/** Types of functions, as a module's author reads and writes them: {@code (i32, i64) -> i32}. */
final class Signature {
    private Signature() {}

    /** Written short: a letter a parameter, {@code i} for i32 and {@code I} for i64, then {@code >} and the result if there is one. */
    static FunctionType of(String brief) {
        var arrow = brief.indexOf('>');
        return FunctionType.of(types(brief.substring(0, arrow)), types(brief.substring(arrow + 1)));
    }

    private static List<ValType> types(String letters) {
        var types = new ArrayList<ValType>();
        for (var i = 0; i < letters.length(); i++) {
            types.add(letters.charAt(i) == 'I' ? ValType.I64 : ValType.I32);
        }
        return types;
    }

    static String text(FunctionType type) {
        return list(type.params()) + " -> "
                + (type.returns().size() == 1 ? name(type.returns().getFirst()) : list(type.returns()));
    }

    private static String list(List<ValType> types) {
        return types.stream().map(Signature::name).collect(Collectors.joining(", ", "(", ")"));
    }

    static String name(ValType type) {
        return type.name().toLowerCase(Locale.ROOT);
    }
}
