package io.sidecore.runtime.guest.wasm;

import io.sidecore.actors.vif.GuestPort;
import io.sidecore.actors.vm.GuestContext;
import io.sidecore.actors.vm.GuestProgram;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;

/** A host of one guest, in memory: its disks serve at once, its clock goes on when told to. */
class TestHost implements GuestContext {
    final List<ArrayDisk> disks = new ArrayList<>();
    final List<byte[]> messages = new ArrayList<>();
    final StringBuilder console = new StringBuilder();
    final TreeMap<Integer, Long> timers = new TreeMap<>();
    final MemorySegment memory;
    Integer exit;
    long now = 1_000;
    private final boolean realTime;

    TestHost(long bytes) {
        this(bytes, false);
    }

    /**
     * @param realTime whether its clock goes on by itself, for programs that wait
     */
    TestHost(long bytes, boolean realTime) {
        memory = Arena.ofAuto().allocate(bytes, 64);
        this.realTime = realTime;
    }

    TestHost(MemorySegment memory) {
        this.memory = memory;
        realTime = false;
    }

    TestHost disk(int bytes, int depth) {
        disks.add(new ArrayDisk(memory, bytes, depth));
        return this;
    }

    /** Tells the guest of answers and room until it has taken them. */
    void pump(GuestProgram guest) {
        for (var again = true; again && exit == null; ) {
            again = false;
            for (var i = 0; i < disks.size() && exit == null; i++) {
                if (disks.get(i).tells()) {
                    guest.onBlock(this, i);
                    again = true;
                }
            }
        }
    }

    /** Lets time pass until the next timer, and fires it. */
    void nextTimer(GuestProgram guest) {
        var next = timers.entrySet().stream()
                .min(java.util.Map.Entry.comparingByValue())
                .orElseThrow();
        now = Math.max(now, next.getValue());
        timers.remove(next.getKey());
        guest.onTimer(this, next.getKey());
        pump(guest);
    }

    String lastMessage() {
        return new String(messages.getLast(), StandardCharsets.UTF_8);
    }

    @Override
    public String name() {
        return "vm";
    }

    @Override
    public MemorySegment memory() {
        return memory;
    }

    @Override
    public int vifs() {
        return disks.size();
    }

    @Override
    public GuestPort vif(int number) {
        return disks.get(number);
    }

    @Override
    public long nanos() {
        return realTime ? System.nanoTime() : now;
    }

    @Override
    public long wallNanos() {
        return 1_700_000_000_000_000_000L + now;
    }

    @Override
    public void timer(int number, Duration after) {
        timers.put(number, now + after.toNanos());
    }

    @Override
    public void cancelTimer(int number) {
        timers.remove(number);
    }

    @Override
    public void print(byte[] text, int offset, int length) {
        console.append(new String(text, offset, length, StandardCharsets.UTF_8));
    }

    @Override
    public void message(byte[] message) {
        messages.add(message);
    }

    @Override
    public void exit(int code) {
        exit = code;
    }
}
