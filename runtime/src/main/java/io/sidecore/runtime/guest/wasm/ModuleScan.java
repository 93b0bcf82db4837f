package io.sidecore.runtime.guest.wasm;

/**
 * A first look at a module's bytes, before anything is built from them: whether they are a module at all and whole, and whether what they would become stays bounded. A few bytes can declare millions of local variables, and the parser makes room for as many parameters, entries and bytes as a module says it has.
 *
 * <p>What the parser reads by a count is read here in the same way, up to the section's end; whatever else is in a section is left to it. Custom sections are skipped, here and there.
 *
 * <p>Source: WebAssembly Core Specification 2.0, chapter 5.
 */
final class ModuleScan {
    static final int MODULE_MAX = 32 << 20;
    static final int BODY_MAX = 1 << 20;
    static final long LOCALS_MAX = 1_000_000;
    static final int PARAMETERS_MAX = 1_000;
    /** A call takes two bytes, and leaves so many values on the validator's stack. */
    static final int RESULTS_MAX = 16;

    /** Bytes of the heap that a byte of code or of a declaration becomes at most while it is parsed, checked and compiled; half of it stays. Measured: 35 to 130, by what it is. */
    private static final int HEAP_PER_BYTE = 128;

    /** How often a module's bytes are there while it is parsed. */
    private static final int COPIES = 4;

    private static final int CUSTOM = 0;
    private static final int TYPES = 1;
    private static final int IMPORTS = 2;
    private static final int EXPORTS = 7;
    private static final int ELEMENTS = 9;
    private static final int CODE = 10;
    private static final int DATA = 11;
    /** That of tags, which is the last that the parser knows. */
    private static final int LAST = 13;

    private static final int END = 0x0B;

    private final byte[] module;
    private int at;
    /** Bytes that stay bytes. */
    private long payload;
    /** Where the section ends that is looked at, and what it is. */
    private int end;

    private String section = "";

    private ModuleScan(byte[] module) {
        this.module = module;
    }

    /**
     * Looks.
     *
     * @return bytes of the heap that it takes
     * @throws ModuleException if it is not a module, cut off, or too large
     */
    static long check(byte[] module) {
        var scan = new ModuleScan(module);
        scan.check();
        return HEAP_PER_BYTE * (module.length - scan.payload) + (long) COPIES * module.length;
    }

    private void check() {
        if (module.length > MODULE_MAX) {
            throw new ModuleException(
                    "the module has " + module.length + " bytes: at most " + MODULE_MAX + " are taken");
        }
        if (module.length < 4 || module[0] != 0 || module[1] != 'a' || module[2] != 's' || module[3] != 'm') {
            throw new ModuleException(
                    "this is not a WebAssembly module: it must begin with the bytes 00 61 73 6D (\\0asm)"
                            + (module.length == 0 ? ", and is empty" : ""));
        }
        if (module.length < 8) {
            throw cutOff("in its version");
        }
        if (module[4] != 1 || module[5] != 0 || module[6] != 0 || module[7] != 0) {
            throw new ModuleException(
                    "this WebAssembly module is of another version of the binary format: version 1 is expected"
                            + (module[6] == 1 ? " (this seems to be a component, not a core module)" : ""));
        }
        at = 8;
        while (at < module.length) {
            end = module.length;
            var id = module[at++];
            if (id < 0 || id > LAST) {
                throw new ModuleException("this WebAssembly module is damaged: there is no section " + (id & 0xFF));
            }
            var length = number("at the length of section " + id);
            if (length > module.length - at) {
                throw cutOff("in section " + id + ", which has " + length + " bytes of which " + (module.length - at)
                        + " are there");
            }
            end = at + (int) length;
            var next = end;
            section = "section " + id;
            switch (id) {
                case CUSTOM -> payload += length;
                case TYPES -> each("types", this::type);
                case IMPORTS -> each("imports", this::imported);
                case EXPORTS -> each("exports", this::exported);
                case ELEMENTS -> each("element segments", this::element);
                case CODE -> code();
                case DATA -> each("data segments", this::data);
                default -> {}
            }
            at = next;
        }
    }

    private interface Entry {
        void read();
    }

    private void each(String what, Entry entry) {
        for (var left = count(what); left > 0; left--) {
            entry.read();
        }
    }

    // --- sections

    private void type() {
        if (number("at a type") != 0x60) {
            throw new ModuleException(
                    "the module declares a type that is no function's: a guest may use WebAssembly 2.0 without garbage-collected types and groups of types");
        }
        values("parameters", PARAMETERS_MAX);
        values("results", RESULTS_MAX);
    }

    private void values(String what, int most) {
        var count = count(what);
        if (count > most) {
            throw new ModuleException(
                    "a function type of the module has " + count + " " + what + ": at most " + most + " are taken");
        }
        for (; count > 0; count--) {
            value();
        }
    }

    /** A value type: a number, and for two kinds of reference another one. */
    private void value() {
        var kind = number("at a type");
        if (kind == 0x63 || kind == 0x64) {
            number("at a type");
        }
    }

    private void imported() {
        bytes("the name of an import");
        bytes("the name of an import");
        switch ((int) number("at an import")) {
            case 0 -> number("at an import");
            case 1 -> {
                value();
                limits();
            }
            case 2 -> limits();
            case 3 -> {
                value();
                skip(1);
            }
            case 4 -> {
                skip(1);
                number("at an import");
            }
            default -> throw new ModuleException("this WebAssembly module is damaged: it imports what there is not");
        }
    }

    private void limits() {
        var maximum = number("at limits") != 0;
        number("at limits");
        if (maximum) {
            number("at limits");
        }
    }

    private void exported() {
        bytes("the name of an export");
        number("at an export");
        number("at an export");
    }

    private void element() {
        var flags = (int) number("at an element segment");
        var active = (flags & 1) == 0;
        if (active) {
            if ((flags & 2) != 0) {
                number("at an element segment");
            }
            expression();
        }
        var expressions = (flags & 4) != 0;
        if (!active || (flags & 2) != 0) {
            value();
        }
        for (var left = count("functions of an element segment"); left > 0; left--) {
            if (expressions) {
                expression();
            } else {
                number("at an element segment");
            }
        }
    }

    private void data() {
        var mode = number("at a data segment");
        if (mode == 2) {
            number("at a data segment");
        }
        if (mode != 1) {
            expression();
        }
        payload += bytes("a data segment");
    }

    /** A constant expression, to its end. */
    private void expression() {
        for (var code = (int) next(); code != END; code = next()) {
            switch (code & 0xFF) {
                // Constants, the value of a global, a reference to nothing and to a function.
                case 0x41, 0x23, 0xD0, 0xD2 -> leb(5, "in a constant expression");
                case 0x42 -> leb(10, "in a constant expression");
                case 0x43 -> skip(4);
                case 0x44 -> skip(8);
                // Additions, subtractions and multiplications.
                case 0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E -> {}
                default ->
                    throw new ModuleException(
                            "this WebAssembly module has the instruction 0x%02X in a constant expression of %s, where it cannot be"
                                    .formatted(code & 0xFF, section));
            }
        }
    }

    private void code() {
        var functions = count("functions");
        var whole = end;
        var locals = 0L;
        for (var i = 0L; i < functions; i++) {
            end = whole;
            var length = number("at the length of function body " + i);
            if (length > end - at) {
                throw new ModuleException("function body " + i + " goes beyond its section");
            }
            if (length > BODY_MAX) {
                throw new ModuleException(
                        "function body " + i + " has " + length + " bytes: at most " + BODY_MAX + " can be compiled");
            }
            end = at + (int) length;
            var own = 0L;
            for (var groups = count("local variables"); groups > 0; groups--) {
                own += number("at the local variables of function body " + i);
                value();
            }
            locals += own;
            if (locals > LOCALS_MAX) {
                throw new ModuleException("function body " + i + " has " + own + " local variables in " + length
                        + " bytes of code: that is too much to compile");
            }
            // Without one, the parser would look for it in what follows, and find other variables there than were
            // counted.
            if (at == end) {
                throw cutOff("before the code of function body " + i);
            }
            at = end;
        }
    }

    // --- what they are made of

    /** How many there are of something that takes a byte at least. */
    private long count(String what) {
        var count = number("at the number of " + what);
        if (count > end - at) {
            throw new ModuleException("this WebAssembly module is damaged: it declares " + count + " " + what
                    + " where " + section + " has " + (end - at) + " more bytes");
        }
        return count;
    }

    private int bytes(String what) {
        var bytes = (int) count("bytes of " + what);
        skip(bytes);
        return bytes;
    }

    private void skip(int bytes) {
        if (bytes > end - at) {
            throw cutOff("in " + section);
        }
        at += bytes;
    }

    private byte next() {
        if (at >= end) {
            throw cutOff("in " + section);
        }
        return module[at++];
    }

    private void leb(int most, String where) {
        for (var i = 0; i < most; i++) {
            if (next() >= 0) {
                return;
            }
        }
        throw tooLong(where);
    }

    /** An unsigned number of 32 bits in LEB128. */
    private long number(String where) {
        var value = 0L;
        for (var shift = 0; shift < 35; shift += 7) {
            if (at >= end) {
                throw cutOff(where);
            }
            var b = module[at++];
            value |= (long) (b & 0x7F) << shift;
            if (b >= 0) {
                if (value >>> 32 != 0) {
                    throw tooLong(where);
                }
                return value;
            }
        }
        throw tooLong(where);
    }

    private static ModuleException tooLong(String where) {
        return new ModuleException("this WebAssembly module is damaged: a number is too long " + where);
    }

    private static ModuleException cutOff(String where) {
        return new ModuleException("this WebAssembly module is cut off or damaged: it ends " + where);
    }
}
