package io.sidecore.runtime.control;

import com.fasterxml.jackson.databind.JsonNode;
import io.sidecore.runtime.vm.Console;
import java.io.IOException;
import java.time.Duration;
import java.util.Base64;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/** Somebody who asked to watch a console: one thread tells what the guest writes, another one hears what is typed. */
final class ConsoleSession {
    private final Console console;
    private final Operation.Console asked;
    private final Answers answers;

    /** Bytes typed that no guest took, and how many of them have been told. */
    private final AtomicLong dropped = new AtomicLong();

    private long droppedTold;
    private long lost;
    /** Those of the view that were told. */
    private int guests;

    private volatile @Nullable String trouble;

    ConsoleSession(Console console, Operation.Console asked, Answers answers) {
        this.console = console;
        this.asked = asked;
        this.answers = answers;
    }

    /**
     * Returns when whoever asked has ended it, or the console has.
     *
     * @throws ControlException if something is said that cannot be understood
     * @throws IOException if whoever asked has gone
     */
    Object run() throws IOException {
        try (var view = asked.live() ? console.viewLive() : console.view()) {
            guests = view.guests();
            answers.item(new Views.ConsoleView(asked.vm(), console.isAttached()));
            // It ends at the latest when the connection is closed.
            Thread.ofVirtual().name("sidecore-control-input").start(() -> hear(view));
            while (!view.hasEnded()) {
                tell(view.next(Duration.ofMillis(Operations.HEARTBEAT_MILLIS)), view.guests());
            }
            tellDropped();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw ControlException.failure("the host is stopping");
        }
        if (trouble != null) {
            throw ControlException.mistake(trouble);
        }
        return new Views.WatchedView(lost, dropped.get());
    }

    private void tell(Optional<Console.Chunk> next, int guestsNow) throws IOException {
        if (next.isEmpty() && guests == guestsNow && dropped.get() == droppedTold) {
            answers.stillHere();
            return;
        }
        tellDropped();
        if (next.isPresent()) {
            var chunk = next.get();
            if (chunk.lost() > 0) {
                lost += chunk.lost();
                answers.item(Map.of("lost", chunk.lost()));
            }
            if (chunk.bytes().length > 0) {
                answers.item(Map.of("output", Base64.getEncoder().encodeToString(chunk.bytes())));
            }
        }
        if (guests != guestsNow) {
            guests = guestsNow;
            answers.item(new Views.ConsoleView(asked.vm(), console.isAttached()));
        }
    }

    private void tellDropped() throws IOException {
        var all = dropped.get();
        if (all > droppedTold) {
            answers.item(Map.of("dropped", all - droppedTold));
            droppedTold = all;
        }
    }

    private void hear(Console.View view) {
        try {
            for (Optional<JsonNode> line; (line = answers.hear()).isPresent() && !isEnd(line.get()); ) {
                dropped.addAndGet(view.type(typed(line.get())));
            }
        } catch (ControlException | IOException e) {
            trouble = e.getMessage();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            // What has been written by now is still told; and then, if there was any, the trouble.
            view.close();
        }
    }

    private static boolean isEnd(JsonNode line) {
        return line.path("end").asBoolean();
    }

    private byte[] typed(JsonNode line) {
        if (asked.view()) {
            throw ControlException.mistake(
                    "console: it was asked to be viewed only, and what is said can only be {\"end\":true}");
        }
        try {
            if (line.path("input").isTextual()) {
                return Base64.getDecoder().decode(line.get("input").textValue());
            }
        } catch (IllegalArgumentException e) {
            throw ControlException.mistake("console: \"input\" is not Base64: " + e.getMessage());
        }
        throw ControlException.mistake("console: expected {\"input\":\"...\"}, its bytes in Base64, or {\"end\":true}");
    }
}
