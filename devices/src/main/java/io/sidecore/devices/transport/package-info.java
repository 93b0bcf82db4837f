/** Byte streams between a guest and its queue: sockets watched by a core loop, and pairs in memory for simulations. */
@NullMarked
package io.sidecore.devices.transport;

import org.jspecify.annotations.NullMarked;
