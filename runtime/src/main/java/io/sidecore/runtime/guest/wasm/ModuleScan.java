package io.sidecore.runtime.guest.wasm;

/**
 * A first look at a module's bytes, before anything is built from them: whether they are a module at all and whole, and whether what they would become stays bounded. A few bytes can declare millions of local variables.
 *
 * <p>Source: WebAssembly Core Specification 2.0, sections 5.5.2, 5.5.13 and 5.5.16.
 */
final class ModuleScan {
    static final int MODULE_MAX = 32 << 20;
    static final int BODY_MAX = 1 << 20;
    static final long LOCALS_MAX = 1_000_000;

    private static final int CODE = 10;

    private final byte[] module;
    private int at;

    private ModuleScan(byte[] module) {
        this.module = module;
    }

    /**
     * Looks.
     *
     * @throws ModuleException if it is not a module, cut off, or too large
     */
    static void check(byte[] module) {
        new ModuleScan(module).check();
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
            var id = module[at++];
            var length = number(module.length, "at the length of section " + id);
            if (length > module.length - at) {
                throw cutOff("in section " + id + ", which has " + length + " bytes of which " + (module.length - at)
                        + " are there");
            }
            var end = at + (int) length;
            if (id == CODE) {
                code(end);
            }
            at = end;
        }
    }

    private void code(int end) {
        var functions = number(end, "at the number of functions");
        var locals = 0L;
        for (var i = 0L; i < functions; i++) {
            var length = number(end, "at the length of function body " + i);
            if (length > end - at) {
                throw new ModuleException("function body " + i + " goes beyond its section");
            }
            if (length > BODY_MAX) {
                throw new ModuleException(
                        "function body " + i + " has " + length + " bytes: at most " + BODY_MAX + " can be compiled");
            }
            var next = at + (int) length;
            var own = 0L;
            for (var groups = number(next, "at the local variables of function body " + i); groups > 0; groups--) {
                own += number(next, "at the local variables of function body " + i);
                type(next);
            }
            locals += own;
            if (locals > LOCALS_MAX) {
                throw new ModuleException("function body " + i + " has " + own + " local variables in " + length
                        + " bytes of code: that is too much to compile");
            }
            at = next;
        }
    }

    /** A value type: one byte, or two kinds of reference that carry a number. */
    private void type(int end) {
        if (at >= end) {
            throw cutOff("at a type");
        }
        var kind = module[at++];
        if (kind == 0x63 || kind == 0x64) {
            number(end, "at a type");
        }
    }

    /** An unsigned number of 32 bits in LEB128. */
    private long number(int end, String where) {
        var value = 0L;
        for (var shift = 0; shift < 35; shift += 7) {
            if (at >= end) {
                throw cutOff(where);
            }
            var b = module[at++];
            value |= (long) (b & 0x7F) << shift;
            if (b >= 0) {
                return value;
            }
        }
        throw new ModuleException("this WebAssembly module is damaged: a number is too long " + where);
    }

    private static ModuleException cutOff(String where) {
        return new ModuleException("this WebAssembly module is cut off or damaged: it ends " + where);
    }
}
