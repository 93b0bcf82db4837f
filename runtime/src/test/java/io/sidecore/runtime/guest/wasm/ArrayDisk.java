package io.sidecore.runtime.guest.wasm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.vif.GuestPort;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;

/** A disk that is an array: serves a request when it is sent, and keeps its answer until it is received. For any thread. */
final class ArrayDisk implements GuestPort {
    final byte[] bytes;
    private final MemorySegment memory;
    private final int depth;

    private record Done(long tag, Errno error) {}

    private final Deque<Done> answers = new ArrayDeque<>();
    boolean readOnly;
    /** Answers are held back. */
    boolean held;

    boolean answersOn = true;
    boolean roomOn = true;
    private boolean wasFull;
    int sent;
    Errno error = Errno.OK;

    ArrayDisk(MemorySegment memory, int bytes, int depth) {
        this.memory = memory;
        this.bytes = new byte[bytes];
        this.depth = depth;
    }

    @Override
    public synchronized long size() {
        return bytes.length;
    }

    @Override
    public synchronized boolean readOnly() {
        return readOnly;
    }

    @Override
    public synchronized boolean isFull() {
        return answers.size() >= depth;
    }

    @Override
    public synchronized Sent send(BlockOp op, int flags, long offset, long length, long address, long tag) {
        if (isFull()) {
            wasFull = true;
            return Sent.FULL;
        }
        if (offset < 0
                || length < 0
                || offset > bytes.length - length
                || op.hasPayload() && (address < 0 || address > memory.byteSize() - length)) {
            return Sent.REFUSED;
        }
        var failed = op.changes() && readOnly ? Errno.EPERM : error;
        if (failed == Errno.OK) {
            switch (op) {
                case READ -> MemorySegment.copy(bytes, (int) offset, memory, JAVA_BYTE, address, (int) length);
                case WRITE -> MemorySegment.copy(memory, JAVA_BYTE, address, bytes, (int) offset, (int) length);
                case TRIM, WRITE_ZEROES ->
                    java.util.Arrays.fill(bytes, (int) offset, (int) (offset + length), (byte) 0);
                default -> {}
            }
        }
        answers.add(new Done(tag, failed));
        sent++;
        return Sent.SENT;
    }

    @Override
    public synchronized boolean isEmpty() {
        return held || answers.isEmpty();
    }

    @Override
    public synchronized boolean recv(Answer into) {
        if (isEmpty()) {
            return false;
        }
        var answer = answers.remove();
        into.tag = answer.tag();
        into.error = answer.error();
        return true;
    }

    /** An answer that comes from elsewhere. */
    synchronized void answered(long tag, Errno error) {
        answers.add(new Done(tag, error));
    }

    synchronized void release() {
        held = false;
    }

    /** Whether the guest is to be told now, and has not been. */
    synchronized boolean tells() {
        var room = wasFull && roomOn && !isFull();
        wasFull &= !room;
        return room || answersOn && !isEmpty();
    }

    @Override
    public synchronized void signalAnswers(boolean on) {
        answersOn = on;
    }

    @Override
    public synchronized void signalRoom(boolean on) {
        roomOn = on;
    }
}
