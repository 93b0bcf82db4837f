package io.sidecore.conf;

/** What serves a queue. */
public enum Placement {
    /** One unpinned loop for all VIFs, on no reserved core. */
    SHARED,
    /** The loops of the sidecores, pinned and polling; queues are spread over them. */
    SIDECORE,
    /** The guest's own thread: for guests inside the host's process only, and without interposers. */
    INLINE
}
