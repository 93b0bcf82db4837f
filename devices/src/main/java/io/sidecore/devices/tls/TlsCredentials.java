package io.sidecore.devices.tls;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.List;
import java.util.Set;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.TrustManagerFactory;

/** A server's certificate and key as they were read from their files, ready to be used. Immutable; any thread. */
final class TlsCredentials {
    private static final String[] VERSIONS = {"TLSv1.3", "TLSv1.2"};

    /** In order of preference: AES-128-GCM is the fastest where the processor knows AES, which is everywhere disks are served from. Forward secret, authenticated ones only. */
    private static final List<String> CIPHERS = List.of(
            "TLS_AES_128_GCM_SHA256",
            "TLS_AES_256_GCM_SHA384",
            "TLS_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256");

    private static final char[] NO_PASSWORD = {};
    private static final byte[] NO_SECRET = "sidecore".getBytes(StandardCharsets.US_ASCII);

    private final SSLContext context;
    private final X509Certificate certificate;
    private final boolean mutual;

    private TlsCredentials(SSLContext context, X509Certificate certificate, boolean mutual) {
        this.context = context;
        this.certificate = certificate;
        this.mutual = mutual;
    }

    /**
     * Reads them.
     *
     * @throws TlsCredentialsException if a file cannot be used, or they do not belong together
     */
    static TlsCredentials load(TlsFiles files) {
        var chain = certificates(files.certificate());
        var key = PrivateKeys.read(files.key());
        for (var i = 1; i < chain.size(); i++) {
            if (!chain.get(i - 1).getIssuerX500Principal().equals(chain.get(i).getSubjectX500Principal())) {
                throw new TlsCredentialsException(
                        "%s: certificate %d (%s) is not the issuer of the one before it; the server's own comes first, then who vouches for it"
                                .formatted(
                                        files.certificate(), i + 1, chain.get(i).getSubjectX500Principal()));
            }
        }
        if (!belongs(key, chain.getFirst().getPublicKey())) {
            throw new TlsCredentialsException("%s is not the key of the certificate in %s (%s)"
                    .formatted(
                            files.key(), files.certificate(), chain.getFirst().getSubjectX500Principal()));
        }
        try {
            var keys = empty();
            keys.setKeyEntry("server", key, NO_PASSWORD, chain.toArray(X509Certificate[]::new));
            var keyManagers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
            keyManagers.init(keys, NO_PASSWORD);
            var context = SSLContext.getInstance("TLS");
            var trusted = empty();
            if (files.clientCa().isPresent()) {
                var number = 0;
                for (var authority : certificates(files.clientCa().get())) {
                    trusted.setCertificateEntry("client-ca-" + number++, authority);
                }
            }
            var trustManagers = TrustManagerFactory.getInstance("PKIX");
            trustManagers.init(trusted);
            context.init(
                    keyManagers.getKeyManagers(),
                    files.clientCa().isPresent() ? trustManagers.getTrustManagers() : null,
                    null);
            return new TlsCredentials(
                    context, chain.getFirst(), files.clientCa().isPresent());
        } catch (GeneralSecurityException | IOException e) {
            throw new TlsCredentialsException(
                    "%s and %s cannot be used: %s".formatted(files.certificate(), files.key(), e.getMessage()), e);
        }
    }

    private static KeyStore empty() throws GeneralSecurityException, IOException {
        var store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        return store;
    }

    private static List<X509Certificate> certificates(Path file) {
        var blocks = Pem.read(file);
        var certificates = blocks.stream()
                .filter(block ->
                        block.label().equals("CERTIFICATE") || block.label().equals("X509 CERTIFICATE"))
                .map(block -> certificate(block, file))
                .toList();
        if (certificates.isEmpty()) {
            throw new TlsCredentialsException("%s holds no certificate; it begins with %s"
                    .formatted(file, blocks.getFirst().label()));
        }
        return certificates;
    }

    private static X509Certificate certificate(Pem block, Path file) {
        try {
            return (X509Certificate)
                    CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(block.der()));
        } catch (CertificateException e) {
            throw new TlsCredentialsException(
                    "%s:%d: the certificate is damaged: %s".formatted(file, block.line(), e.getMessage()), e);
        }
    }

    /** Whether what the key signs is what the certificate vouches for. */
    private static boolean belongs(PrivateKey key, PublicKey certified) {
        var algorithm = switch (key.getAlgorithm()) {
            case "RSA" -> "SHA256withRSA";
            case "EC" -> "SHA256withECDSA";
            default -> key.getAlgorithm();
        };
        if (algorithm.equals("RSASSA-PSS")) {
            // Its parameters may forbid what could be tried here; the handshake will tell.
            return true;
        }
        try {
            var proof = Signature.getInstance(algorithm);
            proof.initSign(key);
            proof.update(NO_SECRET);
            var signed = proof.sign();
            proof.initVerify(certified);
            proof.update(NO_SECRET);
            return proof.verify(signed);
        } catch (GeneralSecurityException unlike) {
            // A key of another kind: it cannot even be asked.
            return false;
        }
    }

    /** The server's own certificate. */
    X509Certificate certificate() {
        return certificate;
    }

    /** The server's side of a new connection. */
    SSLEngine engine() {
        var engine = context.createSSLEngine();
        engine.setUseClientMode(false);
        var supported = Set.of(engine.getSupportedCipherSuites());
        var parameters =
                new SSLParameters(CIPHERS.stream().filter(supported::contains).toArray(String[]::new), VERSIONS);
        parameters.setUseCipherSuitesOrder(true);
        parameters.setNeedClientAuth(mutual);
        engine.setSSLParameters(parameters);
        return engine;
    }

    @Override
    public String toString() {
        return "%s, valid until %s%s"
                .formatted(
                        certificate.getSubjectX500Principal(),
                        certificate.getNotAfter().toInstant(),
                        mutual ? ", clients need a certificate" : "");
    }
}
