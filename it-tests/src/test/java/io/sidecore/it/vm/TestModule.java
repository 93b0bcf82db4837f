package io.sidecore.it.vm;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;

/**
 * Small modules in the binary format, which do what no good guest does.
 *
 * <p>Source: WebAssembly Core Specification 2.0, chapter 5.
 */
final class TestModule {
    /** What {@code on_message} does, by the first letter of the message; it then sends the message back. */
    private static final String ON_MESSAGE =
            // l: an endless loop
            is('l') + "03 40 0C 00 0B" + "0B"
                    // u: unreachable
                    + is('u') + "00" + "0B"
                    // g: takes pages until there are no more
                    + is('g') + "03 40 41 01 40 00 41 7F 47 0D 00 0B" + "0B"
                    // o: reads outside of its memory
                    + is('o') + "41 7F 28 02 00 1A" + "0B"
                    // s: calls itself for ever
                    + is('s') + "20 00 20 01 10 05" + "0B"
                    // f: the same, with a read of 512 bytes sent and its answer taken at every depth
                    + is('f')
                    + "41 80 10 42 80 04 37 03 10"
                    + "41 00 41 80 10 10 01 1A 41 00 41 80 18 10 02 1A"
                    + "20 00 20 01 10 05"
                    + "0B"
                    // r: a read of 512 bytes to an address outside of its memory; answers with a message of as many
                    // bytes as the error's
                    // number
                    + is('r')
                    + "41 80 10 42 80 04 37 03 10" // at 2048 + 16: its length
                    + "41 80 10 41 FF FF FF FF 07 36 02 20" // at 2048 + 32: its address
                    + "20 00 41 00 41 00 41 80 10 10 01 6B 10 00 1A 0F"
                    + "0B"
                    + "20 00 20 01 10 00 1A";

    private TestModule() {}

    private static String is(char letter) {
        // Two bytes: letters are negative as a signed LEB128 of one.
        return "20 00 2D 00 00 41 %02X 00 46 04 40 ".formatted(letter | 0x80);
    }

    private static byte[] hex(String digits) {
        return HexFormat.of().parseHex(digits.replaceAll("\\s", ""));
    }

    private static byte[] join(byte[]... parts) {
        var out = new ByteArrayOutputStream();
        for (var part : parts) {
            out.writeBytes(part);
        }
        return out.toByteArray();
    }

    /** Preceded by its length. */
    private static byte[] counted(byte[] bytes) {
        var out = new ByteArrayOutputStream();
        var left = bytes.length;
        do {
            out.write(left < 0x80 ? left : left & 0x7F | 0x80);
            left >>>= 7;
        } while (left != 0);
        out.writeBytes(bytes);
        return out.toByteArray();
    }

    private static byte[] name(String name) {
        return counted(name.getBytes(StandardCharsets.UTF_8));
    }

    private static byte[] section(int id, List<byte[]> entries) {
        return join(
                new byte[] {(byte) id},
                counted(join(new byte[] {(byte) entries.size()}, join(entries.toArray(byte[][]::new)))));
    }

    private static byte[] body(String code) {
        return counted(join(hex("00"), hex(code), hex("0B")));
    }

    /** Made of events. */
    static byte[] events() {
        return join(
                hex("00 61 73 6D 01 00 00 00"),
                section(
                        1,
                        List.of(
                                hex("60 00 00"),
                                hex("60 01 7F 01 7F"),
                                hex("60 02 7F 7F 00"),
                                hex("60 02 7F 7F 01 7F"))),
                section(
                        2,
                        List.of(
                                join(name("sidecore"), name("message_send"), hex("00 03")),
                                join(name("sidecore"), name("vif_send"), hex("00 03")),
                                join(name("sidecore"), name("vif_recv"), hex("00 03")))),
                section(3, List.of(hex("00"), hex("01"), hex("02"))),
                section(5, List.of(hex("01 01 10"))),
                section(
                        7,
                        List.of(
                                join(name("memory"), hex("02 00")),
                                join(name("on_start"), hex("00 03")),
                                join(name("message_buffer"), hex("00 04")),
                                join(name("on_message"), hex("00 05")))),
                section(10, List.of(body(""), body("41 80 08"), body(ON_MESSAGE))));
    }

    /** A program of WASI that loops for ever; or, if {@code trap}, stops at once. */
    static byte[] program(boolean trap) {
        return join(
                hex("00 61 73 6D 01 00 00 00"),
                section(1, List.of(hex("60 00 00"))),
                section(3, List.of(hex("00"))),
                section(5, List.of(hex("00 01"))),
                section(7, List.of(join(name("memory"), hex("02 00")), join(name("_start"), hex("00 00")))),
                section(10, List.of(body(trap ? "00" : "03 40 0C 00 0B"))));
    }

    /** A program of WASI that prints what it reads, and ends when there is nothing more. */
    static byte[] echo() {
        var code = "41 00 41 C0 00 36 02 00" // what is read: to 64,
                + "41 04 41 80 02 36 02 00" // 256 bytes at most
                + "41 08 41 C0 00 36 02 00" // what is written: from 64
                + "03 40"
                + "41 00 41 00 41 01 41 10 10 00 1A" // fd_read(0, 0, 1, 16)
                + "41 10 28 02 00 45 04 40 0F 0B" // nothing: return
                + "41 0C 41 10 28 02 00 36 02 00" // so many bytes
                + "41 01 41 08 41 01 41 14 10 01 1A" // fd_write(1, 8, 1, 20)
                + "0C 00 0B";
        var wasi = name("wasi_snapshot_preview1");
        return join(
                hex("00 61 73 6D 01 00 00 00"),
                section(1, List.of(hex("60 00 00"), hex("60 04 7F 7F 7F 7F 01 7F"))),
                section(
                        2,
                        List.of(join(wasi, name("fd_read"), hex("00 01")), join(wasi, name("fd_write"), hex("00 01")))),
                section(3, List.of(hex("00"))),
                section(5, List.of(hex("00 01"))),
                section(7, List.of(join(name("memory"), hex("02 00")), join(name("_start"), hex("00 02")))),
                section(10, List.of(body(code))));
    }

    static Path file(Path folder, String name, byte[] module) {
        try {
            return Files.write(folder.resolve(name), module);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
