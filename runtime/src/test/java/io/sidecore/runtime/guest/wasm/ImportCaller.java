package io.sidecore.runtime.guest.wasm;

import static io.sidecore.runtime.guest.wasm.ModuleText.i32;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/** A guest that calls any import with any arguments: it is told by a message which, and answers by a message what came of it. */
final class ImportCaller {
    /** Where the guest keeps the message. */
    static final int MESSAGE = 64;

    private static final int RESULT = 16;

    final TestHost host;
    final WasmProgram guest;
    private final List<String> names = new ArrayList<>(SidecoreImports.OF_EVENTS.keySet());

    ImportCaller(TestHost host) {
        this.host = host;
        this.guest = new WasmProgram(GuestModule.of(module()));
        guest.onStart(host);
    }

    static byte[] module() {
        var text = ModuleText.withMemory();
        var code = new StringBuilder();
        var names = new ArrayList<>(SidecoreImports.OF_EVENTS.keySet());
        var numbers = new ArrayList<Integer>();
        for (var name : names) {
            numbers.add(text.imported("sidecore", name, brief(name)));
        }
        var tell = numbers.get(names.indexOf("message_send"));
        for (var k = 0; k < names.size(); k++) {
            var brief = brief(names.get(k));
            code.append("20 00 28 02 00").append(i32(k)).append("46 04 40");
            code.append(i32(RESULT));
            for (var j = 0; brief.charAt(j) != '>'; j++) {
                code.append("20 00").append(brief.charAt(j) == 'I' ? "29 03" : "28 02");
                code.append(java.util.HexFormat.of().toHexDigits((byte) (8 + 8 * j)));
            }
            code.append(ModuleText.call(numbers.get(k)));
            code.append(brief.endsWith(">") ? "42 00" : brief.endsWith("i") ? "AC" : "");
            code.append("37 03 00")
                    .append(i32(RESULT))
                    .append(i32(8))
                    .append(ModuleText.call(tell))
                    .append("1A 0B");
        }
        return text.exported("on_start", ">", "")
                .exported("message_buffer", "i>i", i32(MESSAGE))
                .exported("on_message", "ii>", code.toString())
                .bytes();
    }

    private static String brief(String name) {
        var type = SidecoreImports.OF_EVENTS.get(name);
        var brief = new StringBuilder();
        type.params().forEach(p -> brief.append(p.equals(run.endive.wasm.types.ValType.I64) ? 'I' : 'i'));
        brief.append('>');
        type.returns().forEach(p -> brief.append(p.equals(run.endive.wasm.types.ValType.I64) ? 'I' : 'i'));
        return brief.toString();
    }

    List<String> names() {
        return names;
    }

    /** What the import answers. */
    long call(String name, long... arguments) {
        var message = ByteBuffer.allocate(8 + 8 * arguments.length).order(ByteOrder.LITTLE_ENDIAN);
        message.putInt(names.indexOf(name)).putInt(0);
        for (var argument : arguments) {
            message.putLong(argument);
        }
        guest.onMessage(host, message.array());
        return ByteBuffer.wrap(host.messages.removeLast())
                .order(ByteOrder.LITTLE_ENDIAN)
                .getLong();
    }
}
