package io.sidecore.example;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.abort;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.conf.AttachMode;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.junit.SidecoreExtension;
import io.sidecore.runtime.transfer.InProcessEnd;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

class ExampleTest {
    private final UndoMedium medium = new UndoMedium(1 << 20);

    @RegisterExtension
    final SidecoreExtension host = SidecoreExtension.with("disk", 64 << 20).and("undo", () -> medium);

    @Test
    void whatAClientWritesAnotherReads(@TempDir Path directory) throws Exception {
        var image = Files.write(directory.resolve("image"), new byte[] {1, 2, 3});
        Client.run("nbdcopy", image.toString(), host.uri("disk"));

        var back = directory.resolve("back");
        Client.run("nbdcopy", host.uri("disk"), back.toString());

        assertThat(Files.readAllBytes(back)).hasSize(64 << 20).startsWith(1, 2, 3, 0);
    }

    @Test
    void aWriteIsTakenBack() throws Exception {
        Client.run("qemu-io", "-f", "raw", "-c", "write -P 1 4k 4k", host.uri("undo"));
        Client.run("qemu-io", "-f", "raw", "-c", "write -P 2 4k 4k", host.uri("undo"));

        medium.undo();

        Client.run("qemu-io", "-f", "raw", "-c", "read -P 1 4k 4k", host.uri("undo"));
    }

    @Test
    void theFirstSectorIsGuarded() throws Exception {
        var guard = new BootSectorGuard();
        var disk = host.host().vif("disk").orElseThrow();
        disk.insert(guard, 0).toCompletableFuture().join();

        assertThatThrownBy(() -> Client.run("qemu-io", "-f", "raw", "-c", "write 0 4k", host.uri("disk")))
                .hasMessageContaining("Operation not permitted");
        Client.run("qemu-io", "-f", "raw", "-c", "write 4k 4k", host.uri("disk"));

        assertThat(guard.refused()).isEqualTo(1);
    }

    /** No client, no socket: a guest of the host's own process. */
    @Test
    void aProgramReadsAndWritesWithoutAClient(Sidecore injected) throws Exception {
        injected.storage().create("mine", new UndoMedium(1 << 20));
        var guest = new InProcessEnd(injected.slabs());
        injected.storage().enter("test", "mine", AttachMode.EXCLUSIVE, guest);

        var payload = guest.borrow();
        payload.memory().asSlice(0, 512).fill((byte) 7);
        guest.write(1024, 512, payload);
        assertThat(guest.take().error()).isEqualTo(Errno.OK);
        guest.read(1024, 512);
        var answer = guest.take();

        assertThat(answer.op()).isEqualTo(BlockOp.READ);
        assertThat(answer.slab().buffer().get(511)).isEqualTo((byte) 7);
        guest.giveBack(answer.slab());
        injected.storage().leave("test", "done").get();
        guest.drop();
    }

    /** Programs that speak NBD. Without them a test is skipped; in CI it fails. */
    private static final class Client {
        static void run(String... command) throws IOException, InterruptedException {
            var said = Files.createTempFile("client", "said");
            try {
                var process = start(command, said);
                if (!process.waitFor(5, TimeUnit.MINUTES) || process.exitValue() != 0) {
                    process.destroyForcibly();
                    throw new IOException(String.join(" ", command) + ":\n" + Files.readString(said));
                }
            } finally {
                Files.delete(said);
            }
        }

        private static Process start(String[] command, Path said) throws IOException {
            try {
                return new ProcessBuilder(command)
                        .redirectErrorStream(true)
                        .redirectOutput(said.toFile())
                        .start();
            } catch (IOException missing) {
                if (Boolean.getBoolean("it.ci")) {
                    throw missing;
                }
                return abort(command[0] + " is missing; it is in Debian's libnbd-bin or qemu-utils");
            }
        }
    }
}
