package io.sidecore.runtime.guest;

import io.sidecore.actors.vm.GuestException;
import io.sidecore.conf.GuestSettings;
import io.sidecore.conf.VmSettings;
import io.sidecore.devices.linux.Affinity;
import io.sidecore.runtime.guest.wasm.GuestModule;
import io.sidecore.runtime.guest.wasm.WasiProgram;
import io.sidecore.runtime.guest.wasm.WasmTrap;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import org.jspecify.annotations.Nullable;

/** One run of a program of WASI: on a thread of its own, which the kernel schedules on the guest cores. It reads what is typed at its console. */
public final class ProgramGuest extends InsideGuest {
    /** Lines that were typed and that it has not read, at most. */
    private static final int LINES = 1_024;

    private final GuestSettings.Wasm settings;
    private final GuestModule module;
    private final Affinity affinity = Affinity.ofThisMachine();
    private final Typed typed = new Typed();
    private final CompletableFuture<Void> over = new CompletableFuture<>();
    private volatile List<Integer> cores;
    private volatile @Nullable WasiProgram program;
    private volatile @Nullable Thread thread;
    private volatile int threadId = -1;

    /**
     * A run that has not begun.
     *
     * @param cores on which it runs
     * @param module a program of WASI
     */
    public ProgramGuest(
            GuestPlace place, VmSettings vm, GuestSettings.Wasm settings, List<Integer> cores, GuestModule module) {
        super(place, vm);
        this.settings = settings;
        this.cores = cores;
        this.module = module;
    }

    @Override
    void check(Path snapshot) {
        throw notBetweenEvents("restored");
    }

    @Override
    void prepare() {
        if (vm.cap().isPresent()) {
            throw new GuestException(
                    "a program of WASI (_start) cannot be capped, since the kernel schedules it; give it less weight");
        }
        var context = new ProgramContext();
        var arguments = new ArrayList<String>();
        arguments.add(place.vm());
        arguments.addAll(settings.arguments());
        program = new WasiProgram(module, context, WasiProgram.Streams.console(context, typed), arguments, Map.of());
        module.compile();
    }

    @Override
    CompletableFuture<Void> begin(Optional<Path> snapshot) {
        var begun = new CompletableFuture<Void>();
        var started = Thread.ofPlatform()
                .daemon()
                .name("sidecore-program-" + place.vm())
                .stackSize(WasiProgram.STACK_BYTES)
                .unstarted(() -> run(begun));
        thread = started;
        started.start();
        return begun;
    }

    private void run(CompletableFuture<Void> begun) {
        threadId = affinity.currentThreadId();
        affinity.pinThread(0, cores).ifPresent(why -> watcher().noted("warning", "it is not pinned: " + why));
        affinity.nice(0, Nice.of(vm.weight())).ifPresent(why -> watcher().noted("warning", "it has no weight: " + why));
        begun.complete(null);
        Exit how;
        try {
            var running = program;
            assert running != null : place;
            var code = running.run();
            how = code == 0
                    ? new Exit(true, "its program ended")
                    : new Exit(false, "its program ended with code " + code);
        } catch (WasmTrap e) {
            how = new Exit(false, String.valueOf(e.getMessage()));
        } catch (Throwable e) {
            how = new Exit(false, sentence(e));
        }
        over.complete(null);
        end(how);
    }

    private static GuestException notBetweenEvents(String what) {
        return new GuestException("a program of WASI (_start) cannot be " + what
                + ": it is always in the middle of something; modules of events (on_start) can");
    }

    @Override
    void woken(int vif) {
        var running = program;
        if (running != null) {
            running.onBlock(vif);
        }
    }

    @Override
    boolean typed(byte[] line) {
        return typed.add(line);
    }

    /** Its input ends; what it makes of that is its own affair. */
    @Override
    public CompletionStage<Void> stop() {
        typed.end();
        return CompletableFuture.completedFuture(null);
    }

    @Override
    void hurry() {
        var running = thread;
        if (running != null) {
            running.interrupt();
        }
    }

    @Override
    CompletionStage<?> halt() {
        hurry();
        return thread == null ? CompletableFuture.completedFuture(null) : over;
    }

    @Override
    Duration patience() {
        return Duration.ofSeconds(5);
    }

    @Override
    void close() {
        program = null;
    }

    @Override
    public CompletionStage<Void> pause() {
        return CompletableFuture.failedFuture(notBetweenEvents("paused"));
    }

    @Override
    public CompletionStage<Void> resume() {
        return CompletableFuture.failedFuture(notBetweenEvents("resumed"));
    }

    @Override
    public CompletionStage<Void> snapshot(Path folder) {
        return CompletableFuture.failedFuture(notBetweenEvents("saved"));
    }

    @Override
    public void place(List<Integer> on) {
        cores = on;
        if (threadId >= 0 && !over.isDone()) {
            affinity.pinThread(threadId, on).ifPresent(why -> watcher().noted("warning", "it is not pinned: " + why));
        }
    }

    @Override
    public CompletionStage<Statistics> statistics() {
        var running = thread;
        var nanos = running == null
                ? 0
                : Math.max(0, ManagementFactory.getThreadMXBean().getThreadCpuTime(running.threadId()));
        return CompletableFuture.completedFuture(new Statistics(nanos, OptionalLong.empty(), cores));
    }

    private final class ProgramContext extends Context {
        @Override
        public void timer(int number, Duration after) {
            throw new GuestException("a program of WASI has no timers; it can wait");
        }

        @Override
        public void cancelTimer(int number) {
            throw new GuestException("a program of WASI has no timers; it can wait");
        }

        @Override
        public void exit(int code) {
            throw new GuestException("a program of WASI ends by proc_exit, or by returning");
        }
    }

    /** What was typed, in lines. */
    private static final class Typed extends InputStream {
        private static final byte[] END = {};

        private final BlockingQueue<byte[]> lines = new ArrayBlockingQueue<>(LINES + 1);
        private byte[] current = END;
        private int at;
        private boolean ended;

        synchronized boolean add(byte[] line) {
            if (lines.size() >= LINES) {
                return false;
            }
            var whole = Arrays.copyOf(line, line.length + 1);
            whole[line.length] = '\n';
            return lines.offer(whole);
        }

        synchronized void end() {
            var _ = lines.offer(END);
        }

        @Override
        public int read() throws IOException {
            var one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] into, int offset, int length) throws IOException {
            if (length == 0) {
                return 0;
            }
            if (at == current.length && !next()) {
                return -1;
            }
            var n = Math.min(length, current.length - at);
            System.arraycopy(current, at, into, offset, n);
            at += n;
            return n;
        }

        private boolean next() throws IOException {
            if (ended) {
                return false;
            }
            try {
                current = lines.take();
                at = 0;
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new InterruptedIOException("the guest is being stopped");
            }
            ended = current.length == 0;
            return !ended;
        }

        @Override
        public int available() {
            return current.length - at;
        }
    }
}
