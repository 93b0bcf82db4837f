package io.sidecore.it;

import io.sidecore.it.Peers.Tool;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.List;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * A directory as QEMU, libnbd and nbdkit expect it, made by openssl: an authority, and a server and a client that it vouches for ({@code ca-cert.pem}, {@code server-cert.pem}, {@code server-key.pem},
 * {@code client-cert.pem}, {@code client-key.pem}). The server is {@code localhost}.
 */
public record Certificates(Path folder) {
    /** Makes a new directory of this name, all of it new. */
    public static Certificates in(Path folder) throws IOException {
        Files.createDirectory(folder);
        var name = folder.getFileName();
        openssl(
                "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=%1$s -keyout %2$s/ca-key.pem -out %2$s/ca-cert.pem"
                        .formatted(name, folder));
        var names = Files.writeString(folder.resolve("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1");
        for (var side : List.of("server", "client")) {
            openssl(
                    ("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=%1$s-%2$s -keyout %3$s/%2$s-key.pem"
                                    + " -out %3$s/%2$s.csr")
                            .formatted(name, side, folder));
            openssl(("x509 -req -in %1$s/%2$s.csr -CA %1$s/ca-cert.pem -CAkey %1$s/ca-key.pem -CAcreateserial -days 30"
                            + " -extfile %3$s -out %1$s/%2$s-cert.pem")
                    .formatted(folder, side, names));
        }
        return new Certificates(folder);
    }

    private static void openssl(String arguments) {
        Peers.run(Tool.OPENSSL, arguments.split(" ")).ok();
    }

    /** One of its files. */
    public Path file(String name) {
        return folder.resolve(name);
    }

    /** The section {@code tls} of a host that has these. */
    public String settings(String mode) {
        return "tls { mode = %s, certificate = \"%s\", key = \"%s\" }"
                .formatted(mode, file("server-cert.pem"), file("server-key.pem"));
    }

    /** A URI of TLS for a client that has these. */
    public String with(String uri) {
        return uri + (uri.contains("?") ? "&" : "?") + "tls-certificates=" + folder;
    }

    /** For clients in Java without a certificate of their own. */
    public SSLContext context() throws IOException, GeneralSecurityException {
        var trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        try (var authority = Files.newInputStream(file("ca-cert.pem"))) {
            trusted.setCertificateEntry(
                    "ca", CertificateFactory.getInstance("X.509").generateCertificate(authority));
        }
        var trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted);
        var context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }
}
