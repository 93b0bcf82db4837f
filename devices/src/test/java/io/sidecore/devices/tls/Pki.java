package io.sidecore.devices.tls;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Certificates for a test, made by the JDK's keytool: each vouches for itself. */
public final class Pki {
    private static final char[] PASSWORD = "password".toCharArray();
    private final Path folder;

    /** Keeps its files in {@code folder}. */
    public Pki(Path folder) {
        this.folder = folder;
    }

    /** A key and its certificate. */
    public record Identity(PrivateKey key, X509Certificate certificate) {}

    /** A key and its certificate; the algorithm is {@code RSA -keysize 2048} or {@code EC -groupname secp256r1}, say. */
    public Identity identity(String name, String algorithm) {
        var store = folder.resolve(name + ".p12");
        try {
            var command = new ArrayList<>(List.of(
                    Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                    "-genkeypair",
                    "-alias",
                    "it",
                    "-dname",
                    "CN=" + name,
                    "-validity",
                    "30",
                    "-storepass",
                    new String(PASSWORD),
                    "-keystore",
                    store.toString(),
                    "-keyalg"));
            command.addAll(Arrays.asList(algorithm.split(" ")));
            var keytool = new ProcessBuilder(command)
                    .redirectErrorStream(true)
                    .redirectOutput(folder.resolve(name + ".log").toFile())
                    .start();
            if (!keytool.waitFor(60, TimeUnit.SECONDS) || keytool.exitValue() != 0) {
                throw new IllegalStateException(Files.readString(folder.resolve(name + ".log")));
            }
            var keys = KeyStore.getInstance("PKCS12");
            try (InputStream in = Files.newInputStream(store)) {
                keys.load(in, PASSWORD);
            }
            return new Identity((PrivateKey) keys.getKey("it", PASSWORD), (X509Certificate) keys.getCertificate("it"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    static String pem(String label, byte[] der) {
        return "-----BEGIN %s-----\n%s\n-----END %s-----\n"
                .formatted(label, Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der), label);
    }

    static String pem(Certificate certificate) throws GeneralSecurityException {
        return pem("CERTIFICATE", certificate.getEncoded());
    }

    Path write(String name, String content) {
        try {
            return Files.writeString(folder.resolve(name), content);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The files of a server with this identity, which asks for the certificate of {@code client} if there is one. */
    public TlsFiles files(Identity server, Optional<Identity> client) throws GeneralSecurityException {
        return new TlsFiles(
                write("server-cert.pem", pem(server.certificate())),
                write("server-key.pem", pem("PRIVATE KEY", server.key().getEncoded())),
                client.isPresent()
                        ? Optional.of(write("ca-cert.pem", pem(client.get().certificate())))
                        : Optional.empty());
    }

    /** A client that trusts {@code server} alone. */
    static SSLContext client(Identity server, Optional<Identity> own) {
        try {
            var trusted = KeyStore.getInstance("PKCS12");
            trusted.load(null, null);
            trusted.setCertificateEntry("server", server.certificate());
            var trust = TrustManagerFactory.getInstance("PKIX");
            trust.init(trusted);
            var keys = KeyStore.getInstance("PKCS12");
            keys.load(null, null);
            if (own.isPresent()) {
                keys.setKeyEntry("own", own.get().key(), PASSWORD, new Certificate[] {
                    own.get().certificate()
                });
            }
            var managers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
            managers.init(keys, PASSWORD);
            var context = SSLContext.getInstance("TLS");
            context.init(managers.getKeyManagers(), trust.getTrustManagers(), null);
            return context;
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
