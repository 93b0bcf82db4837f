package io.sidecore.runtime.transfer;

import io.sidecore.actors.vif.AttachmentRefusedException;
import io.sidecore.actors.vif.Volume;
import io.sidecore.conf.AttachMode;
import io.sidecore.runtime.HostException;
import io.sidecore.runtime.Sidecore;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;
import java.util.concurrent.ExecutionException;

/** Imports files into volumes of a running host, and exports volumes to files. Methods wait, and are not for a loop or an actor. */
public final class VolumeFiles {
    private final Sidecore host;

    /** As an image is: what a guest keeps to itself is not for everybody on the machine. */
    private static final FileAttribute<?> OWNER_ONLY =
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

    /** Of this host. */
    public VolumeFiles(Sidecore host) {
        this.host = host;
    }

    /**
     * Overwrites a volume with a file: as the file reads, then zeroes. Nobody else may write the volume meanwhile.
     *
     * @throws HostException if there is no such volume, somebody else writes it, or the file is missing or larger than the volume; nothing is changed then
     * @throws TransferException if it broke off: the volume then holds some of both
     */
    public VolumeCopy.Copied in(String name, Path file, Progress progress) {
        var volume = volume(name);
        try (var from = FileChannel.open(file, StandardOpenOption.READ)) {
            if (!Files.isRegularFile(file)) {
                throw new HostException(file + " is not a file");
            }
            if (from.size() > volume.size()) {
                throw new HostException(
                        "%s has %d bytes and volume %s only %d; make it larger first, with volume resize"
                                .formatted(file, from.size(), name, volume.size()));
            }
            return copy("import", volume, AttachMode.EXCLUSIVE, "end that first", progress, copy -> copy.in(from));
        } catch (NoSuchFileException e) {
            throw new HostException("there is no file " + file, e);
        } catch (IOException e) {
            throw new TransferException(file + " cannot be read: " + e.getMessage(), e);
        }
    }

    /**
     * Writes a volume to a file, sparse where the volume reads as zeroes. The file appears when it is complete.
     *
     * @param live whether others may write the volume meanwhile: parts of the file are older than others then
     * @param replace whether there may be a file already
     * @throws HostException if there is no such volume, somebody else writes it and {@code live} is not set, or there is a file already
     * @throws TransferException if it broke off: there is no new file then
     */
    public VolumeCopy.Copied out(String name, Path file, boolean live, boolean replace, Progress progress) {
        var volume = volume(name);
        if (!replace && Files.exists(file)) {
            throw new HostException(file + " exists already; choose another name, or say --force to replace it");
        }
        var part = file.resolveSibling(file.getFileName() + ".part");
        var mode = live || volume.capabilities().readOnly() ? AttachMode.READ_ONLY : AttachMode.EXCLUSIVE;
        var advice = "end that first, or say --live to copy what is written meanwhile";
        try (var to =
                FileChannel.open(part, Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE), OWNER_ONLY)) {
            try {
                var copied = copy("export", volume, mode, advice, progress, copy -> copy.out(to));
                Files.move(part, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
                return copied;
            } finally {
                Files.deleteIfExists(part);
            }
        } catch (FileAlreadyExistsException e) {
            throw new HostException(part + " exists: another export may be writing it; if none is, remove it", e);
        } catch (NoSuchFileException e) {
            throw new HostException(
                    "there is no folder " + file.toAbsolutePath().getParent(), e);
        } catch (IOException e) {
            throw new TransferException(file + " cannot be written: " + e.getMessage(), e);
        }
    }

    private Volume volume(String name) {
        return host.storage().volume(name).orElseThrow(() -> new HostException("there is no volume " + name));
    }

    @FunctionalInterface
    private interface Copying {
        VolumeCopy.Copied run(VolumeCopy copy) throws IOException, InterruptedException;
    }

    /** {@code advice}: what to do about somebody else who writes the volume. */
    private VolumeCopy.Copied copy(
            String verb, Volume volume, AttachMode mode, String advice, Progress progress, Copying copying)
            throws IOException {
        var end = new InProcessEnd(host.slabs());
        var id = verb + "/" + volume.name();
        try {
            host.storage().enter(id, volume.name(), mode, end);
        } catch (HostException e) {
            throw e.getCause() instanceof AttachmentRefusedException refused
                            && !volume.capabilities().readOnly()
                    ? new HostException(refused.reason() + "; " + advice, refused)
                    : e;
        }
        try {
            return copying.run(new VolumeCopy(end, volume.capabilities(), volume.size(), progress));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new TransferException(id + " was interrupted", e);
        } finally {
            leave(id);
            end.drop();
        }
    }

    /** What is in flight is answered, and then the volume is free: who asked for the copy may use it at once. */
    private void leave(String id) {
        try {
            host.storage().leave(id, "the copy has ended").get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (ExecutionException e) {
            throw new TransferException(
                    "VIF " + id + " did not end: " + e.getCause().getMessage(), e);
        }
    }
}
