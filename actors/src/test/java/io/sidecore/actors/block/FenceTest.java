package io.sidecore.actors.block;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class FenceTest {
    private final Fence fence = new Fence();

    @Test
    void anOpenFenceLetsAnyNumberIn() {
        assertThat(fence.enter()).isTrue();
        assertThat(fence.enter()).isTrue();
        assertThat(fence.isClosed()).isFalse();
    }

    @Test
    void closedWithNobodyInsideItIsClearAtOnce() {
        fence.enter();
        fence.exit();

        assertThat(fence.close().toCompletableFuture()).isDone();
    }

    @Test
    void closedItLetsNobodyIn() {
        fence.close();

        assertThat(fence.enter()).isFalse();
        assertThat(fence.isClosed()).isTrue();
    }

    @Test
    void whoIsInsideMayLetAnotherStayThoughItIsBeingClosed() {
        fence.enter();
        var cleared = fence.close().toCompletableFuture();

        fence.stay();
        fence.exit();
        assertThat(cleared).isNotDone();

        fence.exit();
        assertThat(cleared).isDone();
        assertThat(fence.enter()).isFalse();
    }

    @Test
    void itIsClearWhenTheLastInsideHasLeft() {
        fence.enter();
        fence.enter();
        var clear = fence.close().toCompletableFuture();

        fence.exit();
        assertThat(clear).isNotDone();
        fence.exit();
        assertThat(clear).isDone();
    }

    @Test
    void whoIsTurnedAwayDoesNotClearItForThoseInside() {
        fence.enter();
        var clear = fence.close().toCompletableFuture();

        fence.enter();

        assertThat(clear).isNotDone();
        fence.exit();
        assertThat(clear).isDone();
    }

    @Test
    void closingAgainAnswersTheSame() {
        fence.enter();
        var first = fence.close().toCompletableFuture();
        var second = fence.close().toCompletableFuture();

        fence.exit();

        assertThat(first).isDone();
        assertThat(second).isDone();
    }

    @Test
    void onceClearNobodyIsInsideAndNobodyComesIn() throws Exception {
        for (var round = 0; round < 200; round++) {
            var gate = new Fence();
            var inside = new AtomicInteger();
            var clear = new AtomicBoolean();
            var violated = new AtomicBoolean();
            var started = new CountDownLatch(3);
            try (var threads = Executors.newFixedThreadPool(3)) {
                for (var t = 0; t < 3; t++) {
                    threads.execute(() -> {
                        started.countDown();
                        while (gate.enter()) {
                            inside.incrementAndGet();
                            if (clear.get()) {
                                violated.set(true);
                            }
                            inside.decrementAndGet();
                            gate.exit();
                        }
                    });
                }
                started.await();
                gate.close().toCompletableFuture().get(30, TimeUnit.SECONDS);
                clear.set(true);
                assertThat(inside).hasValue(0);
            }
            assertThat(violated).as("round %d", round).isFalse();
        }
    }
}
