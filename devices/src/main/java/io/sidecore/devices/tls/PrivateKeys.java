package io.sidecore.devices.tls;

import java.io.ByteArrayOutputStream;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.HexFormat;
import java.util.Map;

/**
 * Private keys as the tools write them: PKCS#8 (RFC 5958), and the older forms of RSA (RFC 8017, A.1.2) and EC keys (RFC 5915) that certtool writes, which are wrapped into it. Not encrypted: a host starts
 * without anybody there to say a password.
 */
final class PrivateKeys {
    private static final int SEQUENCE = 0x30;
    private static final int INTEGER = 0x02;
    private static final int OCTETS = 0x04;
    private static final int OBJECT = 0x06;
    /** The curve in an EC key of the older form. */
    private static final int PARAMETERS = 0xa0;

    private static final byte[] VERSION_0 = {INTEGER, 1, 0};
    private static final String RSA = "2a864886f70d010101";
    private static final String EC = "2a8648ce3d0201";
    /** Names of key factories by the object identifiers of PKCS#8, in hexadecimal. */
    private static final Map<String, String> FACTORIES =
            Map.of(RSA, "RSA", "2a864886f70d01010a", "RSASSA-PSS", EC, "EC", "2b6570", "EdDSA", "2b6571", "EdDSA");

    private PrivateKeys() {}

    /**
     * The first private key of the file.
     *
     * @throws TlsCredentialsException if it has none that can be used
     */
    static PrivateKey read(Path file) {
        var blocks = Pem.read(file);
        var block = blocks.stream()
                .filter(it -> it.label().endsWith("PRIVATE KEY"))
                .findFirst()
                .orElseThrow(() -> new TlsCredentialsException("%s holds no private key; it begins with %s"
                        .formatted(file, blocks.getFirst().label())));
        try {
            return of(block, file);
        } catch (GeneralSecurityException | BufferUnderflowException | IllegalArgumentException e) {
            throw new TlsCredentialsException(
                    "%s:%d: the private key is damaged: %s".formatted(file, block.line(), e.getMessage()), e);
        }
    }

    private static PrivateKey of(Pem block, Path file) throws GeneralSecurityException {
        var der = switch (block.label()) {
            case "PRIVATE KEY" -> block.der();
            case "RSA PRIVATE KEY" ->
                wrap(join(tagged(OBJECT, HexFormat.of().parseHex(RSA)), new byte[] {5, 0}), block.der());
            case "EC PRIVATE KEY" ->
                wrap(join(tagged(OBJECT, HexFormat.of().parseHex(EC)), curve(block.der())), block.der());
            default ->
                throw new TlsCredentialsException(("%s:%d: %s cannot be used"
                                + (block.label().startsWith("ENCRYPTED") ? ", nobody is there to say its password" : "")
                                + "; make it a plain PKCS#8 key: openssl pkcs8 -topk8 -nocrypt -in %s")
                        .formatted(file, block.line(), block.label(), file));
        };
        var algorithm = algorithm(der);
        var factory = FACTORIES.get(algorithm);
        if (factory == null) {
            throw new TlsCredentialsException(
                    "%s:%d: a private key of an unknown kind (object identifier 0x%s); use RSA or EC"
                            .formatted(file, block.line(), algorithm));
        }
        return KeyFactory.getInstance(factory).generatePrivate(new PKCS8EncodedKeySpec(der));
    }

    /** PrivateKeyInfo ::= SEQUENCE { version, SEQUENCE { algorithm, parameters }, OCTET STRING }. */
    private static byte[] wrap(byte[] algorithm, byte[] key) {
        return tagged(SEQUENCE, join(VERSION_0, tagged(SEQUENCE, algorithm), tagged(OCTETS, key)));
    }

    private static String algorithm(byte[] pkcs8) {
        var info = open(ByteBuffer.wrap(pkcs8), SEQUENCE);
        open(info, INTEGER);
        return hex(open(open(info, SEQUENCE), OBJECT));
    }

    /** ECPrivateKey ::= SEQUENCE { version, OCTET STRING, [0] parameters, [1] public key }. */
    private static byte[] curve(byte[] key) {
        var fields = open(ByteBuffer.wrap(key), SEQUENCE);
        open(fields, INTEGER);
        open(fields, OCTETS);
        var curve = open(fields, PARAMETERS);
        var bytes = new byte[curve.remaining()];
        curve.get(bytes);
        return bytes;
    }

    /** The content of the element that comes next, which {@code in} is behind then. */
    private static ByteBuffer open(ByteBuffer in, int tag) {
        var found = in.get() & 0xff;
        if (found != tag) {
            throw new IllegalArgumentException("expected a DER element 0x%02x, found 0x%02x".formatted(tag, found));
        }
        var length = in.get() & 0xff;
        if (length > 0x7f) {
            var bytes = length & 0x7f;
            length = 0;
            for (var i = 0; i < bytes; i++) {
                length = length << 8 | in.get() & 0xff;
            }
        }
        if (length < 0 || length > in.remaining()) {
            throw new IllegalArgumentException(
                    "a DER element of " + length + " bytes, of which " + in.remaining() + " are there");
        }
        var content = in.slice(in.position(), length);
        in.position(in.position() + length);
        return content;
    }

    private static byte[] tagged(int tag, byte[] content) {
        var n = content.length;
        var header = n < 0x80
                ? new byte[] {(byte) tag, (byte) n}
                : new byte[] {(byte) tag, (byte) 0x83, (byte) (n >> 16), (byte) (n >> 8), (byte) n};
        return join(header, content);
    }

    private static byte[] join(byte[]... parts) {
        var all = new ByteArrayOutputStream();
        for (var part : parts) {
            all.writeBytes(part);
        }
        return all.toByteArray();
    }

    private static String hex(ByteBuffer bytes) {
        var copy = new byte[bytes.remaining()];
        bytes.get(copy);
        return HexFormat.of().formatHex(copy);
    }
}
