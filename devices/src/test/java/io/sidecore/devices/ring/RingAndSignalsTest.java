package io.sidecore.devices.ring;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.vif.Signal;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Two threads, a ring and its two signals. Who waits does so until it is signalled, and for nothing else: one lost wake-up, and the test hangs. */
@Timeout(value = 15, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RingAndSignalsTest {
    private static final long MESSAGES = Boolean.getBoolean("it.long") ? 100_000_000 : 10_000_000;

    /** Somebody who waits for a signal. */
    private static final class Waiter {
        private volatile boolean woken;
        private volatile Thread thread;
        private long waits;
        private int patience;

        void wake() {
            woken = true;
            LockSupport.unpark(thread);
        }

        void await() {
            waits++;
            for (var looks = patience; looks > 0 && !woken; looks--) {
                Thread.onSpinWait();
            }
            while (!woken) {
                LockSupport.park(this);
            }
            woken = false;
        }
    }

    /** Both sides of a ring, each with what it waits for. */
    private static final class Exchange {
        private final Ring ring;
        private final Waiter consumer = new Waiter();
        private final Waiter producer = new Waiter();
        private final Signal notEmpty;
        private final Signal room;
        private final long messages;
        private long mistakes;
        private long batches;

        Exchange(int capacity, long messages) {
            this.ring = new Ring(capacity, 2);
            this.messages = messages;
            this.notEmpty = new Signal(() -> !ring.isEmpty(), consumer::wake);
            this.room = new Signal(() -> !ring.isFull(), producer::wake);
        }

        void produce() {
            producer.thread = Thread.currentThread();
            var record = new long[2];
            for (var i = 0L; i < messages; i++) {
                record[0] = i;
                record[1] = i ^ 0x5DEECE66DL;
                while (!ring.send(record)) {
                    if (!room.on()) {
                        Thread.onSpinWait();
                    } else if (room.arm()) {
                        producer.await();
                    }
                }
                notEmpty.published();
            }
        }

        void consume() {
            consumer.thread = Thread.currentThread();
            var record = new long[2];
            for (var i = 0L; i < messages; ) {
                if (ring.recv(record)) {
                    if (record[0] != i || record[1] != (i ^ 0x5DEECE66DL)) {
                        mistakes++;
                    }
                    i++;
                    room.published();
                } else if (!notEmpty.on()) {
                    Thread.onSpinWait();
                } else {
                    batches++;
                    if (notEmpty.arm()) {
                        consumer.await();
                    }
                }
            }
        }

        void run() throws InterruptedException {
            var consuming = new Thread(this::consume, "consumer");
            consuming.setDaemon(true);
            consuming.start();
            produce();
            consuming.join();
        }
    }

    @Test
    void noWakeUpIsLostInMillionsOfMessages() throws Exception {
        var exchange = new Exchange(1024, MESSAGES);
        var began = System.nanoTime();

        exchange.run();

        System.out.printf(
                "%,d messages in %,d ms: %,d batches, %,d signals; room %,d times, %,d signals%n",
                MESSAGES,
                (System.nanoTime() - began) / 1_000_000,
                exchange.batches,
                exchange.notEmpty.raised(),
                exchange.producer.waits,
                exchange.room.raised());
        assertThat(exchange.mistakes).isZero();
        assertThat(exchange.notEmpty.raised()).isBetween(1L, exchange.batches);
        assertThat(exchange.room.raised()).isPositive();
        assertThat(exchange.batches * 2).as("batches of several").isLessThan(MESSAGES);
    }

    /**
     * One message at a time, of which the next is sent only once this one was received, and at about the moment at which its receiver arms: there is none behind it that would make up for a signal that was lost.
     */
    @Test
    void noWakeUpIsLostWhereEveryMessageIsWaitedFor() throws Exception {
        var there = new Exchange(1, MESSAGES / 100);
        var back = new Exchange(1, MESSAGES / 100);
        var echo = new Thread(() -> bounce(there, back, false), "echo");
        echo.setDaemon(true);
        there.consumer.patience = 2_000;
        back.consumer.patience = 2_000;
        echo.start();

        bounce(back, there, true);
        echo.join();

        System.out.printf(
                "%,d messages to and fro: %,d and %,d signals%n",
                there.messages, there.notEmpty.raised(), back.notEmpty.raised());
        assertThat(there.mistakes + back.mistakes).isZero();
        assertThat(there.notEmpty.raised()).isPositive();
        assertThat(back.notEmpty.raised()).isPositive();
    }

    private static void bounce(Exchange from, Exchange to, boolean serve) {
        from.consumer.thread = Thread.currentThread();
        var random = new SplittableRandom(serve ? 1 : 2);
        var record = new long[2];
        for (var i = 0L; i < from.messages; i++) {
            if (serve) {
                record[0] = i;
                to.ring.send(record);
                to.notEmpty.published();
            }
            for (var idle = random.nextInt(40); idle > 0; idle--) {
                Thread.onSpinWait();
            }
            while (!from.ring.recv(record)) {
                if (from.notEmpty.arm()) {
                    from.consumer.await();
                }
            }
            from.mistakes += record[0] == i ? 0 : 1;
            if (!serve) {
                to.ring.send(record);
                to.notEmpty.published();
            }
        }
    }

    @Test
    void whereSignalsAreOffTheMessagesPassAllTheSame() throws Exception {
        var exchange = new Exchange(1024, MESSAGES / 10);
        exchange.notEmpty.on(false);
        exchange.room.on(false);

        exchange.run();

        assertThat(exchange.mistakes).isZero();
        assertThat(exchange.notEmpty.raised()).isZero();
        assertThat(exchange.room.raised()).isZero();
    }

    /** The consumer switches between waiting and looking, at any time. */
    @Test
    void noWakeUpIsLostWhileASignalIsSwitched() throws Exception {
        var exchange = new Exchange(64, MESSAGES / 10);
        var consuming = new Thread(
                () -> {
                    exchange.consumer.thread = Thread.currentThread();
                    var record = new long[2];
                    for (var i = 0L; i < exchange.messages; ) {
                        if (exchange.ring.recv(record)) {
                            exchange.mistakes += record[0] == i ? 0 : 1;
                            i++;
                            exchange.room.published();
                            if (i % 97 == 0) {
                                exchange.notEmpty.on(i % 2 == 0);
                            }
                        } else if (!exchange.notEmpty.on()) {
                            exchange.notEmpty.on(true);
                            exchange.consumer.await();
                        } else if (exchange.notEmpty.arm()) {
                            exchange.consumer.await();
                        }
                    }
                },
                "consumer");
        consuming.setDaemon(true);
        consuming.start();

        exchange.produce();
        consuming.join();

        assertThat(exchange.mistakes).isZero();
        assertThat(exchange.notEmpty.raised()).isPositive();
    }
}
