/** Interposers: what sits between a queue and its resource. */
@NullMarked
package io.sidecore.devices.interpose;

import org.jspecify.annotations.NullMarked;
