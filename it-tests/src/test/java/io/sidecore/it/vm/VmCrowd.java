package io.sidecore.it.vm;

import static io.sidecore.it.vm.VmPlace.console;
import static io.sidecore.it.vm.VmPlace.done;
import static io.sidecore.it.vm.VmPlace.heard;
import static io.sidecore.it.vm.VmPlace.next;
import static io.sidecore.it.vm.VmPlace.say;
import static io.sidecore.it.vm.VmPlace.state;

import io.sidecore.actors.vm.VirtualMachine.State;
import io.sidecore.actors.vm.VirtualMachine.Status;
import io.sidecore.conf.GuestSettings;
import io.sidecore.conf.Placement;
import io.sidecore.conf.StoreSettings;
import io.sidecore.conf.VolumeSettings;
import io.sidecore.it.Peers;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.VmHandle;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.function.Function;
import java.util.function.Predicate;

/** A host with many demo guests, in a process of its own: each checks its disk and ticks; all are paused, some are kept and go on from there, all are stopped. Prints what it took, a word and a number a line. */
final class VmCrowd implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofMinutes(5);
    private static final long DISK = 64 << 10;
    private static final long MEMORY = 2 << 20;

    private final Sidecore host;
    private final List<VmHandle> vms = new ArrayList<>();

    private VmCrowd(Path directory) {
        host = Sidecore.start(VmPlace.settings(directory, ""));
    }

    /** Arguments: a directory, how many, and how many of them are kept. */
    static void main(String[] arguments) throws Exception {
        var crowd = Integer.parseInt(arguments[1]);
        var kept = Integer.parseInt(arguments[2]);
        try (var all = new VmCrowd(Path.of(arguments[0]))) {
            all.live(crowd, kept);
        }
    }

    private static void print(String what, long number) {
        System.out.println(what + " " + number);
    }

    private void live(int crowd, int kept) throws Exception {
        // What the first one loads is the host's, not each one's.
        add("first");
        each(vm -> vm.start("wanted"));
        until("the first has checked its disk", VmCrowd::hasChecked);
        vms.clear();
        var before = resident();

        var began = System.nanoTime();
        for (var i = 0; i < crowd; i++) {
            add("vm-" + i);
        }
        each(vm -> vm.start("wanted"));
        print("start-micros-each", (System.nanoTime() - began) / 1_000 / crowd);
        until("all have checked their disks", VmCrowd::hasChecked);
        until("all have ticked, and read a block", vm -> console(vm).contains("reads, 1 writes, 0 errors, 1 s"));
        began = System.nanoTime();
        each(vm -> vm.pause("wait"));
        print("pause-micros-each", (System.nanoTime() - began) / 1_000 / crowd);
        print("resident-bytes-each", (resident() - before) / crowd);

        var sample = vms.subList(0, kept);
        began = System.nanoTime();
        for (var vm : sample) {
            host.vms().snapshot(vm.name(), "one", "to keep");
            done(vm.kill("enough"));
        }
        print("snapshot-micros-each", (System.nanoTime() - began) / 1_000 / kept);
        began = System.nanoTime();
        for (var vm : sample) {
            host.vms().restore(vm.name(), "one", "back");
        }
        print("restore-micros-each", (System.nanoTime() - began) / 1_000 / kept);
        for (var vm : vms.subList(kept, crowd)) {
            done(vm.resume("go on"));
        }
        var well = 0;
        for (var vm : vms) {
            var heard = heard(vm);
            say(vm, "stats");
            var stats = next(heard);
            // The ticks of before are counted, whether it goes on from a snapshot or was only paused.
            if (state(vm) == State.RUNNING && stats.matches("[1-9]\\d* reads, 1 writes, 0 errors, [1-9]\\d* s")) {
                well++;
            }
            say(vm, "check");
        }
        print("well", well);
        until("all have checked their disks again", vm -> console(vm).split("check passed", -1).length == 3);
        began = System.nanoTime();
        each(vm -> vm.stop("enough"));
        print("stop-micros-each", (System.nanoTime() - began) / 1_000 / crowd);
        print("stopped", vms.stream().filter(vm -> state(vm) == State.STOPPED).count());
        print(
                "failed-checks",
                vms.stream().filter(vm -> console(vm).contains("FAILED")).count());
    }

    private static boolean hasChecked(VmHandle vm) {
        return console(vm).contains("demo: check passed");
    }

    private void add(String name) {
        host.storage().create(name, new VolumeSettings(DISK, new StoreSettings.MemoryStore(DISK)));
        var guest = new GuestSettings.Wasm(GuestSettings.Wasm.DEMO, MEMORY, List.of(), Duration.ofSeconds(10));
        vms.add(host.vms().create(name, VmPlace.settings(guest, VmPlace.disk(name, Placement.SHARED))));
    }

    private void each(Function<VmHandle, CompletionStage<Status>> asked) {
        done(CompletableFuture.allOf(
                vms.stream().map(vm -> asked.apply(vm).toCompletableFuture()).toArray(CompletableFuture[]::new)));
    }

    private void until(String what, Predicate<VmHandle> holds) {
        for (var vm : vms) {
            Peers.until(vm.name() + ": " + what, PATIENCE, () -> holds.test(vm));
        }
    }

    private static long resident() throws IOException {
        for (var i = 0; i < 3; i++) {
            System.gc();
        }
        try (var status = Files.lines(Path.of("/proc/self/status"))) {
            return Long.parseLong(status.filter(line -> line.startsWith("VmRSS:"))
                            .findFirst()
                            .orElseThrow()
                            .replaceAll("\\D", ""))
                    << 10;
        }
    }

    @Override
    public void close() {
        host.close();
    }
}
