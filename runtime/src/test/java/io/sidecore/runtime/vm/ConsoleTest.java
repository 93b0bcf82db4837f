package io.sidecore.runtime.vm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
class ConsoleTest {
    private static final Duration PATIENCE = Duration.ofMinutes(1);

    private final Console console = new Console();

    private static void write(Console console, String text) {
        var bytes = text.getBytes(StandardCharsets.ISO_8859_1);
        console.written(bytes, 0, bytes.length);
    }

    /** What a viewer sees without waiting. */
    private static String seen(Console.View view) throws InterruptedException {
        var text = new StringBuilder();
        while (true) {
            var chunk = view.next(Duration.ZERO);
            if (chunk.isEmpty()) {
                return text.toString();
            }
            if (chunk.get().lost() > 0) {
                text.append("<").append(chunk.get().lost()).append(" lost>");
            }
            text.append(new String(chunk.get().bytes(), StandardCharsets.ISO_8859_1));
        }
    }

    @Test
    void aViewerSeesWhatWasWrittenBeforeAndThenWhatComes() throws Exception {
        write(console, "login: ");
        try (var view = console.view()) {
            write(console, "root\r\n");
            assertThat(seen(view)).isEqualTo("login: root\r\n");
            write(console, "# ");
            assertThat(seen(view)).isEqualTo("# ");
            assertThat(view.hasEnded()).isFalse();
        }
    }

    @Test
    void aLiveViewerSeesOnlyWhatComes() throws Exception {
        write(console, "before");
        try (var view = console.viewLive()) {
            write(console, "after");
            assertThat(seen(view)).isEqualTo("after");
        }
    }

    @Test
    void everyByteIsPassedAsItIs() throws Exception {
        var all = new byte[256];
        for (var i = 0; i < 256; i++) {
            all[i] = (byte) i;
        }
        console.written(all, 10, 246);
        assertThat(console.view().next(Duration.ZERO).orElseThrow().bytes())
                .isEqualTo(Arrays.copyOfRange(all, 10, 256));
    }

    /** Against a plain string of everything, in which each byte's place tells what it is. */
    @ParameterizedTest
    @ValueSource(ints = {1 << 10, 3000, 64 << 10})
    void whateverIsWrittenViewersSeeItsEndAndAreToldWhatTheyLost(int scrollback) throws Exception {
        var random = new SplittableRandom(scrollback);
        var small = new Console(scrollback);
        var all = new ByteArrayOutputStream();
        var slow = small.view();
        var read = 0L;
        for (var round = 0; round < 2_000; round++) {
            var bytes = new byte[random.nextInt(8) == 0 ? random.nextInt(3 * scrollback) : random.nextInt(60)];
            random.nextBytes(bytes);
            small.written(bytes, 0, bytes.length);
            all.writeBytes(bytes);
            if (all.size() > 5_000_000) {
                break;
            }
            if (random.nextInt(4) == 0) {
                var chunk = slow.next(Duration.ZERO);
                if (chunk.isPresent()) {
                    assertThat(chunk.get().lost()).isEqualTo(Math.max(0, all.size() - scrollback - read));
                    read += chunk.get().lost();
                    var end = read + chunk.get().bytes().length;
                    assertThat(chunk.get().bytes())
                            .isEqualTo(Arrays.copyOfRange(all.toByteArray(), (int) read, (int) end));
                    read = end;
                }
                assertThat(read).isEqualTo(all.size());
                try (var fresh = small.view()) {
                    var kept = Math.min(scrollback, all.size());
                    var past =
                            fresh.next(Duration.ZERO).map(Console.Chunk::bytes).orElse(new byte[0]);
                    assertThat(past).isEqualTo(Arrays.copyOfRange(all.toByteArray(), all.size() - kept, all.size()));
                }
            }
        }
    }

    @Test
    void aViewerThatIsTooSlowIsToldHowMuchItMissedAndTheGuestDoesNotWait() throws Exception {
        var view = console.view();
        write(console, "x".repeat(Console.SCROLLBACK) + "12345");

        var chunk = view.next(Duration.ZERO).orElseThrow();

        assertThat(chunk.lost()).isEqualTo(5);
        assertThat(chunk.bytes()).hasSize(Console.SCROLLBACK).endsWith('1', '2', '3', '4', '5');
    }

    @Test
    void aGuestThatWritesMeanwhileDoesNotOvertakeTheScrollbackOfANewViewer() throws Exception {
        write(console, "o".repeat(Console.SCROLLBACK));
        var view = console.view();
        write(console, "n".repeat(Console.SCROLLBACK));

        assertThat(seen(view)).isEqualTo("o".repeat(Console.SCROLLBACK) + "n".repeat(Console.SCROLLBACK));
    }

    @Test
    void aConsoleTakesUpNoMoreThanWasWrittenAsksFor() {
        assertThat(console.footprint()).isZero();
        write(console, "a");
        assertThat(console.footprint()).isEqualTo(1 << 10);
        write(console, "a".repeat(1 << 10));
        assertThat(console.footprint()).isEqualTo(2 << 10);
        write(console, "a".repeat(10 << 20));
        assertThat(console.footprint()).isEqualTo(Console.SCROLLBACK);
    }

    @Test
    void viewersWaitForWhatComesAndAllOfThemSeeTheSame() throws Exception {
        var views = new ArrayList<CompletableFuture<String>>();
        var looking = new CountDownLatch(20);
        for (var i = 0; i < 20; i++) {
            var seen = new CompletableFuture<String>();
            views.add(seen);
            Thread.ofVirtual().start(() -> {
                var text = new StringBuilder();
                try (var view = console.view()) {
                    looking.countDown();
                    while (!view.hasEnded()) {
                        view.next(PATIENCE)
                                .ifPresent(chunk -> text.append(chunk.lost() > 0 ? "<lost>" : "")
                                        .append(new String(chunk.bytes(), StandardCharsets.ISO_8859_1)));
                    }
                    seen.complete(text.toString());
                } catch (InterruptedException | RuntimeException e) {
                    seen.completeExceptionally(e);
                }
            });
        }
        looking.await();
        assertThat(console.viewers()).isEqualTo(20);
        var expected = new StringBuilder();
        for (var i = 0; i < 5_000; i++) {
            write(console, i + "\n");
            expected.append(i).append("\n");
        }
        console.close();

        for (var view : views) {
            assertThat(view.get(1, TimeUnit.MINUTES)).isEqualTo(expected.toString());
        }
    }

    @Test
    void aViewThatIsClosedEndsWithWhatWasWrittenUntilThen() throws Exception {
        var view = console.view();
        write(console, "seen");
        view.close();
        write(console, "not seen");

        assertThat(view.hasEnded()).isFalse();
        assertThat(seen(view)).isEqualTo("seen");
        assertThat(view.hasEnded()).isTrue();
        view.close();
        assertThat(console.viewers()).isZero();
    }

    @Test
    void aViewThatIsClosedAndOvertakenEndsWithWhatItLost() throws Exception {
        var view = console.viewLive();
        write(console, "gone");
        view.close();
        write(console, "x".repeat(2 * Console.SCROLLBACK));

        assertThat(seen(view)).isEqualTo("<4 lost>");
        assertThat(view.hasEnded()).isTrue();
    }

    @Test
    void whatIsTypedReachesTheGuestInOrder() throws Exception {
        var guest = new SlowGuest();
        guest.takes.countDown();
        console.attach(guest);
        var expected = new StringBuilder();
        var view = console.view();
        for (var i = 0; i < 20_000; i++) {
            assertThat(view.type((i + "\r").getBytes(StandardCharsets.US_ASCII)))
                    .isZero();
            expected.append(i).append("\r");
        }
        guest.await(expected.length());
        assertThat(guest.text()).isEqualTo(expected.toString());
        assertThat(console.bytesDropped()).isZero();
    }

    @Test
    void whatIsTypedWithoutAGuestIsDroppedAndCounted() throws Exception {
        var view = console.view();
        assertThat(view.type(new byte[] {1, 2, 3})).isEqualTo(3);
        var attachment = console.attach(bytes -> {});
        assertThat(console.isAttached()).isTrue();
        assertThat(view.type(new byte[] {1})).isZero();
        attachment.close();
        assertThat(view.type(new byte[] {1, 2})).isEqualTo(2);
        assertThat(console.isAttached()).isFalse();
        assertThat(console.bytesDropped()).isBetween(5L, 6L);
    }

    /** Takes nothing until it is told to. */
    private static final class SlowGuest implements Console.GuestInput {
        private final CountDownLatch entered = new CountDownLatch(1);
        private final CountDownLatch takes = new CountDownLatch(1);
        private final ByteArrayOutputStream taken = new ByteArrayOutputStream();

        @Override
        public void accept(byte[] bytes) throws IOException {
            entered.countDown();
            try {
                takes.await();
            } catch (InterruptedException e) {
                throw new IOException(e);
            }
            synchronized (this) {
                taken.writeBytes(bytes);
                notifyAll();
            }
        }

        private synchronized void await(int bytes) throws InterruptedException {
            while (taken.size() < bytes) {
                wait();
            }
        }

        private synchronized String text() {
            return taken.toString(StandardCharsets.ISO_8859_1);
        }
    }

    @Test
    void whoeverTypesAheadOfASlowGuestWaitsAndNobodyElseDoes() throws Exception {
        var guest = new SlowGuest();
        console.attach(guest);
        var view = console.view();
        view.type(new byte[1]);
        guest.entered.await();
        // It has the first byte in its hands, and as much as fits before it.
        view.type(new byte[Console.TYPED_AHEAD]);
        var typist = new LinkedBlockingQueue<Integer>();
        var waiting = Thread.ofPlatform().start(() -> {
            try {
                typist.add(view.type(new byte[10]));
            } catch (InterruptedException e) {
                typist.add(-1);
            }
        });
        while (waiting.getState() != Thread.State.WAITING) {
            LockSupport.parkNanos(1_000_000);
            assertThat(Thread.currentThread().isInterrupted()).isFalse();
        }
        write(console, "the guest goes on");
        assertThat(seen(view)).isEqualTo("the guest goes on");
        assertThat(console.footprint()).isEqualTo(Console.TYPED_AHEAD + (1 << 10));

        guest.takes.countDown();
        assertThat(typist.poll(1, TimeUnit.MINUTES)).isZero();
        guest.await(1 + Console.TYPED_AHEAD + 10);
    }

    @Test
    void whoeverWaitsForAGuestThatGoesOrAViewThatClosesWaitsNoLonger() throws Exception {
        for (var closing : new boolean[] {true, false}) {
            var one = new Console();
            var guest = new SlowGuest();
            var attachment = one.attach(guest);
            var view = one.view();
            view.type(new byte[1]);
            guest.entered.await();
            var typist = new LinkedBlockingQueue<Integer>();
            Thread.ofPlatform().start(() -> {
                try {
                    typist.add(view.type(new byte[Console.TYPED_AHEAD + 10]));
                } catch (InterruptedException e) {
                    typist.add(-1);
                }
            });
            while (one.footprint() < Console.TYPED_AHEAD) {
                LockSupport.parkNanos(1_000_000);
                assertThat(Thread.currentThread().isInterrupted()).isFalse();
            }
            if (closing) {
                view.close();
            } else {
                attachment.close();
            }
            assertThat(typist.poll(1, TimeUnit.MINUTES)).isEqualTo(10);
            guest.takes.countDown();
        }
    }

    @Test
    void theNextRunOfAGuestGetsNothingThatWasTypedForTheFormerAndIsNotDetachedWithIt() throws Exception {
        var former = new SlowGuest();
        var attachment = console.attach(former);
        var view = console.view();
        view.type("a".getBytes(StandardCharsets.US_ASCII));
        former.entered.await();
        view.type("bb".getBytes(StandardCharsets.US_ASCII));

        var next = new SlowGuest();
        next.takes.countDown();
        console.attach(next);
        attachment.close();
        former.takes.countDown();
        view.type("c".getBytes(StandardCharsets.US_ASCII));

        next.await(1);
        assertThat(next.text()).isEqualTo("c");
        assertThat(console.bytesDropped()).isEqualTo(2);
    }

    @Test
    void aGuestThatIsGoneIsAskedNoMore() throws Exception {
        var asked = new LinkedBlockingQueue<Integer>();
        console.attach(bytes -> {
            asked.add(bytes.length);
            throw new IOException("it is gone");
        });
        var view = console.view();
        view.type(new byte[7]);
        assertThat(asked.poll(1, TimeUnit.MINUTES)).isEqualTo(7);
        while (console.isAttached()) {
            LockSupport.parkNanos(1_000_000);
            assertThat(Thread.currentThread().isInterrupted()).isFalse();
        }
        assertThat(view.type(new byte[2])).isEqualTo(2);
        assertThat(console.bytesDropped()).isEqualTo(9);
    }

    @Test
    void aClosedConsoleShowsWhatItHasAndTakesNothing() throws Exception {
        console.attach(bytes -> {});
        write(console, "last words");
        console.close();
        write(console, "too late");

        var view = console.view();
        assertThat(seen(view)).isEqualTo("last words");
        assertThat(view.hasEnded()).isTrue();
        assertThat(view.type(new byte[1])).isEqualTo(1);
        console.attach(bytes -> {});
        assertThat(console.isAttached()).isFalse();
    }

    @Test
    void aScrollbackThatIsNoneIsRefused() {
        assertThatThrownBy(() -> new Console(100)).hasMessageContaining("found 100");
        assertThatThrownBy(() -> new Console(1 << 30)).hasMessageContaining("found 1073741824");
    }
}
