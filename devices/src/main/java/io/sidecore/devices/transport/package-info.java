/** Byte streams between a guest and its queue: sockets watched by a core loop, and pairs in memory for simulations. */
package io.sidecore.devices.transport;
