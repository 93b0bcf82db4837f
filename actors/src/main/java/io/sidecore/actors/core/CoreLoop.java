package io.sidecore.actors.core;

import io.sidecore.conf.LoopSettings;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.CancelledKeyException;
import java.nio.channels.SelectableChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import org.apache.pekko.stream.Attributes;
import org.jctools.queues.atomic.MpscUnboundedAtomicArrayQueue;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One thread that in turn runs what was submitted to it, fires its deadlines, polls what is registered with it, and idles by {@link IdlePolicy}. It is the
 * executor of a Pekko dispatcher ({@link LoopDispatcher}), so the streams of the queues placed on it run on it, and their sockets' readiness is found on
 * the same thread.
 *
 * <p>Nothing on a loop may wait. A turn is bounded by a number of tasks and by time; what is left runs in the next. A task that throws is logged and
 * counted, and does not stop the loop. The order of submitted tasks is not promised: a simulation shuffles it.
 *
 * <p>The same code runs in two ways: {@link #start} gives it a thread of its own; a {@link Simulation} calls {@link #turn()} of many loops on one thread
 * under a virtual clock.
 */
public final class CoreLoop implements Loop {
    /** How a loop's thread is tied to its core, and how it learns that cores are short: supplied by the platform. */
    public interface Placement {
        /** Called once on the loop's thread. Pins it, or does nothing. */
        void enter();

        /** Nanoseconds in which the calling thread was runnable and did not run, so far; a constant where unknown. */
        long waitedNanos();

        /** Called on the loop's thread when it ends. */
        void leave();

        /** {@link Loop#reserved()}. */
        default boolean reserved() {
            return false;
        }

        /** No pinning, and no knowledge of waiting. */
        static Placement floating() {
            return new Placement() {
                @Override
                public void enter() {}

                @Override
                public long waitedNanos() {
                    return 0;
                }

                @Override
                public void leave() {}
            };
        }
    }

    /** Counters of a loop; written by it, readable by everyone. */
    public static final class Counters {
        /** Turns that did something, and the time they took in nanoseconds. */
        public final Count busyTurns = new Count();

        public final Count busyNanos = new Count();
        /** Looks at the registered channels, the ones that wait included. */
        public final Count polls = new Count();
        /** Times it parked, and times another thread had to wake it. Before a deadline it parks several times, to look at its channels in between. */
        public final Count parks = new Count();

        public final Count wakeUps = new Count();
        /** Tasks that another thread submitted. */
        public final Count handOffs = new Count();
        /** Tasks run, and those that threw. */
        public final Count tasks = new Count();

        public final Count failures = new Count();
        /** I/O requests served by queues placed here. */
        public final Count requests = new Count();
        /** Nanoseconds in which its thread was runnable and did not run: it had to wait for a core. */
        public final Count waitedNanos = new Count();
        /** The longest turn so far, in nanoseconds. */
        public final Count longestTurnNanos = new Count();
    }

    private static final Logger LOG = LoggerFactory.getLogger(CoreLoop.class);
    private static final long NAP_NANOS = 20_000;
    private static final int HOT_POLLS = 8;
    /** Between two looks at a channel, so that its lock is free when the client wants it: without, depth 32 lost a tenth. */
    private static final long PAUSE_NANOS = 1_000;

    private static final long MILLI = 1_000_000;
    /** What throws again and again is told of so often. */
    private static final long COMPLAIN_NANOS = 1_000_000_000;

    private static final int RUNNING = 0;
    private static final int PARKED = 1;
    private static final int ENDED = 2;

    private final String name;
    private final Clock clock;
    private final LoopSettings limits;
    private final Placement placement;
    private final @Nullable Selector selector;
    private final long turnNanos;
    private final Counters counters = new Counters();
    private final ArrayDeque<Runnable> local = new ArrayDeque<>(256);
    private final MpscUnboundedAtomicArrayQueue<Runnable> remote = new MpscUnboundedAtomicArrayQueue<>(256);
    /** Offered after the end, and not taken back yet by those who offered it. Also the lock of the end. */
    private final List<Runnable> leftBehind = new ArrayList<>();

    private final Deadlines deadlines = new Deadlines();
    private final List<Poller> pollers = new ArrayList<>();
    private final ArrayDeque<Runnable> signals = new ArrayDeque<>();
    private final IdlePolicy idle;
    private final AtomicInteger state = new AtomicInteger();
    private final AtomicLong running = new AtomicLong();
    private final Consumer<SelectionKey> onReady = this::ready;
    private final @Nullable Simulation simulation;

    private volatile @Nullable Attributes attributes;
    private volatile @Nullable Thread thread;
    private volatile boolean stopping;
    /** Written and read by the loop's thread; what others need to know stands in the state. */
    private boolean ended;

    private long now;
    private long lastWork;
    /** Whether it had nothing to do since {@code lastWork}. */
    private boolean idled;
    /** Whether it has looked at the channels since it last left that out: not two busy turns in a row do. */
    private boolean looked = true;

    private long taskNumber;
    /** Counts all that runs on the loop, tasks or not. */
    private long watched;

    private long lastComplaint;
    private int readyChannels;
    private @Nullable Readiness hot;
    private long requestsBefore;

    /** A loop with a thread of its own, not yet started. */
    public CoreLoop(String name, Clock clock, LoopSettings limits, Placement placement) {
        this(name, clock, limits, placement, openSelector(name), null);
    }

    /** A loop that {@code simulation} drives: no thread, no selector. */
    CoreLoop(String name, LoopSettings limits, Simulation simulation) {
        this(name, simulation.clock(), limits, Placement.floating(), null, simulation);
    }

    private CoreLoop(
            String name,
            Clock clock,
            LoopSettings limits,
            Placement placement,
            @Nullable Selector selector,
            @Nullable Simulation simulation) {
        this.name = name;
        this.clock = clock;
        this.limits = limits;
        this.placement = placement;
        this.selector = selector;
        this.simulation = simulation;
        this.turnNanos = limits.turnTime().toNanos();
        this.idle = new IdlePolicy(limits.spinMax().toNanos(), clock.nanos());
        this.now = clock.nanos();
        this.lastWork = now;
    }

    private static Selector openSelector(String name) {
        try {
            return Selector.open();
        } catch (IOException e) {
            throw new UncheckedIOException(
                    "core loop " + name + " cannot open a selector; is the limit of open files (ulimit -n) reached?",
                    e);
        }
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public Clock clock() {
        return clock;
    }

    /** Its bounds. */
    public LoopSettings limits() {
        return limits;
    }

    /** Its counters. */
    public Counters counters() {
        return counters;
    }

    /**
     * What places a stream on this loop: {@code graph.withAttributes(loop.attributes())}.
     *
     * @throws IllegalStateException if the loop was not installed in an actor system by {@link LoopDispatcher#install}
     */
    public Attributes attributes() {
        var installed = attributes;
        if (installed == null) {
            throw new IllegalStateException("core loop " + name + " is not installed in an actor system");
        }
        return installed;
    }

    void attributes(Attributes installed) {
        attributes = installed;
    }

    @Override
    public boolean reserved() {
        return placement.reserved();
    }

    @Override
    public long taskNumber() {
        return taskNumber;
    }

    @Override
    public boolean onLoop() {
        return simulation == null ? Thread.currentThread() == thread : simulation.running() == this;
    }

    /** Starts its thread, unless it was told to stop before. */
    public synchronized void start() {
        if (stopping) {
            return;
        }
        var started = new Thread(this::runUntilStopped, name);
        started.setDaemon(true);
        thread = started;
        started.start();
    }

    /** Its thread once started, null before; for reports. */
    public @Nullable Thread thread() {
        return thread;
    }

    @Override
    public void execute(Runnable task) {
        if (onLoop()) {
            if (ended) {
                throw refusal();
            }
            local.add(task);
            return;
        }
        if (state.get() == ENDED) {
            throw refusal();
        }
        remote.offer(task);
        // Full fence between the offer and the look at the state, as between parking and the look at the queue: no
        // wake-up is lost.
        var seen = state.getAndAdd(0);
        if (seen == ENDED) {
            takeBack(task);
        } else if (seen == PARKED && state.compareAndSet(PARKED, RUNNING)) {
            wake();
        }
    }

    /** The loop ended between the look and the offer: unless its last look found the task it never runs, and its submitter must know. */
    private void takeBack(Runnable task) {
        synchronized (leftBehind) {
            for (Runnable left; (left = remote.poll()) != null; ) {
                leftBehind.add(left);
            }
            for (var i = 0; i < leftBehind.size(); i++) {
                if (leftBehind.get(i) == task) {
                    leftBehind.remove(i);
                    throw refusal();
                }
            }
        }
    }

    private RejectedExecutionException refusal() {
        return new RejectedExecutionException("core loop " + name + " has ended");
    }

    private void wake() {
        if (selector != null) {
            selector.wakeup();
            LockSupport.unpark(thread);
        }
    }

    @Override
    public void arm(Deadline deadline, long at) {
        assert onLoop() : name;
        deadlines.arm(deadline, at);
    }

    @Override
    public void disarm(Deadline deadline) {
        assert onLoop() : name;
        deadlines.disarm(deadline);
    }

    @Override
    public SelectionKey register(SelectableChannel channel, int operations, Readiness readiness) {
        try {
            var former = channel.keyFor(selector);
            if (former != null && !former.isValid()) {
                // It was here before and its cancelled key has not been cleared away yet.
                select(0);
            }
            return channel.register(selector, operations, readiness);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void unregister(SelectionKey key) {
        assert onLoop() : name;
        if (hot == key.attachment()) {
            hot = null;
        }
        key.cancel();
    }

    @Override
    public void add(Poller poller) {
        pollers.add(poller);
    }

    @Override
    public void remove(Poller poller) {
        pollers.remove(poller);
    }

    @Override
    public void signal(Runnable signal) {
        assert onLoop() : name;
        signals.add(signal);
    }

    @Override
    public void cancelSignal(Runnable signal) {
        assert onLoop() : name;
        signals.remove(signal);
    }

    /** Lets the loop end once it has run what was submitted so far; one that was never started runs nothing. Any thread. */
    public synchronized void stop() {
        stopping = true;
        if (thread == null) {
            closeSelector();
        } else {
            state.compareAndSet(PARKED, RUNNING);
            wake();
        }
    }

    private void closeSelector() {
        try {
            if (selector != null) {
                selector.close();
            }
        } catch (IOException e) {
            LOG.warn("core loop {}: closing its selector failed", name, e);
        }
    }

    /** Waits until the thread has ended; not on a loop. */
    public void join(Duration atMost) throws InterruptedException {
        var t = thread;
        if (t != null) {
            t.join(atMost);
        }
    }

    /** One bounded turn; returns how much was done, zero if there was nothing to do. */
    int turn() {
        now = clock.nanos();
        var began = now;
        var tasks = runTasks(began);
        var work = tasks + fireDeadlines() + lookAtPollers();
        if (selector != null && looks(tasks, work)) {
            work += select(0);
        }
        if (work > 0) {
            arrived(began);
            now = clock.nanos();
            lastWork = now;
            counters.busyTurns.add(1);
            counters.busyNanos.add(now - began);
            counters.longestTurnNanos.max(now - began);
        }
        return work;
    }

    /**
     * Whether this turn looks at the channels, which is a system call. One after which nothing is left to do leaves it to the next turn, and that one to {@link
     * #idle} where the loop waits for them at once: of three calls a request at depth one that leaves one, worth about a twentieth to a guest on two cores.
     */
    private boolean looks(int tasks, int work) {
        if (work == 0) {
            // In the last millisecond before a deadline a loop that waits does not look.
            return !signals.isEmpty() || polls() || !deadlines.isEmpty() && deadlines.earliest() - now < MILLI;
        }
        if (looked && tasks == work && local.isEmpty() && signals.isEmpty() && remote.isEmpty()) {
            looked = false;
            return false;
        }
        return true;
    }

    private int runTasks(long began) {
        var run = 0;
        while (run < limits.turnTasks()) {
            if (!ended) {
                admit(limits.turnTasks());
            }
            var task = simulation == null ? local.poll() : simulation.pick(local);
            if (task == null) {
                break;
            }
            taskNumber++;
            run++;
            guarded(task);
            if (clock.nanos() - began > turnNanos) {
                break;
            }
        }
        // Those that are asked for meanwhile belong to the next turn.
        for (var due = signals.size(); due > 0 && !signals.isEmpty(); due--) {
            guarded(signals.poll());
        }
        if (run > 0) {
            counters.tasks.add(run);
        }
        return run;
    }

    /** Takes so many of the tasks of other threads, who may submit them faster than they can be taken. */
    private void admit(int most) {
        Runnable task;
        for (var taken = 0; taken < most && (task = remote.poll()) != null; taken++) {
            counters.handOffs.add(1);
            local.add(task);
        }
    }

    private int fireDeadlines() {
        if (deadlines.isEmpty()) {
            return 0;
        }
        var fired = 0;
        now = clock.nanos();
        for (Deadline due; fired < limits.turnTasks() && (due = deadlines.due(now)) != null; fired++) {
            guarded(due.action);
        }
        return fired;
    }

    private int lookAtPollers() {
        var work = 0;
        for (var i = 0; i < pollers.size(); i++) {
            work += look(pollers.get(i));
        }
        return work;
    }

    private int look(Poller poller) {
        try {
            return poller.poll();
        } catch (Throwable t) {
            failed(t);
            return 1;
        }
    }

    /** Looks at the channels; waits at most so many milliseconds. */
    private int select(long waitMillis) {
        assert selector != null : name;
        counters.polls.add(1);
        looked = true;
        readyChannels = 0;
        try {
            if (waitMillis > 0) {
                selector.select(onReady, waitMillis);
            } else {
                selector.selectNow(onReady);
            }
        } catch (IOException e) {
            LOG.atError().addKeyValue("loop", name).setCause(e).log("core loop {}: polling its channels failed", name);
            counters.failures.add(1);
        }
        return readyChannels;
    }

    private void ready(SelectionKey key) {
        readyChannels++;
        running.setOpaque(++watched);
        try {
            var channel = (Readiness) key.attachment();
            hot = channel;
            channel.ready(key.readyOps());
        } catch (CancelledKeyException e) {
            LOG.debug("core loop {}: channel closed while it became ready", name);
        } catch (Throwable t) {
            failed(t);
        }
        running.setOpaque(0);
    }

    /** There is work again, found {@code at} that time. */
    private void arrived(long at) {
        if (idled) {
            idled = false;
            var requests = counters.requests.get();
            idle.arrived(at - lastWork, requests - requestsBefore);
            requestsBefore = requests;
        }
    }

    private void guarded(Runnable task) {
        running.setOpaque(++watched);
        try {
            task.run();
        } catch (Throwable t) {
            failed(t);
        }
        running.setOpaque(0);
    }

    private void failed(Throwable t) {
        counters.failures.add(1);
        var at = clock.nanos();
        if (counters.failures.get() == 1 || at - lastComplaint > COMPLAIN_NANOS) {
            lastComplaint = at;
            LOG.atError()
                    .addKeyValue("loop", name)
                    .setCause(t)
                    .log("core loop {}: a task threw ({} so far); the loop goes on", name, counters.failures.get());
        }
    }

    private void runUntilStopped() {
        placement.enter();
        lastWork = clock.nanos();
        try {
            while (!stopping) {
                if (turn() == 0) {
                    idle();
                } else {
                    lookHowLongItWaited();
                }
            }
            // What was submitted before the end still runs, so that nobody waits for an answer in vain.
            for (var left = 0; left < 100_000 && turnAtEnd() > 0; ) {
                left++;
            }
        } finally {
            end();
            placement.leave();
            closeSelector();
        }
    }

    /** From here on no task is taken any more; what was taken until now still runs. */
    private void end() {
        ended = true;
        // Who sees that it has ended comes here after the last look: what that found runs, what it did not find is
        // taken
        // back.
        synchronized (leftBehind) {
            state.set(ENDED);
            admit(Integer.MAX_VALUE);
        }
        // What a last signal asks for is not left out, unless it asks for ever.
        for (var left = 0; left < 1_000 && !signals.isEmpty() || !local.isEmpty(); left++) {
            turnAtEnd();
        }
    }

    private int turnAtEnd() {
        now = clock.nanos();
        return runTasks(now);
    }

    private void idle() {
        now = clock.nanos();
        lookHowLongItWaited();
        idled = true;
        if (polls()) {
            pollHot();
            return;
        }
        state.set(PARKED);
        if (remote.isEmpty() && local.isEmpty() && signals.isEmpty() && !stopping) {
            park();
        }
        state.set(RUNNING);
    }

    private boolean polls() {
        return !pollers.isEmpty() || idle.poll(now, lastWork, hot != null && hot.expectsRest());
    }

    private void lookHowLongItWaited() {
        if (idle.wantsWaited(now)) {
            var waited = placement.waitedNanos();
            idle.waited(now, waited);
            counters.waitedNanos.max(waited);
        }
    }

    /** Looks some times at the channel that was ready last; the turn that follows looks at all of them. */
    private void pollHot() {
        var channel = hot;
        for (var i = 0; i < HOT_POLLS && channel != null && remote.isEmpty(); i++) {
            var again = clock.nanos() + PAUSE_NANOS;
            do {
                Thread.onSpinWait();
            } while (clock.nanos() - again < 0);
            if (look(channel) > 0) {
                var at = clock.nanos();
                arrived(at);
                lastWork = at;
                return;
            }
        }
    }

    private int look(Readiness channel) {
        try {
            return channel.poll() ? 1 : 0;
        } catch (Throwable t) {
            failed(t);
            return 1;
        }
    }

    private void park() {
        // An interrupt that a task left behind would make every wait return at once.
        if (Thread.interrupted()) {
            LOG.warn("core loop {}: a task interrupted the loop; ignored", name);
        }
        if (deadlines.isEmpty()) {
            parkFor(Long.MAX_VALUE);
            return;
        }
        var left = deadlines.earliest() - now;
        if (left >= MILLI) {
            parkFor(left / MILLI);
        } else if (left > 4 * NAP_NANOS) {
            // The selector counts in milliseconds: the last one is passed in naps, between which the channels are
            // looked at.
            counters.parks.add(1);
            LockSupport.parkNanos(NAP_NANOS);
        }
        // What is left is shorter than a nap may turn out: the loop polls.
    }

    private void parkFor(long millis) {
        counters.parks.add(1);
        var before = remote.isEmpty();
        if (select(millis == Long.MAX_VALUE ? 3_600_000 : millis) > 0) {
            var at = clock.nanos();
            arrived(at);
            lastWork = at;
        } else if (before && !remote.isEmpty()) {
            counters.wakeUps.add(1);
        }
    }

    /** Whether a turn would find something to do at {@code at}: for the simulation. */
    boolean runnable(long at) {
        return !local.isEmpty()
                || !remote.isEmpty()
                || !signals.isEmpty()
                || (!deadlines.isEmpty() && deadlines.earliest() - at <= 0);
    }

    /** The time of its earliest deadline, {@link Long#MAX_VALUE} if it has none: for the simulation. */
    long earliestDeadline() {
        return deadlines.earliest();
    }

    /** Number of the task that runs now, zero if none does; any thread. */
    long runningTask() {
        return running.getOpaque();
    }

    @Override
    public String toString() {
        return "CoreLoop(" + name + ")";
    }
}
