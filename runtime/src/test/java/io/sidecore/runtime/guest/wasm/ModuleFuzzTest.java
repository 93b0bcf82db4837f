package io.sidecore.runtime.guest.wasm;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.InputStream;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Damaged modules are refused, or run within their bounds: whatever else comes out is a defect. What loops is interrupted. */
@Timeout(600)
class ModuleFuzzTest {
    private static final long DEADLINE_MILLIS = 200;
    private static final long MEMORY = 2 << 20;

    private final SynchronousQueue<Thread> running = new SynchronousQueue<>();
    private final SynchronousQueue<Boolean> over = new SynchronousQueue<>();
    /** Interrupts what runs past the deadline. */
    private final Thread watch = Thread.ofPlatform().daemon().start(this::watch);

    private int refused;
    private int trapped;
    private int interrupted;
    private int ran;

    private void watch() {
        try {
            while (true) {
                var thread = running.take();
                while (over.poll(DEADLINE_MILLIS, TimeUnit.MILLISECONDS) == null) {
                    thread.interrupt();
                }
                over.put(true);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @AfterEach
    void end() throws Exception {
        watch.interrupt();
        watch.join();
    }

    private void bounded(Runnable guest) throws InterruptedException {
        running.put(Thread.currentThread());
        try {
            guest.run();
            ran++;
        } catch (WasmTrap e) {
            if (e.reason() == WasmTrap.Reason.INTERRUPTED) {
                interrupted++;
            } else {
                trapped++;
            }
        } finally {
            Thread.interrupted();
            while (!over.offer(true, 1, TimeUnit.MILLISECONDS)) {
                Thread.interrupted();
            }
            Thread.interrupted();
            takeBack();
            Thread.interrupted();
        }
    }

    private void takeBack() {
        while (true) {
            try {
                over.take();
                return;
            } catch (InterruptedException e) {
                // The watch was late: this interrupt was meant for what has ended.
            }
        }
    }

    private void run(byte[] wasm) throws InterruptedException {
        GuestModule module;
        try {
            module = GuestModule.of(wasm);
            module.checkMemory(MEMORY);
            module.machines();
        } catch (ModuleException e) {
            refused++;
            return;
        }
        var host = new TestHost(MEMORY).disk(256 << 10, 8);
        if (module.kind() == GuestModule.Kind.PROGRAM) {
            bounded(() -> new WasiProgram(
                            module,
                            host,
                            WasiProgram.Streams.console(host, InputStream.nullInputStream()),
                            List.of("a"),
                            Map.of("b", "c"))
                    .run());
            return;
        }
        bounded(() -> {
            var guest = new WasmProgram(module);
            guest.onStart(host);
            for (var i = 0; i < 20 && host.exit == null; i++) {
                guest.onBlock(host, 0);
            }
            guest.onTimer(host, 0);
            guest.onMessage(host, "stats".getBytes(java.nio.charset.StandardCharsets.US_ASCII));
            guest.save();
            guest.onStop(host);
        });
    }

    private static byte[] mutate(byte[] valid, Random random) {
        var bytes = valid.clone();
        for (var n = 1 + random.nextInt(3); n > 0; n--) {
            var at = 8 + random.nextInt(bytes.length - 8);
            switch (random.nextInt(4)) {
                case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
                case 1 -> bytes[at] = (byte) random.nextInt(256);
                case 2 -> bytes[at] = (byte) new int[] {0, 1, 0x7F, 0x80, 0xFF}[random.nextInt(5)];
                default -> {
                    var length = Math.min(1 + random.nextInt(16), bytes.length - at);
                    System.arraycopy(bytes, 8 + random.nextInt(bytes.length - 8 - length), bytes, at, length);
                }
            }
        }
        return random.nextInt(20) == 0 ? Arrays.copyOf(bytes, random.nextInt(bytes.length)) : bytes;
    }

    private void mutations(byte[] valid, int count, long seed) throws InterruptedException {
        var random = new Random(seed);
        for (var i = 0; i < count; i++) {
            run(mutate(valid, random));
        }
        System.out.printf(
                "%d mutations (seed %d): %d refused, %d trapped, %d interrupted, %d ran%n",
                count, seed, refused, trapped, interrupted, ran);
        assertThat(refused + trapped + interrupted + ran).isEqualTo(count);
        assertThat(refused).isPositive();
        assertThat(ran).isPositive();
    }

    @Test
    void mutationsOfTheDemoGuestAreRefusedOrBounded() throws Exception {
        mutations(DemoGuestTest.demo(), 1_500, 1);
    }

    @Test
    void mutationsOfASmallModuleAreRefusedOrBounded() throws Exception {
        mutations(ImportCaller.module(), 3_000, 2);
    }

    @Test
    void mutationsOfAProgramAreRefusedOrBounded() throws Exception {
        var hello = GuestModule.class.getResourceAsStream("hello.wasm").readAllBytes();
        mutations(hello, 3_000, 3);
    }
}
