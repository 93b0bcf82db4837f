/**
 * Virtual interfaces: the end of a device that a guest holds, with its queues, the chains of interposers behind them, and the way a chain is replaced under load.
 * The actor ({@link io.sidecore.actors.vif.VirtualInterface}) decides; the {@link io.sidecore.actors.vif.Queue} objects and their stages carry. A guest's side of a queue
 * ({@link io.sidecore.actors.vif.GuestEnd}) has no management operation, by type; nor has what a guest inside this process holds ({@link io.sidecore.actors.vif.GuestPort}), be it served by a loop or by its own thread ({@link io.sidecore.actors.vif.InlineQueue}).
 */
@NullMarked
package io.sidecore.actors.vif;

import org.jspecify.annotations.NullMarked;
