package io.sidecore.runtime.guest.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The other end is this test, on a socket as QEMU's is. */
class QmpTest {
    private static final String GREETING = "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\n";
    private static final int LONGEST = 4 << 20;

    @TempDir
    Path folder;

    private final BlockingQueue<JsonNode> events = new LinkedBlockingQueue<>();
    private SocketChannel peer;
    private BufferedReader fromQmp;
    private Qmp qmp;

    @BeforeEach
    void connect() throws IOException {
        var address = UnixDomainSocketAddress.of(folder.resolve("qmp.sock"));
        try (var server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(address);
            peer = SocketChannel.open(address);
            qmp = new Qmp(server.accept(), events::add);
        }
        fromQmp = new BufferedReader(Channels.newReader(peer, StandardCharsets.UTF_8));
    }

    @AfterEach
    void close() throws IOException {
        qmp.close();
        peer.close();
    }

    private void say(String text) throws IOException {
        for (var bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)); bytes.hasRemaining(); ) {
            peer.write(bytes);
        }
    }

    private JsonNode heard() throws IOException {
        return new JsonMapper().readTree(fromQmp.readLine());
    }

    private static String failure(CompletableFuture<?> answer) {
        var said = new CompletableFuture<String>();
        var _ = answer.whenComplete((_, failure) -> {
            if (failure == null) {
                said.completeExceptionally(new AssertionError("it was answered"));
            } else {
                said.complete(
                        failure instanceof CompletionException
                                ? failure.getCause().getMessage()
                                : failure.getMessage());
            }
        });
        return said.orTimeout(30, TimeUnit.SECONDS).join();
    }

    @Test
    void commandsAreGivenAfterTheGreetingOnly() throws Exception {
        var ready = qmp.negotiate();
        say(GREETING);

        var asked = heard();
        assertThat(asked.get("execute").asText()).isEqualTo("qmp_capabilities");
        assertThat(ready).isNotDone();
        say("{\"return\": {}, \"id\": " + asked.get("id") + "}\n");

        assertThat(ready.get(30, TimeUnit.SECONDS)).isEmpty();
    }

    @Test
    void answersFindTheirQuestionsInAnyOrder() throws Exception {
        var first = qmp.ask("query-status");
        var second = qmp.ask("migrate", Map.of("uri", "unix:x"));
        var askedFirst = heard();
        var askedSecond = heard();
        assertThat(askedFirst.has("arguments")).isFalse();
        assertThat(askedSecond.path("arguments").path("uri").asText()).isEqualTo("unix:x");

        say("{\"return\": 2, \"id\": " + askedSecond.get("id") + "}\n{\"return\": 1, \"id\": " + askedFirst.get("id")
                + "}\n");

        assertThat(first.get(30, TimeUnit.SECONDS).asInt()).isEqualTo(1);
        assertThat(second.get(30, TimeUnit.SECONDS).asInt()).isEqualTo(2);
    }

    @Test
    void anErrorIsARefusalInQemusWordsAndTheNextQuestionIsAnswered() throws Exception {
        var refused = qmp.ask("cont");
        say("{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such thing\"}, \"id\": " + heard().get("id")
                + "}\n");
        assertThat(failure(refused)).isEqualTo("QEMU refuses: no such thing");

        var answered = qmp.ask("query-status");
        say("{\"return\": {}, \"id\": " + heard().get("id") + "}\n");
        assertThat(answered.get(30, TimeUnit.SECONDS)).isEmpty();
    }

    @Test
    void eventsAreToldInOrderAndAnswersThatNobodyAskedForAreNot() throws Exception {
        say("{\"return\": {}, \"id\": 4711}\n{\"return\": {}}\n{\"event\": \"STOP\"}\n{\"event\": \"RESUME\"}\n");

        assertThat(events.poll(30, TimeUnit.SECONDS).get("event").asText()).isEqualTo("STOP");
        assertThat(events.poll(30, TimeUnit.SECONDS).get("event").asText()).isEqualTo("RESUME");
        assertThat(events).isEmpty();
    }

    @Test
    void garbageEndsTheConversationAndIsTold() throws Exception {
        var asked = qmp.ask("query-status");

        say("#!/bin/sh\n");

        assertThat(failure(asked)).startsWith("QEMU said something that is no JSON: ");
        assertThat(failure(qmp.ask("query-status"))).startsWith("QEMU");
        assertThat(fromQmp.readLine()).contains("query-status");
        assertThat(fromQmp.readLine()).as("the end").isNull();
    }

    @Test
    void anEmptyLineAndOtherJsonThanAnObjectAreNoAnswers() throws Exception {
        var asked = qmp.ask("query-status");
        say("\n[1, 2]\n17\n\"QMP\"\n{}\n");
        say("{\"return\": {}, \"id\": " + heard().get("id") + "}\n");

        assertThat(asked.get(30, TimeUnit.SECONDS)).isEmpty();
    }

    @Test
    void aMessageMayBeLongAndNotLongerThanThat() throws Exception {
        var asked = qmp.ask("query-status");
        var id = heard().get("id");
        var prefix = "{\"id\": " + id + ", \"return\": \"";
        say(prefix + "x".repeat(LONGEST - prefix.length() - 2) + "\"}\n");
        assertThat(asked.get(30, TimeUnit.SECONDS).asText()).endsWith("x");

        var next = qmp.ask("query-status");
        var talker = Thread.ofVirtual().start(() -> {
            try {
                say("x".repeat(LONGEST + 1));
            } catch (IOException closedMeanwhile) {
                // As it should be.
            }
        });
        assertThat(failure(next)).isEqualTo("a message of QEMU's is longer than " + LONGEST + " bytes");
        talker.join();
    }

    @Test
    void whoAsksIsToldWhenTheOtherEndGoesInTheMiddleOfAMessage() throws Exception {
        var asked = qmp.ask("query-status");
        say("{\"return\": {\"sta");
        peer.close();

        assertThat(failure(asked)).startsWith("QEMU has ended");
        assertThat(failure(qmp.ask("cont"))).startsWith("QEMU");
        assertThat(failure(qmp.negotiate())).startsWith("QEMU has ended");
    }

    @Test
    void whoAsksIsToldWhenItIsClosed() {
        var asked = qmp.ask("query-status");

        qmp.close();

        assertThat(failure(asked)).isEqualTo("QEMU has ended");
        assertThat(failure(qmp.ask("cont"))).isEqualTo("QEMU has ended");
        assertThatThrownBy(() -> qmp.ask("cont").join()).hasCauseInstanceOf(QmpException.class);
    }

    @Test
    void anEventThatCannotBeTakenEndsTheConversation() throws Exception {
        qmp.close();
        var address = UnixDomainSocketAddress.of(folder.resolve("other.sock"));
        try (var server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(address);
            peer = SocketChannel.open(address);
            qmp = new Qmp(server.accept(), event -> {
                throw new IllegalStateException("what is " + event.get("event").asText() + "?");
            });
        }
        var asked = qmp.ask("query-status");

        say("{\"event\": \"NONSENSE\"}\n");

        assertThat(failure(asked)).contains("what is NONSENSE?");
    }
}
