package io.sidecore.conf;

import java.util.List;
import java.util.stream.Collectors;

/** A configuration was refused. The message has one line per {@link Mistake} and is meant for the user as it is. */
public final class SettingsException extends RuntimeException {
    private final List<Mistake> mistakes;

    public SettingsException(List<Mistake> mistakes) {
        super(mistakes.stream().map(Mistake::toString).collect(Collectors.joining("\n")));
        this.mistakes = List.copyOf(mistakes);
    }

    /** All mistakes found, by file and line; never empty when thrown by {@link Settings}. */
    public List<Mistake> mistakes() {
        return mistakes;
    }
}
