package io.sidecore.runtime.transfer;

/** A copy did not come to its end; the message says what, why and how far it was. */
public final class TransferException extends RuntimeException {
    TransferException(String message, Throwable cause) {
        super(message, cause);
    }

    TransferException(String message) {
        super(message);
    }
}
