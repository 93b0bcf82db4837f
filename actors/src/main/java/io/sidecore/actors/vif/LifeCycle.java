package io.sidecore.actors.vif;

import java.util.EnumMap;
import java.util.EnumSet;
import java.util.Map;

/** A state out of an enumeration, with a table of the legal transitions; every other is an error of the program and throws. One writer, any number of readers. */
public final class LifeCycle<S extends Enum<S>> {
    private final String of;
    private final Map<S, EnumSet<S>> legal;
    private volatile S state;

    /** A life cycle {@code of} something, in its first state. */
    public LifeCycle(String of, S first, Map<S, EnumSet<S>> legal) {
        this.of = of;
        this.state = first;
        this.legal = new EnumMap<>(legal);
    }

    /** The present state. */
    public S state() {
        return state;
    }

    /** Whether it is in this state. */
    public boolean is(S s) {
        return state == s;
    }

    /**
     * Goes to another state.
     *
     * @throws IllegalStateException if the table does not allow it
     */
    public void to(S next) {
        var allowed = legal.get(state);
        if (allowed == null || !allowed.contains(next)) {
            throw new IllegalStateException(
                    of + " cannot go from " + state + " to " + next + "; from there it may go to " + allowed);
        }
        state = next;
    }
}
