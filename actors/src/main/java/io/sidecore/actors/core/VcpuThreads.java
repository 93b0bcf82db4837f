package io.sidecore.actors.core;

import java.lang.invoke.VarHandle;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The threads that run the guests inside this process: one daemon thread for each guest core, {@code <prefix>-vcpu-<i>}. Each in turn takes the vCPU that {@link CreditScheduler} says, runs one event of it, and pays for the time: that for which the event
 * held the thread, whether it computed or waited, for nobody else could run there meanwhile. A thread without work parks.
 *
 * <p>An event that outlasts its vCPU's deadline is interrupted once. If it still has not returned after a grace, its thread is given up: another takes its place, and the lost one ends when the event returns, if ever. (It may go on to use the core until
 * then; nothing in Java can stop it.) The interrupt concerns that event alone: before the next, it has come and been cleared.
 *
 * <p>All methods may be called from any thread, and none waits, {@link #close()} excepted; {@link #wake} takes no lock.
 */
public final class VcpuThreads implements AutoCloseable {
    /** What a vCPU runs. */
    @FunctionalInterface
    public interface Work {
        /** Runs one event to its end; never on two threads at a time. Returns whether there is more; if not, {@link VcpuThreads#wake} tells when there is. */
        boolean runOne();
    }

    /** What is told of a vCPU's events that went wrong. Must not wait. May come a moment after the event has returned. */
    public interface Faults {
        /** The event was interrupted for it outlasted the deadline; so long it has lasted. On the watching thread. */
        void overran(Duration lasted);

        /** It did not return after that either, and its thread was given up; so long it has lasted. On the watching thread. */
        void stuck(Duration lasted);

        /** The event threw this, errors included; it counts as having no more. On the vCPU thread, before any other event of the same vCPU. */
        void threw(Throwable thrown);
    }

    /**
     * What a vCPU is given.
     *
     * @param weight as {@link CreditScheduler.Entity}
     * @param cap as {@link CreditScheduler.Entity}
     * @param deadline how long one event may last
     */
    public record Terms(int weight, double cap, Duration deadline) {
        /**
         * Checks the deadline.
         *
         * @throws IllegalArgumentException if it is shorter than a millisecond, or longer than a day
         */
        public Terms {
            if (deadline.compareTo(Duration.ofMillis(1)) < 0 || deadline.compareTo(Duration.ofDays(1)) > 0) {
                throw new IllegalArgumentException("deadline " + deadline + " is not between a millisecond and a day");
            }
        }
    }

    /** A vCPU that was added. */
    public static final class Vcpu extends CreditScheduler.Entity {
        private final String name;
        /** Guarded by the lock. */
        private long deadlineNanos;

        private final Work work;
        private final Faults faults;
        private final AtomicInteger state = new AtomicInteger(ASLEEP);
        private final CompletableFuture<@Nullable Void> gone = new CompletableFuture<>();
        /** Among those that were woken. */
        private @Nullable Vcpu next;

        private boolean running;
        private boolean removed;

        private Vcpu(String name, Terms terms, Work work, Faults faults) {
            super(terms.weight(), terms.cap());
            this.name = name;
            this.deadlineNanos = terms.deadline().toNanos();
            this.work = work;
            this.faults = faults;
        }

        /** Its name, for reports. */
        public String name() {
            return name;
        }

        @Override
        public String toString() {
            return "Vcpu(" + name + ")";
        }
    }

    /** Counters of all the threads; readable by everyone. */
    public static final class Counters {
        /** Events run, and the time they took in nanoseconds. */
        public final Count events = new Count();

        public final Count busyNanos = new Count();
        /** Times a thread had nothing to do. */
        public final Count parks = new Count();
        /** Events that were interrupted, threads that were given up, and events that threw. */
        public final Count overruns = new Count();

        public final Count givenUp = new Count();
        public final Count failures = new Count();
    }

    private static final Logger LOG = LoggerFactory.getLogger(VcpuThreads.class);
    private static final long SHORTEST_LOOK_NANOS = 100_000;

    /** Of each thread, whatever the JVM's other threads have: a part of it is the guest's. */
    private static final long STACK_BYTES = 1 << 20;

    // A vCPU's state. Whoever makes it READY brings it to the scheduler.
    private static final int ASLEEP = 0;
    private static final int READY = 1;
    private static final int RUNNING = 2;
    private static final int RUNNING_AND_WOKEN = 3;
    private static final int REMOVED = 4;

    private final String prefix;
    private final long graceNanos;
    private final Counters counters = new Counters();
    private final Thread watcher;
    /** Those that were woken and that the scheduler does not know of yet, the last one first. Each is in it once at most. */
    private final AtomicReference<@Nullable Vcpu> woken = new AtomicReference<>();
    /** The threads that take work, for who wakes them. */
    private volatile List<Runner> active = List.of();

    /** Of all that follows, and of what in vCPUs and runners is not atomic. */
    private final Object lock = new Object();

    private final CreditScheduler scheduler = new CreditScheduler();
    /** The active ones, and those that retire and have not ended. */
    private final List<Runner> runners = new ArrayList<>();
    /** Who parks until a throttled vCPU may run, and until when. */
    private @Nullable Runner timer;

    private long timerAt;
    private long shortestDeadline = Duration.ofDays(1).toNanos();
    private boolean watcherParked;
    private boolean closed;

    /**
     * Starts the threads.
     *
     * @param prefix of their names
     * @param grace for which an event that was interrupted may still go on
     * @param cores as {@link #setThreads}
     */
    public VcpuThreads(String prefix, Duration grace, List<? extends Supplier<CoreLoop.Placement>> cores) {
        this.prefix = prefix;
        this.graceNanos = grace.toNanos();
        this.watcher = Thread.ofPlatform().daemon().name(prefix + "-vcpu-watch").unstarted(this::watch);
        watcher.start();
        setThreads(cores);
    }

    /** Its counters. */
    public Counters counters() {
        return counters;
    }

    /** Threads that take work now. */
    public int threads() {
        return active.size();
    }

    /**
     * Takes a vCPU in, asleep.
     *
     * @throws IllegalStateException after the close
     * @throws IllegalArgumentException if weight or cap are out of their limits
     */
    public Vcpu add(String name, Terms terms, Work work, Faults faults) {
        var vcpu = new Vcpu(name, terms, work, faults);
        synchronized (lock) {
            if (closed) {
                throw new IllegalStateException("the vCPU threads " + prefix + " are closed");
            }
            scheduler.add(vcpu, System.nanoTime());
            if (vcpu.deadlineNanos < shortestDeadline) {
                shortestDeadline = vcpu.deadlineNanos;
                LockSupport.unpark(watcher);
            }
        }
        return vcpu;
    }

    /**
     * Runs no event of it any more. The stage is complete once its work certainly does not run: never, if that is stuck for ever. It may be asked for in an event of the vCPU itself, which must not wait for it. What depends on the stage may run on a vCPU thread, and must not wait either.
     */
    public CompletionStage<@Nullable Void> remove(Vcpu vcpu) {
        boolean running;
        synchronized (lock) {
            if (!vcpu.removed) {
                vcpu.removed = true;
                vcpu.state.set(REMOVED);
                scheduler.remove(vcpu);
            }
            running = vcpu.running;
        }
        if (!running) {
            vcpu.gone.complete(null);
        }
        return vcpu.gone.minimalCompletionStage();
    }

    /** There is something to run: {@link Work#runOne} is called after this at least once, and sees what was written before. No effect once it is removed. */
    public void wake(Vcpu vcpu) {
        while (true) {
            // What the caller has written is to be seen by the event that it does not start, as it finds it not begun.
            VarHandle.fullFence();
            switch (vcpu.state.get()) {
                case ASLEEP -> {
                    if (vcpu.state.compareAndSet(ASLEEP, READY)) {
                        push(vcpu);
                        wakeOne();
                        return;
                    }
                }
                case RUNNING -> {
                    if (vcpu.state.compareAndSet(RUNNING, RUNNING_AND_WOKEN)) {
                        return;
                    }
                }
                default -> {
                    return;
                }
            }
        }
    }

    /** As {@link #wake}, and its next event does not wait for its cap. For the host's management, which is not to wait for what the guest has used. No effect once it is removed. */
    public void urge(Vcpu vcpu) {
        synchronized (lock) {
            if (!vcpu.removed) {
                scheduler.urge(vcpu, System.nanoTime());
                passOn();
            }
        }
        wake(vcpu);
    }

    private void push(Vcpu vcpu) {
        Vcpu last;
        do {
            last = woken.get();
            vcpu.next = last;
        } while (!woken.compareAndSet(last, vcpu));
    }

    /** A thread that is parked looks again; those that are not do so anyway before they park. */
    private void wakeOne() {
        var all = active;
        for (var i = 0; i < all.size(); i++) {
            var runner = all.get(i);
            if (runner.parked.get() && runner.parked.compareAndSet(true, false)) {
                LockSupport.unpark(runner.thread);
                return;
            }
        }
    }

    /**
     * Changes its weight. No effect once it is removed.
     *
     * @throws IllegalArgumentException if out of its limits
     */
    public void weight(Vcpu vcpu, int weight) {
        synchronized (lock) {
            if (!vcpu.removed) {
                scheduler.weight(vcpu, weight);
            }
        }
    }

    /**
     * Changes its cap. No effect once it is removed.
     *
     * @throws IllegalArgumentException if out of its limits
     */
    public void cap(Vcpu vcpu, double cap) {
        synchronized (lock) {
            if (!vcpu.removed) {
                scheduler.cap(vcpu, cap, System.nanoTime());
            }
        }
        wakeOne();
    }

    /** The event that it runs now, if it runs one, is interrupted as if it had outlasted its deadline, and so is every later one: for who is going to {@link #remove} it and has no time. */
    public void hurry(Vcpu vcpu) {
        synchronized (lock) {
            vcpu.deadlineNanos = 0;
        }
        LockSupport.unpark(watcher);
    }

    /**
     * From now on there is one thread for each of these. One that is equal to what a thread was made of keeps that thread; the other threads retire, after the event that they run.
     *
     * @param cores give each thread its placement, entered on that thread
     * @return complete when those that retire have ended
     */
    public CompletionStage<@Nullable Void> setThreads(List<? extends Supplier<CoreLoop.Placement>> cores) {
        var retired = new ArrayList<Runner>();
        synchronized (lock) {
            var missing = new ArrayList<Supplier<CoreLoop.Placement>>(closed ? List.of() : cores);
            var stay = new ArrayList<Runner>();
            for (var runner : active) {
                if (missing.remove(runner.core)) {
                    stay.add(runner);
                } else {
                    runner.retired = true;
                    retired.add(runner);
                }
            }
            active = List.copyOf(stay);
            missing.forEach(core -> start(freeNumber(), core));
        }
        retired.forEach(runner -> LockSupport.unpark(runner.thread));
        return CompletableFuture.allOf(
                        retired.stream().map(runner -> runner.ended).toArray(CompletableFuture[]::new))
                .minimalCompletionStage();
    }

    private int freeNumber() {
        var number = 0;
        while (taken(number)) {
            number++;
        }
        return number;
    }

    private boolean taken(int number) {
        return active.stream().anyMatch(runner -> runner.number == number);
    }

    private void start(int number, Supplier<CoreLoop.Placement> core) {
        var runner = new Runner(number, core);
        runner.thread.start();
        runners.add(runner);
        var all = new ArrayList<>(active);
        all.add(runner);
        active = List.copyOf(all);
    }

    /** Ends all threads, each after the event that it runs; returns when they have ended, those excepted that had to be given up. Called on one of them it does not wait. */
    @Override
    public void close() {
        List<Runner> all;
        synchronized (lock) {
            closed = true;
            all = List.copyOf(runners);
            all.forEach(runner -> runner.retired = true);
            active = List.of();
        }
        all.forEach(runner -> LockSupport.unpark(runner.thread));
        LockSupport.unpark(watcher);
        var self = Thread.currentThread();
        if (self == watcher || all.stream().anyMatch(runner -> runner.thread == self)) {
            return;
        }
        try {
            for (var runner : all) {
                if (runner.over.get()) {
                    runner.thread.join();
                }
            }
            watcher.join();
        } catch (InterruptedException e) {
            self.interrupt();
        } catch (ExecutionException e) {
            throw new IllegalStateException(e);
        }
    }

    /** A thread, and what it does now. */
    private final class Runner {
        final int number;
        final Supplier<CoreLoop.Placement> core;
        final Thread thread;
        final AtomicBoolean parked = new AtomicBoolean();
        /** The thread takes no more work: true if it has ended, false if it was given up. */
        final CompletableFuture<Boolean> over = new CompletableFuture<>();

        final CompletableFuture<@Nullable Void> ended = new CompletableFuture<>();

        @Nullable
        Vcpu event;

        long began;
        long lasted;
        long interruptedAt;
        boolean interrupted;
        boolean retired;
        boolean lost;
        /** When it parks: for how long, 0 for ever. */
        long parkNanos;

        Runner(int number, Supplier<CoreLoop.Placement> core) {
            this.number = number;
            this.core = core;
            this.thread = Thread.ofPlatform()
                    .daemon()
                    .inheritInheritableThreadLocals(false)
                    .name(prefix + "-vcpu-" + number)
                    .stackSize(STACK_BYTES)
                    .unstarted(this::run);
        }

        private void run() {
            var placement = enter();
            try {
                for (var vcpu = next(); vcpu != null || goesOn(); ) {
                    if (vcpu != null) {
                        vcpu = runAndNext(vcpu);
                    } else {
                        park();
                        vcpu = next();
                    }
                }
            } finally {
                leave(placement);
                end();
            }
        }

        private CoreLoop.Placement enter() {
            try {
                var placement = core.get();
                placement.enter();
                return placement;
            } catch (Throwable t) {
                complain("could not be placed on its core, and runs where it is", t);
                return CoreLoop.Placement.floating();
            }
        }

        private void leave(CoreLoop.Placement placement) {
            try {
                placement.leave();
            } catch (Throwable t) {
                complain("did not leave its core in order", t);
            }
        }

        private void end() {
            synchronized (lock) {
                runners.remove(this);
                if (timer == this) {
                    timer = null;
                }
                passOn();
            }
            if (!lost) {
                over.complete(true);
            }
            ended.complete(null);
            LockSupport.unpark(watcher);
        }

        private boolean goesOn() {
            synchronized (lock) {
                return !retired && !lost;
            }
        }

        /** Runs an event of it, pays for that, and takes the next one. */
        private @Nullable Vcpu runAndNext(Vcpu vcpu) {
            var more = runEvent(vcpu);
            boolean left;
            Vcpu next;
            synchronized (lock) {
                left = settle(vcpu, more);
                next = next();
            }
            if (left) {
                vcpu.gone.complete(null);
            }
            return next;
        }

        private boolean runEvent(Vcpu vcpu) {
            try {
                var more = vcpu.work.runOne();
                lasted = System.nanoTime() - began;
                return more;
            } catch (Throwable t) {
                lasted = System.nanoTime() - began;
                synchronized (lock) {
                    unwatch();
                    counters.failures.add(1);
                }
                try {
                    vcpu.faults.threw(t);
                } catch (Throwable u) {
                    complain("could not tell what " + vcpu.name + " threw", u);
                }
                return false;
            }
        }

        /** The next one, and its event begins; null if there is none, and then it must park, or if it is to end. */
        private @Nullable Vcpu next() {
            synchronized (lock) {
                if (timer == this) {
                    timer = null;
                }
                if (retired || lost) {
                    return null;
                }
                var now = System.nanoTime();
                admit(now);
                var vcpu = (Vcpu) scheduler.pick(number, now);
                if (vcpu == null) {
                    prepareToPark(now);
                    return null;
                }
                // Full fence, as in wake: what was written before a wake that found it READY is seen by the event.
                vcpu.state.compareAndSet(READY, RUNNING);
                vcpu.running = true;
                // Whatever it was that interrupted this thread, it did not mean this event.
                Thread.interrupted();
                event = vcpu;
                began = System.nanoTime();
                interrupted = false;
                counters.events.add(1);
                if (watcherParked) {
                    watcherParked = false;
                    LockSupport.unpark(watcher);
                }
                passOn();
                return vcpu;
            }
        }

        private void prepareToPark(long now) {
            parkNanos = 0;
            if (scheduler.throttled() > 0) {
                var at = scheduler.lookAgainAt();
                if (timer == null || timerAt - at > 0) {
                    timer = this;
                    timerAt = at;
                    parkNanos = Math.max(1, at - now);
                }
            }
            counters.parks.add(1);
            parked.set(true);
        }

        private void park() {
            if (woken.get() == null && parked.get()) {
                if (parkNanos == 0) {
                    LockSupport.park(VcpuThreads.this);
                } else {
                    LockSupport.parkNanos(VcpuThreads.this, parkNanos);
                }
            }
            parked.set(false);
            // One that was left behind would make every wait return at once.
            Thread.interrupted();
        }

        /** The event is over: the watcher, which interrupts under the lock, does so no more, and an interrupt that came is cleared. */
        private void unwatch() {
            event = null;
            Thread.interrupted();
        }

        /** Pays for the event; returns whether the vCPU was removed meanwhile, and so is gone now. */
        private boolean settle(Vcpu vcpu, boolean more) {
            unwatch();
            vcpu.running = false;
            if (!vcpu.removed) {
                if (!more && vcpu.state.compareAndSet(RUNNING, ASLEEP)) {
                    scheduler.idle(vcpu);
                } else {
                    vcpu.state.set(READY);
                }
            }
            scheduler.ran(vcpu, lasted, System.nanoTime());
            counters.busyNanos.add(lasted);
            return vcpu.removed;
        }
    }

    /** Brings those that were woken to the scheduler, in the order in which they were. */
    private void admit(long now) {
        Vcpu first = null;
        for (var vcpu = woken.getAndSet(null); vcpu != null; ) {
            var next = vcpu.next;
            vcpu.next = first;
            first = vcpu;
            vcpu = next;
        }
        while (first != null) {
            var next = first.next;
            first.next = null;
            if (!first.removed) {
                scheduler.wake(first, now);
            }
            first = next;
        }
    }

    /** If there is more to do, or nobody who looks when the next throttled one may run, another thread that is parked sees to it. */
    private void passOn() {
        if (scheduler.waiting() > 0 || scheduler.throttled() > 0 && timer == null || woken.get() != null) {
            wakeOne();
        }
    }

    private void watch() {
        var tell = new ArrayList<Runnable>();
        var seen = 0L;
        while (true) {
            long wait;
            synchronized (lock) {
                if (closed && runners.isEmpty()) {
                    return;
                }
                var now = System.nanoTime();
                wait = shortestDeadline;
                var busy = false;
                for (var runner : List.copyOf(runners)) {
                    if (runner.event != null) {
                        busy = true;
                        wait = Math.min(wait, look(runner, runner.event, now, tell));
                    }
                }
                // An event that begins later cannot be due before the shortest deadline has passed: it is found in
                // time.
                var begun = counters.events.get();
                watcherParked = !busy && begun == seen;
                seen = begun;
                if (watcherParked) {
                    wait = Long.MAX_VALUE;
                }
            }
            tell.forEach(this::guarded);
            tell.clear();
            LockSupport.parkNanos(this, Math.max(SHORTEST_LOOK_NANOS, wait));
            Thread.interrupted();
        }
    }

    /** Returns in how many nanoseconds to look again. */
    private long look(Runner runner, Vcpu vcpu, long now, List<Runnable> tell) {
        var lasted = now - runner.began;
        if (!runner.interrupted) {
            if (lasted < vcpu.deadlineNanos) {
                return vcpu.deadlineNanos - lasted;
            }
            runner.interrupted = true;
            runner.interruptedAt = now;
            counters.overruns.add(1);
            interrupt(runner);
            tell.add(() -> vcpu.faults.overran(Duration.ofNanos(lasted)));
            return graceNanos;
        }
        var left = graceNanos - (now - runner.interruptedAt);
        if (left > 0) {
            return left;
        }
        if (giveUp(runner)) {
            tell.add(() -> vcpu.faults.stuck(Duration.ofNanos(lasted)));
            tell.add(() -> runner.over.complete(false));
        }
        return graceNanos;
    }

    private void interrupt(Runner runner) {
        try {
            runner.thread.interrupt();
        } catch (Throwable t) {
            // It closes the channel that the event waits for, and that may throw anything.
            complain("threw when it was interrupted", t);
        }
    }

    /** False if no thread can be had in its place: then later, if the event still runs. */
    private boolean giveUp(Runner runner) {
        var before = active;
        try {
            if (!runner.retired) {
                active = active.stream().filter(other -> other != runner).toList();
                start(runner.number, runner.core);
            }
        } catch (Throwable t) {
            active = before;
            complain("is stuck, and no other thread can be started in its place yet", t);
            return false;
        }
        runner.lost = true;
        runners.remove(runner);
        counters.givenUp.add(1);
        return true;
    }

    private void guarded(Runnable task) {
        try {
            task.run();
        } catch (Throwable t) {
            complain("could not tell of an event that lasts too long", t);
        }
    }

    private void complain(String what, Throwable thrown) {
        try {
            LOG.atError().setCause(thrown).log("vCPU threads {}: one {}", prefix, what);
        } catch (Throwable t) {
            // There is nobody left to tell, and the thread is to go on.
        }
    }
}
