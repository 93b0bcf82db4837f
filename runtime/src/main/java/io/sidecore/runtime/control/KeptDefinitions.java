package io.sidecore.runtime.control;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigException;
import com.typesafe.config.ConfigFactory;
import com.typesafe.config.ConfigParseOptions;
import com.typesafe.config.ConfigRenderOptions;
import com.typesafe.config.ConfigSyntax;
import com.typesafe.config.ConfigValueFactory;
import io.sidecore.actors.catalog.Catalog;
import io.sidecore.actors.catalog.CatalogEntry;
import io.sidecore.actors.catalog.CatalogException;
import io.sidecore.actors.catalog.CatalogKey;
import io.sidecore.actors.vif.Volume;
import io.sidecore.conf.Definitions;
import io.sidecore.conf.Mistake;
import io.sidecore.conf.NbdSettings.ExportedVolume;
import io.sidecore.conf.Settings;
import io.sidecore.conf.SettingsException;
import io.sidecore.conf.StoreSettings.FileStore;
import io.sidecore.conf.Surroundings;
import io.sidecore.conf.VmSettings;
import io.sidecore.conf.VolumeSettings;
import io.sidecore.runtime.HostException;
import io.sidecore.runtime.Sidecore;
import io.sidecore.runtime.StorageService;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/**
 * Keeps definitions in a catalog: kinds {@code volume}, {@code export} and {@code vm}, values the sections in JSON. What the configuration declares has the last word: a definition of the same name stays in the catalog and is not served. Methods wait for
 * the disk; not safe for several threads.
 */
final class KeptDefinitions implements DefinitionKeeper {
    private static final String VOLUME = "volume";
    private static final String EXPORT = "export";
    private static final String VM = "vm";
    private static final ConfigParseOptions JSON =
            ConfigParseOptions.defaults().setSyntax(ConfigSyntax.JSON).setOriginDescription("the catalog");

    private final Catalog catalog;

    /** Kept, but the configuration declares one of this name, and that one is served. */
    private final Set<CatalogKey> overruled = new HashSet<>();

    KeptDefinitions(Catalog catalog) {
        this.catalog = catalog;
    }

    // --- at the start of a host

    /** Makes what is kept. What cannot be made stays kept, and does not hinder the rest: returns a sentence for each. */
    List<String> restore(Settings settings, Sidecore host) {
        var storage = host.storage();
        var sentences = new ArrayList<String>();
        for (var entry : await(catalog.list(VOLUME))) {
            restore(entry, settings.volumes()::containsKey, sentences, () -> restoreVolume(entry, settings, storage));
        }
        for (var entry : await(catalog.list(EXPORT))) {
            restore(entry, storage.exports()::containsKey, sentences, () -> restoreExport(entry, settings, storage));
        }
        for (var entry : await(catalog.list(VM))) {
            restore(entry, settings.vms()::containsKey, sentences, () -> restoreVm(entry, host));
        }
        return sentences;
    }

    private void restore(CatalogEntry entry, Predicate<String> declared, List<String> sentences, Runnable make) {
        var key = entry.key();
        if (declared.test(key.name())) {
            overruled.add(key);
            sentences.add(
                    "%s %s is declared in the configuration and was also created by command: the configuration has the last word"
                            .formatted(key.kind(), key.name()));
            return;
        }
        try {
            make.run();
        } catch (HostException e) {
            sentences.add(unserved(key, e.getMessage()));
        } catch (SettingsException e) {
            sentences.add(unserved(
                    key, e.mistakes().stream().map(KeptDefinitions::sentence).collect(Collectors.joining("; "))));
        } catch (ConfigException e) {
            sentences.add(unserved(key, e.getMessage()));
        }
    }

    private static String sentence(Mistake mistake) {
        return mistake.key().isEmpty() ? mistake.message() : mistake.key() + ": " + mistake.message();
    }

    private static String unserved(CatalogKey key, String why) {
        return "%1$s %2$s was created by command and cannot be served (%3$s); start again when that is mended, or forget it with: sidecore %1$s delete %2$s"
                .formatted(key.kind(), key.name(), why.replaceFirst("^" + key.kind() + " [^ ]+: ", ""));
    }

    private static void restoreVolume(CatalogEntry entry, Settings settings, StorageService storage) {
        var name = entry.key().name();
        var volume = Definitions.volume(name, section(entry), settings.dataDirectory());
        storage.create(name, volume.store() instanceof FileStore file ? asItIs(file) : volume);
    }

    /** The image was made when the volume was: one that is missing is lost and not to be replaced by zeroes. How large it is it knows itself: it may have been resized, and the host killed before that was kept. */
    private static VolumeSettings asItIs(FileStore file) {
        return new VolumeSettings(0, new FileStore(file.path(), false, file.readOnly(), file.direct(), file.threads()));
    }

    private static void restoreExport(CatalogEntry entry, Settings settings, StorageService storage) {
        var export = export(section(entry), storage);
        var nbd = settings.nbd().orElseThrow(() -> new HostException("this host has no NBD server"));
        storage.export(export, nbd.placement());
    }

    private static void restoreVm(CatalogEntry entry, Sidecore host) {
        host.vms().create(entry.key().name(), vm(entry.key().name(), section(entry), host));
    }

    /** Reads a VM's section. */
    static VmSettings vm(String name, Config section, Sidecore host) {
        return Definitions.vm(
                name,
                section,
                host.storage().volumes().stream().map(Volume::name).toList(),
                host.settings().dataDirectory(),
                !host.loops().service().isEmpty(),
                Surroundings.FILES);
    }

    /** Reads an export's section. */
    static ExportedVolume export(Config section, StorageService storage) {
        return Definitions.export(
                section, storage.volumes().stream().map(Volume::name).toList());
    }

    private static Config section(CatalogEntry entry) {
        return ConfigFactory.parseString(entry.value(), JSON);
    }

    // --- while it runs

    @Override
    public void volume(String name, Config section) {
        keep(new CatalogKey(VOLUME, name), section);
    }

    @Override
    public void volumeResized(String name, long bytes) {
        var key = new CatalogKey(VOLUME, name);
        var entry = entry(key);
        if (entry.isPresent() && !overruled.contains(key)) {
            keep(key, resized(section(entry.get()), bytes));
        }
    }

    /** With another size, and without a limit that would be beyond it. */
    private static Config resized(Config section, long bytes) {
        var resized = section.withValue("size", ConfigValueFactory.fromAnyRef(bytes));
        var beyond = section.hasPath("store.limit") && section.getBytes("store.limit") > bytes;
        return beyond ? resized.withoutPath("store.limit") : resized;
    }

    @Override
    public boolean volumeDeleted(String name) {
        return forget(new CatalogKey(VOLUME, name));
    }

    @Override
    public void export(String name, Config section) {
        keep(new CatalogKey(EXPORT, name), section);
    }

    @Override
    public boolean exportDeleted(String name) {
        return forget(new CatalogKey(EXPORT, name));
    }

    @Override
    public void vm(String name, Config section) {
        keep(new CatalogKey(VM, name), section);
    }

    @Override
    public boolean vmDeleted(String name) {
        return forget(new CatalogKey(VM, name));
    }

    private void keep(CatalogKey key, Config section) {
        var json = section.root().render(ConfigRenderOptions.concise());
        try {
            await(catalog.put(key, json, entry(key).map(CatalogEntry::revision).orElse(0L)));
        } catch (IllegalArgumentException e) {
            throw new HostException(e.getMessage(), e);
        }
        overruled.remove(key);
    }

    private boolean forget(CatalogKey key) {
        var entry = entry(key);
        entry.ifPresent(kept -> await(catalog.delete(key, kept.revision())));
        overruled.remove(key);
        return entry.isPresent();
    }

    private Optional<CatalogEntry> entry(CatalogKey key) {
        return await(catalog.get(key));
    }

    private static <T> T await(CompletionStage<T> stage) {
        try {
            return stage.toCompletableFuture().join();
        } catch (CompletionException e) {
            if (e.getCause() instanceof CatalogException refused) {
                throw new HostException(refused.getMessage(), refused);
            }
            throw e;
        }
    }
}
