/**
 * Cores: the actor of each physical core, and the core loop, the thread that polls and runs what is placed on a core. Everything that has to do with time,
 * threads and scheduling comes from here, so that a test can replace it by a virtual clock and a seed. Uses Pekko, no codec and no device.
 */
@NullMarked
package io.sidecore.actors.core;

import org.jspecify.annotations.NullMarked;
