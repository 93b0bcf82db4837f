package io.sidecore.cluster.catalog;

import io.sidecore.actors.catalog.CatalogCommand;
import io.sidecore.actors.catalog.CatalogException;
import io.sidecore.actors.catalog.CatalogState;
import io.sidecore.cluster.catalog.JournalLayout.FileHeader;
import io.sidecore.cluster.catalog.JournalLayout.FrameHeader;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.FileSystemException;
import java.util.List;
import java.util.function.LongSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The journal file: changes are appended and forced; now and then a file that begins with a snapshot takes its place. Used by one thread at a time.
 *
 * <p>Whether the file is what it should be is either certain or it is <b>in doubt</b>: after a failed force nobody knows what the disk has, after a failed rename or force of the directory nobody knows
 * which file a crash would leave. A journal in doubt is appended to only after a new file, written from memory, has taken its place.
 */
final class Journal implements Closeable {
    static final String NAME = "catalog.journal";

    /** A new file before it takes the journal's name; one that is found at opening was never answered for, and is deleted. */
    static final String NEXT = "catalog.journal.new";

    /** The largest file. It is reached only if compaction fails again and again. */
    static final long MAX_FILE_BYTES = 1 << 30;

    /** The payload of a frame ends with the record that reaches this many bytes. */
    static final int FULL_FRAME_BYTES = 1 << 20;

    private static final Logger LOG = LoggerFactory.getLogger(Journal.class);

    private final JournalStorage storage;
    private final LongSupplier salts;
    /** Said when it is opened or begun. */
    @SuppressWarnings("NullAway.Init")
    private JournalFile file;

    private long salt;
    private long end;
    private boolean inDoubt;

    private Journal(JournalStorage storage, LongSupplier salts) {
        this.storage = storage;
        this.salts = salts;
    }

    /** A journal, and the catalog in it. */
    record Opened(Journal journal, CatalogState state) {}

    /**
     * Opens the journal of a directory, or begins one.
     *
     * @param salts where the salt of a new file comes from
     * @throws CatalogException.Unreadable if it is damaged or of a newer version
     */
    static Opened open(JournalStorage storage, LongSupplier salts) throws IOException {
        var journal = new Journal(storage, salts);
        if (storage.exists(NEXT)) {
            storage.delete(NEXT);
            LOG.info("Deleted {}, which a host had not finished to write when it crashed", storage.path(NEXT));
        }
        if (!storage.exists(NAME)) {
            var empty = new CatalogState();
            journal.replace(empty);
            return new Opened(journal, empty);
        }
        journal.file = storage.open(NAME);
        try {
            return new Opened(journal, journal.read());
        } catch (IOException | RuntimeException e) {
            closeAfter(journal.file, e);
            throw e;
        }
    }

    private CatalogState read() throws IOException {
        var path = storage.path(NAME);
        var size = file.size();
        if (size > MAX_FILE_BYTES) {
            throw new CatalogException.Unreadable(
                    "the catalog's journal " + path + " has " + size
                            + " bytes, more than any journal of ours: restore it from a copy, or move it away to begin with an empty catalog");
        }
        var bytes = ByteBuffer.allocate((int) size);
        file.read(0, bytes);
        var replay = JournalReplay.of(bytes.flip(), path);
        salt = replay.salt();
        end = replay.end();
        if (replay.tornBytes() > 0) {
            LOG.warn(
                    "The catalog's journal {} ended at offset {} in a change that was never answered; its {} bytes were cut off",
                    path,
                    end,
                    replay.tornBytes());
            file.truncate(end);
        }
        // A host that crashed may have written, or renamed, what it did not force: what was read, and what will be
        // appended to this file, must not be lost by the next crash.
        file.force();
        storage.force();
        mark(replay.state().revision());
        return replay.state();
    }

    /**
     * Appends commands that the state machine has accepted, as one frame; returns when they are durable.
     *
     * @param first the revision of the first one
     * @throws IOException if they are not; the journal is as it was, or in doubt
     */
    void append(List<CatalogCommand> commands, long first) throws IOException {
        if (inDoubt) {
            throw new IllegalStateException("the journal is in doubt: it must be replaced first");
        }
        var frame = new Frame(JournalLayout.CHANGES, first);
        commands.forEach(frame::add);
        var bytes = frame.finish(salt);
        if (end + bytes.remaining() > MAX_FILE_BYTES) {
            throw new IOException("the journal has grown to " + end + " bytes because it could not be compacted");
        }
        var length = bytes.remaining();
        try {
            file.write(end, bytes);
        } catch (IOException e) {
            cutBack(e);
            mark(first - 1);
            throw e;
        }
        try {
            file.force();
        } catch (IOException e) {
            // The kernel reports a failed write-back once and then forgets it: forcing again proves nothing.
            inDoubt = true;
            cutBack(e);
            throw e;
        }
        end += length;
        mark(first + commands.size() - 1);
    }

    private void cutBack(IOException cause) {
        try {
            file.truncate(end);
        } catch (IOException e) {
            inDoubt = true;
            cause.addSuppressed(e);
        }
    }

    /** Says that all was forced. Without it the next opening knows a little less, nothing more: no reason to fail what is durable. */
    private void mark(long revision) {
        try {
            file.write(end, JournalLayout.mark(salt, revision));
        } catch (IOException e) {
            LOG.warn(
                    "The catalog's journal {} cannot be marked as whole at offset {}: {}",
                    storage.path(NAME),
                    end,
                    e.toString());
        }
    }

    /** Whether nobody knows what a crash would leave: {@link #replace} must come first. */
    boolean inDoubt() {
        return inDoubt;
    }

    /** The size of the file without its mark. */
    long bytes() {
        return end;
    }

    /** How many bytes of the file a new one would not have. */
    long garbageBytes(CatalogState state) {
        return end - JournalLayout.FILE_HEADER_BYTES - state.bytes() - (long) CommandCodec.FIXED_BYTES * state.size();
    }

    /**
     * Writes the catalog into a new file, which takes the journal's place.
     *
     * @throws IOException if that failed; the journal is as it was, or in doubt
     */
    void replace(CatalogState state) throws IOException {
        var next = storage.create(NEXT);
        var renaming = false;
        long nextEnd;
        var nextSalt = salts.getAsLong();
        try {
            nextEnd = write(state, next, nextSalt);
            next.force();
            renaming = true;
            storage.rename(NEXT, NAME);
            storage.force();
        } catch (IOException e) {
            inDoubt |= renaming;
            closeAfter(next, e);
            deleteAfter(e);
            throw e;
        }
        var old = file;
        file = next;
        salt = nextSalt;
        end = nextEnd;
        inDoubt = false;
        if (old != null) {
            try {
                old.close();
            } catch (IOException e) {
                LOG.warn("The replaced journal {} cannot be closed: {}", storage.path(NAME), reason(e));
            }
        }
    }

    private static long write(CatalogState state, JournalFile to, long salt) throws IOException {
        var header = ByteBuffer.allocate(JournalLayout.FILE_HEADER_BYTES);
        FileHeader.now(salt, state.revision(), state.size()).encode(header);
        var at = write(to, 0, header.flip());
        var frame = new Frame(JournalLayout.SNAPSHOT, 0);
        long written = 0;
        for (var entries = state.entries().iterator(); entries.hasNext(); ) {
            CommandCodec.encode(entries.next(), frame.next());
            written++;
            if (frame.isFull() || !entries.hasNext()) {
                at = write(to, at, frame.finish(salt));
                frame = new Frame(JournalLayout.SNAPSHOT, written);
            }
        }
        write(to, at, JournalLayout.mark(salt, state.revision()));
        return at;
    }

    private static long write(JournalFile to, long at, ByteBuffer bytes) throws IOException {
        var after = at + bytes.remaining();
        to.write(at, bytes);
        return after;
    }

    private void deleteAfter(IOException cause) {
        try {
            if (storage.exists(NEXT)) {
                storage.delete(NEXT);
            }
        } catch (IOException e) {
            cause.addSuppressed(e);
        }
    }

    private static void closeAfter(Closeable closeable, Exception cause) {
        try {
            closeable.close();
        } catch (IOException e) {
            cause.addSuppressed(e);
        }
    }

    /** What went wrong with a disk, for a sentence. Exceptions of files have only the file's name as their message. */
    static String reason(IOException e) {
        return e instanceof FileSystemException || e.getMessage() == null
                ? e.getClass().getSimpleName() + ": " + e.getMessage()
                : e.getMessage();
    }

    /** Closes the file, its mark forced: whatever happens to it from now on will be noticed. */
    @Override
    public void close() throws IOException {
        try (var closing = file) {
            if (!inDoubt) {
                closing.force();
            }
        }
    }

    /** A frame being filled. */
    private static final class Frame {
        private final int type;
        private final long sequence;
        private ByteBuffer bytes = ByteBuffer.allocate(4 << 10).position(JournalLayout.FRAME_HEADER_BYTES);
        private int records;

        Frame(int type, long sequence) {
            this.type = type;
            this.sequence = sequence;
        }

        void add(CatalogCommand command) {
            CommandCodec.encode(command, next());
        }

        /** Room for one more record. */
        ByteBuffer next() {
            records++;
            if (bytes.remaining() < CommandCodec.MAX_BYTES) {
                var larger =
                        ByteBuffer.allocate(Math.max(bytes.capacity() * 2, bytes.position() + CommandCodec.MAX_BYTES));
                bytes = larger.put(bytes.flip());
            }
            return bytes;
        }

        boolean isFull() {
            return bytes.position() >= FULL_FRAME_BYTES;
        }

        ByteBuffer finish(long salt) {
            var length = bytes.position() - JournalLayout.FRAME_HEADER_BYTES;
            var checksum = JournalLayout.checksum(bytes, JournalLayout.FRAME_HEADER_BYTES, length);
            new FrameHeader(type, sequence, records, length, checksum).encode(bytes, 0, salt);
            return bytes.flip();
        }
    }
}
