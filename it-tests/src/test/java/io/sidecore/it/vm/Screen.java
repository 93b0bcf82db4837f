package io.sidecore.it.vm;

import static org.assertj.core.api.Assertions.fail;

import io.sidecore.runtime.VmHandle;
import io.sidecore.runtime.vm.Console;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/** What a VM's guests write on its console from now on, read from front to back. For one thread. */
final class Screen implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofMinutes(3);
    private static final Duration LOOK = Duration.ofMillis(100);

    private final String name;
    private final Console.View view;
    private final StringBuilder text = new StringBuilder();
    private int at;
    private MatchResult found;

    Screen(VmHandle vm) {
        name = vm.name();
        view = vm.console().viewLive();
    }

    /** The next place behind the last one that looks so; the test fails if there is none. A line ends with {@code \r}. */
    MatchResult until(String regex) {
        if (!shows(regex, PATIENCE)) {
            fail("VM " + name + " does not write " + regex + " within " + PATIENCE + ", but: " + text.substring(at));
        }
        return found;
    }

    /** Whether there is such a place within a time; the next one is looked for behind it. */
    boolean shows(String regex, Duration atMost) {
        var pattern = Pattern.compile(regex);
        var end = System.nanoTime() + atMost.toNanos();
        while (true) {
            var matcher = pattern.matcher(text);
            if (matcher.find(at)) {
                found = matcher.toMatchResult();
                at = matcher.end();
                return true;
            }
            if (System.nanoTime() - end > 0) {
                return false;
            }
            look(LOOK);
        }
    }

    private void look(Duration patience) {
        try {
            view.next(patience).ifPresent(chunk -> text.append(new String(chunk.bytes(), StandardCharsets.ISO_8859_1)));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /** Goes on with what is written from now on. */
    void skip() {
        for (var before = -1; before < text.length(); ) {
            before = text.length();
            look(Duration.ZERO);
        }
        at = text.length();
    }

    /** What the group of the last such place was in all that it has seen. */
    String last(String regex) {
        return Pattern.compile(regex)
                .matcher(text)
                .results()
                .reduce((_, later) -> later)
                .orElseThrow()
                .group(1);
    }

    /** All that it has seen. */
    String text() {
        return text.toString();
    }

    /** Types a line. */
    void type(String line) {
        try {
            view.type((line + "\n").getBytes(StandardCharsets.ISO_8859_1));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void close() {
        view.close();
    }
}
