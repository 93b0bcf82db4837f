package io.sidecore.runtime.guest;

import io.sidecore.actors.core.VcpuThreads;
import io.sidecore.actors.vm.GuestContext;
import io.sidecore.actors.vm.GuestException;
import io.sidecore.actors.vm.GuestProgram;
import io.sidecore.actors.vm.VirtualMachine;
import io.sidecore.conf.Amounts;
import io.sidecore.conf.VmSettings;
import io.sidecore.runtime.guest.wasm.WasmTrap;
import io.sidecore.runtime.transfer.VolumeFiles;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
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
    private static final int PAGE = 4096;
    /** What is read of a kept memory at once. */
    private static final int CHUNK = 64 * PAGE;
    /** What is written of it before somebody looks whether it still should be. */
    private static final int STRETCH = 1 << 20;

    /** How long a snapshot waits for its disks, and the guest with it. */
    private static final Duration DRAIN_TIMEOUT = VirtualMachine.PAUSE_TIMEOUT;

    /** As good as for ever. */
    private static final Duration LONGEST = Duration.ofDays(36_500);

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
    /** Timers that may have come; a mark may be of one that was taken back or set anew. */
    private final AtomicLong due = new AtomicLong();

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
    void check(Path snapshot) throws IOException {
        var state = EventState.read(snapshot.resolve(STATE_FILE));
        var made = programs.get();
        program = made;
        var present = made.getClass().getName();
        if (!state.program().equals(present)) {
            throw new GuestException("the snapshot is of a program " + state.program() + ", not " + present);
        }
        if (state.ports().size() != vm.disks().size()) {
            throw new GuestException("the snapshot is of a VM with %d disks, and this one has %d"
                    .formatted(state.ports().size(), vm.disks().size()));
        }
        var file = snapshot.resolve(MEMORY_FILE);
        if (!Files.isReadable(file)) {
            throw new GuestException("the snapshot is damaged: its memory is not there, or cannot be read");
        }
        var bytes = Files.size(file);
        if (bytes != memory().byteSize()) {
            throw new GuestException("the snapshot is of a VM with %s of memory, and this one has %s"
                    .formatted(Amounts.size(bytes), Amounts.size(memory().byteSize())));
        }
        made.check(state.own());
    }

    @Override
    void prepare() {
        if (program == null) {
            program = programs.get();
        }
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
        if (snapshot.isPresent()) {
            // What is read takes its time, and is no event of the guest's.
            return Aside.run(THREAD, () -> read(snapshot.get()))
                    .thenCompose(state -> between(() -> {
                        restore(state);
                        return true;
                    }));
        }
        return between(() -> {
            event = "on_start";
            program().onStart(context);
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

    /** For what the host wants of it: that does not wait for what the guest has used. */
    private void urge() {
        var present = vcpu;
        if (present != null) {
            floor.threads().urge(present);
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
        urge();
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
            }
            if (task != null || !tasks.isEmpty() || stopAsked) {
                urge();
            }
            // A task that is not done goes on when something wakes the guest.
            return task == null && isMore();
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
                        unmark(timer.number);
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

    /** The one that is due for longest. */
    private @Nullable Timer nextDue() {
        Timer next = null;
        var now = System.nanoTime();
        for (var marks = due.get(); marks != 0; marks &= marks - 1) {
            var number = Long.numberOfTrailingZeros(marks);
            var timer = timers[number];
            if (timer == null || timer.at - now > 0) {
                unmark(number);
            } else if (next == null || timer.at - next.at < 0) {
                next = timer;
            }
        }
        return next;
    }

    private void unmark(int timer) {
        due.getAndUpdate(marks -> marks & ~(1L << timer));
    }

    private boolean isMore() {
        if (exited) {
            return task != null || !tasks.isEmpty();
        }
        return !tasks.isEmpty()
                || !halted() && (blocks.get() != 0 || due.get() != 0 || !messages.isEmpty() || stopAsked);
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
            giveUp();
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
        urge();
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
        var kept = new CompletableFuture<EventState>();
        var late = new AtomicBoolean();
        var limit = floor.timers()
                .schedule(
                        () -> {
                            late.set(true);
                            urge();
                        },
                        DRAIN_TIMEOUT.toNanos(),
                        TimeUnit.NANOSECONDS);
        return between(() -> {
                    if (!drained(late.get())) {
                        return false;
                    }
                    kept.complete(state());
                    // From here on it stands still.
                    saving = true;
                    return true;
                })
                .whenComplete((drained, failure) -> limit.cancel(false))
                .thenCompose(drained -> keep(() -> {
                            kept.join().write(folder.resolve(STATE_FILE));
                            saveMemory(folder.resolve(MEMORY_FILE));
                            disks().save(new VolumeFiles(place.host()), folder);
                            return null;
                        })
                        .handle((done, failure) -> Optional.ofNullable(failure)))
                // It goes on in either case.
                .thenCompose(failure -> between(() -> {
                            saving = false;
                            ports.forEach(HeldPort::goOn);
                            return true;
                        })
                        .thenAccept(on -> failure.ifPresent(why -> {
                            throw why instanceof GuestException known
                                    ? known
                                    : new GuestException("it could not be saved: " + why.getMessage(), why);
                        })));
    }

    /** Whether all that it has sent is answered; if some of it never is, it does not wait for ever. */
    private boolean drained(boolean late) {
        @Nullable String waiting = null;
        for (var i = 0; i < ports.size(); i++) {
            if (!ports.get(i).drained()) {
                waiting = vm.disks().get(i).volume();
            }
        }
        if (waiting != null && late) {
            ports.forEach(HeldPort::goOn);
            throw new GuestException("disk %s has not answered within %s; the guest goes on without a snapshot"
                    .formatted(waiting, Amounts.duration(DRAIN_TIMEOUT)));
        }
        return waiting == null;
    }

    private EventState state() {
        try {
            var program = program();
            var own = program.save()
                    .orElseThrow(() -> new GuestException("its program cannot be saved (GuestProgram.save)"));
            var now = System.nanoTime();
            return new EventState(
                    program.getClass().getName(),
                    own,
                    Arrays.stream(timers)
                            .mapToLong(timer -> timer == null ? -1 : Math.max(0, timer.at - now))
                            .toArray(),
                    ports.stream().map(HeldPort::state).toList(),
                    List.copyOf(messages));
        } catch (Throwable e) {
            ports.forEach(HeldPort::goOn);
            throw e;
        }
    }

    /** Pages that are all zero are left out: they are holes. */
    private void saveMemory(Path file) throws IOException {
        var zeros = new byte[PAGE];
        try (var channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            var size = memory().byteSize();
            for (long at = 0; at < size; at += PAGE) {
                if (at % STRETCH == 0) {
                    keepsOn(new Progress("memory", at, size));
                }
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

    /** Of a snapshot that was checked. */
    private EventState read(Path folder) throws IOException {
        try (var channel = FileChannel.open(folder.resolve(MEMORY_FILE))) {
            restoreMemory(channel);
        }
        return EventState.read(folder.resolve(STATE_FILE));
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

    private void restore(EventState state) {
        for (var i = 0; i < ports.size(); i++) {
            ports.get(i).restore(state.ports().get(i));
            // What it was to be told of when it was saved, it is told of again; that may be in vain.
            woken(i);
        }
        state.messages().forEach(this::sent);
        event = "on_restore";
        program().onRestore(context, state.own());
        for (var i = 0; i < GuestContext.TIMERS; i++) {
            if (state.timers()[i] >= 0) {
                context.timer(i, Duration.ofNanos(state.timers()[i]));
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
            due.getAndUpdate(marks -> marks | 1L << number);
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
            var nanos = after.isNegative() ? 0 : (after.compareTo(LONGEST) < 0 ? after : LONGEST).toNanos();
            var timer = new Timer(number, System.nanoTime() + nanos);
            timers[number] = timer;
            timer.scheduled = floor.timers().schedule(timer, nanos, TimeUnit.NANOSECONDS);
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
