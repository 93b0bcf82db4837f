package io.sidecore.devices.tls;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.interfaces.RSAPrivateKey;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Files of certificates and keys: what can be used, and what is said of what cannot. */
class TlsCredentialsTest {
    @TempDir
    static Path folder;

    private static Pki pki;
    private static Pki.Identity rsa;
    private static Pki.Identity ec;

    @TempDir
    Path own;

    @BeforeAll
    static void makeCertificates() {
        pki = new Pki(folder);
        rsa = pki.identity("rsa", "RSA -keysize 2048");
        ec = pki.identity("ec", "EC -groupname secp256r1");
    }

    @Test
    void rsaAndEcKeysInPkcs8AreRead() throws Exception {
        for (var identity : new Pki.Identity[] {rsa, ec}) {
            assertThat(TlsCredentials.load(new Pki(own).files(identity, Optional.empty()))
                            .certificate())
                    .isEqualTo(identity.certificate());
        }
    }

    /** The content of the last element of a PKCS#8 key with a one-byte version, which is the older form. */
    private static byte[] inner(byte[] pkcs8, int algorithmBytes) {
        // SEQUENCE header 4 (RSA) or 2 to 3 (EC), version 3, algorithm, OCTET STRING header.
        var outer = (pkcs8[1] & 0xff) < 0x80 ? 2 : 2 + (pkcs8[1] & 0x7f);
        var octets = outer + 3 + algorithmBytes;
        var header = (pkcs8[octets + 1] & 0xff) < 0x80 ? 2 : 2 + (pkcs8[octets + 1] & 0x7f);
        return Arrays.copyOfRange(pkcs8, octets + header, pkcs8.length);
    }

    @Test
    void anRsaKeyInTheOlderFormIsRead() {
        var file = pki.write(
                "pkcs1.pem", Pki.pem("RSA PRIVATE KEY", inner(rsa.key().getEncoded(), 15)));

        assertThat(((RSAPrivateKey) PrivateKeys.read(file)).getModulus())
                .isEqualTo(((RSAPrivateKey) rsa.key()).getModulus());
    }

    /** As {@code openssl ecparam -name prime256v1 -genkey} writes it: the parameters before the key. */
    @Test
    void anEcKeyInTheOlderFormIsRead() {
        var file = pki.write("sec1.pem", """
                -----BEGIN EC PARAMETERS-----
                BggqhkjOPQMBBw==
                -----END EC PARAMETERS-----
                -----BEGIN EC PRIVATE KEY-----
                MHcCAQEEIN37IPRPQvVZNjgy7QUnN2Ls148AsnfLkPOggAX/lTZcoAoGCCqGSM49
                AwEHoUQDQgAE4aFTfdZvgvTvS9vGjxgbi0eGqZLB9NyoROFeAboEnMqXBM1dQgqh
                V1LUfaUgGR6Aak4WaJs3YCVYc2EfoHaBLA==
                -----END EC PRIVATE KEY-----
                """);

        assertThat(PrivateKeys.read(file).getAlgorithm()).isEqualTo("EC");
    }

    @Test
    void textAroundTheBlocksIsIgnored() throws Exception {
        var file = pki.write(
                "talkative.pem",
                "Subject: somebody\n" + Pki.pem("PRIVATE KEY", ec.key().getEncoded()) + "bye\n");

        assertThat(PrivateKeys.read(file)).isEqualTo(ec.key());
    }

    @Test
    void aKeyOfAnotherCertificateIsRefused() throws Exception {
        var files = new Pki(own).files(new Pki.Identity(rsa.key(), ec.certificate()), Optional.empty());

        assertThatThrownBy(() -> TlsCredentials.load(files))
                .isInstanceOf(TlsCredentialsException.class)
                .hasMessageContaining("server-key.pem is not the key of the certificate in")
                .hasMessageContaining("CN=ec");
    }

    @Test
    void aChainOutOfOrderIsRefused() throws Exception {
        var files = new Pki(own).files(rsa, Optional.empty());
        Files.writeString(files.certificate(), Pki.pem(rsa.certificate()) + Pki.pem(ec.certificate()));

        assertThatThrownBy(() -> TlsCredentials.load(files))
                .hasMessageContaining("certificate 2 (CN=ec) is not the issuer");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "hello                                                          | holds no PEM block",
                "-----BEGIN PRIVATE KEY-----;AAAA                               | :1: PRIVATE KEY has no end; is the file cut off?",
                "x;-----BEGIN PRIVATE KEY-----;A!;-----END PRIVATE KEY-----     | :2: PRIVATE KEY is damaged",
                "-----BEGIN PRIVATE KEY-----;AAAA;-----END PRIVATE KEY-----     | :1: the private key is damaged",
                "-----BEGIN CERTIFICATE-----;AAAA;-----END CERTIFICATE-----     | holds no private key; it begins with CERTIFICATE",
                "-----BEGIN ENCRYPTED PRIVATE KEY-----;AAAA;-----END ENCRYPTED PRIVATE KEY-----     | openssl pkcs8 -topk8 -nocrypt",
                "-----BEGIN RSA PRIVATE KEY-----;Proc-Type: 4,ENCRYPTED;;AAAA;-----END RSA PRIVATE KEY----- | nobody is there to say its password",
                "-----BEGIN DSA PRIVATE KEY-----;AAAA;-----END DSA PRIVATE KEY-----     | :1: DSA PRIVATE KEY cannot be used",
            })
    void aKeyThatCannotBeUsedIsRefusedWithItsLineAndTheReason(String lines, String expected) {
        var file = pki.write("broken.pem", lines.replace(';', '\n'));

        assertThatThrownBy(() -> PrivateKeys.read(file))
                .isInstanceOf(TlsCredentialsException.class)
                .hasMessageStartingWith(file.toString())
                .hasMessageContaining(expected);
    }

    @Test
    void aMissingFileIsNamed() {
        assertThatThrownBy(() -> PrivateKeys.read(folder.resolve("nowhere.pem")))
                .hasMessage(folder.resolve("nowhere.pem") + " does not exist");
    }

    @Test
    void changedFilesAreReadAgainAndBrokenOnesAreNot() throws Exception {
        var now = new AtomicLong();
        var files = new Pki(own).files(rsa, Optional.empty());
        var elsewhere = new Pki(Files.createDirectory(own.resolve("new"))).files(ec, Optional.empty());
        try (var acceptor = new TlsAcceptor(files, now::get)) {
            Files.move(elsewhere.certificate(), files.certificate(), StandardCopyOption.REPLACE_EXISTING);
            assertThat(acceptor.current().certificate()).as("not looked at yet").isEqualTo(rsa.certificate());

            now.addAndGet(TlsAcceptor.LOOK_NANOS);
            assertThat(acceptor.current().certificate())
                    .as("a certificate without its key")
                    .isEqualTo(rsa.certificate());

            Files.move(elsewhere.key(), files.key(), StandardCopyOption.REPLACE_EXISTING);
            now.addAndGet(TlsAcceptor.LOOK_NANOS);
            assertThat(acceptor.current().certificate()).isEqualTo(ec.certificate());

            Files.delete(files.key());
            now.addAndGet(TlsAcceptor.LOOK_NANOS);
            assertThat(acceptor.current().certificate()).as("the key is gone").isEqualTo(ec.certificate());
        }
    }
}
