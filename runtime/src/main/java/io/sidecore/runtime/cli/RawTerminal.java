package io.sidecore.runtime.cli;

import io.sidecore.runtime.control.ControlException;
import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;

/**
 * The terminal at standard input, when each key goes to the program as it is and nothing is echoed. However the program ends, but for SIGKILL, the terminal is afterwards as it was before.
 *
 * <p>By {@code stty}, which is wherever a terminal is: a library would take thirty times as long to load.
 */
final class RawTerminal implements AutoCloseable {
    private final String before;
    private final Thread atExit;

    private RawTerminal(String before) {
        this.before = before;
        this.atExit = new Thread(() -> stty(before), "sidecore-terminal");
    }

    /** How the terminal is set; empty if standard input is none. */
    static Optional<String> settings() {
        return stty("-g").map(String::strip).filter(settings -> !settings.isEmpty());
    }

    /**
     * Makes it raw.
     *
     * @param before how it is set now
     * @throws ControlException if that cannot be
     */
    static RawTerminal enter(String before) {
        var terminal = new RawTerminal(before);
        // Before it is needed: a signal may come in between.
        Runtime.getRuntime().addShutdownHook(terminal.atExit);
        if (stty("raw", "-echo", "-iexten").isEmpty()) {
            terminal.close();
            throw ControlException.failure("the terminal cannot be set: stty raw failed");
        }
        return terminal;
    }

    @Override
    public void close() {
        stty(before);
        try {
            Runtime.getRuntime().removeShutdownHook(atExit);
        } catch (IllegalStateException exiting) {
            // Then it does the same once more.
        }
    }

    /** What it prints; empty if it fails. */
    private static Optional<String> stty(String... arguments) {
        var command = new ProcessBuilder("stty").redirectInput(Redirect.INHERIT).redirectError(Redirect.DISCARD);
        command.command().addAll(List.of(arguments));
        try {
            var process = command.start();
            var printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            return process.waitFor() == 0 ? Optional.of(printed) : Optional.empty();
        } catch (IOException missing) {
            return Optional.empty();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return Optional.empty();
        }
    }
}
