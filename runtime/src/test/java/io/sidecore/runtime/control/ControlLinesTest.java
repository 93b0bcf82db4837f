package io.sidecore.runtime.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class ControlLinesTest {
    private Path socket;
    private ServerSocketChannel listening;
    private SocketChannel near;
    private SocketChannel far;

    @BeforeEach
    void connect() throws IOException {
        socket = Files.createTempDirectory(Path.of("/tmp"), "sc").resolve("s");
        listening = ServerSocketChannel.open(StandardProtocolFamily.UNIX).bind(UnixDomainSocketAddress.of(socket));
        far = SocketChannel.open(UnixDomainSocketAddress.of(socket));
        near = listening.accept();
    }

    @AfterEach
    void close() throws IOException {
        near.close();
        far.close();
        listening.close();
        Files.delete(socket);
        Files.delete(socket.getParent());
    }

    private void send(String text) throws IOException {
        far.write(ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)));
    }

    @Test
    void linesAreReadOneByOneUntilTheOtherEndStops() throws IOException {
        var lines = new ControlLines(near, 1000);
        send("{\"a\":\"\u00fc\"}\n{\"b\":");
        assertThat(lines.read().orElseThrow().path("a").asText()).isEqualTo("\u00fc");
        send("2}\n");
        assertThat(lines.read().orElseThrow().path("b").asInt()).isEqualTo(2);
        far.shutdownOutput();
        assertThat(lines.read()).isEmpty();
    }

    @Test
    void whatIsWrittenCanBeRead() throws IOException {
        new ControlLines(far, 1000).write(Map.of("item", "x".repeat(20_000)));

        assertThat(new ControlLines(near, 30_000)
                        .read()
                        .orElseThrow()
                        .path("item")
                        .asText())
                .hasSize(20_000);
    }

    @Test
    void aLineBeyondTheBoundIsRefused() throws IOException {
        send("\"" + "x".repeat(998) + "\"\n");
        assertThat(new ControlLines(near, 1000).read()).isPresent();
        send("\"" + "x".repeat(999) + "\"\n");
        assertThatThrownBy(() -> new ControlLines(near, 1000).read()).hasMessage("a line is longer than 1000 bytes");
    }

    @Test
    void aLineThatIsNoJsonIsRefused() throws IOException {
        send("GET / HTTP/1.1\n");
        assertThatThrownBy(() -> new ControlLines(near, 1000).read()).hasMessageContaining("expected a JSON object");
    }

    @Test
    void halfALineIsRefused() throws IOException {
        send("{");
        far.shutdownOutput();
        assertThatThrownBy(() -> new ControlLines(near, 1000).read()).hasMessageContaining("in the middle of a line");
    }
}
