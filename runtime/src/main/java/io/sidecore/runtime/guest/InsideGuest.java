package io.sidecore.runtime.guest;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.core.Clock;
import io.sidecore.actors.vif.GuestAdmission;
import io.sidecore.actors.vif.GuestMemory;
import io.sidecore.actors.vif.GuestPort;
import io.sidecore.actors.vif.InlineQueue;
import io.sidecore.actors.vm.Guest;
import io.sidecore.actors.vm.GuestContext;
import io.sidecore.actors.vm.GuestException;
import io.sidecore.actors.vm.VirtualMachine;
import io.sidecore.conf.Placement;
import io.sidecore.conf.VmSettings;
import io.sidecore.devices.linux.OffHeap;
import io.sidecore.devices.ring.RingQueue;
import io.sidecore.runtime.vm.Messages;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One run of a guest inside this process, whatever executes it: its memory, the ports of its disks, its console and messages, and how all of that ends with it.
 */
abstract class InsideGuest implements Guest {
    /** What waits for its sake. */
    static final String THREAD = "sidecore-guest";

    private static final int VIFS = 64;

    /** How long {@link #halt()} is waited for once it is killed: what it holds is to be free before it is given up. */
    private static final Duration KILL_PATIENCE = VirtualMachine.KILL_TIMEOUT.dividedBy(2);

    /** For who sees on his terminal what he typed. */
    private static final byte[] LOST =
            "[lost: the guest has not read what was typed before]\n".getBytes(StandardCharsets.US_ASCII);

    private static final Logger LOG = LoggerFactory.getLogger(InsideGuest.class);

    final GuestPlace place;
    final VmSettings vm;
    final LineDiscipline line;
    final List<HeldPort> ports = new ArrayList<>();
    private final Arena arena = Arena.ofShared();
    private final List<RingQueue> rings = new ArrayList<>();
    private final List<InlineQueue> inlines = new ArrayList<>();
    private final List<AutoCloseable> attachments = new ArrayList<>();
    private volatile @Nullable Watcher watcher;
    private volatile @Nullable GuestDisks disks;
    private @Nullable MemorySegment memory;
    private volatile @Nullable String killedFor;
    private @Nullable Exit ending;
    private boolean running;
    /** Completed when what executes is not waited for any more, whether or not it has ended. */
    private final CompletableFuture<Void> enough = new CompletableFuture<>();

    /** What must be done before it runs, and fails its start. */
    private @Nullable CompletableFuture<Void> begun;

    /** Of a snapshot: what writes it, for as long as it reads the memory and the disks. */
    private CompletableFuture<?> keeping = CompletableFuture.completedFuture(null);

    InsideGuest(GuestPlace place, VmSettings vm) {
        this.place = place;
        this.vm = vm;
        this.line = new LineDiscipline(place.console(), whole -> {
            if (!typed(whole)) {
                line().print(LOST, 0, LOST.length);
            }
        });
    }

    private LineDiscipline line() {
        return line;
    }

    // --- what a kind of guest has to say

    /** Refuses a snapshot that it cannot go on from, before anything is changed. */
    abstract void check(Path snapshot) throws IOException;

    /** Makes what executes. The memory and the ports are there. */
    abstract void prepare();

    /** Executes its beginning; completed when it runs, on any thread. */
    abstract CompletableFuture<Void> begin(Optional<Path> snapshot);

    /** The VIF of this number has answers, or room again. Any thread; must not wait. */
    abstract void woken(int vif);

    /** A line was typed; false if it is not taken. Any thread; must not wait. */
    abstract boolean typed(byte[] line);

    /** A message was sent; false if it is not taken, which it is by programs of events only. Any thread; must not wait. */
    boolean sent(byte[] message) {
        return false;
    }

    /** Executes nothing more; completed when that is certain. */
    abstract CompletionStage<?> halt();

    /** Lets go of what executed. */
    abstract void close();

    /** A failure in the words of the history. */
    String sentence(Throwable failure) {
        return failure instanceof GuestException && failure.getMessage() != null
                ? failure.getMessage()
                : failure.toString();
    }

    /** How long {@link #halt()} is waited for before the rest is let go. */
    abstract Duration patience();

    // --- start

    @Override
    public final CompletionStage<Void> start(Watcher told, Optional<Path> snapshot) {
        watcher = told;
        return Aside.<Void>run(THREAD, () -> {
                    prepare(snapshot);
                    prepare();
                    return null;
                })
                .thenCompose(prepared -> first(begin(snapshot)))
                .thenRun(() -> started(told))
                .exceptionallyCompose(failure -> {
                    var why = reason(failure);
                    return release(why).thenRun(() -> {
                        throw new GuestException(why, failure);
                    });
                });
    }

    private synchronized CompletableFuture<Void> first(CompletableFuture<Void> beginning) {
        begun = beginning;
        if (ending != null && !ending.well()) {
            beginning.completeExceptionally(new GuestException(ending.cause()));
        }
        return beginning;
    }

    private void prepare(Optional<Path> snapshot) throws IOException {
        refuseKilled();
        if (vm.disks().size() > VIFS) {
            throw new GuestException("it has " + vm.disks().size() + " disks, and may have " + VIFS);
        }
        var mapped = OffHeap.map(vm.guest().memoryBytes(), arena);
        OffHeap.noHugePages(mapped);
        memory = mapped;
        if (snapshot.isPresent()) {
            check(snapshot.get());
            GuestDisks.restore(place, vm.disks(), snapshot.get(), watcher(), this::refuseKilled);
            refuseKilled();
        }
        var held = GuestDisks.attach(place.host().storage(), place.vm(), vm.disks(), watcher());
        disks = held;
        var guestMemory = GuestMemory.of(mapped);
        var limits = place.host().settings().vif();
        for (var i = 0; i < held.held().size(); i++) {
            var attachment = held.held().get(i).attachment();
            var number = i;
            var refusals = new Refusals(attachment.volume().name());
            if (vm.disks().get(i).placement() == Placement.INLINE) {
                var queue =
                        new InlineQueue(attachment, guestMemory, limits, Clock.SYSTEM, () -> woken(number), refusals);
                inlines.add(queue);
                ports.add(new HeldPort(queue.port(), () -> woken(number)));
                held.held().get(i).vif().enlist(queue);
            } else {
                var queue = new RingQueue(guestMemory, attachment, limits, () -> woken(number), refusals);
                rings.add(queue);
                ports.add(new HeldPort(queue.port(), () -> woken(number)));
                held.held().get(i).vif().connect(queue.end());
            }
            // A guest that has only sent so far waits as well, without having looked: the first answer wakes it.
            ports.getLast().signalAnswers(true);
        }
    }

    private void refuseKilled() {
        var why = killedFor;
        if (why != null) {
            throw new GuestException(why);
        }
    }

    private synchronized void started(Watcher told) {
        if (ending != null && !ending.well()) {
            // It broke in its beginning, and that had ended before anybody waited for it.
            throw new GuestException(ending.cause());
        }
        running = true;
        attachments.add(place.console().attach(line));
        attachments.add(place.messages().attach(this::sent));
        var over = ending;
        if (over != null) {
            // It has exited at its beginning, or was killed meanwhile.
            finish(over, told);
        }
    }

    /** The first refusals are told: a guest that does so again and again is not given a line each. */
    private final class Refusals implements GuestAdmission.Listener {
        private static final int TOLD = 8;

        private final String volume;
        private int count;

        Refusals(String volume) {
            this.volume = volume;
        }

        @Override
        public void refused(
                GuestAdmission.Refusal why, @Nullable BlockOp op, int flags, long offset, long length, long address) {
            if (count < TOLD) {
                count++;
                watcher()
                        .noted(
                                "refused",
                                "disk %s: %s of %d bytes at %d, address %d: %s%s"
                                        .formatted(
                                                volume,
                                                op == null ? "an unknown operation" : op,
                                                length,
                                                offset,
                                                address,
                                                why.name()
                                                        .toLowerCase(Locale.ROOT)
                                                        .replace('_', ' '),
                                                count == TOLD ? "; further ones are only counted" : ""));
            }
        }
    }

    final Watcher watcher() {
        var told = watcher;
        assert told != null : place;
        return told;
    }

    final MemorySegment memory() {
        assert memory != null : place;
        return memory;
    }

    final GuestDisks disks() {
        var held = disks;
        assert held != null : place;
        return held;
    }

    final synchronized String reason(Throwable failure) {
        var cause = failure;
        while (cause instanceof CompletionException && cause.getCause() != null) {
            cause = cause.getCause();
        }
        return ending != null && !ending.well() ? ending.cause() : sentence(cause);
    }

    // --- the end

    /** It is over, unless it is already. */
    final synchronized void end(Exit how) {
        if (ending != null) {
            return;
        }
        ending = how;
        if (running) {
            finish(how, watcher());
        } else if (begun != null && !how.well()) {
            begun.completeExceptionally(new GuestException(how.cause()));
        }
    }

    final boolean isKilled() {
        return killedFor != null;
    }

    /** Writes a snapshot, aside; given up if the guest ends, which nothing of it outlives. */
    final synchronized CompletableFuture<Void> keep(Callable<Void> work) {
        if (ending != null) {
            return CompletableFuture.failedFuture(new GuestException(ending.cause()));
        }
        var kept = Aside.run(THREAD, work);
        keeping = kept;
        return kept;
    }

    /** Of a snapshot, now and then: it goes on, unless the guest has ended. */
    final void keepsOn(Progress progress) {
        synchronized (this) {
            if (ending != null) {
                throw new GuestException(ending.cause());
            }
        }
        watcher().progressed(progress);
    }

    private synchronized CompletableFuture<Void> kept() {
        return keeping.handle((kept, failure) -> null);
    }

    private void finish(Exit how, Watcher told) {
        told.ending(how);
        var _ = release(how.cause()).whenComplete((released, failure) -> told.exited(how));
    }

    /** Completed when nothing of it executes, and others can have its disks. */
    private CompletableFuture<Void> release(String why) {
        attachments.forEach(one -> {
            try {
                one.close();
            } catch (Exception e) {
                LOG.warn("VM {}: letting go failed", place.vm(), e);
            }
        });
        var halted = halt().toCompletableFuture();
        var held = disks;
        // One that cannot be stopped is not waited for for ever; what it can reach stays.
        return CompletableFuture.anyOf(halted.handle((over, failure) -> (Void) null), enough)
                .completeOnTimeout(null, patience().toMillis(), TimeUnit.MILLISECONDS)
                .thenCompose(over -> {
                    inlines.forEach(InlineQueue::close);
                    // Nor is a store that does not give back what it has.
                    return CompletableFuture.allOf(inlines.stream()
                                    .map(queue -> queue.ended().toCompletableFuture())
                                    .toArray(CompletableFuture[]::new))
                            .completeOnTimeout(null, patience().toMillis(), TimeUnit.MILLISECONDS);
                })
                .thenCompose(over -> held == null ? CompletableFuture.<Void>completedFuture(null) : held.leave(why))
                .thenCompose(over -> kept())
                .whenComplete((left, failure) -> {
                    var ended = new ArrayList<CompletableFuture<?>>();
                    ended.add(halted);
                    ended.add(kept());
                    rings.forEach(ring -> ended.add(ring.ended().toCompletableFuture()));
                    inlines.forEach(inline -> ended.add(inline.ended().toCompletableFuture()));
                    var _ = CompletableFuture.allOf(ended.toArray(CompletableFuture[]::new))
                            .thenRunAsync(
                                    this::letGo, task -> Thread.ofVirtual().start(task));
                });
    }

    private void letGo() {
        try {
            close();
        } catch (RuntimeException e) {
            LOG.warn("VM {}: its program failed at its end", place.vm(), e);
        }
        try {
            arena.close();
        } catch (IllegalStateException e) {
            LOG.warn("VM {}: its memory stays mapped: {}", place.vm(), e.getMessage());
        }
    }

    @Override
    public final void kill(String cause) {
        killedFor = cause;
        hurry();
        // Also if it had ended before, and is waited for since.
        enough.completeOnTimeout(null, KILL_PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
        end(new Exit(false, cause));
    }

    /** What executes cannot be ended: it is not waited for any longer. */
    final void giveUp() {
        enough.complete(null);
    }

    /** What executes now is to end soon. Any thread; must not wait. */
    abstract void hurry();

    // --- what it is given

    /** What all guests inside this process are given; those that are no program of events have no timers. */
    abstract class Context implements GuestContext {
        @Override
        public String name() {
            return place.vm();
        }

        @Override
        public MemorySegment memory() {
            return InsideGuest.this.memory();
        }

        @Override
        public int vifs() {
            return ports.size();
        }

        @Override
        public GuestPort vif(int number) {
            return ports.get(number);
        }

        @Override
        public long nanos() {
            return System.nanoTime();
        }

        @Override
        public long wallNanos() {
            var now = Instant.now();
            return now.getEpochSecond() * 1_000_000_000 + now.getNano();
        }

        @Override
        public void print(byte[] text, int offset, int length) {
            line.print(text, offset, length);
        }

        @Override
        public void message(byte[] message) {
            if (message.length > Messages.LONGEST) {
                throw new GuestException("a message has at most " + Messages.LONGEST + " bytes, not " + message.length);
            }
            place.messages().said(message);
        }
    }
}
