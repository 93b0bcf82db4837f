package io.sidecore.runtime.guest;

import io.sidecore.actors.block.Errno;
import io.sidecore.actors.core.VcpuThreads;
import io.sidecore.actors.vm.GuestContext;
import io.sidecore.actors.vm.GuestException;
import io.sidecore.actors.vm.GuestProgram;
import io.sidecore.conf.Amounts;
import io.sidecore.conf.VmSettings;
import io.sidecore.runtime.guest.wasm.WasmTrap;
import io.sidecore.runtime.transfer.VolumeFiles;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * One run of a {@link GuestProgram}: its events, one at a time, on the vCPU threads of the guest cores. What wakes it (an answer, a timer, a message) sets a mark; the event is made from it when the scheduler gives the guest its turn.
 */
public final class EventGuest extends InsideGuest {
    /** Messages that a guest has not read yet, at most. */
    private static final int MESSAGES = 1_024;

    private static final String STATE_FILE = "program.state";
    private static final String MEMORY_FILE = "memory";
    private static final int STATE_MAGIC = 0x53435631;
    private static final int PAGE = 4096;
    /** What is read of a kept memory at once. */
    private static final int CHUNK = 64 * PAGE;

    /** What the host shares among such guests. */
    public record Floor(VcpuThreads threads, ScheduledExecutorService timers) {}

    /** Something that is done between two events, on the vCPU: true once it is done. */
    private interface Task {
        boolean run() throws Exception;
    }

    private final Duration deadline;
    private final Floor floor;
    private final Supplier<GuestProgram> programs;
    private final EventContext context = new EventContext();

    // What is to be told, set by any thread.
    private final AtomicLong blocks = new AtomicLong();
    private final ConcurrentLinkedQueue<Timer> due = new ConcurrentLinkedQueue<>();
    private final ConcurrentLinkedQueue<byte[]> messages = new ConcurrentLinkedQueue<>();
    private final AtomicInteger messageCount = new AtomicInteger();
    private final ConcurrentLinkedQueue<BooleanSupplier> tasks = new ConcurrentLinkedQueue<>();
    private volatile boolean stopAsked;
    private volatile List<Integer> cores;

    // Of the vCPU.
    private final @Nullable Timer[] timers = new Timer[GuestContext.TIMERS];
    private @Nullable BooleanSupplier task;
    private boolean paused;
    /** A snapshot is being taken of it; a guest that is resumed meanwhile waits for its end. */
    private boolean saving;

    private boolean exited;
    private int turn;
    /** The VIF that was told of last: the next one goes before it. */
    private int vif = Long.SIZE - 1;

    /** The event that runs, for who asks what it was. */
    private volatile String event = "";

    private volatile VcpuThreads.@Nullable Vcpu vcpu;
    private volatile @Nullable GuestProgram program;

    /**
     * A run that has not begun.
     *
     * @param deadline how long one event may last
     * @param cores where the vCPU threads are, for reports
     * @param programs makes the program; may throw a {@link GuestException}
     */
    public EventGuest(
            GuestPlace place,
            VmSettings vm,
            Duration deadline,
            Floor floor,
            List<Integer> cores,
            Supplier<GuestProgram> programs) {
        super(place, vm);
        this.deadline = deadline;
        this.floor = floor;
        this.cores = cores;
        this.programs = programs;
    }

    // --- start

    @Override
    void prepare() {
        program = programs.get();
        // One that has just begun waits by returning, and need not have looked for answers before.
        ports.forEach(port -> port.signalAnswers(true));
        vcpu = floor.threads()
                .add(
                        place.vm(),
                        new VcpuThreads.Terms(vm.weight(), vm.cap().orElse(1), deadline),
                        this::runOne,
                        new EventFaults());
    }

    @Override
    CompletableFuture<Void> begin(Optional<Path> snapshot) {
        return between(() -> {
            if (snapshot.isPresent()) {
                restore(snapshot.get());
            } else {
                event = "on_start";
                program().onStart(context);
            }
            return true;
        });
    }

    private GuestProgram program() {
        var present = program;
        assert present != null : place;
        return present;
    }

    @Override
    String sentence(Throwable failure) {
        var what = event.isEmpty() ? "" : event + ": ";
        return switch (failure) {
            case OutOfMemoryError e -> what + "it ran out of memory (" + e.getMessage() + ")";
            case StackOverflowError e -> what + "its stack has overflowed";
            case WasmTrap trap -> String.valueOf(trap.getMessage());
            default -> what + super.sentence(failure);
        };
    }

    // --- events

    private void wake() {
        var present = vcpu;
        if (present != null) {
            floor.threads().wake(present);
        }
    }

    @Override
    void woken(int vif) {
        blocks.getAndUpdate(marks -> marks | 1L << vif);
        wake();
    }

    @Override
    boolean typed(byte[] line) {
        return sent(line);
    }

    @Override
    boolean sent(byte[] message) {
        if (messageCount.incrementAndGet() > MESSAGES) {
            messageCount.decrementAndGet();
            return false;
        }
        messages.add(message);
        wake();
        return true;
    }

    /** Does it on the vCPU between two events; the stage tells when it is done. */
    private CompletableFuture<Void> between(Task wanted) {
        var done = new CompletableFuture<Void>();
        tasks.add(() -> {
            try {
                if (!wanted.run()) {
                    return false;
                }
                done.complete(null);
            } catch (Throwable e) {
                done.completeExceptionally(e);
            }
            return true;
        });
        wake();
        return done;
    }

    /** The vCPU's: one event. */
    private boolean runOne() {
        if (task == null) {
            task = tasks.poll();
        }
        if (task != null) {
            if (task.getAsBoolean()) {
                task = null;
                return isMore();
            }
            // It goes on when something wakes the guest.
            return false;
        }
        if (halted() || exited) {
            return false;
        }
        var program = program();
        if (stopAsked) {
            stopAsked = false;
            event = "on_stop";
            program.onStop(context);
            return isMore();
        }
        // In turn: a disk that is never idle does not hold back timers and messages.
        for (var tried = 0; tried < 3; tried++) {
            turn = (turn + 1) % 3;
            switch (turn) {
                case 0 -> {
                    var marked = blocks.get();
                    if (marked != 0) {
                        vif = (vif + 1 + Long.numberOfTrailingZeros(Long.rotateRight(marked, vif + 1))) % Long.SIZE;
                        var told = ~(1L << vif);
                        blocks.getAndUpdate(marks -> marks & told);
                        event = "on_block";
                        program.onBlock(context, vif);
                        return isMore();
                    }
                }
                case 1 -> {
                    var timer = nextDue();
                    if (timer != null) {
                        timers[timer.number] = null;
                        event = "on_timer";
                        program.onTimer(context, timer.number);
                        return isMore();
                    }
                }
                default -> {
                    var message = messages.poll();
                    if (message != null) {
                        messageCount.decrementAndGet();
                        event = "on_message";
                        program.onMessage(context, message);
                        return isMore();
                    }
                }
            }
        }
        return false;
    }

    private boolean halted() {
        return paused || saving;
    }

    /** One that was set anew or taken back after it had come due is none any more. */
    private @Nullable Timer nextDue() {
        Timer timer;
        do {
            timer = due.poll();
        } while (timer != null && timers[timer.number] != timer);
        return timer;
    }

    private boolean isMore() {
        if (exited) {
            return task != null || !tasks.isEmpty();
        }
        return !tasks.isEmpty()
                || !halted() && (blocks.get() != 0 || !due.isEmpty() || !messages.isEmpty() || stopAsked);
    }

    private final class EventFaults implements VcpuThreads.Faults {
        @Override
        public void overran(Duration lasted) {
            if (!isKilled()) {
                end(new Exit(false, event + " lasted longer than " + Amounts.duration(deadline)));
            }
        }

        @Override
        public void stuck(Duration lasted) {
            watcher()
                    .noted(
                            "stuck",
                            event
                                    + " cannot be interrupted; its thread was given up, and its memory stays as long as it runs");
            end(new Exit(
                    false,
                    event + " lasted longer than " + Amounts.duration(deadline) + ", and could not be interrupted"));
        }

        @Override
        public void threw(Throwable thrown) {
            end(new Exit(false, sentence(thrown)));
        }
    }

    // --- the end

    @Override
    CompletionStage<?> halt() {
        var present = vcpu;
        return present == null
                ? CompletableFuture.completedFuture(null)
                : floor.threads().remove(present);
    }

    @Override
    Duration patience() {
        return deadline.multipliedBy(2).plusSeconds(2);
    }

    @Override
    void hurry() {
        var present = vcpu;
        if (present != null) {
            floor.threads().hurry(present);
        }
    }

    @Override
    void close() {
        for (var timer : timers) {
            if (timer != null) {
                timer.cancel();
            }
        }
        var present = program;
        if (present != null) {
            present.close();
        }
    }

    // --- what is done to it

    @Override
    public CompletionStage<Void> stop() {
        stopAsked = true;
        wake();
        return CompletableFuture.completedFuture(null);
    }

    @Override
    public CompletionStage<Void> pause() {
        return between(() -> {
            paused = true;
            return true;
        });
    }

    @Override
    public CompletionStage<Void> resume() {
        return between(() -> {
            paused = false;
            return true;
        });
    }

    @Override
    public void place(List<Integer> on) {
        cores = on;
    }

    @Override
    public CompletionStage<Statistics> statistics() {
        var present = vcpu;
        return CompletableFuture.completedFuture(
                new Statistics(present == null ? 0 : present.grantedNanos(), OptionalLong.empty(), cores));
    }

    // --- snapshots: between two events, when no request is on its way

    @Override
    public CompletionStage<Void> snapshot(Path folder) {
        var saved = new CompletableFuture<byte[]>();
        return between(() -> {
                    for (var port : ports) {
                        if (!port.drained()) {
                            return false;
                        }
                    }
                    saved.complete(state());
                    return true;
                })
                .thenCompose(done -> Aside.<Void>run(THREAD, () -> {
                            Files.write(folder.resolve(STATE_FILE), saved.join());
                            saveMemory(folder.resolve(MEMORY_FILE));
                            disks().save(new VolumeFiles(place.host()), folder);
                            return null;
                        })
                        .handle((kept, failure) -> Optional.ofNullable(failure)))
                // It goes on in either case.
                .thenCompose(failure -> between(this::goOn)
                        .thenAccept(on -> failure.ifPresent(why -> {
                            throw why instanceof GuestException known
                                    ? known
                                    : new GuestException("it could not be saved: " + why.getMessage(), why);
                        })));
    }

    /** After a snapshot: answers that came before it are still to be told of. */
    private boolean goOn() {
        saving = false;
        for (var i = 0; i < ports.size(); i++) {
            if (ports.get(i).holdsAny() && ports.get(i).signalled()) {
                woken(i);
            }
        }
        return true;
    }

    private byte[] state() throws IOException {
        var program = program();
        var own =
                program.save().orElseThrow(() -> new GuestException("its program cannot be saved (GuestProgram.save)"));
        var bytes = new ByteArrayOutputStream();
        var out = new DataOutputStream(bytes);
        out.writeInt(STATE_MAGIC);
        out.writeUTF(program.getClass().getName());
        out.writeInt(own.length);
        out.write(own);
        var now = System.nanoTime();
        for (var timer : timers) {
            out.writeLong(timer == null ? -1 : Math.max(0, timer.at - now));
        }
        out.writeInt(ports.size());
        for (var port : ports) {
            out.writeBoolean(port.signalled());
            for (var held : port.held()) {
                out.writeBoolean(true);
                out.writeLong(held.tag());
                out.writeUTF(held.error().name());
            }
            out.writeBoolean(false);
        }
        // From here on it stands still.
        saving = true;
        return bytes.toByteArray();
    }

    /** Pages that are all zero are left out: they are holes. */
    private void saveMemory(Path file) throws IOException {
        var zeros = new byte[PAGE];
        try (var channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            var size = memory().byteSize();
            for (long at = 0; at < size; at += PAGE) {
                var bytes = memory().asSlice(at, Math.min(PAGE, size - at));
                if (bytes.mismatch(MemorySegment.ofArray(zeros).asSlice(0, bytes.byteSize())) >= 0) {
                    write(channel, bytes.asByteBuffer(), at);
                }
            }
            if (channel.size() < size) {
                write(channel, ByteBuffer.allocate(1), size - 1);
            }
        }
    }

    private static void write(FileChannel channel, ByteBuffer bytes, long at) throws IOException {
        for (var to = at; bytes.hasRemaining(); ) {
            to += channel.write(bytes, to);
        }
    }

    private void restore(Path folder) throws IOException {
        try (var channel = FileChannel.open(folder.resolve(MEMORY_FILE))) {
            if (channel.size() != memory().byteSize()) {
                throw new GuestException("the snapshot is of a VM with %s of memory, and this one has %s"
                        .formatted(Amounts.size(channel.size()), Amounts.size(memory().byteSize())));
            }
            restoreMemory(channel);
        }
        try (var in = new DataInputStream(new ByteArrayInputStream(Files.readAllBytes(folder.resolve(STATE_FILE))))) {
            restore(in);
        } catch (EOFException | IllegalArgumentException e) {
            throw new GuestException("the snapshot is damaged: " + e.getMessage(), e);
        }
    }

    /** What is zero is left alone: a page that nobody touches takes no memory of the host. */
    private void restoreMemory(FileChannel channel) throws IOException {
        var zeros = MemorySegment.ofArray(new byte[PAGE]);
        var chunk = ByteBuffer.allocate(CHUNK);
        for (long at = 0; channel.read(chunk.clear()) > 0; at += chunk.limit()) {
            // In whole pages, but at the end.
            while (chunk.hasRemaining() && channel.read(chunk) > 0) {}
            chunk.flip();
            for (var page = 0; page < chunk.limit(); page += PAGE) {
                var bytes = MemorySegment.ofBuffer(chunk).asSlice(page, Math.min(PAGE, chunk.limit() - page));
                if (bytes.mismatch(zeros.asSlice(0, bytes.byteSize())) >= 0) {
                    MemorySegment.copy(bytes, 0, memory(), at + page, bytes.byteSize());
                }
            }
        }
    }

    private void restore(DataInputStream in) throws IOException {
        var program = program();
        if (in.readInt() != STATE_MAGIC) {
            throw new GuestException("the snapshot is of another kind of guest");
        }
        var of = in.readUTF();
        if (!of.equals(program.getClass().getName())) {
            throw new GuestException("the snapshot is of a program " + of + ", not "
                    + program.getClass().getName());
        }
        var own = in.readNBytes(in.readInt());
        var remaining = new long[GuestContext.TIMERS];
        for (var i = 0; i < GuestContext.TIMERS; i++) {
            remaining[i] = in.readLong();
        }
        if (in.readInt() != ports.size()) {
            throw new GuestException("the snapshot is of a VM with another number of disks");
        }
        for (var i = 0; i < ports.size(); i++) {
            var port = ports.get(i);
            port.signalAnswers(in.readBoolean());
            while (in.readBoolean()) {
                port.hold(in.readLong(), Errno.valueOf(in.readUTF()));
            }
            if (port.holdsAny() && port.signalled()) {
                woken(i);
            }
        }
        event = "on_restore";
        program.onRestore(context, own);
        for (var i = 0; i < GuestContext.TIMERS; i++) {
            if (remaining[i] >= 0) {
                context.timer(i, Duration.ofNanos(remaining[i]));
            }
        }
    }

    // --- what the program is given

    private final class Timer implements Runnable {
        final int number;
        final long at;
        volatile @Nullable ScheduledFuture<?> scheduled;

        Timer(int number, long at) {
            this.number = number;
            this.at = at;
        }

        @Override
        public void run() {
            due.add(this);
            wake();
        }

        void cancel() {
            var future = scheduled;
            if (future != null) {
                future.cancel(false);
            }
        }
    }

    private final class EventContext extends Context {
        @Override
        public void timer(int number, Duration after) {
            cancelTimer(number);
            var timer = new Timer(number, System.nanoTime() + after.toNanos());
            timers[number] = timer;
            timer.scheduled = floor.timers().schedule(timer, after.toNanos(), TimeUnit.NANOSECONDS);
        }

        @Override
        public void cancelTimer(int number) {
            if (number < 0 || number >= GuestContext.TIMERS) {
                throw new GuestException(
                        "timers are numbered from 0 to " + (GuestContext.TIMERS - 1) + ", not " + number);
            }
            var former = timers[number];
            if (former != null) {
                former.cancel();
                timers[number] = null;
            }
        }

        @Override
        public void exit(int code) {
            exited = true;
            end(
                    code == 0
                            ? new Exit(true, "its program ended")
                            : new Exit(false, "its program ended with code " + code));
        }
    }
}
