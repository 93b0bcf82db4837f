package io.sidecore.runtime.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.sidecore.runtime.vm.Console;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Watching a console over a control socket. */
@Timeout(60)
class ConsoleSessionTest {
    @TempDir
    static Path folder;

    private static ServedConsoles host;
    private static int number;

    private String vm;
    private Console console;

    @BeforeAll
    static void start() {
        host = new ServedConsoles(folder.resolve("data"));
    }

    @AfterAll
    static void stop() throws IOException {
        host.close();
    }

    @BeforeEach
    void define(TestInfo test) {
        vm = "vm-" + number++;
        console = host.add(vm);
    }

    /** A guest that writes back what is typed. */
    private Console.Attachment echo() {
        return console.attach(bytes -> console.written(bytes, 0, bytes.length));
    }

    private void write(String text) {
        var bytes = text.getBytes(StandardCharsets.UTF_8);
        console.written(bytes, 0, bytes.length);
    }

    /** One who watches. */
    private final class Viewer implements AutoCloseable {
        private final ControlClient.Conversation conversation;
        private final ByteArrayOutputStream seen = new ByteArrayOutputStream();
        /** After how many bytes it was told whether there is a guest. */
        private final List<String> guests = new ArrayList<>();

        private final CompletableFuture<JsonNode> done = new CompletableFuture<>();
        private final CompletableFuture<JsonNode> connected = new CompletableFuture<>();
        private long lost;
        private long dropped;

        private Viewer(boolean view, boolean live) {
            conversation = host.client()
                    .converse(ControlClient.request("console")
                            .put("vm", vm)
                            .put("view", view)
                            .put("live", live));
            Thread.ofVirtual().start(() -> {
                try {
                    done.complete(conversation.answer(this::item));
                } catch (RuntimeException e) {
                    connected.completeExceptionally(e);
                    done.completeExceptionally(e);
                }
            });
        }

        private synchronized void item(JsonNode item) {
            if (item.has("console")) {
                guests.add(seen.size() + " " + item.get("guest").asText());
                connected.complete(item);
            } else if (item.has("lost")) {
                lost += item.get("lost").asLong();
            } else if (item.has("dropped")) {
                dropped += item.get("dropped").asLong();
            } else {
                seen.writeBytes(Base64.getDecoder().decode(item.get("output").asText()));
            }
            notifyAll();
        }

        private synchronized void until(BooleanSupplier condition) throws InterruptedException {
            while (!condition.getAsBoolean()) {
                wait();
            }
        }

        private synchronized String text() {
            return seen.toString(StandardCharsets.UTF_8);
        }

        private Viewer connected() throws Exception {
            connected.get(1, TimeUnit.MINUTES);
            return this;
        }

        private void type(String text) {
            conversation.say(ControlClient.json()
                    .createObjectNode()
                    .put("input", Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8))));
        }

        private JsonNode end() throws Exception {
            conversation.say(ControlClient.json().createObjectNode().put("end", true));
            return done.get(1, TimeUnit.MINUTES);
        }

        @Override
        public void close() {
            conversation.close();
        }
    }

    @Test
    void severalViewersSeeThePastAndWhatAnyOfThemTypes() throws Exception {
        echo();
        write("login: ");
        var viewers = new ArrayList<Viewer>();
        for (var i = 0; i < 5; i++) {
            viewers.add(new Viewer(i == 4, false).connected());
        }
        assertThat(viewers.getFirst().connected.get().get("guest").asBoolean()).isTrue();
        for (var i = 0; i < 4; i++) {
            viewers.get(i).type("user" + i + "\u00fc\u001b[0m\r");
            var length = 7 + (i + 1) * 12;
            for (var viewer : viewers) {
                viewer.until(() -> viewer.seen.size() == length);
            }
        }
        var expected =
                "login: user0\u00fc\u001b[0m\ruser1\u00fc\u001b[0m\ruser2\u00fc\u001b[0m\ruser3\u00fc\u001b[0m\r";
        for (var viewer : viewers) {
            assertThat(viewer.end().toString()).isEqualTo("{\"lost\":0,\"dropped\":0}");
            assertThat(viewer.text()).isEqualTo(expected);
        }
        until(() -> console.viewers() == 0);
    }

    private static void until(BooleanSupplier condition) {
        while (!condition.getAsBoolean()) {
            LockSupport.parkNanos(1_000_000);
            // The test's time is up.
            assertThat(Thread.currentThread().isInterrupted()).isFalse();
        }
    }

    @Test
    void whoeverEndsAtOnceSeesThePastAlone() throws Exception {
        write("what was");
        try (var viewer = new Viewer(true, false).connected()) {
            viewer.end();
            assertThat(viewer.text()).isEqualTo("what was");
        }
    }

    @Test
    void aLiveViewerDoesNotSeeThePast() throws Exception {
        echo();
        write("what was");
        try (var viewer = new Viewer(false, true).connected()) {
            viewer.type("now");
            viewer.until(() -> viewer.seen.size() == 3);
            viewer.end();
            assertThat(viewer.text()).isEqualTo("now");
        }
    }

    @Test
    void whatIsTypedWithoutAGuestIsToldToWhoeverTypes() throws Exception {
        try (var viewer = new Viewer(false, false).connected()) {
            assertThat(viewer.connected.get().toString())
                    .isEqualTo("{\"console\":\"%s\",\"guest\":false}".formatted(vm));
            viewer.type("12345");
            viewer.until(() -> viewer.dropped == 5);
            assertThat(viewer.end().toString()).isEqualTo("{\"lost\":0,\"dropped\":5}");
        }
    }

    @Test
    void itIsToldThatAGuestHasComeAndThatItHasGoneBehindWhatItWrote() throws Exception {
        try (var viewer = new Viewer(true, false).connected()) {
            var guest = echo();
            viewer.until(() -> viewer.guests.equals(List.of("0 false", "0 true")));
            write("bye");
            guest.close();
            viewer.until(() -> viewer.guests.size() == 3);

            assertThat(viewer.guests).last().isEqualTo("3 false");
        }
    }

    @Test
    void theConsoleGoesOnOverTheRestartOfTheGuest() throws Exception {
        var first = echo();
        try (var viewer = new Viewer(false, false).connected()) {
            viewer.type("one ");
            viewer.until(() -> viewer.seen.size() == 4);
            first.close();
            echo();
            viewer.type("two");
            viewer.until(() -> viewer.seen.size() == 7);
            assertThat(viewer.text()).isEqualTo("one two");
        }
    }

    @Test
    void aSlowViewerLosesTheOldestAndIsToldHowMuchAndTheOthersLoseNothing() throws Exception {
        try (var slow = SocketChannel.open(UnixDomainSocketAddress.of(folder.resolve("data/control.sock")));
                var lines = new ControlLines(slow, 16 << 20);
                var quick = new Viewer(true, false).connected()) {
            lines.write(ControlClient.request("console").put("vm", vm).put("view", true));
            assertThat(lines.read().orElseThrow().toString()).contains("\"guest\":false");
            // More than fits into the ring and the socket's buffers.
            var total = 0L;
            for (var i = 0; i < 1_000; i++) {
                write("%09d\n".formatted(i).repeat(1_000));
                total += 10_000;
                var all = total;
                quick.until(() -> quick.seen.size() == all);
            }
            assertThat(quick.lost).isZero();
            console.close();
            var seen = 0L;
            var lost = 0L;
            JsonNode line;
            String last = "";
            while (!(line = lines.read().orElseThrow()).has("done")) {
                var item = line.path("item");
                lost += item.path("lost").asLong();
                if (item.has("output")) {
                    last = new String(
                            Base64.getDecoder().decode(item.get("output").asText()), StandardCharsets.UTF_8);
                    seen += last.length();
                }
            }
            assertThat(lost).isPositive().isEqualTo(line.get("done").get("lost").asLong());
            assertThat(seen + lost).isEqualTo(total);
            assertThat(last).endsWith("000000999\n");
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "hello",
                "[]",
                "{}",
                "{\"input\":7}",
                "{\"input\":\"not Base64!\"}",
                "{\"do\":\"status\"}",
                "{\"input\":"
            })
    void aLineThatIsNoInputEndsItInASentenceAndNobodyElseIsHarmed(String garbage) throws Exception {
        echo();
        try (var other = new Viewer(false, false).connected();
                var channel = SocketChannel.open(UnixDomainSocketAddress.of(folder.resolve("data/control.sock")));
                var lines = new ControlLines(channel, 16 << 20)) {
            lines.write(ControlClient.request("console").put("vm", vm));
            channel.write(ByteBuffer.wrap((garbage + "\n").getBytes(StandardCharsets.UTF_8)));
            JsonNode line;
            do {
                line = lines.read().orElseThrow();
            } while (!line.has("error"));
            assertThat(line.get("error").asText()).containsAnyOf("expected", "Base64");
            assertThat(line.get("mistake").asBoolean()).isTrue();
            assertThat(lines.read()).isEmpty();

            other.type("still here");
            other.until(() -> other.seen.size() == 10);
        }
    }

    @Test
    void aLineThatIsTooLongEndsIt() throws Exception {
        echo();
        var viewer = new Viewer(false, false).connected();
        viewer.type("x".repeat(ControlServer.MAX_REQUEST));
        assertThatThrownBy(() -> viewer.done.get(1, TimeUnit.MINUTES)).hasMessageContaining("longer than 65536 bytes");
    }

    @Test
    void whoeverAskedToViewMayNotType() throws Exception {
        echo();
        var viewer = new Viewer(true, false).connected();
        viewer.type("rm -rf /\r");
        assertThatThrownBy(() -> viewer.done.get(1, TimeUnit.MINUTES)).hasMessageContaining("viewed only");
        assertThat(console.bytesWritten()).isZero();
    }

    @Test
    void soManySessionsAreAllowedThatTheHostCanStillBeManaged() throws Exception {
        var viewers = new ArrayList<Viewer>();
        for (var i = 0; i < Operations.MAX_CONSOLES; i++) {
            viewers.add(new Viewer(true, false).connected());
        }
        assertThatThrownBy(() -> new Viewer(true, false).connected())
                .hasMessageContaining("48 consoles of this host are watched already");
        assertThat(host.client()
                        .ask(ControlClient.request("status"), item -> {})
                        .has("health"))
                .isTrue();
        viewers.forEach(Viewer::close);
        until(() -> console.viewers() == 0);
    }

    @Test
    void aVmThatThereIsNotIsRefused() {
        vm = "nowhere";
        assertThatThrownBy(() -> new Viewer(false, false).connected()).hasMessageContaining("there is no VM nowhere");
    }

    @Test
    void aClientThatIsGoneIsForgottenAtOnceThoughTheGuestIsSilent() throws Exception {
        var viewer = new Viewer(false, false).connected();
        assertThat(console.viewers()).isEqualTo(1);
        viewer.close();
        until(() -> console.viewers() == 0);
    }

    @Test
    void aClientThatIsGoneWhileItsInputWaitsForTheGuestIsForgotten() throws Exception {
        var guestIsGone = new CompletableFuture<Void>();
        console.attach(bytes -> guestIsGone.join());
        var viewer = new Viewer(false, false).connected();
        viewer.type("x".repeat(Console.TYPED_AHEAD));
        viewer.type("x".repeat(Console.TYPED_AHEAD));
        viewer.type("x".repeat(Console.TYPED_AHEAD));
        viewer.close();
        until(() -> console.viewers() == 0);
        guestIsGone.complete(null);
    }

    @Test
    void theConsoleOfAVmThatIsDeletedEnds() throws Exception {
        write("bye");
        var viewer = new Viewer(false, false).connected();
        console.close();
        assertThat(viewer.done.get(1, TimeUnit.MINUTES).get("lost").asLong()).isZero();
        assertThat(viewer.text()).isEqualTo("bye");
    }

    @Test
    void aHostThatStopsEndsWhoeverWatches(@TempDir Path another) throws Exception {
        try (var stopping = new ServedConsoles(another.resolve("data"))) {
            var its = stopping.add("web");
            var guestIsGone = new CompletableFuture<Void>();
            its.attach(bytes -> guestIsGone.join());
            var conversation =
                    stopping.client().converse(ControlClient.request("console").put("vm", "web"));
            var asked = new CompletableFuture<Void>();
            var ended = new CompletableFuture<JsonNode>();
            Thread.ofVirtual().start(() -> {
                try {
                    ended.complete(conversation.answer(item -> asked.complete(null)));
                } catch (RuntimeException e) {
                    ended.completeExceptionally(e);
                }
            });
            asked.get(1, TimeUnit.MINUTES);
            // One thread waits for the guest's output, the other one for the guest to take more.
            for (var i = 0; i < 4; i++) {
                conversation.say(ControlClient.json()
                        .createObjectNode()
                        .put("input", Base64.getEncoder().encodeToString(new byte[Console.TYPED_AHEAD])));
            }

            stopping.stopBeingManaged();

            assertThatThrownBy(() -> ended.get(1, TimeUnit.MINUTES)).hasMessageContaining("the host on");
            assertThat(its.viewers()).isZero();
            guestIsGone.complete(null);
        }
    }
}
