package io.sidecore.runtime.guest;

import io.sidecore.actors.vm.Guest.Progress;
import io.sidecore.actors.vm.Guest.Watcher;
import io.sidecore.actors.vm.GuestException;
import io.sidecore.conf.Amounts;
import io.sidecore.conf.AttachMode;
import io.sidecore.conf.VmSettings.Disk;
import io.sidecore.runtime.HostException;
import io.sidecore.runtime.StorageService;
import io.sidecore.runtime.StorageService.Held;
import io.sidecore.runtime.transfer.TransferException;
import io.sidecore.runtime.transfer.VolumeFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** The volumes that a guest holds for the time of a run: all of them, or none. */
public final class GuestDisks {
    private static final String FOLDER = "disks";

    private final StorageService storage;
    private final List<Disk> disks;
    private final Watcher watcher;
    private final List<Held> held = new ArrayList<>();

    /** Of the save that is under way, or was last. */
    private CompletableFuture<Void> saved = CompletableFuture.completedFuture(null);

    private volatile boolean left;

    private GuestDisks(StorageService storage, List<Disk> disks, Watcher watcher) {
        this.storage = storage;
        this.disks = disks;
        this.watcher = watcher;
    }

    /**
     * Takes hold of them.
     *
     * @param watcher told that a snapshot goes on
     * @throws GuestException if one of them is held by another, or is not there
     */
    public static GuestDisks attach(StorageService storage, String vm, List<Disk> disks, Watcher watcher) {
        var attached = new GuestDisks(storage, disks, watcher);
        try {
            disks.forEach(disk -> attached.held.add(storage.attach("vm/" + vm + "/" + disk.volume(), disk)));
            return attached;
        } catch (HostException e) {
            attached.leave("the VM did not start").join();
            throw new GuestException(e.getMessage(), e);
        }
    }

    /** In the order of the VM's definition. */
    public List<Held> held() {
        return held;
    }

    /** Lets them go; completed when others can have them. A save that is under way is given up. */
    public CompletableFuture<Void> leave(String reason) {
        CompletableFuture<Void> ended;
        synchronized (this) {
            left = true;
            ended = saved;
        }
        return ended.thenCompose(over -> CompletableFuture.allOf(
                held.stream().map(one -> storage.leave(one.vif().id(), reason)).toArray(CompletableFuture[]::new)));
    }

    // --- snapshots

    /** Keeps the contents of those that can be written, in a folder of a snapshot. The guest must stand still. */
    public void save(VolumeFiles files, Path snapshot) throws IOException {
        var ended = new CompletableFuture<Void>();
        synchronized (this) {
            refuseLeft();
            saved = ended;
        }
        try {
            var folder = Files.createDirectories(snapshot.resolve(FOLDER));
            for (var disk : disks) {
                if (isWritten(disk)) {
                    save(files, disk, folder.resolve(disk.volume()));
                }
            }
        } finally {
            ended.complete(null);
        }
    }

    private void save(VolumeFiles files, Disk disk, Path file) {
        try {
            files.out(disk.volume(), file, true, false, (done, total) -> {
                refuseLeft();
                watcher.progressed(progress(disk, done, total));
            });
        } catch (HostException | TransferException e) {
            throw new GuestException("disk " + disk.volume() + ": " + e.getMessage(), e);
        }
    }

    private void refuseLeft() {
        if (left) {
            throw new GuestException("the VM has ended meanwhile");
        }
    }

    /**
     * Puts back what {@link #save} has kept, before they are attached. Nothing is changed unless all of it fits and nobody else holds one of them.
     *
     * @param watcher told that it goes on, and what becomes of disks if it breaks off
     * @param refuseKilled throws if it is to be given up; asked several times a second
     * @throws GuestException if it cannot be, or breaks off
     */
    public static void restore(
            GuestPlace place, List<Disk> disks, Path snapshot, Watcher watcher, Runnable refuseKilled) {
        var storage = place.host().storage();
        var written = disks.stream().filter(GuestDisks::isWritten).toList();
        written.forEach(disk -> check(storage, disk, file(snapshot, disk)));
        attach(storage, place.vm(), disks, watcher)
                .leave("they are restored first")
                .join();
        refuseKilled.run();
        var files = new VolumeFiles(place.host());
        if (!written.isEmpty()) {
            watcher.overwriting();
        }
        for (var disk : written) {
            try {
                files.in(disk.volume(), file(snapshot, disk), (done, total) -> {
                    refuseKilled.run();
                    watcher.progressed(progress(disk, done, total));
                });
            } catch (RuntimeException e) {
                watcher.noted(
                        "half-restored",
                        "it broke off at disk " + disk.volume()
                                + ": its disks may hold some of the snapshot and some of what was there before, until they are restored again");
                throw e instanceof GuestException known
                        ? known
                        : new GuestException("disk " + disk.volume() + ": " + e.getMessage(), e);
            }
        }
    }

    private static Progress progress(Disk disk, long done, long total) {
        return new Progress("disk " + disk.volume(), done, total);
    }

    private static Path file(Path snapshot, Disk disk) {
        return snapshot.resolve(FOLDER).resolve(disk.volume());
    }

    private static void check(StorageService storage, Disk disk, Path file) {
        var volume = storage.volume(disk.volume())
                .orElseThrow(() -> new GuestException("there is no volume " + disk.volume()));
        if (!Files.isReadable(file)) {
            throw new GuestException(
                    Files.exists(file)
                            ? "disk " + disk.volume() + " of the snapshot cannot be read"
                            : "the snapshot has no disk " + disk.volume()
                                    + ": the VM had other disks when it was taken");
        }
        try {
            var size = Files.size(file);
            if (size != volume.size()) {
                throw new GuestException("disk %s had %s when the snapshot was taken, and has %s now"
                        .formatted(disk.volume(), Amounts.size(size), Amounts.size(volume.size())));
            }
        } catch (IOException e) {
            throw new GuestException("disk " + disk.volume() + " of the snapshot cannot be read: " + e.getMessage(), e);
        }
    }

    private static boolean isWritten(Disk disk) {
        return disk.mode() != AttachMode.READ_ONLY;
    }
}
