/**
 * VIFs held by guests inside this process, by rings in memory: two bounded queues of descriptors ({@link io.sidecore.devices.ring.Ring}), whose payloads lie in the guest's memory and are not copied on their way ({@link io.sidecore.devices.ring.RingQueue}). May use {@code vif}, {@code block} and {@code
 * core}.
 */
@NullMarked
package io.sidecore.devices.ring;

import org.jspecify.annotations.NullMarked;
