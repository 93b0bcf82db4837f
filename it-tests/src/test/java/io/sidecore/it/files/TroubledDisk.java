package io.sidecore.it.files;

import com.typesafe.config.ConfigFactory;
import io.sidecore.actors.vif.Volume;
import io.sidecore.conf.Settings;
import io.sidecore.runtime.HostEvent;
import io.sidecore.runtime.Sidecore;
import java.nio.file.Path;
import java.util.List;

/** A host with a volume {@code disk} that is in for trouble, and a volume {@code other} that is not to notice. */
final class TroubledDisk implements AutoCloseable {
    private final Sidecore host;
    private final Path directory;

    /**
     * Starts the host.
     *
     * @param directory for its state and its socket
     * @param image of the volume {@code disk}
     * @param more in the volume's section, such as its size
     * @param store more in the store's section
     */
    TroubledDisk(Path directory, Path image, String more, String store) {
        this.directory = directory;
        var mode = store.contains("read-only") ? "read-only" : "exclusive";
        this.host = Sidecore.start(Settings.read(
                ConfigFactory.parseString("""
                sidecore {
                  data-directory = "%s"
                  volumes {
                    disk {
                      %s
                      store { type = file, path = "%s", %s }
                    }
                    other { size = 16 MiB, store { type = file, path = "%s/other.img" } }
                  }
                  exports { nbd { listen = ["unix:%s/s"], volumes = [{ volume = disk, mode = %s }, other] } }
                }
                """.formatted(directory, more, image, store, directory, directory, mode))));
    }

    String uri() {
        return "nbd+unix:///disk?socket=" + directory.resolve("s");
    }

    /** Asks the volume {@code disk}. */
    List<String> ask(String... lines) {
        return Nbdsh.ask(uri(), lines).lines().toList();
    }

    /** Whether the volume {@code other} keeps what it is given. */
    boolean otherServes() {
        var answer = Nbdsh.ask(
                "nbd+unix:///other?socket=" + directory.resolve("s"),
                "h.pwrite(b'o' * 65536, 4096)",
                "h.flush()",
                "print(h.pread(65536, 4096) == b'o' * 65536)");
        return answer.strip().equals("True") && events("other").equals(List.of("created"));
    }

    Volume volume() {
        return host.volume("disk").orElseThrow();
    }

    void recover() {
        host.storage().recover("disk");
    }

    /** What has happened to the volume {@code disk}, in order. */
    List<String> events() {
        return events("disk");
    }

    private List<String> events(String volume) {
        return host.events().recent().stream()
                .filter(event -> event.kind().equals("volume") && event.name().equals(volume))
                .map(HostEvent::what)
                .toList();
    }

    @Override
    public void close() {
        host.close();
    }
}
