package io.sidecore.runtime.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.sidecore.runtime.control.ControlClient;
import io.sidecore.runtime.control.ControlClient.Conversation;
import io.sidecore.runtime.control.ControlException;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.util.Arrays;
import java.util.Base64;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code sidecore console}. */
@Command(
        name = "console",
        mixinStandardHelpOptions = true,
        description = {
            "Connects to the serial console of a virtual machine.",
            "At a terminal: shows what was written last, then all keys go to the guest, and Ctrl-] ends it.",
            "In a script: what comes from standard input goes to the guest, and what the guest writes from then on to standard output, until it is silent; the exit code is 1 if the guest did not take all of it.",
            "Any number of people can watch and type at the same time. With --json: a line for each piece, its bytes in Base64."
        },
        footerHeading = "%nExamples:%n",
        footer = {
            "  sidecore console web                             log in, look around; Ctrl-] ends it",
            "  sidecore console web --log                       what it wrote last: its boot messages, say",
            "  sidecore console web --view                      watch it and type nothing, until Ctrl-C",
            "  echo uptime | sidecore console web --idle 3      a command for a shell that waits there, and what it says"
        })
final class ConsoleCommand implements Callable<Integer> {
    private static final int ESCAPE = ']' - '@';

    /** Pieces that were typed and wait for the host, at most. */
    private static final int TYPED_AHEAD = 1_000;

    /** Behind what was typed last. */
    private static final byte[] END = {};

    /** How long the end of a session at a terminal waits for what was typed before. */
    private static final Duration PARTING = Duration.ofSeconds(1);

    private final InputStream in;
    private final OutputStream out;

    @Mixin
    private Connection host;

    @Parameters(paramLabel = "VM", description = "Of which virtual machine.")
    private String vm;

    @Option(names = "--view", description = "Show it and type nothing.")
    private boolean view;

    @Option(names = "--log", description = "Show what was written last and end.")
    private boolean log;

    @Option(
            names = "--idle",
            paramLabel = "SECONDS",
            description =
                    "In a script: end when the guest has written nothing for so long, after the end of the input. Default: 1; with --view: never.")
    private Optional<Double> idle = Optional.empty();

    private @Nullable RawTerminal raw;

    /** Set before the conversation is ended from this side. */
    private volatile boolean left;

    private final CountDownLatch answered = new CountDownLatch(1);

    private volatile long lastHeard = System.nanoTime();
    private boolean begun;
    private boolean toldDropped;

    ConsoleCommand() {
        // Neither decoded nor buffered.
        this(new FileInputStream(FileDescriptor.in), new FileOutputStream(FileDescriptor.out));
    }

    ConsoleCommand(InputStream in, OutputStream out) {
        this.in = in;
        this.out = out;
    }

    @Override
    public Integer call() {
        var types = !view && !log;
        var terminal = types && !host.json() ? RawTerminal.settings() : Optional.<String>empty();
        var request = Connection.request("console")
                .put("vm", vm)
                .put("view", !types)
                // A script wants the answer to what it says.
                .put("live", types && terminal.isEmpty());
        try (var conversation = host.converse(request)) {
            return end(conversation.answer(item -> item(item, conversation, terminal)), terminal.isPresent());
        } catch (ControlException e) {
            if (left) {
                return Cli.DONE;
            }
            throw e;
        } finally {
            answered.countDown();
            if (raw != null) {
                raw.close();
                host.err().println();
                host.err().flush();
            }
        }
    }

    private void item(JsonNode item, Conversation conversation, Optional<String> terminal) {
        lastHeard = System.nanoTime();
        if (host.json()) {
            host.out().println(Connection.line(item));
            if (host.out().checkError()) {
                leave(conversation);
            }
        }
        if (item.has("console") && begun) {
            if (!host.json()) {
                note(
                        item.get("guest").asBoolean()
                                ? "a guest is there, and takes what is typed"
                                : "the guest takes no more input: it ends, or has ended; sidecore vm history " + vm
                                        + " tells why");
            }
        } else if (item.has("console")) {
            begun = true;
            begin(item.get("guest").asBoolean(), conversation, terminal);
        } else if (!host.json() && item.has("output")) {
            show(Base64.getDecoder().decode(item.get("output").asText()), conversation);
        } else if (item.has("lost")) {
            note(item.get("lost").asLong() + " bytes came too fast and are lost");
        } else if (item.has("dropped") && terminal.isPresent() && !toldDropped) {
            toldDropped = true;
            note("no guest takes what is typed: it is dropped");
        }
    }

    private void begin(boolean guest, Conversation conversation, Optional<String> terminal) {
        if (log) {
            conversation.say(ended());
        } else if (terminal.isPresent()) {
            host.err()
                    .println("Connected to the console of " + vm + "; Ctrl-] ends it."
                            + (guest ? "" : " No guest runs: what is typed is dropped."));
            host.err().flush();
            raw = RawTerminal.enter(terminal.get());
            var typed = new ArrayBlockingQueue<byte[]>(TYPED_AHEAD);
            start("sidecore-console-keys", () -> keys(typed, conversation));
            // Beside the thread that reads the keys: Ctrl-] is heard even if the guest takes nothing.
            start("sidecore-console-input", () -> send(typed, conversation));
        } else if (!view) {
            start("sidecore-console-input", () -> pipe(conversation));
        } else if (idle.isPresent()) {
            start("sidecore-console-idle", () -> endWhenQuiet(conversation));
        }
    }

    private interface Waiting {
        void run() throws IOException, InterruptedException;
    }

    private void start(String name, Waiting waiting) {
        Thread.ofPlatform().daemon().name(name).start(() -> {
            try {
                waiting.run();
            } catch (IOException | InterruptedException | ControlException e) {
                // Whoever waits for the host's answers is told as well.
            }
        });
    }

    private void keys(BlockingQueue<byte[]> typed, Conversation conversation) throws IOException, InterruptedException {
        var bytes = new byte[4096];
        for (int count; !left && (count = in.read(bytes)) >= 0; ) {
            var end = 0;
            while (end < count && bytes[end] != ESCAPE) {
                end++;
            }
            if (end > 0 && !typed.offer(Arrays.copyOf(bytes, end))) {
                note("the guest is too slow: what is typed is dropped");
            }
            if (end < count) {
                break;
            }
        }
        left = true;
        // What was typed before is still sent, unless the guest does not take it.
        if (!typed.offer(END) || !answered.await(PARTING.toMillis(), TimeUnit.MILLISECONDS)) {
            conversation.close();
        }
    }

    private static void send(BlockingQueue<byte[]> typed, Conversation conversation) throws InterruptedException {
        for (byte[] bytes; (bytes = typed.take()) != END; ) {
            conversation.say(input(bytes));
        }
        conversation.say(ended());
    }

    private void pipe(Conversation conversation) throws IOException, InterruptedException {
        var bytes = new byte[16 << 10];
        for (int count; (count = in.read(bytes)) >= 0; ) {
            conversation.say(input(Arrays.copyOf(bytes, count)));
        }
        lastHeard = System.nanoTime();
        endWhenQuiet(conversation);
    }

    private void endWhenQuiet(Conversation conversation) throws InterruptedException {
        var quiet = Math.round(idle.orElse(1.0) * 1e9);
        for (long left; (left = lastHeard + quiet - System.nanoTime()) > 0; ) {
            Thread.sleep(Duration.ofNanos(left));
        }
        conversation.say(ended());
    }

    private static ObjectNode input(byte[] bytes) {
        return line().put("input", Base64.getEncoder().encodeToString(bytes));
    }

    private static ObjectNode ended() {
        return line().put("end", true);
    }

    private static ObjectNode line() {
        return ControlClient.json().createObjectNode();
    }

    private void show(byte[] bytes, Conversation conversation) {
        try {
            out.write(bytes);
            out.flush();
        } catch (IOException nobodyReads) {
            leave(conversation);
        }
    }

    private void leave(Conversation conversation) {
        left = true;
        conversation.close();
    }

    private void note(String sentence) {
        host.err().print(raw == null ? "sidecore: " + sentence + "\n" : "\r\n[" + sentence + "]\r\n");
        host.err().flush();
    }

    private int end(JsonNode done, boolean atTerminal) {
        var dropped = done.get("dropped").asLong();
        if (host.json()) {
            host.out().println(Connection.line(done));
            host.out().flush();
        }
        if (left) {
            return Cli.DONE;
        }
        if (atTerminal) {
            note("the console of " + vm + " has ended");
        } else if (dropped > 0) {
            throw ControlException.failure(
                    "no guest took the last " + dropped + " bytes of the input: " + vm + " does not run, or ended");
        }
        return Cli.DONE;
    }
}
