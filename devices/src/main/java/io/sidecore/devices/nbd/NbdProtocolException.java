package io.sidecore.devices.nbd;

/** The peer broke the protocol in a way from which the two sides cannot find into step again: the connection is to be closed. The message says what the peer did. */
public final class NbdProtocolException extends Exception {
    NbdProtocolException(String message) {
        super(message);
    }
}
