/** Block media and the stores through which they are reached. */
package io.sidecore.devices.block;
