package io.sidecore.runtime.guest.wasm;

import static io.sidecore.runtime.guest.wasm.ModuleText.call;
import static io.sidecore.runtime.guest.wasm.ModuleText.hex;
import static io.sidecore.runtime.guest.wasm.ModuleText.join;
import static io.sidecore.runtime.guest.wasm.ModuleText.unsigned;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GuestModuleTest {
    private static ModuleText events() {
        return ModuleText.withMemory().exported("on_start", ">", "");
    }

    private static void refused(byte[] wasm, String... sentence) {
        assertThatThrownBy(() -> GuestModule.of(wasm))
                .isInstanceOf(ModuleException.class)
                .message()
                .contains(sentence);
    }

    @Test
    void aModuleWithOnStartIsMadeOfEvents() {
        assertThat(events().module().kind()).isEqualTo(GuestModule.Kind.EVENTS);
    }

    @Test
    void aModuleWithStartIsAProgram() {
        assertThat(ModuleText.withMemory().exported("_start", ">", "").module().kind())
                .isEqualTo(GuestModule.Kind.PROGRAM);
    }

    @Test
    void theSameBytesAreOneModule() {
        assertThat(GuestModule.of(events().bytes())).isSameAs(GuestModule.of(events().bytes()));
    }

    @Test
    void otherBytesAreAnotherModule() {
        assertThat(GuestModule.of(events().bytes()))
                .isNotSameAs(events().exported("on_stop", ">", "").module());
    }

    @Test
    void neitherStartIsRefusedWithWhatThereIs() {
        refused(
                ModuleText.withMemory().exported("main", ">i", "41 00").bytes(),
                "neither on_start",
                "nor _start",
                "the functions it exports are main");
    }

    @Test
    void bothStartsAreRefused() {
        refused(events().exported("_start", ">", "").bytes(), "both on_start and _start");
    }

    @Test
    void anythingElseThanAModuleIsRefused() {
        refused("#!/bin/sh".getBytes(StandardCharsets.US_ASCII), "not a WebAssembly module", "00 61 73 6D");
        refused(new byte[0], "not a WebAssembly module", "is empty");
    }

    @Test
    void anotherVersionIsRefused() {
        refused(hex("00 61 73 6D 02 00 00 00"), "version 1 is expected");
        refused(hex("00 61 73 6D 0D 00 01 00"), "component");
    }

    @Test
    void everyTruncationIsRefused() {
        var whole = events().imported("sidecore", "vif_count", ">i") >= 0 ? ImportCaller.module() : new byte[0];
        for (var length = 0; length < whole.length; length++) {
            var cut = Arrays.copyOf(whole, length);
            assertThatThrownBy(() -> GuestModule.of(cut)).as("%d bytes", length).isInstanceOf(ModuleException.class);
        }
        refused(Arrays.copyOf(whole, whole.length - 1), "cut off");
    }

    @Test
    void anUnknownImportIsRefusedWithWhatThereIs() {
        var text = ModuleText.withMemory();
        text.imported("sidecore", "vif_open", "i>i");
        refused(text.exported("on_start", ">", "").bytes(), "sidecore.vif_open", "vif_count", "vif_send");
    }

    @Test
    void anUnknownModuleOfImportsIsRefused() {
        var text = ModuleText.withMemory();
        text.imported("env", "printf", "ii>i");
        refused(
                text.exported("on_start", ">", "").bytes(),
                "env.printf, which is not there",
                "\"sidecore\" can be imported from");
    }

    @Test
    void anImportOfAnotherTypeIsRefusedWithBothTypes() {
        var text = ModuleText.withMemory();
        text.imported("sidecore", "vif_size", "i>i");
        refused(
                text.exported("on_start", ">", "").bytes(),
                "sidecore.vif_size as (i32) -> i32",
                "(i32) -> i64 is expected");
    }

    @Test
    void waitingIsRefusedToAModuleMadeOfEvents() {
        var text = ModuleText.withMemory();
        text.imported("sidecore", "vif_wait", "ii>i");
        refused(text.exported("on_start", ">", "").bytes(), "vif_wait", "it waits");
    }

    @Test
    void timersAreRefusedToAProgram() {
        var text = ModuleText.withMemory();
        text.imported("sidecore", "timer_set", "iI>i");
        refused(text.exported("_start", ">", "").bytes(), "timer_set", "made of events");
    }

    @Test
    void wasiIsRefusedToAModuleMadeOfEvents() {
        var text = ModuleText.withMemory();
        text.imported("wasi_snapshot_preview1", "fd_write", "iiii>i");
        refused(text.exported("on_start", ">", "").bytes(), "fd_write", "WASI is for programs");
    }

    @Test
    void aHandlerOfAnotherTypeIsRefusedWithBothTypes() {
        refused(events().exported("on_timer", "I>", "").bytes(), "on_timer is (i64) -> ()", "(i32) -> () is expected");
    }

    @Test
    void aHandlerThatIsNoFunctionIsRefused() {
        refused(events().global(true, 1).export("on_stop", 3, 0).bytes(), "on_stop is no function");
    }

    @Test
    void messagesNeedABuffer() {
        refused(events().exported("on_message", "ii>", "").bytes(), "message_buffer");
        refused(events().exported("message_buffer", "i>i", "41 00").bytes(), "on_message");
    }

    @Test
    void aModuleWithoutMemoryIsRefused() {
        refused(new ModuleText().exported("on_start", ">", "").bytes(), "exports no memory", "\"memory\"");
        refused(new ModuleText().memory(1, 1).exported("on_start", ">", "").bytes(), "exports no memory");
    }

    @Test
    void aModuleThatImportsItsMemoryIsRefused() {
        refused(new ModuleText().importedMemory().exported("on_start", ">", "").bytes(), "imports its memory");
    }

    @Test
    void twoMemoriesAreRefused() {
        refused(events().memory(1, 1).bytes(), "memories");
    }

    @Test
    void vectorsAreRefused() {
        refused(events().exported("v", "V>", "").bytes(), "v128");
    }

    @Test
    void referencesToTheHostAreRefused() {
        refused(events().exported("v", "E>", "").bytes(), "references to other things than functions");
    }

    @Test
    void garbageCollectedTypesAreRefused() {
        // A type section with an empty struct, before everything else.
        var whole = events().bytes();
        var types = hex("01 07 02 5F 00 60 00 00 00");
        var gc = join(Arrays.copyOf(whole, 8), Arrays.copyOf(types, 8), Arrays.copyOfRange(whole, 8, whole.length));
        assertThatThrownBy(() -> GuestModule.of(gc)).isInstanceOf(ModuleException.class);
    }

    @Test
    void aHugeTableIsRefused() {
        refused(events().table(100_000, 200_000).bytes(), "100000 entries", "at most 65536");
    }

    @Test
    void tablesAreBoundedTogether() {
        refused(
                events().table(40_000, 40_000).table(40_000, 40_000).bytes(),
                "80000 entries",
                "at most 65536",
                "of all tables together");
    }

    @Test
    void moreThanTheHeapHasRoomForIsRefusedWithWhatToDo() {
        var heap = Runtime.getRuntime().maxMemory();
        assertThatThrownBy(() -> GuestModule.checkHeap(1_000, heap))
                .isInstanceOf(ModuleException.class)
                .hasMessageContainingAll("1000 bytes", "of the host's heap", "half of it", "-Xmx");
        GuestModule.checkHeap(1_000, 1);
    }

    @Test
    void codeTakesFarMoreOfTheHeapThanData() {
        var small = ModuleScan.check(events().bytes());
        var code =
                ModuleScan.check(events().exported("f", ">", "01".repeat(1_000)).bytes());
        var data = ModuleScan.check(events().passive(new byte[1_000]).bytes());
        assertThat(code - small).isGreaterThan(128_000);
        assertThat(data - small).isLessThan(10_000);
    }

    @Test
    void calledWithFarMoreThanThereIsAModuleIsRefusedBeforeEachMistakeIsKept() {
        var text = events();
        var many = text.function("i".repeat(1_000) + ">", "");
        refused(
                text.exported("f", ">", call(many).repeat(10_000)).bytes(),
                "10000001 values from its stack",
                "at most 131072");
    }

    @Test
    void modulesAreCompiledOnThreadsOfTheirOwn() {
        var large = events().exported("f", ">", "41 00" + "41 01 6A".repeat(40_000) + "1A")
                .module();
        assertThatThrownBy(large::compile)
                .satisfies(e -> assertThat(e.getStackTrace())
                        .noneMatch(
                                frame -> frame.getClassName().equals(getClass().getName())));
    }

    @Test
    void functionsHaveABoundedNumberOfResults() {
        refused(events().exported("f", ">" + "i".repeat(17), "").bytes(), "17 results", "at most 16");
    }

    @Test
    void aFewBytesCannotDeclareLocalsWithoutBound() {
        var groups = join(unsigned(100));
        for (var i = 0; i < 100; i++) {
            groups = join(groups, unsigned(50_000), new byte[] {0x7F});
        }
        refused(events().body(join(groups, new byte[] {0x0B})).bytes(), "local variables", "too much to compile");
    }

    @Test
    void aFunctionWhoseLayoutsWouldEndTheJvmIsRefused() {
        // 8,000 values on the stack under 10,000 branches.
        var deep = "41 00".repeat(8_000) + "02 40 41 00 0D 00 0B".repeat(10_000) + "1A".repeat(8_000);
        refused(events().exported("f", ">", deep).bytes(), "function body 1", "too many values on its stack");
    }

    @Test
    void layoutsJustBelowTheBoundCompile() {
        var text = events();
        text.function(
                ">", "i".repeat(400), "41 00".repeat(400) + "02 40 41 00 0D 00 0B".repeat(2_400) + "1A".repeat(400));
        text.module().compile();
    }

    @Test
    void aFunctionTooLargeForAMethodIsRefusedAndNamed() {
        // Each addition compiles to more than a byte.
        var module = events().exported("f", ">", "41 00" + "41 01 6A".repeat(40_000) + "1A")
                .module();
        assertThatThrownBy(module::compile)
                .isInstanceOf(ModuleException.class)
                .hasMessageContaining("function 1 of the module is too large to be compiled");
    }

    @Test
    void aModuleThatDoesNotValidateIsRefused() {
        refused(events().exported("f", ">i", "").bytes(), "not valid");
    }

    @Test
    void whatIsWrongIsSaidInASentenceHoweverMuchIsWrong() {
        var many = events().exported("f", ">", "6A".repeat(10_000)).bytes();
        assertThatThrownBy(() -> GuestModule.of(many))
                .isInstanceOf(ModuleException.class)
                .satisfies(e -> assertThat(e.getMessage()).hasSizeLessThan(300));
    }

    @Test
    void aVmWithTooLittleMemoryIsToldHowMuchIsNeeded() {
        assertThatThrownBy(() -> events().module().checkMemory(65_535))
                .isInstanceOf(ModuleException.class)
                .hasMessageContaining("64 KiB of memory")
                .hasMessageContaining("65535");
        events().module().checkMemory(65_536);
    }

    @Test
    void aFileIsNamedInWhatIsWrongWithIt(@TempDir Path folder) throws Exception {
        var file = Files.write(folder.resolve("guest.wasm"), new byte[] {1, 2, 3});
        assertThatThrownBy(() -> GuestModule.read(file))
                .isInstanceOf(ModuleException.class)
                .hasMessageContaining("guest.wasm: this is not");
        assertThatThrownBy(() -> GuestModule.read(folder.resolve("none.wasm")))
                .isInstanceOf(ModuleException.class)
                .hasMessageContaining("none.wasm cannot be read");
    }
}
