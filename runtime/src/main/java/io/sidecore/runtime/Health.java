package io.sidecore.runtime;

import java.util.List;

/**
 * How a host is, judged in one place: what the command line and {@code /health} say of it. A host in trouble serves on as far as it can.
 *
 * @param phase where it is in its life
 * @param troubles what is wrong, the gravest first; empty if nothing is
 */
public record Health(Phase phase, List<Trouble> troubles) {
    /** Where a host is in its life. */
    public enum Phase {
        STARTING,
        SERVING,
        CLOSING
    }

    /** How grave it is. */
    public enum State {
        /** Nothing is wrong. */
        OK,
        /** All is served, but some requests are answered with errors; or a virtual machine does not run that should. */
        DEGRADED,
        /** Something is not served. */
        FAILED
    }

    /**
     * Something that is wrong.
     *
     * @param kind of what: {@code volume}, {@code loop} or {@code vm}
     * @param name of which one
     * @param state how grave it is
     * @param detail a sentence for people
     */
    public record Trouble(String kind, String name, State state, String detail) {
        @Override
        public String toString() {
            return kind + " " + name + ": " + detail;
        }
    }

    public Health {
        troubles = troubles.stream()
                .sorted((one, other) -> other.state().compareTo(one.state()))
                .toList();
    }

    /** The gravest of its troubles. */
    public State state() {
        return troubles.isEmpty() ? State.OK : troubles.getFirst().state();
    }

    /** Whether everything that it serves is served. */
    public boolean healthy() {
        return state() != State.FAILED;
    }

    /** Whether clients may come: it is healthy, has started and does not stop. */
    public boolean ready() {
        return healthy() && phase == Phase.SERVING;
    }
}
