package io.sidecore.runtime.vm;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.sidecore.conf.Names;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What happened to a VM: the last {@value #KEPT} entries, in a file of JSON lines that is only ever appended to, and now and then replaced as a whole by a shorter one. It outlives its host however that ends: what of the last line is torn is cut
 * off, and what is no entry is skipped and counted.
 *
 * <p>Where the file cannot be written, the log says so once and the entries stay in memory; each later one tries again for all of them.
 *
 * <p>Safe for all threads. {@link #add} does not wait while the executor takes tasks; the other methods do, for the file. Between two entries it holds no descriptor and next to no memory.
 */
public final class VmHistory {
    /** Entries that are kept. */
    public static final int KEPT = 1_000;

    /** Characters of a cause, at most; more are cut off. */
    public static final int LONGEST_CAUSE = 1_000;

    private static final Logger LOG = LoggerFactory.getLogger(VmHistory.class);
    private static final JsonMapper JSON = JsonMapper.builder()
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    /** Lines of the file, at most; then it is replaced. */
    private static final int MAX_LINES = 2 * KEPT;

    /** Bytes of the file that are looked at, at most, counted from its end: more than entries of any length need. */
    private static final int MAX_BYTES = 16 << 20;

    private final Path file;
    private final String run;
    private final InstantSource clock;
    private final Executor writer;

    /** What was added and has not been taken to be written. It and what belongs to it are guarded by it. */
    private final ArrayDeque<Entry> added = new ArrayDeque<>(1);

    /** Entries that were dropped from it since they were too many. */
    private int overflowed;

    private boolean scheduled;

    /** Held while the file is read or written. What follows is guarded by it. */
    private final Object io = new Object();

    /** What is not in the file yet. Its entries have no numbers. */
    private final List<Entry> unwritten = new ArrayList<>(0);

    /** Entries before these that were dropped since they were too many; numbers skip them. */
    private int missing;

    /** How long the file was when it was whole; below 0: it must be looked at. */
    private long length = -1;

    private int lines;
    private long lastNumber;
    private boolean failing;

    /**
     * Something that happened.
     *
     * @param number counts from 1 on over all runs of the host; a gap means that some were lost
     * @param at when
     * @param event a word: {@code defined}, {@code starting}, {@code failed}, {@code snapshot}, {@code device}
     * @param from the VM's state before, may be empty
     * @param to the VM's state after, may be empty
     * @param cause a sentence for people, may be empty
     * @param run of which run of the host
     */
    public record Entry(long number, Instant at, String event, String from, String to, String cause, String run) {
        private Entry numbered(long number) {
            return new Entry(number, at, event, from, to, cause, run);
        }
    }

    /**
     * What there is.
     *
     * @param entries the oldest first
     * @param garbage lines that were no entries and are not among them
     */
    public record Account(List<Entry> entries, int garbage) {}

    /**
     * The history of one VM; does not look at the file yet.
     *
     * @param directory where the file is; created with the first entry if it is missing
     * @param vm its name
     * @param run what tells this run of the host from others
     * @param clock for the entries' instants
     * @param writer runs what writes to the file; it may wait
     * @throws IllegalArgumentException if the VM's name is none
     */
    public VmHistory(Path directory, String vm, String run, InstantSource clock, Executor writer) {
        if (!Names.isName(vm)) {
            throw new IllegalArgumentException("expected " + Names.EXPECTED + ", found \"" + vm + "\"");
        }
        this.file = directory.resolve(vm + ".history");
        this.run = run;
        this.clock = clock;
        this.writer = writer;
    }

    /** Where it is kept. */
    public Path file() {
        return file;
    }

    /** Adds an entry, which happened now. */
    public void add(String event, String from, String to, String cause) {
        var sentence = cause.length() > LONGEST_CAUSE ? cause.substring(0, LONGEST_CAUSE) : cause;
        synchronized (added) {
            added.add(new Entry(0, clock.instant(), event, from, to, sentence, run));
            if (added.size() > KEPT) {
                // Not more than would be kept if they were written.
                added.remove();
                overflowed++;
            }
            if (scheduled) {
                return;
            }
            scheduled = true;
        }
        try {
            writer.execute(this::flush);
        } catch (RejectedExecutionException stopping) {
            flush();
        }
    }

    /** Returns once everything that was added before is in the file, or cannot be written. */
    public void flush() {
        synchronized (io) {
            try {
                write();
                if (failing) {
                    failing = false;
                    LOG.info("the history {} is written again", file);
                }
            } catch (IOException e) {
                length = -1;
                if (!failing) {
                    failing = true;
                    LOG.warn("the history {} cannot be written and is kept in memory for now: {}", file, e.toString());
                }
            }
        }
    }

    /** The last {@value #KEPT} at most, with everything that was added before. */
    public Account account() {
        synchronized (io) {
            flush();
            Account written;
            try {
                written = entries(read());
            } catch (IOException e) {
                written = new Account(List.of(), 0);
            }
            var all = new ArrayList<>(written.entries());
            var number = Math.max(lastNumber, all.isEmpty() ? 0 : all.getLast().number()) + missing;
            for (var entry : unwritten) {
                all.add(entry.numbered(++number));
            }
            return new Account(List.copyOf(last(all)), written.garbage());
        }
    }

    private static List<Entry> last(List<Entry> all) {
        return all.subList(Math.max(0, all.size() - KEPT), all.size());
    }

    // --- the file

    private void write() throws IOException {
        synchronized (added) {
            scheduled = false;
            unwritten.addAll(added);
            missing += overflowed;
            added.clear();
            overflowed = 0;
        }
        var tooMany = Math.max(0, unwritten.size() - KEPT);
        unwritten.subList(0, tooMany).clear();
        missing += tooMany;
        if (unwritten.isEmpty()) {
            return;
        }
        if (length < 0) {
            Files.createDirectories(file.toAbsolutePath().getParent());
            examine();
        }
        if (!append()) {
            // Somebody else was at it.
            examine();
            if (!append()) {
                throw new IOException("somebody else writes to it");
            }
        }
        if (lines > MAX_LINES) {
            compact();
        }
    }

    /** Returns false if the file is not as it was left. */
    private boolean append() throws IOException {
        var bytes = new ByteArrayOutputStream();
        var number = lastNumber + missing;
        for (var entry : unwritten) {
            bytes.writeBytes(line(entry.numbered(++number)));
        }
        try (var channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            if (channel.size() != length) {
                return false;
            }
            write(channel.position(length), bytes.toByteArray());
        }
        length += bytes.size();
        lines += unwritten.size();
        lastNumber = number;
        missing = 0;
        unwritten.clear();
        return true;
    }

    private static void write(FileChannel channel, byte[] bytes) throws IOException {
        for (var left = ByteBuffer.wrap(bytes); left.hasRemaining(); ) {
            channel.write(left);
        }
    }

    /** Cuts off a torn end, and finds out how many lines there are and the last entry's number. */
    private void examine() throws IOException {
        var bytes = read();
        var end = bytes.length;
        while (end > 0 && bytes[end - 1] != '\n') {
            end--;
        }
        length = 0;
        lines = 0;
        if (Files.exists(file)) {
            try (var channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                length = channel.size() - (bytes.length - end);
                channel.truncate(length);
            }
        }
        for (var i = 0; i < end; i++) {
            lines += bytes[i] == '\n' ? 1 : 0;
        }
        lastNumber = Math.max(lastNumber, lastNumber(bytes, end));
        if (length > end) {
            // Nobody would look at its beginning again.
            compact();
        }
    }

    /** From the end on, since it is nearly always the last line's. */
    private static long lastNumber(byte[] bytes, int end) {
        var lineEnd = end - 1;
        while (lineEnd >= 0) {
            var start = lineEnd;
            while (start > 0 && bytes[start - 1] != '\n') {
                start--;
            }
            var entry = entry(new String(bytes, start, lineEnd - start, StandardCharsets.UTF_8));
            if (entry.isPresent()) {
                return entry.get().number();
            }
            lineEnd = start - 1;
        }
        return 0;
    }

    /** Whoever looks at the file sees the former one or this one, and so does the next run of a host that is killed meanwhile. */
    private void compact() throws IOException {
        var kept = entries(read()).entries();
        var bytes = new ByteArrayOutputStream();
        kept.forEach(entry -> bytes.writeBytes(line(entry)));
        var other = file.resolveSibling(file.getFileName() + ".new");
        try (var channel = FileChannel.open(
                other, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)) {
            write(channel, bytes.toByteArray());
        }
        Files.move(other, file, StandardCopyOption.ATOMIC_MOVE);
        length = bytes.size();
        lines = kept.size();
    }

    /** What the file has, or as much of its end as is looked at. */
    private byte[] read() throws IOException {
        try (var channel = FileChannel.open(file, StandardOpenOption.READ)) {
            var size = channel.size();
            var bytes = ByteBuffer.allocate((int) Math.min(size, MAX_BYTES));
            channel.position(size - bytes.capacity());
            while (bytes.hasRemaining() && channel.read(bytes) >= 0) {
                // Until it is full.
            }
            return bytes.hasRemaining() ? Arrays.copyOf(bytes.array(), bytes.position()) : bytes.array();
        } catch (NoSuchFileException e) {
            return new byte[0];
        }
    }

    private static Account entries(byte[] bytes) {
        var entries = new ArrayList<Entry>();
        var garbage = 0;
        var start = 0;
        for (var i = 0; i < bytes.length; i++) {
            if (bytes[i] == '\n') {
                var entry = entry(new String(bytes, start, i - start, StandardCharsets.UTF_8));
                entry.ifPresent(entries::add);
                garbage += entry.isPresent() ? 0 : 1;
                start = i + 1;
            }
        }
        return new Account(List.copyOf(last(entries)), garbage);
    }

    // --- lines

    private static byte[] line(Entry entry) {
        var line = JSON.createObjectNode()
                .put("number", entry.number())
                .put("at", entry.at().toString())
                .put("event", entry.event())
                .put("from", entry.from())
                .put("to", entry.to())
                .put("cause", entry.cause())
                .put("run", entry.run());
        return (line + "\n").getBytes(StandardCharsets.UTF_8);
    }

    private static Optional<Entry> entry(String line) {
        try {
            var json = JSON.readTree(line);
            if (!json.path("number").isIntegralNumber()
                    || !json.get("number").canConvertToLong()
                    || !json.path("at").isTextual()
                    || !json.path("event").isTextual()) {
                return Optional.empty();
            }
            return Optional.of(new Entry(
                    json.get("number").asLong(),
                    Instant.parse(json.get("at").asText()),
                    json.get("event").asText(),
                    text(json, "from"),
                    text(json, "to"),
                    text(json, "cause"),
                    text(json, "run")));
        } catch (JsonProcessingException | DateTimeException garbage) {
            return Optional.empty();
        }
    }

    private static String text(JsonNode json, String key) {
        return json.path(key).asText("");
    }
}
