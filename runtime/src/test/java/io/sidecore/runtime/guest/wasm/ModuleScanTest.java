package io.sidecore.runtime.guest.wasm;

import static io.sidecore.runtime.guest.wasm.ModuleText.hex;
import static io.sidecore.runtime.guest.wasm.ModuleText.join;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModuleScanTest {
    private static final byte[] HUGE = hex("FF FF FF FF 07");

    private static byte[] module(String section) {
        return join(hex("00 61 73 6D 01 00 00 00"), hex(section));
    }

    /** What the parser makes room for by a number in the module, and that number is 2³¹ − 1. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "01 08 01 60 FF FF FF FF 07 00                | parameters",
                "01 08 01 60 00 FF FF FF FF 07                | results",
                "01 07 01 4E FF FF FF FF 07                   | groups of types",
                "01 07 01 50 FF FF FF FF 07                   | groups of types",
                "02 06 01 FF FF FF FF 07                      | the name of an import",
                "02 07 01 00 FF FF FF FF 07                   | the name of an import",
                "07 06 01 FF FF FF FF 07                      | the name of an export",
                "09 0A 01 00 41 00 0B FF FF FF FF 07          | functions of an element segment",
                "09 08 01 01 00 FF FF FF FF 07                | functions of an element segment",
                "09 0C 01 06 00 41 00 0B 70 FF FF FF FF 07    | functions of an element segment",
                "0B 0A 01 00 41 00 0B FF FF FF FF 07          | a data segment",
                "0B 07 01 01 FF FF FF FF 07                   | a data segment",
                "0B 0B 01 02 00 41 00 0B FF FF FF FF 07       | a data segment",
            })
    void countsThatAreNotThereAreRefused(String section, String what) {
        assertThatThrownBy(() -> ModuleScan.check(module(section)))
                .isInstanceOf(ModuleException.class)
                .hasMessageContaining(what);
    }

    @Test
    void typesOfTwoBytesAreReadAsTheParserReadsThem() {
        // A funcref written in two bytes; then a million of i32.
        assertThatThrownBy(() -> ModuleScan.check(module("0A 0B 01 09 02 01 F0 00 C0 84 3D 7F 0B")))
                .isInstanceOf(ModuleException.class)
                .hasMessageContaining("1000001 local variables");
    }

    @Test
    void aBodyWithoutCodeIsRefused() {
        assertThatThrownBy(() -> ModuleScan.check(module("0A 05 01 03 01 01 7F")))
                .isInstanceOf(ModuleException.class)
                .hasMessageContaining("before the code of function body 0");
    }

    /** Wherever a number may be, a huge one instead of it: the host has to outlive it, which it does if no room was made by it. */
    @Test
    void hugeNumbersAnywhereAreRefusedOrTakeNoMemory() {
        var refused = 0;
        for (var valid : List.of(ImportCaller.module(), rich())) {
            for (var at = 8; at < valid.length; at++) {
                for (var grown : huge(valid, at)) {
                    try {
                        GuestModule.of(grown);
                    } catch (ModuleException e) {
                        refused++;
                    }
                }
            }
        }
        assertThat(refused).isPositive();
    }

    /** The number at this place replaced, once with the section's length as it was and once made to fit. */
    private static List<byte[]> huge(byte[] valid, int at) {
        var all = new ArrayList<byte[]>();
        all.add(join(Arrays.copyOf(valid, at), HUGE, Arrays.copyOfRange(valid, at + 1, valid.length)));
        var section = 8;
        while (section < valid.length) {
            var length = 0;
            var bytes = 0;
            do {
                length |= (valid[section + 1 + bytes] & 0x7F) << 7 * bytes;
            } while (valid[section + 1 + bytes++] < 0);
            var from = section + 1 + bytes;
            if (at >= from && at < from + length) {
                all.add(join(
                        Arrays.copyOf(valid, section + 1),
                        ModuleText.unsigned(length + HUGE.length - 1),
                        Arrays.copyOfRange(valid, from, at),
                        HUGE,
                        Arrays.copyOfRange(valid, at + 1, valid.length)));
            }
            section = from + length;
        }
        return all;
    }

    private static byte[] rich() {
        var text = ModuleText.withMemory().table(4, 8).global(true, 1).active(0, new byte[] {1, 2, 3});
        text.passive(new byte[] {4});
        var function = text.exported("on_start", ">", "");
        return function.element(0).bytes();
    }

    @Test
    void whatIsValidIsTaken() {
        assertThat(GuestModule.of(rich()).kind()).isEqualTo(GuestModule.Kind.EVENTS);
    }
}
