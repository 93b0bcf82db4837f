package io.sidecore.conf;

/**
 * {@code sidecore.host}: the bounds of a host as a whole.
 *
 * @param payloadMemoryBytes payload memory of all queues together, in bytes, but for one request of each queue
 */
public record HostSettings(long payloadMemoryBytes) {}
