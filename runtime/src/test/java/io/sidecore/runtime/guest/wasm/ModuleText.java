package io.sidecore.runtime.guest.wasm;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/**
 * Writes small modules, section by section, in the binary format. Imports come before functions; functions are numbered in the order in which both were added.
 *
 * <p>Source: WebAssembly Core Specification 2.0, chapter 5.
 */
final class ModuleText {
    private final List<byte[]> types = new ArrayList<>();
    private final List<byte[]> imports = new ArrayList<>();
    private final List<Integer> functions = new ArrayList<>();
    private final List<byte[]> bodies = new ArrayList<>();
    private final List<byte[]> exports = new ArrayList<>();
    private final List<byte[]> tables = new ArrayList<>();
    private final List<byte[]> memories = new ArrayList<>();
    private final List<byte[]> globals = new ArrayList<>();
    private final List<byte[]> elements = new ArrayList<>();
    private final List<byte[]> data = new ArrayList<>();
    private int imported;
    private int start = -1;

    /** One page of memory, exported as everyone expects it. */
    static ModuleText withMemory() {
        return new ModuleText().memory(1, 4).export("memory", 2, 0);
    }

    /** The bytes in hexadecimal digits, spaced as one likes. */
    static byte[] hex(String digits) {
        return HexFormat.of().parseHex(digits.replaceAll("\\s", ""));
    }

    static String i32(long value) {
        return "41" + HexFormat.of().formatHex(signed(value));
    }

    static String i64(long value) {
        return "42" + HexFormat.of().formatHex(signed(value));
    }

    static String call(int function) {
        return "10" + HexFormat.of().formatHex(unsigned(function));
    }

    ModuleText memory(int min, int max) {
        memories.add(join(new byte[] {1}, unsigned(min), unsigned(max)));
        return this;
    }

    ModuleText table(int min, int max) {
        tables.add(join(new byte[] {0x70, 1}, unsigned(min), unsigned(max)));
        return this;
    }

    ModuleText global(boolean mutable, long value) {
        globals.add(join(new byte[] {0x7F, (byte) (mutable ? 1 : 0)}, hex(i32(value)), new byte[] {0x0B}));
        return this;
    }

    ModuleText active(int at, byte[] bytes) {
        data.add(join(new byte[] {0}, hex(i32(at)), new byte[] {0x0B}, counted(bytes)));
        return this;
    }

    ModuleText passive(byte[] bytes) {
        data.add(join(new byte[] {1}, counted(bytes)));
        return this;
    }

    /** Functions that the table has from its beginning. */
    ModuleText element(int... functions) {
        var numbers = new ByteArrayOutputStream();
        for (var function : functions) {
            numbers.writeBytes(unsigned(function));
        }
        elements.add(join(
                new byte[] {0}, hex(i32(0)), new byte[] {0x0B}, unsigned(functions.length), numbers.toByteArray()));
        return this;
    }

    int type(String brief) {
        var arrow = brief.indexOf('>');
        types.add(join(new byte[] {0x60}, letters(brief.substring(0, arrow)), letters(brief.substring(arrow + 1))));
        return types.size() - 1;
    }

    private static byte[] letters(String letters) {
        var bytes = new byte[letters.length()];
        for (var i = 0; i < bytes.length; i++) {
            bytes[i] = letter(letters.charAt(i));
        }
        return counted(bytes);
    }

    /** i: i32, I: i64, V: v128, E: externref. */
    private static byte letter(char type) {
        return switch (type) {
            case 'I' -> 0x7E;
            case 'V' -> 0x7B;
            case 'E' -> 0x6F;
            default -> 0x7F;
        };
    }

    int imported(String module, String name, String brief) {
        imports.add(join(name(module), name(name), new byte[] {0}, unsigned(type(brief))));
        return imported++;
    }

    ModuleText importedMemory() {
        imports.add(join(name("env"), name("memory"), new byte[] {2, 0, 1}));
        return this;
    }

    /** A function; its body in hexadecimal digits, without the last end. */
    int function(String brief, String body) {
        return function(brief, "", body);
    }

    /** A function with local variables, of which each letter stands for one. */
    int function(String brief, String locals, String body) {
        functions.add(type(brief));
        var groups = new ByteArrayOutputStream();
        groups.writeBytes(unsigned(locals.length()));
        for (var i = 0; i < locals.length(); i++) {
            groups.write(1);
            groups.write(letter(locals.charAt(i)));
        }
        bodies.add(counted(join(groups.toByteArray(), hex(body), new byte[] {0x0B})));
        return imported + functions.size() - 1;
    }

    ModuleText body(byte[] whole) {
        functions.add(type(">"));
        bodies.add(counted(whole));
        return this;
    }

    ModuleText exported(String name, String brief, String body) {
        return export(name, 0, function(brief, body));
    }

    ModuleText export(String name, int kind, int index) {
        exports.add(join(name(name), new byte[] {(byte) kind}, unsigned(index)));
        return this;
    }

    ModuleText start(int function) {
        start = function;
        return this;
    }

    byte[] bytes() {
        var out = new ByteArrayOutputStream();
        out.writeBytes(hex("00 61 73 6D 01 00 00 00"));
        section(out, 1, types);
        section(out, 2, imports);
        section(out, 3, functions.stream().map(ModuleText::unsigned).toList());
        section(out, 4, tables);
        section(out, 5, memories);
        section(out, 6, globals);
        section(out, 7, exports);
        if (start >= 0) {
            out.write(8);
            out.writeBytes(counted(unsigned(start)));
        }
        section(out, 9, elements);
        if (!data.isEmpty()) {
            out.write(12);
            out.writeBytes(counted(unsigned(data.size())));
        }
        section(out, 10, bodies);
        section(out, 11, data);
        return out.toByteArray();
    }

    GuestModule module() {
        return GuestModule.of(bytes());
    }

    private static void section(ByteArrayOutputStream out, int id, List<byte[]> entries) {
        if (!entries.isEmpty()) {
            out.write(id);
            out.writeBytes(counted(join(unsigned(entries.size()), join(entries.toArray(byte[][]::new)))));
        }
    }

    private static byte[] name(String name) {
        return counted(name.getBytes(StandardCharsets.UTF_8));
    }

    private static byte[] counted(byte[] bytes) {
        return join(unsigned(bytes.length), bytes);
    }

    static byte[] join(byte[]... parts) {
        var out = new ByteArrayOutputStream();
        for (var part : parts) {
            out.writeBytes(part);
        }
        return out.toByteArray();
    }

    static byte[] unsigned(long value) {
        var out = new ByteArrayOutputStream();
        do {
            var b = (int) (value & 0x7F);
            value >>>= 7;
            out.write(value == 0 ? b : b | 0x80);
        } while (value != 0);
        return out.toByteArray();
    }

    private static byte[] signed(long value) {
        var out = new ByteArrayOutputStream();
        while (true) {
            var b = (int) (value & 0x7F);
            value >>= 7;
            if (value == 0 && (b & 0x40) == 0 || value == -1 && (b & 0x40) != 0) {
                out.write(b);
                return out.toByteArray();
            }
            out.write(b | 0x80);
        }
    }
}
