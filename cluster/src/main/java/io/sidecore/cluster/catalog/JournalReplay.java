package io.sidecore.cluster.catalog;

import io.sidecore.actors.catalog.CatalogEntry;
import io.sidecore.actors.catalog.CatalogException;
import io.sidecore.actors.catalog.CatalogResult;
import io.sidecore.actors.catalog.CatalogState;
import io.sidecore.cluster.catalog.JournalLayout.FileHeader;
import io.sidecore.cluster.catalog.JournalLayout.FrameHeader;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import org.jspecify.annotations.Nullable;

/**
 * Reads a journal: bytes in, the catalog out, or a sentence about the damage. Changes nothing.
 *
 * <p>What is not a whole frame is a <b>torn tail</b> if nothing that was written later stands behind it: it was being written when the host crashed, and was never answered. Anything else is damage.
 */
final class JournalReplay {
    private final ByteBuffer bytes;
    private final String path;
    private final FileHeader header;
    private final ArrayList<CatalogEntry> snapshot = new ArrayList<>();
    private CatalogState state;
    private int at = JournalLayout.FILE_HEADER_BYTES;
    private boolean marked;

    private JournalReplay(ByteBuffer bytes, String path) {
        this.bytes = bytes;
        this.path = path;
        header = header();
        while (snapshot.size() < header.entries()) {
            readSnapshotFrame();
        }
        state = restored();
        while (readFrame()) {
            // Each frame moves on.
        }
    }

    /**
     * Reads the whole of a file.
     *
     * @param bytes the file, from its first byte to its last
     * @param path what to call it
     * @throws CatalogException.Unreadable if it is damaged or of another version
     */
    static JournalReplay of(ByteBuffer bytes, String path) {
        return new JournalReplay(bytes, path);
    }

    /** The catalog. */
    CatalogState state() {
        return state;
    }

    /** Where the next frame goes. */
    long end() {
        return at;
    }

    /** What its frames are salted with. */
    long salt() {
        return header.salt();
    }

    /** How many bytes behind {@link #end} are a torn tail. */
    long tornBytes() {
        return (long) bytes.limit() - at - (marked ? JournalLayout.FRAME_HEADER_BYTES : 0);
    }

    private FileHeader header() {
        if (bytes.limit() < JournalLayout.FILE_HEADER_BYTES) {
            throw damaged(0, "it has " + bytes.limit() + " bytes, fewer than its header", false);
        }
        if (!FileHeader.hasMagic(bytes)) {
            throw damaged(0, "it does not begin like a journal of a catalog", false);
        }
        if (!FileHeader.isWhole(bytes)) {
            throw damaged(0, "the check sum of its header is wrong", false);
        }
        var found = FileHeader.decode(bytes);
        if (found.version() > JournalLayout.VERSION) {
            throw new CatalogException.Unreadable(
                    "the catalog's journal " + path + " has version " + found.version()
                            + ", and this Sidecore reads up to version " + JournalLayout.VERSION
                            + ": it was written by a newer one. Run that, or move the file away to begin with an empty catalog");
        }
        if (found.version() < 1 || found.base() < 0 || found.entries() < 0) {
            throw damaged(
                    0,
                    "its header says version " + found.version() + ", revision " + found.base() + ", " + found.entries()
                            + " entries, which cannot be",
                    false);
        }
        return found;
    }

    private void readSnapshotFrame() {
        var frame = wholeFrame();
        // The file took its name only when the snapshot in it was durable: what is missing now was there.
        if (frame == null) {
            throw damaged(at, "a part of the snapshot is missing or its check sum is wrong", false);
        }
        if (frame.type() != JournalLayout.SNAPSHOT || frame.sequence() != snapshot.size()) {
            throw damaged(at, "entry " + (snapshot.size() + 1) + " of the snapshot was expected here", false);
        }
        var payload = payload(frame);
        try {
            for (int i = 0; i < frame.records(); i++) {
                snapshot.add(CommandCodec.decodeEntry(payload));
            }
        } catch (IllegalArgumentException e) {
            throw damaged(at, e.getMessage(), false);
        }
        if (payload.hasRemaining() || frame.records() < 1) {
            throw damaged(at, "the records of a frame do not fill it", false);
        }
        at += JournalLayout.FRAME_HEADER_BYTES + frame.length();
    }

    private CatalogState restored() {
        if (snapshot.size() > header.entries()) {
            throw damaged(0, "its snapshot has more than the " + header.entries() + " entries it should have", false);
        }
        try {
            return new CatalogState(header.base(), snapshot);
        } catch (IllegalArgumentException e) {
            throw damaged(JournalLayout.FILE_HEADER_BYTES, e.getMessage(), false);
        }
    }

    /** Whether there may be more. */
    private boolean readFrame() {
        if (at == bytes.limit()) {
            return false;
        }
        var frame = wholeFrame();
        if (frame == null) {
            var later = laterFrame();
            if (later >= 0) {
                throw damaged(
                        at,
                        "a frame of " + (later - at)
                                + " bytes that had been written whole (another one stands behind it) is damaged",
                        true);
            }
            return false;
        }
        if (frame.type() == JournalLayout.MARK) {
            if (frame.sequence() != state.revision() || frame.length() != 0) {
                throw damaged(
                        at,
                        "a mark of revision " + frame.sequence() + " stands behind revision " + state.revision(),
                        true);
            }
            // Behind it can only be the rest of one frame, whose beginning, which replaces the mark, did not reach the
            // disk.
            var later = laterFrame();
            if (later >= 0) {
                throw damaged(
                        at,
                        "a frame that had been written here (another one stands behind it, at " + later + ") is gone",
                        true);
            }
            marked = true;
            return false;
        }
        if (frame.type() != JournalLayout.CHANGES || frame.sequence() != state.revision() + 1) {
            throw damaged(
                    at,
                    "a frame of type " + frame.type() + " with change " + frame.sequence() + " stands where change "
                            + (state.revision() + 1) + " was expected",
                    true);
        }
        replay(frame);
        at += JournalLayout.FRAME_HEADER_BYTES + frame.length();
        return true;
    }

    private void replay(FrameHeader frame) {
        var payload = payload(frame);
        try {
            for (int i = 0; i < frame.records(); i++) {
                var command = CommandCodec.decodeCommand(payload);
                if (!(state.apply(command) instanceof CatalogResult.Changed)) {
                    throw new IllegalArgumentException("the change of " + command.key() + " from revision "
                            + command.expected() + " does not fit what stands before it");
                }
            }
        } catch (IllegalArgumentException e) {
            throw damaged(at, e.getMessage(), true);
        }
        if (payload.hasRemaining() || frame.records() < 1) {
            throw damaged(at, "the records of a frame do not fill it", true);
        }
    }

    /** The frame that begins here, or null if it is not whole. */
    private @Nullable FrameHeader wholeFrame() {
        if (!FrameHeader.isWhole(bytes, at, header.salt())) {
            return null;
        }
        var frame = FrameHeader.decode(bytes, at);
        var from = at + JournalLayout.FRAME_HEADER_BYTES;
        return frame.length() >= 0
                        && frame.length() <= bytes.limit() - from
                        && (frame.length() == 0
                                || JournalLayout.checksum(bytes, from, frame.length()) == frame.payloadChecksum())
                ? frame
                : null;
    }

    private ByteBuffer payload(FrameHeader frame) {
        return bytes.slice(at + JournalLayout.FRAME_HEADER_BYTES, frame.length());
    }

    /** Where behind this place a frame begins, or -1. Byte by byte: the length that would lead there may be what is damaged. */
    private int laterFrame() {
        for (int later = at + 1; later <= bytes.limit() - JournalLayout.FRAME_HEADER_BYTES; later++) {
            if (FrameHeader.isWhole(bytes, later, header.salt())) {
                return later;
            }
        }
        return -1;
    }

    private CatalogException.Unreadable damaged(long offset, String what, boolean canBeCut) {
        var remedy = canBeCut
                ? ". Restore the file from a copy; or copy it, and go on with the " + state.size()
                        + " definitions as they were before the damage, losing every change after revision "
                        + state.revision() + ", by: truncate -s " + offset + " '" + path + "'"
                : ". Restore the file from a copy, or move it away to begin with an empty catalog";
        return new CatalogException.Unreadable(
                "the catalog's journal " + path + " is damaged at offset " + offset + ": " + what + remedy);
    }
}
