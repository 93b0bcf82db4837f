package io.sidecore.devices.tls;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * A block of a PEM file (RFC 7468).
 *
 * @param label what stands behind BEGIN
 * @param der what it holds, decoded
 * @param line of the file, where it begins
 */
record Pem(String label, byte[] der, int line) {
    /** A chain of certificates and a key take some kilobytes; whatever is larger is another file. */
    private static final long MAX_FILE = 1 << 20;

    private static final Pattern BEGIN = Pattern.compile("-----BEGIN ([A-Z0-9 ]+)-----");

    /**
     * The blocks of a file, in its order. Text around them is ignored, as the tools write it.
     *
     * @throws TlsCredentialsException if the file cannot be read, or has none
     */
    static List<Pem> read(Path file) {
        var lines = text(file).lines().map(String::strip).toList();
        var blocks = new ArrayList<Pem>();
        for (var i = 0; i < lines.size(); i++) {
            var begin = BEGIN.matcher(lines.get(i));
            if (begin.matches()) {
                var label = begin.group(1);
                var end = lines.subList(i, lines.size()).indexOf("-----END " + label + "-----");
                if (end < 0) {
                    throw new TlsCredentialsException(
                            "%s:%d: %s has no end; is the file cut off?".formatted(file, i + 1, label));
                }
                blocks.add(block(file, label, lines.subList(i + 1, i + end), i + 1));
                i += end;
            }
        }
        if (blocks.isEmpty()) {
            throw new TlsCredentialsException(file
                    + " holds no PEM block (-----BEGIN ...-----); one in DER becomes PEM by: openssl x509|pkey -inform der -in "
                    + file + " -out " + file + ".pem");
        }
        return blocks;
    }

    private static Pem block(Path file, String label, List<String> body, int line) {
        if (body.stream().anyMatch(header -> header.startsWith("Proc-Type:") && header.contains("ENCRYPTED"))) {
            return new Pem("ENCRYPTED " + label, new byte[0], line);
        }
        try {
            var base64 = body.stream().filter(text -> text.indexOf(':') < 0).collect(Collectors.joining());
            return new Pem(label, Base64.getDecoder().decode(base64), line);
        } catch (IllegalArgumentException e) {
            throw new TlsCredentialsException(
                    "%s:%d: %s is damaged: %s".formatted(file, line, label, e.getMessage()), e);
        }
    }

    private static String text(Path file) {
        try {
            if (Files.size(file) > MAX_FILE) {
                throw new TlsCredentialsException(file + " is larger than " + (MAX_FILE >> 20) + " MiB: no PEM file");
            }
            return Files.readString(file, StandardCharsets.ISO_8859_1);
        } catch (NoSuchFileException e) {
            throw new TlsCredentialsException(file + " does not exist", e);
        } catch (IOException e) {
            throw new TlsCredentialsException(file + " cannot be read: " + e.getMessage(), e);
        }
    }
}
