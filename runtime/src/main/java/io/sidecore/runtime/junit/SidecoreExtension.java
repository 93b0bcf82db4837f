package io.sidecore.runtime.junit;

import io.sidecore.actors.block.Medium;
import io.sidecore.conf.AttachMode;
import io.sidecore.conf.NbdSettings;
import io.sidecore.conf.NbdSettings.ExportedVolume;
import io.sidecore.conf.Placement;
import io.sidecore.conf.Settings;
import io.sidecore.conf.Spelling;
import io.sidecore.conf.StoreSettings.MemoryStore;
import io.sidecore.conf.VolumeSettings;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.StorageService;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;

/**
 * A host for the tests of a class, or for each of them anew:
 *
 * <pre>{@code
 * @RegisterExtension
 * static final SidecoreExtension host = SidecoreExtension.with("disk", 64 << 20).and("scratch", 1 << 20);
 *
 * @Test
 * void copies() {
 *     run("nbdcopy", "image.raw", host.uri("disk"));
 * }
 * }</pre>
 *
 * <p>In a static field the host lives as long as the class's tests, in an instance field as long as one test. It listens on a Unix socket in a temporary directory and on a free port of the loopback address, unless its settings say otherwise. When it ends, its
 * volumes in memory are gone, and the directory with everything in it. A test that takes a {@link Sidecore} as a parameter is given the host itself, for its management.
 */
public final class SidecoreExtension
        implements BeforeAllCallback, BeforeEachCallback, AfterEachCallback, AfterAllCallback, ParameterResolver {
    private final Function<Path, Settings> settings;
    private final Map<String, Consumer<StorageService>> volumes = new LinkedHashMap<>();
    private Optional<Life> life = Optional.empty();

    /** From its start in a test, or before the tests of a class, to its end. */
    private record Life(String context, Path directory, Sidecore host) {}

    private SidecoreExtension(Function<Path, Settings> settings) {
        this.settings = settings;
    }

    /**
     * A host with these settings. If they have no NBD server, it has one all the same, which exports every volume under its name, for reading where a VM writes it. Its data directory is a temporary one; where these settings name files, the files are theirs and stay.
     *
     * @see #with(Function) to have files in the temporary directory
     */
    public static SidecoreExtension with(Settings settings) {
        return new SidecoreExtension(_ -> settings);
    }

    /** The same, for settings that depend on the temporary directory in which the host lives: an image in it, say. */
    public static SidecoreExtension with(Function<Path, Settings> settings) {
        return new SidecoreExtension(settings);
    }

    /** A host with one volume in memory, all zeroes at first, of so many bytes. */
    public static SidecoreExtension with(String volume, long bytes) {
        return new SidecoreExtension(_ -> Settings.builder().build()).and(volume, bytes);
    }

    /** A host with one volume on a medium of the test's own, which is made anew with each host. */
    public static SidecoreExtension with(String volume, Supplier<? extends Medium> medium) {
        return new SidecoreExtension(_ -> Settings.builder().build()).and(volume, medium);
    }

    /** Another volume in memory, of so many bytes. */
    public SidecoreExtension and(String volume, long bytes) {
        return add(volume, storage -> storage.create(volume, new VolumeSettings(bytes, new MemoryStore(bytes))));
    }

    /** Another volume on a medium of the test's own. */
    public SidecoreExtension and(String volume, Supplier<? extends Medium> medium) {
        return add(volume, storage -> storage.create(volume, medium.get()));
    }

    private SidecoreExtension add(String volume, Consumer<StorageService> creation) {
        if (volumes.putIfAbsent(volume, creation) != null) {
            throw new IllegalArgumentException("there is a volume " + volume + " already");
        }
        return this;
    }

    // --- what a test asks

    /**
     * Where a client finds a volume: by its Unix socket, which every client of NBD on this machine can use.
     *
     * @param export the name of the volume, unless the settings export it under another
     */
    public String uri(String export) {
        return uris(export).getFirst();
    }

    /** Where clients find a volume: for each address one, {@code nbd+unix} first if nothing else was said. */
    public List<String> uris(String export) {
        var host = host();
        var names = host.storage().exports().keySet();
        if (!names.contains(export)) {
            throw new IllegalArgumentException("there is no export " + export + Spelling.hint(export, names));
        }
        return host.uris(export);
    }

    /** The host. */
    public Sidecore host() {
        return present().host();
    }

    /** The temporary directory in which it lives; gone when it ends. */
    public Path directory() {
        return present().directory();
    }

    private Life present() {
        return life.orElseThrow(
                () -> new IllegalStateException(
                        "the host does not run now: in a static field it does from before the first test (and @BeforeAll) on, in an instance field from before each (and @BeforeEach); the field needs @RegisterExtension"));
    }

    // --- its life

    @Override
    public void beforeAll(ExtensionContext context) throws IOException {
        start(context);
    }

    @Override
    public void beforeEach(ExtensionContext context) throws IOException {
        start(context);
    }

    @Override
    public void afterEach(ExtensionContext context) throws IOException {
        end(context);
    }

    @Override
    public void afterAll(ExtensionContext context) throws IOException {
        end(context);
    }

    private void start(ExtensionContext context) throws IOException {
        if (life.isPresent()) {
            // That of the class, for each of its tests and nested classes.
            return;
        }
        var directory = Files.createTempDirectory("sidecore");
        try {
            var said = settings.apply(directory);
            var host = Sidecore.start(complete(said, directory), made -> serve(said, made.storage()));
            life = Optional.of(new Life(context.getUniqueId(), directory, host));
        } catch (RuntimeException | Error e) {
            delete(directory);
            throw e;
        }
    }

    private List<String> serve(Settings said, StorageService storage) {
        if (said.nbd().isEmpty()) {
            said.volumes()
                    .keySet()
                    .forEach(volume -> storage.export(
                            new ExportedVolume(volume, volume, mode(volume, said), List.of()), Placement.SHARED));
        }
        volumes.forEach((name, creation) -> {
            creation.accept(storage);
            storage.export(name);
        });
        return List.of();
    }

    /** So that a VM which writes a volume can have it. */
    private static AttachMode mode(String volume, Settings said) {
        return said.vms().values().stream()
                .flatMap(vm -> vm.disks().stream())
                .filter(disk -> disk.volume().equals(volume))
                .map(disk -> disk.mode() == AttachMode.EXCLUSIVE ? AttachMode.READ_ONLY : disk.mode())
                .findFirst()
                .orElse(AttachMode.EXCLUSIVE);
    }

    private void end(ExtensionContext context) throws IOException {
        var ending = life.filter(begun -> begun.context().equals(context.getUniqueId()));
        if (ending.isEmpty()) {
            return;
        }
        life = Optional.empty();
        var host = ending.get().host();
        host.close();
        delete(ending.get().directory());
        if (!host.closedWell()) {
            throw new AssertionError("the host did not end as it should; its log says what it could not let go of");
        }
    }

    private static void delete(Path directory) throws IOException {
        try (var all = Files.walk(directory)) {
            for (var file : all.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }

    // --- settings

    /** Where nothing is said of a server there is one; whose data the directory is, is not for the settings to say. */
    private static Settings complete(Settings said, Path directory) {
        return new Settings(
                directory,
                said.host(),
                said.cores(),
                said.loop(),
                said.vif(),
                said.volumes(),
                said.nbd().or(() -> server(directory)),
                said.vms(),
                said.metrics(),
                said.log());
    }

    private static Optional<NbdSettings> server(Path directory) {
        return Settings.builder()
                .dataDirectory(directory)
                .nbd(nbd -> nbd.listen("unix:nbd.sock", "127.0.0.1:0"))
                .build()
                .nbd();
    }

    // --- a parameter

    @Override
    public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
        return parameter.getParameter().getType() == Sidecore.class;
    }

    @Override
    public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
        return host();
    }
}
