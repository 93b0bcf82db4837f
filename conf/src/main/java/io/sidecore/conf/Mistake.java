package io.sidecore.conf;

/**
 * One mistake in a configuration.
 *
 * @param origin where it stands: {@code file:line}; for a value that no file holds, Typesafe Config's description ("system properties")
 * @param key full path of the key, elements of lists as {@code [0]}; empty when the text could not be parsed
 * @param message what was expected and what was found
 */
public record Mistake(String origin, String key, String message) {
    /** {@code FILE:LINE: key: message}, on one line. */
    @Override
    public String toString() {
        return origin + ": " + (key.isEmpty() ? "" : key + ": ") + message;
    }
}
