package io.sidecore.runtime.guest;

import io.sidecore.runtime.vm.Console;
import java.io.ByteArrayOutputStream;
import java.util.function.Consumer;

/**
 * What a terminal expects of the other end of a line, for guests that have no kernel to do so: what is typed is echoed and collected into lines, backspace takes back, and a line feed that is printed also returns the carriage. One thread types; any may print.
 */
public final class LineDiscipline implements Console.GuestInput {
    /** Bytes of a line that is typed, at most; more are not taken. */
    public static final int LONGEST = 4_096;

    private static final byte[] ERASE = {'\b', ' ', '\b'};
    private static final byte[] NEW_LINE = {'\r', '\n'};
    private static final int DELETE = 0x7f;
    private static final int KILL = 'U' & 0x1f;

    private final Console console;
    private final Consumer<byte[]> lines;
    private final ByteArrayOutputStream line = new ByteArrayOutputStream();
    private boolean afterReturn;

    /** @param lines given each line, without its end; must not wait */
    public LineDiscipline(Console console, Consumer<byte[]> lines) {
        this.console = console;
        this.lines = lines;
    }

    @Override
    public void accept(byte[] typed) {
        for (var b : typed) {
            accept(b);
        }
    }

    private void accept(byte b) {
        switch (b) {
            case '\r' -> end();
            case '\n' -> {
                if (!afterReturn) {
                    end();
                }
            }
            case '\b', DELETE -> erase();
            case KILL -> {
                while (line.size() > 0) {
                    erase();
                }
            }
            default -> {
                if (line.size() < LONGEST && (b < 0 || b >= ' ' || b == '\t')) {
                    line.write(b);
                    console.written(new byte[] {b}, 0, 1);
                }
            }
        }
        afterReturn = b == '\r';
    }

    private void end() {
        console.written(NEW_LINE, 0, NEW_LINE.length);
        var whole = line.toByteArray();
        line.reset();
        lines.accept(whole);
    }

    private void erase() {
        var bytes = line.toByteArray();
        if (bytes.length > 0) {
            line.reset();
            line.write(bytes, 0, bytes.length - 1);
            console.written(ERASE, 0, ERASE.length);
        }
    }

    /** Prints. */
    public void print(byte[] bytes, int offset, int length) {
        var from = offset;
        for (var at = offset; at < offset + length; at++) {
            if (bytes[at] == '\n' && (at == offset || bytes[at - 1] != '\r')) {
                console.written(bytes, from, at - from);
                console.written(NEW_LINE, 0, NEW_LINE.length);
                from = at + 1;
            }
        }
        console.written(bytes, from, offset + length - from);
    }
}
