/** Interposers: what sits between a queue and its resource. */
package io.sidecore.devices.interpose;
