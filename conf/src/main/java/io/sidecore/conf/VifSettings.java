package io.sidecore.conf;

import java.time.Duration;

/**
 * {@code sidecore.vif}: the bounds of each queue of a VIF.
 *
 * @param slots requests in flight, at most
 * @param inFlightBytes payload memory of the requests in flight, at most, in bytes
 * @param drainMax how long a change waits for the requests in flight before it aborts the old chain and fences the store
 * @param stallMax how long a stalled queue waits for its store's fence before the volume fails
 * @param sendTimeout how long a guest may take next to none of its answers, or leave a request half sent, before its queue ends
 * @param replayMax a request that brought its resource down so many times is answered EIO
 * @param slowAfter a request that takes as long is counted as slow, and told to a flight recording
 */
public record VifSettings(
        int slots,
        long inFlightBytes,
        Duration drainMax,
        Duration stallMax,
        Duration sendTimeout,
        int replayMax,
        Duration slowAfter) {}
