package io.sidecore.runtime.guest.wasm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.block.Errno;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class SidecoreImportsTest {
    private static final int PAGE = LinearMemory.PAGE;
    private static final int REQUEST = 1024;
    private static final int ANSWER = 2048;
    private static final int PAYLOAD = 4096;

    // The VM has four pages, the guest one of them.
    private final TestHost host = new TestHost(4L * PAGE).disk(1 << 20, 2);
    private final ArrayDisk disk = host.disks.getFirst();
    private final ImportCaller guest = new ImportCaller(host);

    private void request(int operation, int flags, long offset, long length, long tag, int address) {
        host.memory.set(JAVA_INT_UNALIGNED, REQUEST, operation);
        host.memory.set(JAVA_INT_UNALIGNED, REQUEST + 4, flags);
        host.memory.set(JAVA_LONG_UNALIGNED, REQUEST + 8, offset);
        host.memory.set(JAVA_LONG_UNALIGNED, REQUEST + 16, length);
        host.memory.set(JAVA_LONG_UNALIGNED, REQUEST + 24, tag);
        host.memory.set(JAVA_INT_UNALIGNED, REQUEST + 32, address);
        host.memory.set(JAVA_INT_UNALIGNED, REQUEST + 36, 0);
    }

    private long send(int operation, int flags, long offset, long length, long tag, int address) {
        request(operation, flags, offset, length, tag, address);
        return guest.call("vif_send", 0, REQUEST);
    }

    @Test
    void aWriteTakesItsPayloadFromLinearMemory() {
        host.memory.set(JAVA_BYTE, PAYLOAD, (byte) 77);
        assertThat(send(1, 0, 512, 1, 9, PAYLOAD)).isZero();
        assertThat(disk.bytes[512]).isEqualTo((byte) 77);
    }

    @Test
    void aReadPutsItsPayloadIntoLinearMemory() {
        disk.bytes[100] = 55;
        assertThat(send(0, 0, 100, 1, 9, PAYLOAD)).isZero();
        assertThat(host.memory.get(JAVA_BYTE, PAYLOAD)).isEqualTo((byte) 55);
    }

    @Test
    void anAnswerCarriesTagAndError() {
        disk.error = Errno.EIO;
        send(2, 0, 0, 0, 0x1122334455667788L, 0);
        assertThat(guest.call("vif_recv", 0, ANSWER)).isEqualTo(1);
        assertThat(host.memory.get(JAVA_LONG_UNALIGNED, ANSWER)).isEqualTo(0x1122334455667788L);
        assertThat(host.memory.get(JAVA_INT_UNALIGNED, ANSWER + 8)).isEqualTo(5);
        assertThat(guest.call("vif_recv", 0, ANSWER)).isZero();
    }

    @Test
    void aFullVifAnswersAgain() {
        assertThat(guest.call("vif_is_full", 0)).isZero();
        send(2, 0, 0, 0, 1, 0);
        send(2, 0, 0, 0, 2, 0);
        assertThat(guest.call("vif_is_full", 0)).isEqualTo(1);
        assertThat(send(2, 0, 0, 0, 3, 0)).isEqualTo(-SidecoreImports.EAGAIN);
    }

    @Test
    void emptinessIsTold() {
        assertThat(guest.call("vif_is_empty", 0)).isEqualTo(1);
        send(2, 0, 0, 0, 1, 0);
        assertThat(guest.call("vif_is_empty", 0)).isZero();
    }

    @Test
    void sizeAndModeOfADiskAreTold() {
        assertThat(guest.call("vif_count")).isEqualTo(1);
        assertThat(guest.call("vif_size", 0)).isEqualTo(1 << 20);
        assertThat(guest.call("vif_is_read_only", 0)).isZero();
        disk.readOnly = true;
        assertThat(guest.call("vif_is_read_only", 0)).isEqualTo(1);
    }

    @Test
    void signalsAreSwitchedOneByOne() {
        assertThat(guest.call("vif_signal", 0, 1)).isZero();
        assertThat(disk.answersOn).isTrue();
        assertThat(disk.roomOn).isFalse();
        guest.call("vif_signal", 0, 2);
        assertThat(disk.answersOn).isFalse();
        assertThat(disk.roomOn).isTrue();
        assertThat(guest.call("vif_signal", 0, 4)).isEqualTo(-SidecoreImports.EINVAL);
    }

    @Test
    void aVifThatIsNotHeldIsToldOnEveryCall() {
        for (var vif : new long[] {1, -1, Integer.MIN_VALUE, Integer.MAX_VALUE}) {
            for (var name : new String[] {"vif_size", "vif_is_full", "vif_is_empty", "vif_is_read_only"}) {
                assertThat(guest.call(name, vif)).as("%s(%d)", name, vif).isEqualTo(-SidecoreImports.EBADF);
            }
            for (var name : new String[] {"vif_send", "vif_recv", "vif_signal"}) {
                assertThat(guest.call(name, vif, 0)).as("%s(%d)", name, vif).isEqualTo(-SidecoreImports.EBADF);
            }
        }
    }

    @Test
    void aPointerOutsideLinearMemoryIsAFaultInEveryImport() {
        send(2, 0, 0, 0, 1, 0);
        for (var at :
                new long[] {PAGE, PAGE - 1, PAGE - 15, 2L * PAGE, Integer.MAX_VALUE, Integer.MIN_VALUE, -1, -16}) {
            assertThat(guest.call("vif_send", 0, at)).as("vif_send(%d)", at).isEqualTo(-SidecoreImports.EFAULT);
            assertThat(guest.call("vif_recv", 0, at)).as("vif_recv(%d)", at).isEqualTo(-SidecoreImports.EFAULT);
            assertThat(guest.call("print", at, 16)).as("print(%d)", at).isEqualTo(-SidecoreImports.EFAULT);
            assertThat(guest.call("message_send", at, 16))
                    .as("message_send(%d)", at)
                    .isEqualTo(-SidecoreImports.EFAULT);
        }
        assertThat(guest.call("vif_recv", 0, PAGE - 16)).isEqualTo(1);
        assertThat(host.console).isEmpty();
    }

    @Test
    void aPayloadBeyondWhatTheGuestHasGrownToIsAFault() {
        // Inside the VM's memory, so the port alone would take it.
        assertThat(send(0, 0, 0, 512, 1, PAGE)).isEqualTo(-SidecoreImports.EFAULT);
        assertThat(send(0, 0, 0, 512, 1, PAGE - 511)).isEqualTo(-SidecoreImports.EFAULT);
        assertThat(send(1, 0, 0, 1, 1, -1)).isEqualTo(-SidecoreImports.EFAULT);
        assertThat(send(1, 0, 0, Long.MAX_VALUE, 1, PAYLOAD)).isEqualTo(-SidecoreImports.EFAULT);
        assertThat(send(1, 0, 0, -1, 1, PAYLOAD)).isEqualTo(-SidecoreImports.EFAULT);
        assertThat(disk.sent).isZero();
        assertThat(send(0, 0, 0, 512, 1, PAGE - 512)).isZero();
    }

    @Test
    void aRequestThatMakesNoSenseIsRefused() {
        assertThat(send(5, 0, 0, 0, 1, 0)).isEqualTo(-SidecoreImports.EINVAL);
        assertThat(send(-1, 0, 0, 0, 1, 0)).isEqualTo(-SidecoreImports.EINVAL);
        assertThat(send(0, 8, 0, 512, 1, PAYLOAD)).isEqualTo(-SidecoreImports.EINVAL);
        assertThat(send(0, 1 << 8, 0, 512, 1, PAYLOAD)).isEqualTo(-SidecoreImports.EINVAL);
        assertThat(send(0, 0, 1 << 20, 512, 1, PAYLOAD)).isEqualTo(-SidecoreImports.EINVAL);
        assertThat(send(3, 0, -1, 512, 1, 0)).isEqualTo(-SidecoreImports.EINVAL);
        request(0, 0, 0, 512, 1, PAYLOAD);
        host.memory.set(JAVA_INT_UNALIGNED, REQUEST + 36, 1);
        assertThat(guest.call("vif_send", 0, REQUEST)).isEqualTo(-SidecoreImports.EINVAL);
        assertThat(disk.sent).isZero();
    }

    @Test
    void anOperationWithoutAPayloadDoesNotLookAtItsAddress() {
        assertThat(send(4, 2, 0, 1 << 20, 1, -1)).isZero();
    }

    @Test
    void timersAreSetAndTakenBack() {
        assertThat(guest.call("timer_set", 63, 5_000)).isZero();
        assertThat(host.timers).containsEntry(63, host.now + 5_000);
        assertThat(guest.call("timer_cancel", 63)).isZero();
        assertThat(host.timers).isEmpty();
    }

    @Test
    void aTimerThatDoesNotExistIsRefused() {
        assertThat(guest.call("timer_set", 64, 1)).isEqualTo(-SidecoreImports.EINVAL);
        assertThat(guest.call("timer_set", -1, 1)).isEqualTo(-SidecoreImports.EINVAL);
        assertThat(guest.call("timer_set", 0, -1)).isEqualTo(-SidecoreImports.EINVAL);
        assertThat(guest.call("timer_cancel", 64)).isEqualTo(-SidecoreImports.EINVAL);
        assertThat(guest.call("timer_cancel", -1)).isEqualTo(-SidecoreImports.EINVAL);
    }

    @Test
    void clocksAreTheHosts() {
        assertThat(guest.call("clock_nanos")).isEqualTo(host.nanos());
        assertThat(guest.call("wall_nanos")).isEqualTo(host.wallNanos());
    }

    @Test
    void textReachesTheConsole() {
        host.memory
                .asSlice(PAYLOAD, 5)
                .copyFrom(java.lang.foreign.MemorySegment.ofArray("hello".getBytes(StandardCharsets.UTF_8)));
        assertThat(guest.call("print", PAYLOAD, 5)).isZero();
        assertThat(host.console).hasToString("hello");
    }

    @Test
    void textAndMessagesHaveALongestLength() {
        assertThat(guest.call("print", 0, PAGE)).isZero();
        assertThat(guest.call("print", 0, -1)).isEqualTo(-SidecoreImports.EFAULT);
        assertThat(guest.call("message_send", 0, Integer.MIN_VALUE)).isEqualTo(-SidecoreImports.EFAULT);
        for (var name : new String[] {"print", "message_send"}) {
            var text = new ModuleText().memory(2, 2).export("memory", 2, 0);
            var function = text.imported("sidecore", name, "ii>i");
            var exit = text.imported("sidecore", "exit", "i>");
            var body = ModuleText.i32(0) + ModuleText.i32(PAGE + 1) + ModuleText.call(function) + ModuleText.call(exit);
            new WasmProgram(text.exported("on_start", ">", body).module()).onStart(host);
            assertThat(host.exit).isEqualTo(-SidecoreImports.E2BIG);
        }
        assertThat(host.messages).isEmpty();
    }

    @Test
    void anExitIsTheHosts() {
        guest.call("exit", 7);
        assertThat(host.exit).isEqualTo(7);
    }
}
