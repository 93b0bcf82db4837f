package io.sidecore.runtime.control;

import com.typesafe.config.ConfigFactory;
import io.sidecore.conf.Settings;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.vm.Console;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/** A host without volumes, whose control socket reaches these consoles. */
public final class ServedConsoles implements AutoCloseable {
    private final Path directory;
    private final Map<String, Console> consoles = new ConcurrentHashMap<>();
    private final DataDirectory claim;
    private final Sidecore host;
    private final ControlServer server;

    /** Starts it with this data directory. */
    public ServedConsoles(Path directory) {
        this.directory = directory;
        claim = DataDirectory.claim(directory);
        host = Sidecore.start(
                Settings.read(ConfigFactory.parseString("sidecore { data-directory = \"%s\" }".formatted(directory))));
        server = ControlServer.open(
                claim, new Operations(host, DefinitionKeeper.NONE, vm -> Optional.ofNullable(consoles.get(vm))));
    }

    /** A new console. */
    public Console add(String vm) {
        var console = new Console();
        consoles.put(vm, console);
        return console;
    }

    /** Whoever asks it. */
    public ControlClient client() {
        return ControlClient.of(directory);
    }

    /** Where it can be reached. */
    public Path directory() {
        return directory;
    }

    /** Ends its control socket; the rest goes on. */
    public void stopBeingManaged() throws IOException {
        server.close();
    }

    @Override
    public void close() throws IOException {
        server.close();
        host.close();
        claim.close();
    }
}
