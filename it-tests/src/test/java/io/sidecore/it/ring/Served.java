package io.sidecore.it.ring;

import io.sidecore.actors.block.Medium;
import io.sidecore.actors.core.Clock;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.LoopDispatcher;
import io.sidecore.actors.vif.GuestAdmission;
import io.sidecore.actors.vif.GuestMemory;
import io.sidecore.actors.vif.GuestPort;
import io.sidecore.actors.vif.InlineQueue;
import io.sidecore.actors.vif.Queue;
import io.sidecore.actors.vif.Route;
import io.sidecore.actors.vif.Tally;
import io.sidecore.actors.vif.Volume;
import io.sidecore.conf.AttachMode;
import io.sidecore.conf.LoopSettings;
import io.sidecore.conf.VifSettings;
import io.sidecore.devices.ring.RingQueue;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.stream.SystemMaterializer;

/** A guest's queue and all that serves it, on real threads: by a ring and a loop, or inline. */
final class Served implements AutoCloseable {
    /** The ways to be served. */
    enum Way {
        SHARED,
        POLLED,
        INLINE
    }

    static final VifSettings LIMITS = new VifSettings(
            32,
            1 << 20,
            Duration.ofMillis(50),
            Duration.ofMillis(200),
            Duration.ofSeconds(60),
            3,
            Duration.ofSeconds(10));
    private static final LoopSettings LOOPS =
            new LoopSettings(Duration.ofNanos(50_000), 64, 8, Duration.ofNanos(200_000), Duration.ofMillis(100));
    private static final AtomicInteger NUMBER = new AtomicInteger();

    final Volume volume;
    final GuestPort port;
    final List<CoreLoop> loops = new ArrayList<>();
    /** A permit for each time the guest was woken. */
    final Semaphore wakes = new Semaphore(0);

    final RingQueue ring;
    final Queue queue;
    final InlineQueue inline;

    Served(Way way, ActorSystem<?> system, Medium medium, GuestMemory memory, AttachMode mode) {
        this(way, system, medium, memory, mode, LIMITS, (why, op, flags, offset, length, address) -> {});
    }

    Served(
            Way way,
            ActorSystem<?> system,
            Medium medium,
            GuestMemory memory,
            AttachMode mode,
            VifSettings limits,
            GuestAdmission.Listener refusals) {
        volume = new Volume("disk", medium);
        var attachment = volume.attach("guest/disk", mode);
        if (way == Way.INLINE) {
            inline = new InlineQueue(attachment, memory, limits, Clock.SYSTEM, wakes::release, refusals);
            ring = null;
            queue = null;
            port = inline.port();
            return;
        }
        inline = null;
        for (var i = 0; i < 2; i++) {
            addLoop(system, CoreLoop.Placement.floating());
        }
        ring = new RingQueue(memory, attachment, limits, wakes::release, refusals);
        ring.polled(way == Way.POLLED);
        port = ring.port();
        queue = new Queue(
                "guest/disk#0",
                limits,
                loops.getFirst(),
                new Route(List.of(), attachment),
                ring.end(),
                SystemMaterializer.get(system).materializer(),
                attachment::detach);
        queue.start();
    }

    /** One more loop, to which the queue can move. */
    CoreLoop addLoop(ActorSystem<?> system, CoreLoop.Placement placement) {
        var loop = new CoreLoop("ring-" + NUMBER.incrementAndGet(), Clock.SYSTEM, LOOPS, placement);
        LoopDispatcher.install(system.classicSystem(), loop);
        loop.start();
        loops.add(loop);
        return loop;
    }

    long refused() {
        return tally().refused();
    }

    Tally tally() {
        return inline != null ? inline.tally() : queue.tally();
    }

    CompletionStage<Void> ended() {
        return inline != null ? inline.ended() : ring.ended();
    }

    void end() {
        if (inline != null) {
            inline.close();
        } else {
            queue.close("the test ends it");
        }
    }

    /** Waits to be woken; whoever is not within a minute has been forgotten. */
    void await() {
        try {
            if (!wakes.tryAcquire(1, TimeUnit.MINUTES)) {
                throw new AssertionError("nobody woke the guest: " + (queue != null ? queue : inline));
            }
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
        wakes.drainPermits();
    }

    /** The next answer. */
    GuestPort.Answer answer() {
        var answer = new GuestPort.Answer();
        while (!port.recv(answer)) {
            await();
        }
        return answer;
    }

    @Override
    public void close() {
        end();
        try {
            ended().toCompletableFuture().get(1, TimeUnit.MINUTES);
            for (var loop : loops) {
                loop.stop();
                loop.join(Duration.ofMinutes(1));
            }
        } catch (InterruptedException
                | java.util.concurrent.ExecutionException
                | java.util.concurrent.TimeoutException e) {
            throw new AssertionError(e);
        }
        volume.close();
    }
}
