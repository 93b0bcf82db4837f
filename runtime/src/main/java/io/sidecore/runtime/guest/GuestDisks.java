package io.sidecore.runtime.guest;

import io.sidecore.actors.vm.GuestException;
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
    private final List<Held> held = new ArrayList<>();

    private GuestDisks(StorageService storage, List<Disk> disks) {
        this.storage = storage;
        this.disks = disks;
    }

    /**
     * Takes hold of them.
     *
     * @throws GuestException if one of them is held by another, or is not there
     */
    public static GuestDisks attach(StorageService storage, String vm, List<Disk> disks) {
        var attached = new GuestDisks(storage, disks);
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

    /** Lets them go; completed when others can have them. */
    public CompletableFuture<Void> leave(String reason) {
        return CompletableFuture.allOf(
                held.stream().map(one -> storage.leave(one.vif().id(), reason)).toArray(CompletableFuture[]::new));
    }

    // --- snapshots

    /** Keeps the contents of those that can be written, in a folder of a snapshot. The guest must stand still. */
    public void save(VolumeFiles files, Path snapshot) throws IOException {
        var folder = Files.createDirectories(snapshot.resolve(FOLDER));
        for (var disk : disks) {
            if (written(disk)) {
                try {
                    files.out(disk.volume(), folder.resolve(disk.volume()), true, false, (done, total) -> {});
                } catch (HostException | TransferException e) {
                    throw new GuestException("disk " + disk.volume() + ": " + e.getMessage(), e);
                }
            }
        }
    }

    /** Puts back what {@link #save} has kept, before they are attached. */
    public static void restore(VolumeFiles files, List<Disk> disks, Path snapshot) {
        for (var disk : disks) {
            if (written(disk)) {
                var file = snapshot.resolve(FOLDER).resolve(disk.volume());
                if (!Files.exists(file)) {
                    throw new GuestException(
                            "the snapshot has no disk " + disk.volume() + ": the VM had other disks when it was taken");
                }
                try {
                    files.in(disk.volume(), file, (done, total) -> {});
                } catch (HostException | TransferException e) {
                    throw new GuestException("disk " + disk.volume() + ": " + e.getMessage(), e);
                }
            }
        }
    }

    private static boolean written(Disk disk) {
        return disk.mode() != AttachMode.READ_ONLY;
    }
}
