package io.sidecore.runtime;

import io.sidecore.actors.block.Medium;
import io.sidecore.actors.block.MediumException;
import io.sidecore.actors.vif.Attachment;
import io.sidecore.actors.vif.AttachmentRefusedException;
import io.sidecore.actors.vif.GuestEnd;
import io.sidecore.actors.vif.Interposer;
import io.sidecore.actors.vif.Route;
import io.sidecore.actors.vif.VirtualInterface;
import io.sidecore.actors.vif.Volume;
import io.sidecore.conf.Amounts;
import io.sidecore.conf.AttachMode;
import io.sidecore.conf.Names;
import io.sidecore.conf.NbdSettings.ExportedVolume;
import io.sidecore.conf.Placement;
import io.sidecore.conf.StoreSettings;
import io.sidecore.conf.VmSettings.Disk;
import io.sidecore.conf.VolumeSettings;
import io.sidecore.devices.nbd.NbdExport;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * The storage service of a host: its volumes, the exports under which clients find them, and the VIFs through which they are served. Everything can be changed while others go on. Methods may block and are not for a loop or an actor; safe for
 * all threads.
 */
public final class StorageService {
    private record Kept(Volume volume, Medium medium, Optional<VolumeSettings> settings) {}

    private record Exported(ExportedVolume settings, NbdExport export, VifHandle vif) {}

    private final Function<VolumeSettings, Medium> media;
    private final Function<VirtualInterface.Definition, VifHandle> spawner;
    private final Function<Definition, VirtualInterface.Definition> definitions;
    private final HostEvents events;
    private final Map<String, Kept> volumes = new LinkedHashMap<>();

    /** The same for who only looks, and must not wait until an image is opened or closed. */
    private volatile List<Volume> present = List.of();

    /** Looked into by loops, which must not wait for the lock. */
    private final Map<String, Exported> exports = new ConcurrentSkipListMap<>();

    /** The VIFs of guests, by id: those inside this process, and those of virtual machines. */
    private final Map<String, VifHandle> insiders = new ConcurrentSkipListMap<>();

    private final List<NbdExport> served = new CopyOnWriteArrayList<>();
    /** Completed when all VIFs have ended that were told to. */
    private CompletableFuture<Void> left = CompletableFuture.completedFuture(null);
    /** The host stops: nothing begins any more. */
    private boolean stopping;

    /** What a VIF of this service is made of; the host adds loops and limits. */
    record Definition(String id, Route route, Placement placement) {}

    StorageService(
            Function<VolumeSettings, Medium> media,
            Function<Definition, VirtualInterface.Definition> definitions,
            Function<VirtualInterface.Definition, VifHandle> spawner,
            HostEvents events) {
        this.media = media;
        this.definitions = definitions;
        this.spawner = spawner;
        this.events = events;
    }

    // --- volumes

    /**
     * Creates a volume, or opens the one that is there.
     *
     * @throws HostException if there is one of this name, or none can have it, or its medium cannot be opened
     */
    public synchronized Volume create(String name, VolumeSettings settings) {
        refuseVolume(name);
        try {
            return hold(name, media.apply(settings), Optional.of(settings));
        } catch (RuntimeException e) {
            throw new HostException("volume " + name + ": " + e.getMessage(), e);
        }
    }

    /**
     * Creates a volume on a medium of the caller's own making, such as a {@link io.sidecore.actors.block.PlainMedium}. From now on the medium belongs to the volume, and is closed with it; also if this fails.
     *
     * @throws HostException if there is one of this name, or none can have it, or the medium cannot be opened
     */
    public synchronized Volume create(String name, Medium medium) {
        try {
            refuseVolume(name);
        } catch (HostException e) {
            medium.close();
            throw e;
        }
        try {
            return hold(name, medium, Optional.empty());
        } catch (RuntimeException e) {
            throw new HostException("volume " + name + ": " + e.getMessage(), e);
        }
    }

    private void publish() {
        present = volumes.values().stream().map(Kept::volume).toList();
    }

    private void refuseVolume(String name) {
        refuseAtEnd();
        refuseName("volume", name);
        if (volumes.containsKey(name)) {
            throw new HostException("there is a volume " + name + " already");
        }
    }

    private static void refuseName(String what, String name) {
        if (!Names.isName(name)) {
            throw new HostException(what + " '" + name + "': expected " + Names.EXPECTED);
        }
    }

    private void refuseAtEnd() {
        if (stopping) {
            throw new HostException("the host is stopping, or has stopped");
        }
    }

    private Volume hold(String name, Medium medium, Optional<VolumeSettings> settings) {
        try {
            var volume = new Volume(name, medium);
            volume.watch(new VolumeWatch(name));
            volumes.put(name, new Kept(volume, medium, settings));
            publish();
            events.add("volume", name, "created", Amounts.size(volume.size()));
            return volume;
        } catch (RuntimeException e) {
            medium.close();
            throw e;
        }
    }

    private final class VolumeWatch implements Medium.Watcher {
        private final String name;

        VolumeWatch(String name) {
            this.name = name;
        }

        @Override
        public void failed(String why) {
            events.add("volume", name, "failed", why);
        }

        @Override
        public void degraded(String condition) {
            events.add("volume", name, "degraded", condition);
        }

        @Override
        public void well(String condition) {
            events.add("volume", name, "well", condition);
        }
    }

    /** A volume. */
    public synchronized Optional<Volume> volume(String name) {
        return Optional.ofNullable(volumes.get(name)).map(Kept::volume);
    }

    /** What keeps a volume's bytes, and its size; empty if it is on a medium of a program's own, or there is no such volume. */
    public synchronized Optional<VolumeSettings> settings(String name) {
        return Optional.ofNullable(volumes.get(name)).flatMap(Kept::settings);
    }

    /** All volumes, in the order of their creation. Does not wait. */
    public List<Volume> volumes() {
        return present;
    }

    /**
     * Makes a volume larger or smaller; who connects from now on sees the new size.
     *
     * @throws HostException if there is no such volume, or its medium cannot have that size
     */
    public void resize(String name, long bytes) {
        var volume = existing(name);
        try {
            volume.resize(bytes);
        } catch (MediumException e) {
            throw new HostException("volume " + name + ": " + e.getMessage(), e);
        }
        resized(name, bytes);
        events.add("volume", name, "resized", Amounts.size(bytes));
    }

    private synchronized void resized(String name, long bytes) {
        volumes.computeIfPresent(
                name,
                (_, held) -> new Kept(
                        held.volume(), held.medium(), held.settings().map(settings -> resized(settings, bytes))));
    }

    /** A limit that was the size moves with it. */
    private static VolumeSettings resized(VolumeSettings settings, long bytes) {
        var store = settings.store() instanceof StoreSettings.MemoryStore memory
                        && memory.limitBytes() == settings.sizeBytes()
                ? new StoreSettings.MemoryStore(bytes)
                : settings.store();
        return new VolumeSettings(bytes, store);
    }

    /**
     * After a repair: looks at a failed volume's medium anew and serves it again.
     *
     * @throws HostException if there is no such volume, or its medium still is not sound
     */
    public void recover(String name) {
        var volume = existing(name);
        try {
            volume.recover();
        } catch (MediumException e) {
            throw new HostException("volume " + name + ": " + e.getMessage(), e);
        }
        events.add("volume", name, "recovered", "");
    }

    /**
     * Lets a volume go: a memory volume's contents are gone, a file stays where it is.
     *
     * @throws HostException if there is no such volume, or somebody holds it
     */
    public synchronized void delete(String name) {
        var volume = existing(name);
        if (!volume.attachments().isEmpty()) {
            throw new HostException("volume " + name + " is held by "
                    + volume.attachments().stream().map(Object::toString).collect(Collectors.joining(", "))
                    + "; end that first");
        }
        var held = volumes.remove(name);
        assert held != null : name;
        publish();
        close(held);
        events.add("volume", name, "deleted", "");
    }

    private synchronized Volume existing(String name) {
        return volume(name)
                .orElseThrow(() -> new HostException("there is no volume " + name
                        + (volumes.isEmpty() ? "" : "; there are " + String.join(", ", volumes.keySet()))));
    }

    // --- exports

    /**
     * Lets clients find a volume.
     *
     * @throws HostException if there is an export of this name, or none can have it, there is no such volume, or it is held by another in a way that does not go with this
     */
    public synchronized VifHandle export(ExportedVolume settings, Placement placement) {
        refuseExport(settings.name());
        try {
            var attachment = existing(settings.volume()).attach("nbd/" + settings.name(), settings.mode());
            return export(settings, placement, attachment, Interposers.of(settings.interposers()));
        } catch (AttachmentRefusedException e) {
            throw new HostException("export " + settings.name() + ": " + e.getMessage(), e);
        }
    }

    /**
     * Lets clients find a volume under its own name, for one of them to write; served by the shared loop.
     *
     * @param interposers what stands between, from the client to the volume; of the caller's own making or not
     * @throws HostException as {@link #export(ExportedVolume, Placement)}
     */
    public synchronized VifHandle export(String volume, Interposer... interposers) {
        var settings = new ExportedVolume(volume, volume, AttachMode.EXCLUSIVE, List.of());
        refuseExport(volume);
        try {
            var attachment = existing(volume).attach("nbd/" + volume, AttachMode.EXCLUSIVE);
            return export(settings, Placement.SHARED, attachment, List.of(interposers));
        } catch (AttachmentRefusedException e) {
            throw new HostException("export " + volume + ": " + e.getMessage(), e);
        }
    }

    private void refuseExport(String name) {
        refuseAtEnd();
        refuseName("export", name);
        if (exports.containsKey(name)) {
            throw new HostException("there is an export " + name + " already");
        }
    }

    private VifHandle export(
            ExportedVolume settings, Placement placement, Attachment attachment, List<Interposer> interposers) {
        var export = NbdExport.of(settings.name(), attachment);
        var vif = spawn(attachment, interposers, placement);
        exports.put(settings.name(), new Exported(settings, export, vif));
        served.add(export);
        events.add("export", settings.name(), "created", "volume " + settings.volume());
        return vif;
    }

    /** A VIF that holds a volume; if there can be none, nobody holds it. */
    private VifHandle spawn(Attachment attachment, List<Interposer> interposers, Placement placement) {
        try {
            var route = new Route(interposers, attachment);
            return spawner.apply(definitions.apply(new Definition(attachment.holder(), route, placement)));
        } catch (RuntimeException e) {
            attachment.detach();
            throw e;
        }
    }

    /** The VIF through which an export is served. */
    public Optional<VifHandle> vif(String export) {
        return Optional.ofNullable(exports.get(export)).map(Exported::vif);
    }

    /** All exports by name. */
    public Map<String, ExportedVolume> exports() {
        var all = new LinkedHashMap<String, ExportedVolume>();
        exports.forEach((name, exported) -> all.put(name, exported.settings()));
        return Collections.unmodifiableMap(all);
    }

    /**
     * Ends an export: its connections are closed once their requests in flight are answered.
     *
     * @return completed when nothing of it is left
     * @throws HostException if there is none of this name
     */
    public synchronized CompletableFuture<Void> unexport(String name) {
        var exported = exports.remove(name);
        if (exported == null) {
            throw new HostException("there is no export " + name
                    + (exports.isEmpty() ? "" : "; there are " + String.join(", ", exports.keySet())));
        }
        served.remove(exported.export());
        return end(exported.vif(), "the export was deleted").thenRun(() -> events.add("export", name, "deleted", ""));
    }

    private CompletableFuture<Void> end(VifHandle vif, String reason) {
        var ended = vif.destroy(reason).<Void>thenApply(done -> null).toCompletableFuture();
        left = CompletableFuture.allOf(left, ended.exceptionally(e -> null));
        return ended;
    }

    /** Completed when all VIFs have ended that were told to end before; their queues are on loops until then. */
    synchronized CompletableFuture<Void> left() {
        return left;
    }

    // --- guests

    /**
     * Attaches a volume to a guest inside this process, such as one that copies it.
     *
     * @param id of the VIF that is made for it: a name, or some with slashes between them
     * @param end through which the guest reads and writes
     * @throws HostException if there is such a VIF, there is no such volume, or it is held by another in a way that does not go with {@code mode}
     */
    public VifHandle enter(String id, String volume, AttachMode mode, GuestEnd end) {
        var vif =
                attach(id, new Disk(volume, mode, Placement.SHARED, List.of())).vif();
        vif.connect(end);
        return vif;
    }

    /** A VIF that holds a volume for a guest, and its hold. */
    public record Held(VifHandle vif, Attachment attachment) {}

    /**
     * Attaches a volume to a guest, whose ends are brought later ({@link VifHandle#connect}).
     *
     * @param id of the VIF that is made for it: a name, or some with slashes between them
     * @throws HostException as {@link #enter}
     */
    public synchronized Held attach(String id, Disk disk) {
        refuseAtEnd();
        for (var part : id.split("/", -1)) {
            refuseName("VIF " + id + ", part", part);
        }
        if (vifs().containsKey(id)) {
            throw new HostException("there is a VIF " + id + " already");
        }
        var entered = existing(disk.volume());
        try {
            var attachment = entered.attach(id, disk.mode());
            var vif = spawn(attachment, Interposers.of(disk.interposers()), disk.placement());
            insiders.put(id, vif);
            return new Held(vif, attachment);
        } catch (AttachmentRefusedException e) {
            throw new HostException(e.getMessage(), e);
        }
    }

    /** Ends what {@link #enter} or {@link #attach} began; completed when the volume is free again. Nothing happens if there is no such guest. */
    public synchronized CompletableFuture<Void> leave(String id, String reason) {
        var vif = insiders.remove(id);
        return vif == null ? CompletableFuture.completedFuture(null) : end(vif, reason);
    }

    /** All VIFs of this service by id: those of exports and those of guests inside. */
    public Map<String, VifHandle> vifs() {
        var all = new TreeMap<String, VifHandle>(insiders);
        exports.values().forEach(exported -> all.put(exported.vif().id(), exported.vif()));
        return Collections.unmodifiableMap(all);
    }

    /** What clients can choose at present; a live view. */
    List<NbdExport> served() {
        return served;
    }

    // --- the end

    /** Ends all exports; the stage completes when nothing is in flight any more. */
    synchronized CompletableFuture<Void> endExports() {
        stopping = true;
        served.clear();
        var ended = new ArrayList<CompletableFuture<?>>(List.of(left));
        exports.values()
                .forEach(e -> ended.add(e.vif().destroy("the host is stopping").toCompletableFuture()));
        exports.clear();
        insiders.values()
                .forEach(vif -> ended.add(vif.destroy("the host is stopping").toCompletableFuture()));
        insiders.clear();
        return CompletableFuture.allOf(ended.toArray(CompletableFuture[]::new));
    }

    /** Lets all volumes go. Exports must have ended. */
    synchronized void close() {
        var failures = new ArrayList<RuntimeException>();
        for (var held : volumes.values()) {
            try {
                close(held);
            } catch (RuntimeException e) {
                failures.add(new HostException("volume " + held.volume().name() + ": " + e.getMessage(), e));
            }
        }
        volumes.clear();
        publish();
        if (!failures.isEmpty()) {
            failures.subList(1, failures.size()).forEach(failures.getFirst()::addSuppressed);
            throw failures.getFirst();
        }
    }

    private static void close(Kept held) {
        held.volume().close();
        held.medium().close();
    }
}
