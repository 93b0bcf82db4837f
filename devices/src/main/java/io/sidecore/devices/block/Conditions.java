package io.sidecore.devices.block;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Request;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What is wrong with an image that serves all the same: for each kind of error the request that showed it first. So a thousand refused writes are one condition, and one that succeeds elsewhere does not end it, as many do on a
 * full disk, where space was taken before. What is read-only is so until any change succeeds; all else until a request that asks the same of all of that place succeeds, or, where space was missing, until there is room for it.
 *
 * <p>Safe for all threads.
 */
final class Conditions {
    private record Condition(ImageException.Kind kind, String sentence, BlockOp op, long offset, long length) {
        boolean endsWith(Request succeeded) {
            return kind == ImageException.Kind.READ_ONLY
                    ? succeeded.op().changes()
                    : succeeded.op() == op
                            && succeeded.offset() <= offset
                            && offset + length <= succeeded.offset() + succeeded.length();
        }
    }

    private final Map<ImageException.Kind, Condition> present = new EnumMap<>(ImageException.Kind.class);
    private volatile boolean none = true;

    /** Whether nothing is wrong; costs next to nothing. */
    boolean isEmpty() {
        return none;
    }

    /** A sentence for each, in the order of the kinds. */
    synchronized List<String> sentences() {
        return present.values().stream().map(Condition::sentence).toList();
    }

    /** A request failed; its sentence if that is new. */
    synchronized Optional<String> failed(ImageException e, Request r) {
        if (present.containsKey(e.kind())) {
            return Optional.empty();
        }
        var sentence = e.getMessage() + "; " + e.kind().consequence();
        present.put(e.kind(), new Condition(e.kind(), sentence, r.op(), r.offset(), r.length()));
        none = false;
        return Optional.of(sentence);
    }

    /** A request succeeded; the sentences of what is over with it. */
    synchronized List<String> succeeded(Request r) {
        var over = new ArrayList<String>();
        for (var condition : List.copyOf(present.values())) {
            if (condition.endsWith(r)) {
                over.add(end(condition.kind()));
            }
        }
        return over;
    }

    /** How many bytes there were no room for; 0 if there was. */
    synchronized long wanted() {
        var full = present.get(ImageException.Kind.FULL);
        return full == null ? 0 : full.length();
    }

    /** There is room again; the sentence of what is over with it. */
    synchronized Optional<String> roomAgain() {
        return present.containsKey(ImageException.Kind.FULL)
                ? Optional.of(end(ImageException.Kind.FULL))
                : Optional.empty();
    }

    private String end(ImageException.Kind kind) {
        var ended = present.remove(kind);
        assert ended != null : kind;
        none = present.isEmpty();
        return ended.sentence();
    }

    /** Nothing of it is known to be true any more; the sentences of what there was. */
    synchronized List<String> clear() {
        var over = sentences();
        present.clear();
        none = true;
        return over;
    }
}
