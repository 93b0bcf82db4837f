/** Block media and the stores through which they are reached. */
@NullMarked
package io.sidecore.devices.block;

import org.jspecify.annotations.NullMarked;
