package io.sidecore.devices.tls;

/** A certificate or a key cannot be used; the message names the file and says why. */
public final class TlsCredentialsException extends RuntimeException {
    TlsCredentialsException(String message) {
        super(message);
    }

    TlsCredentialsException(String message, Throwable cause) {
        super(message, cause);
    }
}
