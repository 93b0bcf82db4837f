package io.sidecore.runtime.control;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Where the hosts of this user are found: a folder with one symbolic link to the data directory of each, in {@code $XDG_RUNTIME_DIR/sidecore} or {@code /tmp/sidecore-UID}. By such a link a socket is also reached whose own path is longer than the 107
 * bytes that unix(7) allows.
 */
final class HostRegistry {
    private static final Set<PosixFilePermission> OWNER_ONLY = PosixFilePermissions.fromString("rwx------");

    private final Path folder;

    private HostRegistry(Path folder) {
        this.folder = folder;
    }

    /** Of the user that this process runs as. */
    static HostRegistry ofThisUser() throws IOException {
        return in(System.getenv());
    }

    static HostRegistry in(Map<String, String> environment) throws IOException {
        var given = environment.getOrDefault("XDG_RUNTIME_DIR", "");
        return new HostRegistry(given.isEmpty() ? Path.of("/tmp", "sidecore-" + uid()) : Path.of(given, "sidecore"));
    }

    private static Object uid() throws IOException {
        return Files.getAttribute(Path.of("/proc/self"), "unix:uid");
    }

    /** The link of a host, whether it is there or not. */
    Path link(Path dataDirectory) {
        try {
            var path = dataDirectory.toAbsolutePath().normalize().toString().getBytes(StandardCharsets.UTF_8);
            var hash = MessageDigest.getInstance("SHA-256").digest(path);
            return folder.resolve(HexFormat.of().formatHex(hash, 0, 8));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }

    /** Enters a host. */
    Path add(Path dataDirectory) throws IOException {
        Files.createDirectories(folder, PosixFilePermissions.asFileAttribute(OWNER_ONLY));
        refuseStrangers();
        var link = link(dataDirectory);
        try {
            Files.createSymbolicLink(link, dataDirectory.toAbsolutePath().normalize());
        } catch (FileAlreadyExistsException left) {
            // By a host that was killed: the same name is the same directory.
        }
        return link;
    }

    /** Somebody else who owns a folder in /tmp could lead us to a host of theirs. */
    private void refuseStrangers() throws IOException {
        var attributes = Files.readAttributes(folder, PosixFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
        var mine = Files.getAttribute(folder, "unix:uid", LinkOption.NOFOLLOW_LINKS)
                .equals(uid());
        if (!attributes.isDirectory() || !mine || !OWNER_ONLY.containsAll(attributes.permissions())) {
            throw new IOException(folder + " is not a folder of this user alone (mode 700)");
        }
    }

    /** Takes a host out. */
    void remove(Path dataDirectory) throws IOException {
        Files.deleteIfExists(link(dataDirectory));
    }

    /** Data directories that were entered; their hosts may have been killed since. */
    List<Path> dataDirectories() throws IOException {
        var all = new ArrayList<Path>();
        try {
            refuseStrangers();
        } catch (NoSuchFileException nobody) {
            return all;
        }
        try (DirectoryStream<Path> links = Files.newDirectoryStream(folder)) {
            for (var link : links) {
                if (Files.isSymbolicLink(link)) {
                    all.add(Files.readSymbolicLink(link));
                }
            }
        }
        all.sort(null);
        return all;
    }
}
