package io.sidecore.conf;

/** Which loop serves a queue. */
public enum Placement {
    /** One unpinned loop for all VIFs, on no reserved core. */
    SHARED,
    /** The loops of the sidecores, pinned and polling; queues are spread over them. */
    SIDECORE
}
