package io.sidecore.devices.nbd;

import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Extents;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Slab;
import java.nio.charset.StandardCharsets;

/**
 * Writes replies into {@link NbdReplies}: simple ones, and structured ones where they were negotiated and say more (proto.md, "Structured reply chunk message": for reads they are demanded, for errors preferred, for all else a
 * simple one is allowed and shorter).
 */
final class NbdAnswers {
    private final NbdReplies replies;
    private final boolean structured;

    NbdAnswers(NbdReplies replies, boolean structured) {
        this.replies = replies;
        this.structured = structured;
    }

    /** Whether errors have a text. */
    boolean texts() {
        return structured;
    }

    /** Bytes of what stands before the payload of a read, which is all of it in one chunk. */
    int readHeader() {
        return structured ? NbdChunk.DATA_BYTES : NbdSimpleReply.BYTES;
    }

    /** The payload of a read: behind the place that was left free for its header, or in lent memory. */
    void data(Request read) {
        var header = readHeader();
        if (read.isLent()) {
            // The bound is for payloads; an answer of some bytes must not fail.
            var slab = replies.slabBeyond(header);
            var at = slab.take(header);
            putReadHeader(slab, at, read);
            replies.append(slab, at, header);
            replies.append(read);
        } else {
            var slab = read.slab();
            assert slab != null : read;
            var at = read.position() - header;
            putReadHeader(slab, at, read);
            replies.append(slab, at, header + read.payloadBytes());
        }
    }

    private void putReadHeader(Slab slab, int at, Request read) {
        var buffer = slab.buffer().clear();
        if (structured) {
            NbdChunk.putData(buffer, at, read.cookie(), read.offset(), read.payloadBytes());
        } else {
            NbdSimpleReply.put(buffer, at, 0, read.cookie());
        }
    }

    /** Success, of a command that is answered with nothing else. */
    void done(long cookie) {
        simple(cookie, 0);
    }

    private void simple(long cookie, int error) {
        var slab = replies.slabBeyond(NbdSimpleReply.BYTES);
        var at = slab.take(NbdSimpleReply.BYTES);
        NbdSimpleReply.put(slab.buffer().clear(), at, error, cookie);
        replies.append(slab, at, NbdSimpleReply.BYTES);
    }

    /** The extents of a range; a store that has found none knows of no hole. */
    void status(Request request) {
        var extents = request.extents();
        if (extents == null || extents.count() == 0) {
            extents = new Extents(1);
            extents.add(request.length(), 0);
        }
        var bytes = NbdChunk.STATUS_BYTES + extents.count() * NbdChunk.EXTENT_BYTES;
        var slab = replies.slabBeyond(bytes);
        var at = slab.take(bytes);
        var buffer = slab.buffer().clear();
        NbdChunk.putStatus(buffer, at, request.cookie(), NbdMetaContexts.ALLOCATION_ID, extents.count());
        for (var i = 0; i < extents.count(); i++) {
            var to = at + NbdChunk.STATUS_BYTES + i * NbdChunk.EXTENT_BYTES;
            NbdChunk.putExtent(buffer, to, (int) extents.length(i), state(extents.state(i)));
        }
        replies.append(slab, at, bytes);
    }

    private static int state(int state) {
        return ((state & Extents.HOLE) != 0 ? Nbd.STATE_HOLE : 0) | ((state & Extents.ZERO) != 0 ? Nbd.STATE_ZERO : 0);
    }

    /**
     * A failure.
     *
     * @param text what was wrong, for a person; not sent in simple replies
     * @param offset where in the request it was wrong; −1 if that is not known
     */
    void error(long cookie, Errno error, String text, long offset) {
        if (!structured) {
            simple(cookie, error.number());
            return;
        }
        var message = text.getBytes(StandardCharsets.UTF_8);
        var placed = offset >= 0;
        var bytes = NbdChunk.ERROR_BYTES + message.length + (placed ? Long.BYTES : 0);
        var slab = replies.slabBeyond(bytes);
        var at = slab.take(bytes);
        var buffer = slab.buffer().clear();
        var type = placed ? Nbd.REPLY_TYPE_ERROR_OFFSET : Nbd.REPLY_TYPE_ERROR;
        NbdChunk.putError(buffer, at, type, cookie, error.number(), message.length);
        buffer.put(at + NbdChunk.ERROR_BYTES, message);
        if (placed) {
            buffer.putLong(at + NbdChunk.ERROR_BYTES + message.length, offset);
        }
        replies.append(slab, at, bytes);
    }
}
