package io.sidecore.cluster.catalog;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.random.RandomGenerator;

/**
 * A directory in memory that knows what is in the page cache and what is on the disk. It logs what was done to it, fails as told, and can be had as a crash would leave it.
 *
 * <p>Fault model. A killed process: everything that was done, in order, the last write cut at any byte. A loss of power: of a file what was forced, and of the rest any sectors; of the directory what was
 * forced, and of the rest any number of first steps. A failing disk: any step fails, with or without its effect; a write may do a part; after a failed force the kernel takes what was not written for
 * written, so that no later force brings it to the disk. A full disk: writes do what fits.
 */
final class ModelStorage implements JournalStorage {
    /** Small, so that small journals are torn in many places. */
    private static final int SECTOR = 32;

    /** What is done to a storage. */
    sealed interface Step {}

    record Create(String name, int file) implements Step {}

    record Write(int file, long offset, byte[] bytes) implements Step {
        Write first(int count) {
            return new Write(file, offset, Arrays.copyOf(bytes, count));
        }
    }

    record Truncate(int file, long size) implements Step {}

    record Force(int file) implements Step {}

    record Rename(String from, String to) implements Step {}

    record Delete(String name) implements Step {}

    record ForceDirectory() implements Step {}

    /** Decides what fails. */
    interface Faults {
        Faults NONE = _ -> Outcome.DONE;

        Outcome of(Step step);
    }

    enum Outcome {
        DONE,
        FAILED_WITHOUT_EFFECT,
        FAILED_WITH_EFFECT,
        CRASHED
    }

    /** The machine has stopped in the middle of a step. */
    static final class Crash extends Error {
        private static final long serialVersionUID = 1;
    }

    private static final class Content {
        byte[] cached = {};
        byte[] durable = {};
        final List<Step> unforced = new ArrayList<>();

        Content copy() {
            var copy = new Content();
            copy.cached = cached;
            copy.durable = durable;
            copy.unforced.addAll(unforced);
            return copy;
        }
    }

    private final Map<Integer, Content> contents = new HashMap<>();
    private final Map<String, Integer> names = new HashMap<>();
    private final List<Map<String, Integer>> namesSinceForce = new ArrayList<>(List.of(Map.of()));
    private final List<Step> log = new ArrayList<>();
    private final RandomGenerator random;
    private Faults faults = Faults.NONE;
    private long capacity = Long.MAX_VALUE;
    private int forces;
    private boolean closed;

    ModelStorage(RandomGenerator random) {
        this.random = random;
    }

    // ---- for tests ----

    void faults(Faults now) {
        faults = now;
    }

    void capacity(long bytes) {
        capacity = bytes;
    }

    List<Step> log() {
        return log;
    }

    int forces() {
        return forces;
    }

    boolean closed() {
        return closed;
    }

    long used() {
        return names.values().stream()
                .mapToLong(id -> contents.get(id).cached.length)
                .sum();
    }

    /** The bytes of a file. */
    byte[] bytes(String name) {
        return contents.get(names.get(name)).cached;
    }

    /** A storage that contains one file. */
    static ModelStorage with(String name, byte[] bytes) {
        var storage = new ModelStorage(new java.util.SplittableRandom(0));
        var content = new Content();
        content.cached = bytes;
        content.durable = bytes;
        storage.contents.put(0, content);
        storage.names.put(name, 0);
        storage.namesSinceForce.set(0, Map.of(name, 0));
        return storage;
    }

    /** As it is for the next process. */
    ModelStorage copy() {
        var copy = new ModelStorage(random);
        contents.forEach((id, content) -> copy.contents.put(id, content.copy()));
        copy.names.putAll(names);
        copy.namesSinceForce.clear();
        copy.namesSinceForce.addAll(namesSinceForce);
        return copy;
    }

    /** As the machine finds it after a loss of power. */
    ModelStorage afterPowerLoss() {
        var after = new ModelStorage(random);
        after.names.putAll(namesSinceForce.get(random.nextInt(namesSinceForce.size())));
        after.namesSinceForce.set(0, Map.copyOf(after.names));
        for (var id : after.names.values()) {
            var content = new Content();
            content.durable = someOf(contents.get(id));
            content.cached = content.durable;
            after.contents.put(id, content);
        }
        return after;
    }

    /** What was forced, and any part of what was not. */
    private byte[] someOf(Content content) {
        var bytes = content.durable;
        for (var step : content.unforced) {
            if (step instanceof Truncate truncate && random.nextBoolean()) {
                bytes = truncated(bytes, truncate);
            } else if (step instanceof Write write) {
                for (int from = 0; from < write.bytes.length; ) {
                    var to = (int) Math.min(write.bytes.length, from + SECTOR - (write.offset + from) % SECTOR);
                    if (random.nextBoolean()) {
                        bytes = written(bytes, write.offset + from, Arrays.copyOfRange(write.bytes, from, to));
                    }
                    from = to;
                }
            }
        }
        return bytes;
    }

    /** Does a step that was logged elsewhere. */
    void replay(Step step) {
        switch (step) {
            case Create(var name, var file) -> {
                contents.put(file, new Content());
                names.put(name, file);
                namesSinceForce.add(Map.copyOf(names));
            }
            case Write write -> {
                var content = contents.get(write.file);
                content.cached = written(content.cached, write.offset, write.bytes);
                content.unforced.add(write);
            }
            case Truncate truncate -> {
                var content = contents.get(truncate.file);
                content.cached = truncated(content.cached, truncate);
                content.unforced.add(truncate);
            }
            case Force(var file) -> {
                var content = contents.get(file);
                // Not the cache as it is: after a failed force that has what the disk has not.
                for (var unforced : content.unforced) {
                    content.durable = switch (unforced) {
                        case Write write -> written(content.durable, write.offset, write.bytes);
                        case Truncate truncate -> truncated(content.durable, truncate);
                        default -> throw new AssertionError(unforced);
                    };
                }
                content.unforced.clear();
            }
            case Rename(var from, var to) -> {
                names.put(to, names.remove(from));
                namesSinceForce.add(Map.copyOf(names));
            }
            case Delete(var name) -> {
                names.remove(name);
                namesSinceForce.add(Map.copyOf(names));
            }
            case ForceDirectory() -> {
                namesSinceForce.clear();
                namesSinceForce.add(Map.copyOf(names));
            }
        }
    }

    private static byte[] written(byte[] bytes, long offset, byte[] more) {
        var result = Arrays.copyOf(bytes, (int) Math.max(bytes.length, offset + more.length));
        System.arraycopy(more, 0, result, (int) offset, more.length);
        return result;
    }

    private static byte[] truncated(byte[] bytes, Truncate truncate) {
        return truncate.size < bytes.length ? Arrays.copyOf(bytes, (int) truncate.size) : bytes;
    }

    private void act(Step step) throws IOException {
        switch (faults.of(step)) {
            case DONE -> perform(step);
            case FAILED_WITH_EFFECT -> {
                failing(step);
                throw new IOException("Input/output error");
            }
            case FAILED_WITHOUT_EFFECT -> {
                if (step instanceof Force) {
                    failing(step);
                }
                throw new IOException("Input/output error");
            }
            case CRASHED -> {
                if (step instanceof Write write) {
                    perform(write.first(random.nextInt(write.bytes.length)));
                }
                throw new Crash();
            }
        }
    }

    private void perform(Step step) {
        replay(step);
        log.add(step);
    }

    private void failing(Step step) {
        switch (step) {
            case Write write -> perform(write.first(random.nextInt(write.bytes.length + 1)));
            case Force(var file) -> {
                var content = contents.get(file);
                content.durable = someOf(content);
                content.unforced.clear();
            }
            case ForceDirectory() -> {
                // The names stay undecided.
            }
            default -> perform(step);
        }
    }

    // ---- the storage ----

    @Override
    public String path(String name) {
        return "/data/" + name;
    }

    @Override
    public boolean exists(String name) {
        return names.containsKey(name);
    }

    @Override
    public JournalFile open(String name) {
        return new OpenFile(names.get(name));
    }

    @Override
    public JournalFile create(String name) throws IOException {
        var file = contents.keySet().stream().mapToInt(id -> id + 1).max().orElse(0);
        act(new Create(name, file));
        return new OpenFile(file);
    }

    @Override
    public void rename(String from, String to) throws IOException {
        act(new Rename(from, to));
    }

    @Override
    public void delete(String name) throws IOException {
        act(new Delete(name));
    }

    @Override
    public void force() throws IOException {
        act(new ForceDirectory());
    }

    @Override
    public void close() {
        closed = true;
    }

    private final class OpenFile implements JournalFile {
        private final int file;

        OpenFile(int file) {
            this.file = file;
        }

        @Override
        public long size() {
            return contents.get(file).cached.length;
        }

        @Override
        public void read(long offset, ByteBuffer into) {
            into.put(contents.get(file).cached, (int) offset, into.remaining());
        }

        @Override
        public void write(long offset, ByteBuffer from) throws IOException {
            // As a channel does, which an interrupt closes: the thread must not bring one here.
            if (Thread.currentThread().isInterrupted()) {
                throw new java.nio.channels.ClosedByInterruptException();
            }
            var bytes = new byte[from.remaining()];
            from.get(bytes);
            var growth = Math.max(0, offset + bytes.length - size());
            var over = used() + growth - capacity;
            if (growth > 0 && over > 0) {
                act(new Write(file, offset, bytes).first((int) Math.max(0, bytes.length - over)));
                throw new IOException("No space left on device");
            }
            act(new Write(file, offset, bytes));
        }

        @Override
        public void truncate(long size) throws IOException {
            act(new Truncate(file, size));
        }

        @Override
        public void force() throws IOException {
            forces++;
            act(new Force(file));
        }

        @Override
        public void close() {
            // Nothing is lost by closing.
        }
    }
}
