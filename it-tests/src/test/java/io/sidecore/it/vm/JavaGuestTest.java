package io.sidecore.it.vm;

import static io.sidecore.it.vm.VmPlace.console;
import static io.sidecore.it.vm.VmPlace.disk;
import static io.sidecore.it.vm.VmPlace.done;
import static io.sidecore.it.vm.VmPlace.failure;
import static io.sidecore.it.vm.VmPlace.heard;
import static io.sidecore.it.vm.VmPlace.history;
import static io.sidecore.it.vm.VmPlace.next;
import static io.sidecore.it.vm.VmPlace.say;
import static io.sidecore.it.vm.VmPlace.settings;
import static io.sidecore.it.vm.VmPlace.state;
import static io.sidecore.it.vm.VmPlace.type;
import static io.sidecore.it.vm.VmPlace.until;
import static io.sidecore.it.vm.VmPlace.untilConsole;
import static io.sidecore.it.vm.VmPlace.untilHistory;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.vif.GuestPort;
import io.sidecore.actors.vm.GuestContext;
import io.sidecore.actors.vm.GuestProgram;
import io.sidecore.actors.vm.VirtualMachine.State;
import io.sidecore.conf.GuestSettings;
import io.sidecore.conf.Placement;
import io.sidecore.conf.VmSettings.Restart;
import io.sidecore.conf.VmSettings.RestartPolicy;
import io.sidecore.it.Peers;
import io.sidecore.it.ring.LaneGuest;
import io.sidecore.runtime.HostException;
import io.sidecore.runtime.VmHandle;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class JavaGuestTest {
    private static final Duration SHORT = Duration.ofMillis(200);

    /** Of a program that heeds no interrupt. */
    private static volatile boolean released;

    @AutoClose
    private final VmPlace place = new VmPlace("cores { service = 1 }");

    @BeforeEach
    void open() {
        released = false;
    }

    @AfterEach
    void release() {
        released = true;
    }

    /** Answers what it is told, and counts its ticks; each handler can be told to do something else. */
    static class Program implements GuestProgram {
        private int ticks;

        static void tell(GuestContext context, String text) {
            context.message(text.getBytes(StandardCharsets.UTF_8));
        }

        @Override
        public void onStart(GuestContext context) {
            print(context, "hello from " + context.name() + "\n");
        }

        static void print(GuestContext context, String text) {
            var bytes = text.getBytes(StandardCharsets.UTF_8);
            context.print(bytes, 0, bytes.length);
        }

        @Override
        public void onMessage(GuestContext context, byte[] message) {
            var text = new String(message, StandardCharsets.UTF_8);
            if (text.startsWith("exit ")) {
                context.exit(Integer.parseInt(text.substring(5)));
            } else if (text.equals("tick")) {
                context.timer(3, Duration.ofMillis(1));
            } else {
                print(context, "heard " + text + "\n");
                tell(context, "echo " + text);
            }
        }

        @Override
        public void onTimer(GuestContext context, int timer) {
            ticks++;
            tell(context, "timer " + timer + ", tick " + ticks);
            if (ticks < 3) {
                context.timer(timer, Duration.ofMillis(1));
            }
        }
    }

    private VmHandle started(String name) {
        var vm = place.java(name, Program::new);
        done(vm.start("wanted"));
        return vm;
    }

    /** It answers; so the host serves it. */
    private static void assertServed(VmHandle vm) throws InterruptedException {
        var heard = heard(vm);
        assertThat(say(vm, "ping")).isTrue();
        assertThat(next(heard)).isEqualTo("echo ping");
    }

    // --- its life

    @Test
    void itLivesFromItsStartToItsStop() {
        var vm = place.java("web", Program::new);
        assertThat(state(vm)).isEqualTo(State.DEFINED);

        assertThat(done(vm.start("wanted")).state()).isEqualTo(State.RUNNING);
        assertThat(done(vm.pause("wait")).state()).isEqualTo(State.PAUSED);
        assertThat(done(vm.resume("go on")).state()).isEqualTo(State.RUNNING);
        assertThat(done(vm.stop("enough")).state()).isEqualTo(State.STOPPED);

        // That it was asked is told when it has answered, which may be after it has ended.
        assertThat(history(vm).stream().filter(entry -> !entry.startsWith("asked: ")))
                .containsExactly(
                        "defined: java",
                        "starting: wanted",
                        "running",
                        "paused: wait",
                        "running: go on",
                        "stopping: enough",
                        "stopped: enough");
        assertThat(console(vm)).isEqualTo("hello from web\r\n");
        done(vm.start("again"));
        assertThat(console(vm)).isEqualTo("hello from web\r\nhello from web\r\n");
    }

    @Test
    void messagesGoBothWaysAndTimersCome() throws Exception {
        var vm = started("web");
        var heard = heard(vm);

        assertThat(say(vm, "a")).isTrue();
        assertThat(next(heard)).isEqualTo("echo a");
        assertThat(say(vm, "tick")).isTrue();
        assertThat(List.of(next(heard), next(heard), next(heard)))
                .containsExactly("timer 3, tick 1", "timer 3, tick 2", "timer 3, tick 3");

        done(vm.stop("enough"));
        assertThat(say(vm, "a")).isFalse();
    }

    @Test
    void aLineThatIsTypedIsAMessage() throws Exception {
        var vm = started("web");

        type(vm, "hellp\bo\r");

        untilConsole(vm, "heard hello");
        assertThat(console(vm)).isEqualTo("hello from web\r\nhellp\b \bo\r\nheard hello\r\n");
    }

    @Test
    void whileItIsPausedItHearsNothingAndAfterwardsEverything() throws Exception {
        var vm = started("web");
        var heard = heard(vm);
        done(vm.pause("wait"));
        say(vm, "a");
        say(vm, "b");
        var other = started("other");
        assertServed(other);
        assertThat(heard).isEmpty();

        done(vm.resume("go on"));

        assertThat(List.of(next(heard), next(heard))).containsExactly("echo a", "echo b");
    }

    @Test
    void whatItDoesNotReadIsBounded() {
        var vm = started("web");
        done(vm.pause("wait"));

        var taken = 0;
        while (say(vm, "more")) {
            taken++;
        }

        assertThat(taken).isEqualTo(1_024);
        done(vm.stop("enough"));
    }

    @Test
    void onePausedIsStoppedByBeingAsked() {
        var vm = started("web");
        done(vm.pause("wait"));

        done(vm.stop("enough"));

        assertThat(history(vm)).contains("stopped: enough").noneMatch(it -> it.startsWith("killed"));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 3, -1})
    void itsExitCodeSaysHowItEnded(int code) {
        var vm = started("web");

        say(vm, "exit " + code);

        until(vm, code == 0 ? State.STOPPED : State.FAILED);
        assertThat(VmPlace.cause(vm))
                .isEqualTo(code == 0 ? "its program ended" : "its program ended with code " + code);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 3})
    void oneThatExitsAtItsStartHasRunOrFailed(int code) {
        var vm = place.java("web", () -> context -> context.exit(code));
        if (code == 0) {
            done(vm.start("wanted"));
            until(vm, State.STOPPED);
        } else {
            assertThat(failure(vm.start("wanted"))).endsWith("its program ended with code 3");
            assertThat(state(vm)).isEqualTo(State.FAILED);
        }
    }

    // --- its disks

    /** Reads and writes at random, and says so when it has seen that everything is as it should be. */
    private static GuestProgram disks() {
        return new GuestProgram() {
            private static final int LANES = 16;

            private LaneGuest lanes;
            private boolean told;

            @Override
            public void onStart(GuestContext context) {
                lanes = new LaneGuest(context.vif(0), context.memory(), new SplittableRandom(7), LANES, 3_000, false);
                progress(context);
            }

            @Override
            public void onBlock(GuestContext context, int vif) {
                progress(context);
            }

            private void progress(GuestContext context) {
                lanes.progress();
                if (lanes.done() && !told) {
                    told = true;
                    Program.tell(context, lanes.answered() + " answered, " + lanes.violations());
                }
            }
        };
    }

    @ParameterizedTest
    @EnumSource
    void itsDiskIsADiskInEachPlacement(Placement placement) throws Exception {
        var vm = place.java("web", JavaGuestTest::disks, disk("a", placement));
        var heard = heard(vm);

        done(vm.start("wanted"));

        assertThat(next(heard)).isEqualTo("3000 answered, []");
        done(vm.stop("enough"));
        // Its disk is free again.
        place.host.storage().delete("a");
    }

    @ParameterizedTest
    @EnumSource
    void twoDisksAreTwo(Placement placement) throws Exception {
        GuestProgram program = new GuestProgram() {
            @Override
            public void onStart(GuestContext context) {
                Program.tell(
                        context,
                        context.vifs() + ", " + context.vif(1).readOnly() + ", "
                                + context.vif(1).size());
                context.vif(1).send(BlockOp.FLUSH, 0, 0, 0, 0, 5);
            }

            @Override
            public void onBlock(GuestContext context, int vif) {
                var answer = new GuestPort.Answer();
                while (context.vif(vif).recv(answer)) {
                    Program.tell(context, "vif " + vif + ", tag " + answer.tag + ", " + answer.error);
                }
            }
        };
        var vm = place.java("web", () -> program, disk("b", placement), disk("a", placement));
        var heard = heard(vm);
        done(vm.start("wanted"));

        assertThat(List.of(next(heard), next(heard))).containsExactly("2, false, 1048576", "vif 1, tag 5, OK");
    }

    @ParameterizedTest
    @EnumSource
    void aDiskThatIsNeverIdleDoesNotHoldBackAnother(Placement placement) throws Exception {
        GuestProgram program = new GuestProgram() {
            private final GuestPort.Answer answer = new GuestPort.Answer();
            private int last;

            @Override
            public void onStart(GuestContext context) {
                flush(context, 0);
                flush(context, 1);
            }

            private static void flush(GuestContext context, int vif) {
                context.vif(vif).send(BlockOp.FLUSH, 0, 0, 0, 0, 0);
            }

            @Override
            public void onBlock(GuestContext context, int vif) {
                while (context.vif(vif).recv(answer)) {}
                flush(context, vif);
                if (vif == 1 && ++last == 3) {
                    Program.tell(context, "three");
                }
            }
        };
        var vm = place.java("web", () -> program, disk("a", placement), disk("b", placement));
        var heard = heard(vm);
        done(vm.start("wanted"));

        assertThat(next(heard)).isEqualTo("three");
    }

    @Test
    void aDiskThatAnotherHoldsFailsTheStartAndNothingIsHeld() {
        var first = place.java("first", Program::new, disk("a", Placement.SHARED));
        done(first.start("wanted"));
        var second = place.java("second", Program::new, disk("b", Placement.INLINE), disk("a", Placement.SHARED));

        assertThat(failure(second.start("wanted"))).startsWith("VM second: ").contains("a");

        assertThat(state(second)).isEqualTo(State.FAILED);
        place.host.storage().delete("b");
        done(first.stop("enough"));
    }

    @ParameterizedTest
    @EnumSource
    void aDescriptorOutsideOfItsMemoryIsRefusedAndNotedAndOthersAreServedOn(Placement placement) throws Exception {
        GuestProgram bad = new GuestProgram() {
            @Override
            public void onStart(GuestContext context) {
                var port = context.vif(0);
                var size = context.memory().byteSize();
                for (var address : new long[] {size - 511, size, -1, Long.MAX_VALUE, Long.MIN_VALUE}) {
                    Program.tell(
                            context,
                            port.send(BlockOp.READ, 0, 0, 512, address, 1).name());
                }
                for (var i = 0; i < 100; i++) {
                    port.send(BlockOp.WRITE, 0, 1 << 20, 512, 0, 1);
                }
            }

            @Override
            public void onMessage(GuestContext context, byte[] message) {
                Program.tell(context, "echo ping");
            }
        };
        var vm = place.java("bad", () -> bad, disk("a", placement));
        var other = place.java("other", JavaGuestTest::disks, disk("b", placement));
        var heard = heard(vm);
        var othersWord = heard(other);

        done(vm.start("wanted"));
        done(other.start("wanted"));

        for (var i = 0; i < 5; i++) {
            assertThat(next(heard)).isEqualTo("REFUSED");
        }
        assertThat(next(othersWord)).isEqualTo("3000 answered, []");
        assertServed(vm);
        untilHistory(vm, entry -> entry.endsWith("; further ones are only counted"));
        assertThat(history(vm))
                .contains("refused: disk a: READ of 512 bytes at 0, address 1048065: outside memory")
                .filteredOn(entry -> entry.startsWith("refused: "))
                .hasSize(8);
        assertThat(place.vif("vm/bad/a").tally().refused()).isEqualTo(105);
    }

    // --- it breaks

    /** Where. */
    enum Handler {
        ON_START,
        ON_MESSAGE,
        ON_TIMER,
        ON_BLOCK,
        ON_STOP
    }

    private static GuestProgram failing(Handler where, Runnable how) {
        return new GuestProgram() {
            private void maybe(Handler handler) {
                if (handler == where) {
                    how.run();
                }
            }

            @Override
            public void onStart(GuestContext context) {
                maybe(Handler.ON_START);
                context.timer(0, Duration.ofNanos(1));
            }

            @Override
            public void onTimer(GuestContext context, int timer) {
                maybe(Handler.ON_TIMER);
                context.vif(0).send(BlockOp.READ, 0, 0, 512, 0, 1);
            }

            @Override
            public void onBlock(GuestContext context, int vif) {
                maybe(Handler.ON_BLOCK);
                Program.tell(context, "ready");
            }

            @Override
            public void onMessage(GuestContext context, byte[] message) {
                maybe(Handler.ON_MESSAGE);
            }

            @Override
            public void onStop(GuestContext context) {
                maybe(Handler.ON_STOP);
                context.exit(0);
            }
        };
    }

    private VmHandle failed(Handler where, GuestSettings guest, Runnable how) throws InterruptedException {
        var vm =
                place.host.vms().create("bad", settings(guest, disk("a", Placement.SHARED)), () -> failing(where, how));
        var heard = heard(vm);
        var start = vm.start("wanted");
        if (where == Handler.ON_START) {
            failure(start);
        } else if (where == Handler.ON_TIMER || where == Handler.ON_BLOCK) {
            // It may break before it is known to run.
            done(start.handle((begun, failure) -> begun));
        } else {
            done(start);
        }
        if (where == Handler.ON_MESSAGE || where == Handler.ON_STOP) {
            assertThat(next(heard)).isEqualTo("ready");
            say(vm, "go");
        }
        if (where == Handler.ON_STOP) {
            done(vm.stop("enough"));
            until(vm, State.STOPPED);
        } else {
            until(vm, State.FAILED);
        }
        return vm;
    }

    private static String last(VmHandle vm, Handler where) {
        return where == Handler.ON_STOP
                ? history(vm).stream()
                        .filter(entry -> entry.startsWith("broke: "))
                        .findFirst()
                        .orElseThrow()
                        .substring(7)
                : VmPlace.cause(vm);
    }

    @ParameterizedTest
    @EnumSource
    void whateverItThrowsEndsItAndNobodyElse(Handler where) throws Exception {
        var other = started("other");

        var vm = failed(where, VmPlace.java(Duration.ofSeconds(30)), () -> {
            throw new IllegalStateException("boom");
        });

        assertThat(last(vm, where))
                .isEqualTo(where.name().toLowerCase(java.util.Locale.ROOT) + ": java.lang.IllegalStateException: boom");
        assertServed(other);
        place.host.storage().delete("a");
    }

    @ParameterizedTest
    // One that is asked to stop ends by itself once it is interrupted, and may do so before the deadline has ended it.
    @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "ON_STOP")
    void anEndlessLoopThatCanBeInterruptedEndsItAndNobodyElse(Handler where) throws Exception {
        var other = started("other");

        var vm = failed(where, VmPlace.java(SHORT), () -> {
            while (!Thread.currentThread().isInterrupted()) {
                Thread.onSpinWait();
            }
        });

        assertThat(last(vm, where))
                .isEqualTo(where.name().toLowerCase(java.util.Locale.ROOT) + " lasted longer than 200 ms");
        assertServed(other);
        place.host.storage().delete("a");
    }

    @ParameterizedTest
    @EnumSource(names = {"ON_START", "ON_MESSAGE"})
    void anEndlessLoopThatCannotBeInterruptedCostsItsThreadWhichIsReplaced(Handler where) throws Exception {
        var other = started("other");

        var vm = failed(where, VmPlace.java(SHORT), () -> {
            while (!released) {
                Thread.onSpinWait();
            }
        });

        assertThat(last(vm, where)).contains(" lasted longer than 200 ms");
        untilHistory(vm, entry -> entry.startsWith("stuck: "));
        assertServed(other);
        // So do new ones, with its disk.
        var heir = place.java("heir", JavaGuestTest::disks, disk("a", Placement.SHARED));
        var heard = heard(heir);
        done(heir.start("wanted"));
        assertThat(next(heard)).isEqualTo("3000 answered, []");
    }

    @Test
    void oneThatLoopsForHoursIsKilledAtOnce() throws Exception {
        var vm = place.host
                .vms()
                .create(
                        "bad",
                        settings(VmPlace.java(Duration.ofHours(1))),
                        () -> failing(Handler.ON_TIMER, () -> {
                            while (!Thread.currentThread().isInterrupted()) {
                                Thread.onSpinWait();
                            }
                        }));
        done(vm.start("wanted"));

        assertThat(done(vm.kill("away with it")).state()).isEqualTo(State.STOPPED);

        assertThat(VmPlace.cause(vm)).isEqualTo("away with it");
    }

    @ParameterizedTest
    @EnumSource
    void oneWhoseDiskIsNeverIdleIsAskedToEndAllTheSame(Placement placement) {
        var vm = place.java("web", WritingProgram::new, disk("a", placement));
        done(vm.start("wanted"));

        done(vm.stop("enough"));

        assertThat(VmPlace.cause(vm)).isEqualTo("enough");
    }

    @Test
    void oneThatDoesNotHeedAStopIsKilledAfterItsTimeout() {
        var vm = place.host
                .vms()
                .create(
                        "deaf",
                        VmPlace.patient(settings(VmPlace.java(SHORT)), Duration.ofMillis(50)),
                        () -> new Program() {
                            @Override
                            public void onStop(GuestContext context) {}
                        });
        done(vm.start("wanted"));

        done(vm.stop("enough"));

        assertThat(VmPlace.cause(vm)).isEqualTo("enough; the guest did not end within 50 ms and was killed");
    }

    @Test
    void oneWithoutMemoryLeftSaysSo() throws Exception {
        var vm = failed(Handler.ON_MESSAGE, VmPlace.java(SHORT), () -> {
            throw new OutOfMemoryError("Java heap space");
        });

        assertThat(VmPlace.cause(vm)).isEqualTo("on_message: it ran out of memory (Java heap space)");
    }

    private static int deeper(int depth) {
        return depth < 0 ? 0 : deeper(depth + 1) + 1;
    }

    @Test
    void oneThatCallsItselfForEverSaysSo() throws Exception {
        var vm = failed(Handler.ON_MESSAGE, VmPlace.java(Duration.ofSeconds(30)), () -> deeper(0));

        assertThat(VmPlace.cause(vm)).isEqualTo("on_message: its stack has overflowed");
    }

    /** Not a guest. */
    public static final class Stranger {}

    /** Throws when it is made. */
    public static final class Unmakeable implements GuestProgram {
        public Unmakeable() {
            throw new IllegalStateException("no");
        }

        @Override
        public void onStart(GuestContext context) {}
    }

    /** A guest by its class. */
    public static final class Made extends Program {}

    @Test
    void aGuestIsMadeOfItsClass() throws Exception {
        var vm = place.host.vms().create("web", settings(ofClass(Made.class.getName())));
        done(vm.start("wanted"));

        assertServed(vm);
    }

    private static GuestSettings ofClass(String name) {
        return new GuestSettings.Java(name, 4096, Duration.ofSeconds(1));
    }

    @Test
    void aClassThatIsNoGuestFailsTheStartWithASentence() {
        var vms = place.host.vms();
        assertThat(failure(vms.create("a", settings(ofClass("no.such.Guest"))).start("wanted")))
                .isEqualTo("VM a: there is no class no.such.Guest on the host's class path");
        assertThat(failure(vms.create("b", settings(ofClass(Stranger.class.getName())))
                        .start("wanted")))
                .isEqualTo("VM b: class " + Stranger.class.getName() + " is no " + GuestProgram.class.getName());
        assertThat(failure(vms.create("c", settings(ofClass(Unmakeable.class.getName())))
                        .start("wanted")))
                .isEqualTo("VM c: class " + Unmakeable.class.getName()
                        + " cannot be made: java.lang.IllegalStateException: no");
    }

    @Test
    void aSupplierThatThrowsFailsTheStart() {
        var vm = place.java("web", () -> {
            throw new IllegalStateException("none left");
        });

        assertThat(failure(vm.start("wanted"))).contains("none left");
        assertThat(state(vm)).isEqualTo(State.FAILED);
    }

    // --- again

    @Test
    void oneThatFailsIsStartedAgainUntilItHasFailedTooOften() {
        var runs = new AtomicInteger();
        var vm = place.host
                .vms()
                .create(
                        "web",
                        VmPlace.restarting(
                                settings(VmPlace.java(SHORT)),
                                new Restart(RestartPolicy.ON_FAILURE, Duration.ofMillis(1), Duration.ofHours(1), 3)),
                        () -> context -> {
                            runs.incrementAndGet();
                            context.timer(0, Duration.ZERO);
                            throw new IllegalStateException("boom");
                        });

        failure(vm.start("wanted"));

        untilHistory(vm, entry -> entry.startsWith("given-up: "));
        assertThat(runs).hasValue(4);
        assertThat(state(vm)).isEqualTo(State.FAILED);
    }

    @Test
    void oneThatEndsIsAlwaysStartedAgainUntilItIsStopped() {
        var runs = new AtomicInteger();
        var vm = place.host
                .vms()
                .create(
                        "web",
                        VmPlace.restarting(
                                settings(VmPlace.java(SHORT)),
                                new Restart(
                                        RestartPolicy.ALWAYS, Duration.ofMillis(1), Duration.ofMillis(1), 1_000_000)),
                        () -> context -> {
                            if (runs.incrementAndGet() < 20) {
                                context.exit(0);
                            }
                        });

        done(vm.start("wanted"));

        Peers.until("twenty runs", VmPlace.PATIENCE, () -> runs.get() == 20 && state(vm) == State.RUNNING);
        done(vm.stop("enough"));
        assertThat(runs).hasValue(20);
    }

    // --- snapshots

    private static long count(VmHandle vm, BlockingQueue<String> heard) throws InterruptedException {
        say(vm, "count");
        return Long.parseLong(next(heard));
    }

    @ParameterizedTest
    @EnumSource
    void aSnapshotAmidItsWritesIsWhereItGoesOn(Placement placement) throws Exception {
        var vm = place.java("web", WritingProgram::new, disk("a", placement));
        var heard = heard(vm);
        done(vm.start("wanted"));
        var before = count(vm, heard);

        place.host.vms().snapshot("web", "one", "to keep");
        var after = count(vm, heard);
        Peers.until("it goes on", VmPlace.PATIENCE, () -> {
            try {
                return count(vm, heard) > after + 1_000;
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        });
        done(vm.kill("enough"));
        heard.clear();
        place.host.vms().restore("web", "one", "back");

        var restored = next(heard);
        assertThat(restored).endsWith(" sent, " + WritingProgram.DEPTH + " owed, 0 wrong");
        assertThat(Long.parseLong(restored.replaceAll("restored, (\\d+) .*", "$1")))
                .isBetween(before, after);
        assertThat(place.host.vms().snapshots("web")).containsExactly("one");
        done(vm.kill("enough"));
    }

    @Test
    void aSnapshotOfOneThatIsPausedLeavesItPaused() throws Exception {
        var vm = place.java("web", WritingProgram::new, disk("a", Placement.SHARED));
        var heard = heard(vm);
        done(vm.start("wanted"));
        done(vm.pause("wait"));

        place.host.vms().snapshot("web", "one", "to keep");
        say(vm, "count");
        assertThat(state(vm)).isEqualTo(State.PAUSED);
        assertThat(heard).isEmpty();

        done(vm.resume("go on"));
        next(heard);
        done(vm.kill("enough"));
        place.host.vms().restore("web", "one", "back");
        assertThat(next(heard)).endsWith(" 0 wrong");
        done(vm.kill("enough"));
    }

    @Test
    void aProgramThatCannotBeSavedSaysSoAndGoesOn() throws Exception {
        var vm = started("web");

        assertThatThrownBy(() -> place.host.vms().snapshot("web", "one", "to keep"))
                .isInstanceOf(HostException.class)
                .hasMessage("VM web: its program cannot be saved (GuestProgram.save)");

        assertThat(place.host.vms().snapshots("web")).isEmpty();
        assertThat(place.directory().resolve("data/vms/web/snapshots/one.part")).doesNotExist();
        assertServed(vm);
    }

    @Test
    void oneThatFailsWhenItIsSavedGoesOn() throws Exception {
        var vm = place.java("web", () -> new Program() {
            @Override
            public java.util.Optional<byte[]> save() {
                throw new IllegalStateException("boom");
            }
        });
        done(vm.start("wanted"));

        assertThatThrownBy(() -> place.host.vms().snapshot("web", "one", "to keep"))
                .hasMessageContaining("boom");

        assertServed(vm);
    }

    @Test
    void aSnapshotOfAnotherProgramIsNotGoneOnFrom() {
        var runs = new AtomicInteger();
        var vm = place.java(
                "web",
                () -> runs.incrementAndGet() == 1 ? new WritingProgram() : new Program(),
                disk("a", Placement.SHARED));
        done(vm.start("wanted"));
        place.host.vms().snapshot("web", "one", "to keep");
        done(vm.kill("enough"));

        assertThatThrownBy(() -> place.host.vms().restore("web", "one", "back"))
                .hasMessageContaining("the snapshot is of a program " + WritingProgram.class.getName());
        assertThat(state(vm)).isEqualTo(State.STOPPED);
    }

    // --- what it has used

    @Test
    void itsTimeIsCounted() throws Exception {
        var vm = started("web");
        assertServed(vm);

        assertThat(done(vm.statistics()).cpuNanos()).isPositive();
        done(vm.stop("enough"));
        assertThat(failure(vm.statistics())).isEqualTo("VM web does not run");
    }
}
